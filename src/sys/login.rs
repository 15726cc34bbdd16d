//! Running a command as a user who has just logged in: with the groups of now, and nothing of ours.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::unistd::{Gid, Uid, initgroups, setgid, setuid};

use super::names;

/// Runs it to its end.
///
/// # Errors
/// There is no such user, or the command cannot be started as them.
pub(crate) fn run_as(user: &str, program: &Path, arguments: &[&str]) -> io::Result<Output> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no user is called {user}"));
    let (name, uid, groups) = names::user(user)?.ok_or_else(unknown)?;
    let gid = groups.first().copied().unwrap_or(uid);
    let name = CString::new(name)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null());
    let become_them = move || {
        initgroups(&name, Gid::from_raw(gid))?;
        setgid(Gid::from_raw(gid))?;
        setuid(Uid::from_raw(uid))?;
        Ok(())
    };
    // SAFETY: this process has one thread here, so what initgroups reads is not locked by another.
    unsafe { command.pre_exec(become_them) };
    command.output()
}
