//! Which file a command name means, as a shell would find it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::output::shell::quoted;
use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};

/// Where shells look when there is no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unrunnable {
    /// Exit code 127.
    #[error("{0}: command not found")]
    NotFound(String),
    /// Exit code 126.
    #[error("{0}: {1}")]
    NotExecutable(String, io::Error),
}

/// The file to execute for `name`, which is a path if it holds a slash.
///
/// # Errors
/// [`Unrunnable`], in the way shells tell the two cases apart.
pub(crate) fn find(name: &OsStr, path: Option<OsString>) -> Result<PathBuf, Unrunnable> {
    let shown = || quoted(&name.to_string_lossy());
    if name.as_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return match runnable(&file) {
            Ok(()) => Ok(file),
            Err(error) if missing(&error) => Err(Unrunnable::NotFound(shown())),
            Err(error) => Err(Unrunnable::NotExecutable(shown(), error)),
        };
    }
    let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
    let mut refused = None;
    for folder in std::env::split_paths(&path) {
        // An empty element is the working directory.
        let file = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        }
        .join(name);
        match runnable(&file) {
            Ok(()) if !name.is_empty() => return Ok(file),
            Err(error) if !missing(&error) => refused = refused.or(Some((file, error))),
            Ok(()) | Err(_) => {}
        }
    }
    Err(match refused {
        Some((file, error)) if !name.is_empty() => {
            Unrunnable::NotExecutable(file.display().to_string(), error)
        }
        _ => Unrunnable::NotFound(shown()),
    })
}

fn missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn runnable(file: &Path) -> io::Result<()> {
    if std::fs::metadata(file)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    faccessat(
        nix::fcntl::AT_FDCWD,
        file,
        AccessFlags::X_OK,
        AtFlags::AT_EACCESS,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_every_folder_of_path() {
        let found = find("sh".as_ref(), Some("/nonexistent:/bin".into())).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
        assert!(find("sh".as_ref(), None).is_ok());
        assert!(matches!(
            find("sh".as_ref(), Some("/proc".into())),
            Err(Unrunnable::NotFound(_))
        ));
    }

    #[test]
    fn tells_absent_from_not_executable() {
        for absent in ["/nonexistent", "/etc/passwd/x", ""] {
            assert!(
                matches!(find(absent.as_ref(), None), Err(Unrunnable::NotFound(_))),
                "{absent}"
            );
        }
        for refused in ["/etc/passwd", "/etc"] {
            assert!(matches!(
                find(refused.as_ref(), None),
                Err(Unrunnable::NotExecutable(..))
            ));
        }
        let in_path = find("passwd".as_ref(), Some("/etc".into()));
        assert!(matches!(in_path, Err(Unrunnable::NotExecutable(..))));
    }
}
