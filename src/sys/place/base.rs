//! The directory that paths are walked from.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// A directory that is held open: whatever its name is given to later, walks begin at this one.
#[derive(Clone, Debug)]
pub struct Base {
    pub(super) directory: Arc<OwnedFd>,
    path: PathBuf,
}

impl Base {
    /// The directory at this path; symbolic links are followed.
    ///
    /// # Errors
    /// What `open(2)` answers.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: Arc::new(nix::fcntl::open(path, flags, Mode::empty())?),
            path: path.to_owned(),
        })
    }

    /// Where it was opened, to show.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a relative path below it is, to show.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Entry, Place};
    use super::*;
    use crate::sys::root::tests::Tree;

    #[test]
    fn a_renamed_directory_is_still_the_same() {
        let tree = Tree::with(&[("/image/etc/x", "right"), ("/other/etc/x", "wrong")]);
        let at = |name: &str| tree.at.join(name);
        let base = Base::open(&at("image")).unwrap();
        fs::rename(at("image"), at("away")).unwrap();
        fs::rename(at("other"), at("image")).unwrap();
        let found = Place::open(&base, Path::new("/etc/x")).unwrap();
        let Some(Entry::File { bytes, .. }) = found.look().unwrap() else {
            panic!("a file");
        };
        assert_eq!(bytes, b"right");
        Place::open(&base, Path::new("/etc/x"))
            .unwrap()
            .remove()
            .unwrap();
        assert!(!at("away/etc/x").exists() && at("image/etc/x").exists());
    }
}
