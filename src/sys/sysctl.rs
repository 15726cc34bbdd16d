//! Sysctls of the running kernel.

use std::fs::File;
use std::io;
use std::path::Path;

use sysctl::{Ctl, Sysctl as _, SysctlError};

/// The value in a file below `/proc/sys`; `None` if there is no such file.
///
/// # Errors
/// The error of `open(2)` or `read(2)`; InvalidInput if part of the name has a dot.
pub(crate) fn read(file: &Path) -> io::Result<Option<String>> {
    match open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        ctl => ctl?.value_string().map(Some).map_err(failed),
    }
}

/// Writes a value into a file below `/proc/sys`.
///
/// # Errors
/// The error of `open(2)` or `write(2)`; InvalidInput if part of the name has a dot.
pub(crate) fn write(file: &Path, value: &str) -> io::Result<()> {
    let ctl = open(file)?;
    ctl.set_value_string(value).map(drop).map_err(failed)
}

/// The crate reports every failure to open the file as NotFound, so the file is opened first; and it takes a dot in a
/// name for a separator.
fn open(file: &Path) -> io::Result<Ctl> {
    let path = Path::new("/proc/sys").join(file);
    File::open(&path)?;
    let ctl = Ctl::new(&path.to_string_lossy()).map_err(failed)?;
    if Path::new(&ctl.path()) != path {
        let what = format!("{}: a name with a dot in it", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(ctl)
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
}
