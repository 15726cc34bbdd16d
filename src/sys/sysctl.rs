//! Sysctls of the running kernel.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use sysctl::{Ctl, Sysctl as _, SysctlError};

/// The value in a file below `/proc/sys`; `None` if there is no such file.
///
/// # Errors
/// The error of `open(2)` or `read(2)`.
pub(crate) fn read(file: &Path) -> io::Result<Option<String>> {
    let path = Path::new("/proc/sys").join(file);
    match known(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(Some(ctl)) => ctl.value_string().map(Some).map_err(failed),
        Ok(None) => fs::read_to_string(&path).map(|text| Some(text.trim().to_owned())),
    }
}

/// Writes a value into a file below `/proc/sys`.
///
/// # Errors
/// The error of `open(2)` or `write(2)`.
pub(crate) fn write(file: &Path, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys").join(file);
    match known(&path)? {
        Some(ctl) => ctl.set_value_string(value).map(drop).map_err(failed),
        None => fs::write(&path, value),
    }
}

/// The sysctl of a file that exists; `None` if the crate cannot name it: it takes a dot, as in the name of a VLAN's
/// interface, for a separator. It also reports every failure to open the file as NotFound, so the file is opened first.
fn known(path: &Path) -> io::Result<Option<Ctl>> {
    File::open(path)?;
    if path.to_string_lossy().contains('.') {
        return Ok(None);
    }
    Ctl::new(&path.to_string_lossy()).map(Some).map_err(failed)
}

fn failed(error: SysctlError) -> io::Error {
    match error {
        SysctlError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_kernel_are_kept() {
        let read = |name: &str| read(Path::new(name));
        let known = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(read("kernel/osrelease").unwrap().unwrap(), known.trim());
        assert_eq!(read("kernel/no_such_sysctl").unwrap(), None);
        let errno = |error: io::Error| error.raw_os_error();
        assert_eq!(errno(read("kernel").unwrap_err()), Some(libc::EISDIR));
        assert_eq!(
            errno(read("kernel/osrelease/x").unwrap_err()),
            Some(libc::ENOTDIR)
        );
        // Read-only for root as well.
        let written = write(Path::new("kernel/osrelease"), "1").unwrap_err();
        let number = errno(written);
        assert!(
            matches!(number, Some(libc::EACCES | libc::EROFS)),
            "{number:?}"
        );
    }

    /// Only root may add an interface.
    #[test]
    fn an_interface_with_a_dot_in_its_name_has_sysctls_too() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let in_namespace = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let add = ["link", "add", "v0.5", "type", "veth", "peer", "name", "v1"];
            let added = std::process::Command::new("ip").args(add).status();
            assert!(added.unwrap().success());
            let file = Path::new("net/ipv4/conf/v0.5/forwarding");
            for value in ["1", "0"] {
                write(file, value).unwrap();
                assert_eq!(read(file).unwrap().unwrap(), value);
            }
        };
        std::thread::spawn(in_namespace).join().unwrap();
    }
}
