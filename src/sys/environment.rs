//! The environment that denet was started with, whole.
//!
//! In a program that gained capabilities from its file, glibc removes LD_LIBRARY_PATH, TMPDIR and
//! a dozen more from `environ` before `main`. The command has no such privilege and must find them,
//! so they are read from where the kernel put them.

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::{fs, io};

use nix::sys::prctl;

/// Whether the file gave this program privileges that its user does not have: capabilities, or another
/// effective id (`AT_SECURE`, getauxval(3)).
pub(crate) fn gained_privileges() -> bool {
    // SAFETY: a query of the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Keeps others from tracing this process, and from reading its memory, if it gained privileges: also once it has
/// given them up, and where `fs.suid_dumpable` would allow it.
pub fn refuse_tracing() {
    if gained_privileges() {
        set_dumpable(false);
    }
}

fn set_dumpable(dumpable: bool) {
    // It cannot fail with either value.
    let _ = prctl::set_dumpable(dumpable);
}

/// Every entry, `NAME=value` as a rule, in its order.
///
/// # Errors
/// Where this program gained privileges and its first environment cannot be read.
pub(crate) fn inherited() -> io::Result<Vec<OsString>> {
    if !gained_privileges() {
        return Ok(current());
    }
    let block = with_own_proc_files(|| fs::read("/proc/self/environ"))?;
    let entries = block
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty());
    Ok(entries
        .map(|entry| OsStr::from_bytes(entry).to_owned())
        .collect())
}

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

/// Every entry of `environ`, also those that are no `NAME=value`.
fn current() -> Vec<OsString> {
    let mut entries = Vec::new();
    // SAFETY: denet has one thread here and changes no variable; environ ends with NULL.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            entries.push(OsStr::from_bytes(CStr::from_ptr(*next).to_bytes()).to_owned());
            next = next.add(1);
        }
    }
    entries
}

/// The value of a variable in an environment of [`inherited`]'s form.
pub(crate) fn lookup(environment: &[OsString], name: &str) -> Option<OsString> {
    environment.iter().find_map(|entry| {
        let value = entry
            .as_bytes()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")?;
        Some(OsString::from_vec(value.to_vec()))
    })
}

/// A process with file capabilities is not dumpable, and root owns its files in `/proc`. This makes it dumpable
/// for a moment. To be called while it still has the capabilities: only a process that has them as well can trace
/// it then (`ptrace_may_access`).
pub(crate) fn with_own_proc_files<T>(read: impl FnOnce() -> T) -> T {
    if !gained_privileges() {
        return read();
    }
    set_dumpable(true);
    let result = read();
    set_dumpable(false);
    result
}
