//! The directory that paths are walked from.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// A directory that is held open: walks begin at it, even if its name refers to another one later.
#[derive(Clone, Debug)]
pub struct Base {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) bound: Bound,
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
            bound: Bound(None),
            path: path.to_owned(),
        })
    }

    /// The same for walks that must not leave the mount that the directory is in.
    ///
    /// # Errors
    /// As [`Base::open`], and where `/proc/self/fdinfo` cannot be read.
    pub fn open_within_mount(path: &Path) -> io::Result<Self> {
        let base = Self::open(path)?;
        let bound = Bound(Some(mount_of(&*base.directory)?));
        Ok(Self { bound, ..base })
    }

    /// The path that it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something below it, for messages.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }
}

/// The id of the mount that everything must be in; `None` allows any mount.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound(pub(super) Option<u64>);

impl Bound {
    /// Refuses what is in another mount. A bind mount of the same file system is another mount.
    ///
    /// # Errors
    /// CrossesDevices with the path.
    pub(super) fn check(self, found: &impl AsRawFd, at: &Path) -> io::Result<()> {
        let Some(mount) = self.0 else {
            return Ok(());
        };
        if mount_of(found)? == mount {
            return Ok(());
        }
        let what = format!(
            "{}: another file system is mounted there: unmount it first",
            at.display()
        );
        Err(io::Error::new(io::ErrorKind::CrossesDevices, what))
    }
}

/// The id of the mount that an open file is in. statx(2) reports it only from Linux 5.8 on, and openat2(2)
/// with RESOLVE_NO_XDEV exists only from 5.6 on.
fn mount_of(file: &impl AsRawFd) -> io::Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    // NotFound would mean that the file itself does not exist.
    let failed = |what: String| io::Error::other(format!("{path}: {what}"));
    let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.and_then(|id| id.trim().parse().ok())
        .ok_or_else(|| failed("it has no mnt_id".to_owned()))
}

#[cfg(test)]
mod tests {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    use super::super::{Attributes, Entry, Place, Wanted};
    use super::*;
    use crate::sys::root::tests::Tree;

    /// Runs the test in a mount namespace of its own; skips it without the right to make one.
    fn in_own_mounts(test: impl FnOnce() + Send) {
        let run = || {
            if unshare(CloneFlags::CLONE_NEWNS).is_err() {
                return;
            }
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
            test();
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap());
    }

    fn bind(from: &Path, to: &Path) {
        mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    }

    fn refused<T>(done: io::Result<T>, at: &Path) {
        let error = done.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::CrossesDevices, "{error}");
        let words = "another file system is mounted there: unmount it first";
        assert_eq!(error.to_string(), format!("{}: {words}", at.display()));
    }

    #[test]
    fn walks_do_not_cross_into_another_mount() {
        let tree = Tree::with(&[("/host/x/y", "host"), ("/image/etc/x/y", "image")]);
        let at = |name: &str| tree.at.join(name);
        in_own_mounts(|| {
            bind(&at("image"), &at("image"));
            let base = Base::open_within_mount(&at("image")).unwrap();
            let place = |path: &str| Place::open(&base, Path::new(path));
            assert!(place("/etc/x/y").unwrap().look().unwrap().is_some());
            bind(&at("host"), &at("image/etc"));
            for path in ["/etc/x", "/etc/x/y", "/etc/none/y"] {
                refused(place(path), &at("image/etc"));
            }
            refused(
                Place::open_own(&base, Path::new("/etc/x")),
                &at("image/etc"),
            );
            let folder = place("/etc").unwrap();
            refused(folder.look(), &at("image/etc"));
            refused(folder.names(), &at("image/etc"));
            refused(folder.remove(), &at("image/etc"));
            let base = Base::open(&at("image")).unwrap();
            let place = Place::open(&base, Path::new("/etc/x/y")).unwrap();
            assert!(place.look().unwrap().is_some());
        });
    }

    #[test]
    fn a_file_that_is_mounted_over_another_is_left_alone() {
        let tree = Tree::with(&[("/host", "host"), ("/image/group", "image")]);
        let at = |name: &str| tree.at.join(name);
        in_own_mounts(|| {
            let base = Base::open_within_mount(&at("image")).unwrap();
            let place = Place::open(&base, Path::new("/group")).unwrap();
            drop(place.open_private().unwrap());
            bind(&at("host"), &at("image/group"));
            refused(place.look(), &at("image/group"));
            refused(place.open_private(), &at("image/group"));
            refused(place.remove(), &at("image/group"));
            let wanted = Wanted {
                bytes: b"new",
                mode: 0o644,
                uid: 0,
                gid: 0,
                attributes: &Attributes::new(),
            };
            let busy = place.put(wanted).unwrap_err();
            assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
        });
        assert_eq!(fs::read(at("host")).unwrap(), b"host");
        assert_eq!(fs::read(at("image/group")).unwrap(), b"image");
        assert_eq!(fs::read_dir(at("image")).unwrap().count(), 1);
    }

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
