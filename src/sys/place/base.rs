//! The directory that paths are walked from.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::sys::mountinfo::{self, Placed};

/// A directory that is held open: walks begin at it, even if its name refers to another one later.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) bound: Bound,
    path: PathBuf,
}

impl Base {
    /// The directory at this path; symbolic links are followed.
    ///
    /// # Errors
    /// What `open(2)` answers.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: Arc::new(nix::fcntl::open(path, flags, Mode::empty())?),
            bound: Bound(None),
            path: path.to_owned(),
        })
    }

    /// The same for the root of an image: walks stay in the mount that the directory is in, and in those below it
    /// that are the image's own.
    ///
    /// # Errors
    /// As [`Base::open`], and where `/proc/self` cannot be read.
    pub(crate) fn open_image(path: &Path) -> io::Result<Self> {
        let base = Self::open(path)?;
        let root = fs::read_link(format!("/proc/self/fd/{}", base.directory.as_raw_fd()))?;
        let mount = mount_of(&*base.directory)?;
        let bound = Bound(Some(Arc::new(Image { root, mount })));
        Ok(Self { bound, ..base })
    }

    /// The path that it was opened by, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something below it, for messages.
    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path.join(path)
    }
}

/// An image that must not be left.
#[derive(Debug)]
pub(super) struct Image {
    root: PathBuf,
    /// The id of the mount that its root is in.
    mount: u64,
}

/// What a walk must not leave; `None` allows any mount.
#[derive(Clone, Debug)]
pub(super) struct Bound(pub(super) Option<Arc<Image>>);

impl Bound {
    /// Refuses what is in a mount that is not the image's own.
    ///
    /// # Errors
    /// CrossesDevices with the path, and where `/proc/self` cannot be read.
    pub(super) fn check(&self, found: &impl AsRawFd, at: &Path) -> io::Result<()> {
        let Some(image) = &self.0 else {
            return Ok(());
        };
        let mount = mount_of(found)?;
        if mount == image.mount {
            return Ok(());
        }
        let path = "/proc/thread-self/mountinfo";
        let text = fs::read_to_string(path)?;
        let mounts = mountinfo::parse_placed(&text)
            .map_err(|line| io::Error::other(format!("{path}: {line}")))?;
        if is_of_image(&mounts, mount, &image.root) {
            return Ok(());
        }
        let what = format!(
            "{}: a file system that is not the image's own is mounted there: unmount it first",
            at.display()
        );
        Err(io::Error::new(io::ErrorKind::CrossesDevices, what))
    }
}

/// File systems without a block device that can be part of an image all the same.
const STORAGE: [&str; 6] = ["btrfs", "zfs", "overlay", "tmpfs", "nfs", "nfs4"];

/// Whether a mount is part of the image below `root`, as a partition of its own for `/var` is: it stores files, and
/// none of them is visible outside the image, as those of a bind mount of the host's are.
fn is_of_image(mounts: &[Placed], id: u64, root: &Path) -> bool {
    let Some(it) = mounts.iter().find(|mount| mount.id == id) else {
        return false;
    };
    let stores = !it.device.starts_with("0:") || STORAGE.contains(&it.mount.kind.as_str());
    let overlaps = |other: &&Placed| {
        let (a, b) = (Path::new(&it.mount.root), Path::new(&other.mount.root));
        other.device == it.device && (a.starts_with(b) || b.starts_with(a))
    };
    let is_below = |other: &Placed| Path::new(&other.mount.point).starts_with(root);
    stores && mounts.iter().filter(overlaps).all(is_below)
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
        let words = "a file system that is not the image's own is mounted there: unmount it first";
        assert_eq!(error.to_string(), format!("{}: {words}", at.display()));
    }

    #[test]
    fn walks_do_not_cross_into_another_mount() {
        let tree = Tree::with(&[("/host/x/y", "host"), ("/image/etc/x/y", "image")]);
        let at = |name: &str| tree.at.join(name);
        in_own_mounts(|| {
            bind(&at("image"), &at("image"));
            let base = Base::open_image(&at("image")).unwrap();
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
    fn partitions_of_the_image_are_part_of_it() {
        let tree = Tree::with(&[("/image/var/x", "image"), ("/image/etc/x", "image")]);
        let at = |name: &str| tree.at.join(name);
        in_own_mounts(|| {
            let tmpfs = Some("tmpfs");
            mount(
                tmpfs,
                &at("image/var"),
                tmpfs,
                MsFlags::empty(),
                None::<&str>,
            )
            .unwrap();
            fs::write(at("image/var/x"), "partition").unwrap();
            let base = Base::open_image(&at("image")).unwrap();
            let place = || Place::open(&base, Path::new("/var/x"));
            assert!(place().unwrap().look().unwrap().is_some());
            // From here on it is the host's as well.
            bind(&at("image/var"), &tree.at);
            refused(place(), &at("image/var"));
        });
    }

    #[test]
    fn mounts_that_are_visible_elsewhere_are_not_the_images() {
        let mounts = mountinfo::parse_placed(
            "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             21 20 0:5 / /proc rw - proc proc rw\n\
             30 20 8:2 / /mnt rw - ext4 /dev/sda2 rw\n\
             31 30 8:3 / /mnt/var rw - ext4 /dev/sda3 rw\n\
             32 30 0:40 /@usr /mnt/usr rw - btrfs /dev/sda4 rw\n\
             33 30 0:5 / /mnt/proc rw - proc proc rw\n\
             34 30 8:1 /etc /mnt/etc rw - ext4 /dev/sda1 rw\n\
             35 30 0:41 / /mnt/sys/kernel/tracing rw - tracefs tracefs rw\n\
             36 20 0:40 /@home /home rw - btrfs /dev/sda4 rw\n\
             37 20 8:3 /lib /mntother rw - ext4 /dev/sda3 rw\n",
        )
        .unwrap();
        let is_own = |id| is_of_image(&mounts, id, Path::new("/mnt"));
        let own: Vec<u64> = (20..38).filter(|id| is_own(*id)).collect();
        assert_eq!(own, [30, 32]);
    }

    #[test]
    fn a_file_that_is_mounted_over_another_is_left_alone() {
        let tree = Tree::with(&[("/host", "host"), ("/image/group", "image")]);
        let at = |name: &str| tree.at.join(name);
        in_own_mounts(|| {
            let base = Base::open_image(&at("image")).unwrap();
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
