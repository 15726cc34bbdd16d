//! Changing files as root where others look on: no link is followed, nothing is half written.
//!
//! The way to a file is walked directory by directory, each held open, so that nobody can put a link
//! in between; a file appears whole, under its name, by rename(2).

mod base;
mod output;
pub(crate) mod trust;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, linkat, symlinkat, unlinkat};
use xattr::FileExt as _;

use base::Bound;

pub(crate) use base::Base;
pub(crate) use trust::Trusted;

/// Extended attributes by name. What SELinux calls a file follows its policy, and is left to that.
pub(crate) type Attributes = BTreeMap<String, Vec<u8>>;

/// No file that is read here is larger: denet is 5 MB.
const LONGEST_MIB: u64 = 64;

const SELINUX: &str = "security.selinux";

/// What is found under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A regular file.
    File {
        bytes: Vec<u8>,
        /// The twelve low bits.
        mode: u32,
        uid: u32,
        gid: u32,
        /// Extended attributes.
        attributes: Attributes,
    },
    /// A directory.
    Directory {
        /// The twelve low bits.
        mode: u32,
        uid: u32,
        gid: u32,
    },
    /// A symbolic link, and where it points.
    Link(OsString),
    /// A device, a FIFO, a socket.
    Special,
}

/// A file that is to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) bytes: &'a [u8],
    /// The twelve low bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Extended attributes.
    pub(crate) attributes: &'a Attributes,
}

/// A directory that is held open, and a name in it.
#[derive(Debug)]
pub(crate) struct Place {
    directory: OwnedFd,
    name: OsString,
    /// The whole path, for messages.
    at: PathBuf,
    bound: Bound,
}

impl Place {
    /// The place of an absolute path below `base`.
    ///
    /// # Errors
    /// ENOENT where a directory is missing, ENOTDIR or ELOOP where something else or a link is in its
    /// place, CrossesDevices where another file system is mounted and `base` does not allow that, EINVAL for
    /// a path that does not name a file.
    pub(crate) fn open(base: &Base, path: &Path) -> io::Result<Self> {
        Self::walk(base, path, |_, _, _| Ok(()))
    }

    /// The same for changing: every directory on the way from `base` on belongs to root, and no other
    /// user may write there.
    ///
    /// # Errors
    /// As [`Place::open`], and EPERM with the directory's name.
    pub(crate) fn open_trusted(base: &Base, path: &Path) -> io::Result<Self> {
        Self::walk(base, path, |at, directory, stat| {
            if stat.st_uid != 0 || Trusted::root().others_write_in(directory, stat, at)? {
                let what = format!("{}: users other than root can write there", at.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
            Ok(())
        })
    }

    /// The same for what only we ourselves rely on: a directory may be ours as well.
    ///
    /// # Errors
    /// As [`Place::open_trusted`].
    pub(crate) fn open_own(base: &Base, path: &Path) -> io::Result<Self> {
        let own = nix::unistd::geteuid().as_raw();
        Self::walk(base, path, |at, directory, stat| {
            if ![0, own].contains(&stat.st_uid)
                || Trusted::root().others_write_in(directory, stat, at)?
            {
                let what = format!("{}: users other than root can write there", at.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
            Ok(())
        })
    }

    /// The same for a file that will be executed with more privileges than the users have who might have put it
    /// there: every directory on the way belongs to a trusted user, and no other user can replace the next
    /// directory, or the file itself.
    ///
    /// # Errors
    /// As [`Place::open`], and EPERM with the directory's name.
    pub(crate) fn open_of(trusted: &Trusted, path: &Path) -> io::Result<Self> {
        Self::walk(&Base::open(Path::new("/"))?, path, |at, directory, stat| {
            let sticky = stat.st_mode & libc::S_ISVTX != 0;
            let who = match trusted.uids.contains(&stat.st_uid) {
                false => format!("it belongs to uid {}", stat.st_uid),
                // If it is sticky, only an entry's owner can replace it; the next step, or the caller, checks that owner.
                true if !sticky && trusted.others_write_in(directory, stat, at)? => {
                    "other users can write there".to_owned()
                }
                true => return Ok(()),
            };
            let what = format!("{}: {who}", at.display());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
        })
    }

    fn walk(
        base: &Base,
        path: &Path,
        trust: impl Fn(&Path, &OwnedFd, &FileStat) -> io::Result<()>,
    ) -> io::Result<Self> {
        let named = |component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        };
        let mut names: Vec<&OsStr> = path.components().filter_map(named).collect();
        let name = names
            .pop()
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut directory = base.directory.try_clone()?;
        let mut at = base.path().to_owned();
        trust(&at, &directory, &fstat(&directory)?)?;
        for name in names {
            directory = openat(&directory, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
            at.push(name);
            base.bound.check(&directory, &at)?;
            trust(&at, &directory, &fstat(&directory)?)?;
        }
        Ok(Self {
            directory,
            name: name.to_owned(),
            at: at.join(name),
            bound: base.bound.clone(),
        })
    }

    /// What is there; `None` if nothing is.
    ///
    /// # Errors
    /// What `openat(2)` or `read(2)` answers; CrossesDevices as in [`Place::open`].
    pub(crate) fn look(&self) -> io::Result<Option<Entry>> {
        self.entry(|_| Ok(()))
    }

    /// The same for what is relied on, or changed next: a regular file must not have another name, through which
    /// other users might change it, and must belong to root or to us.
    ///
    /// # Errors
    /// As [`Place::look`]; InvalidData for a file with several names, or another user's file.
    pub(crate) fn look_own(&self) -> io::Result<Option<Entry>> {
        self.entry(must_be_own)
    }

    fn entry(&self, check: fn(&Metadata) -> io::Result<()>) -> io::Result<Option<Entry>> {
        let Some(stat) = self.stat()? else {
            return Ok(None);
        };
        let kind = kind_of(&stat);
        let (mode, uid, gid) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
        Ok(Some(match kind {
            SFlag::S_IFDIR => Entry::Directory { mode, uid, gid },
            SFlag::S_IFLNK => Entry::Link(readlinkat(&self.directory, self.name.as_os_str())?),
            SFlag::S_IFREG => self.file(check)?,
            _ => Entry::Special,
        }))
    }

    fn file(&self, check: fn(&Metadata) -> io::Result<()>) -> io::Result<Entry> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let name = self.name.as_os_str();
        let file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        self.bound.check(&file, &self.at)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_a_regular_file());
        }
        check(&metadata)?;
        let mut bytes = Vec::new();
        let most = LONGEST_MIB << 20;
        (&file).take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            let what = format!("larger than {LONGEST_MIB} MiB");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(Entry::File {
            bytes,
            mode: metadata.permissions().mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            attributes: attributes(&file)?,
        })
    }

    /// A file that is written to at its end, and that nobody else reads; made where there is none.
    ///
    /// # Errors
    /// What `openat(2)` answers; InvalidData for anything but a regular file, without waiting for it, and for a
    /// file with several names, or another user's file.
    pub(crate) fn open_private(&self) -> io::Result<File> {
        // Opening a device or a FIFO can have side effects.
        if self
            .stat()?
            .is_some_and(|stat| kind_of(&stat) != SFlag::S_IFREG)
        {
            return Err(not_a_regular_file());
        }
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let private = Mode::from_bits_truncate(0o600);
        let file = File::from(openat(
            &self.directory,
            self.name.as_os_str(),
            flags,
            private,
        )?);
        self.bound.check(&file, &self.at)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_a_regular_file());
        }
        must_be_own(&metadata)?;
        Ok(file)
    }

    /// Metadata of what is there, which is not opened for reading or writing.
    fn stat(&self) -> io::Result<Option<FileStat>> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let name = self.name.as_os_str();
        let found = match openat(&self.directory, name, flags, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            found => found?,
        };
        self.bound.check(&found, &self.at)?;
        Ok(Some(fstat(&found)?))
    }

    /// Puts a file there, in the place of what is there, at once and for good. What was there is not written
    /// to: its other names, if it has any, still refer to it.
    ///
    /// # Errors
    /// What the system calls answer: ENOSPC, EROFS, ENOTSUP for attributes. Nothing is changed then.
    pub(crate) fn put(&self, wanted: Wanted<'_>) -> io::Result<()> {
        let unfinished = self.unfinished();
        let made = self.write(&unfinished, wanted);
        let made = made.and_then(|()| self.rename(&unfinished));
        if made.is_err() {
            self.unlink(&unfinished);
        }
        made
    }

    /// Removes what could not be finished.
    fn unlink(&self, name: &OsStr) {
        let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
    }

    /// Puts a file there if nothing is there yet; otherwise returns `false`.
    ///
    /// # Errors
    /// As [`Place::put`].
    pub(crate) fn put_new(&self, wanted: Wanted<'_>) -> io::Result<bool> {
        let unfinished = self.unfinished();
        let (directory, name) = (&self.directory, self.name.as_os_str());
        let made = self.write(&unfinished, wanted).and_then(|()| {
            match linkat(
                directory,
                unfinished.as_os_str(),
                directory,
                name,
                AtFlags::empty(),
            ) {
                Err(nix::errno::Errno::EEXIST) => Ok(false),
                made => Ok(made.map(|()| true)?),
            }
        });
        self.clear()?;
        made
    }

    fn write(&self, name: &OsStr, wanted: Wanted<'_>) -> io::Result<()> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Mode::from_bits_truncate(0o600);
        let mut file = File::from(openat(&self.directory, name, flags, private)?);
        file.write_all(wanted.bytes)?;
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        fchown(&file, Some(uid), Some(gid))?;
        fchmod(&file, Mode::from_bits_truncate(wanted.mode))?;
        // Last: a change of the owner takes capabilities away.
        for (name, value) in wanted.attributes {
            file.set_xattr(name, value)?;
        }
        file.sync_all()
    }

    /// Puts a symbolic link there, in the place of what is there.
    ///
    /// # Errors
    /// What `symlinkat(2)` or `renameat(2)` answers.
    pub(crate) fn put_link(&self, target: &OsStr) -> io::Result<()> {
        let unfinished = self.unfinished();
        symlinkat(target, &self.directory, unfinished.as_os_str())?;
        self.rename(&unfinished)
    }

    /// Makes a directory there.
    ///
    /// # Errors
    /// What `mkdirat(2)` answers.
    pub(crate) fn make_directory(&self, mode: u32) -> io::Result<()> {
        let name = self.name.as_os_str();
        mkdirat(&self.directory, name, Mode::from_bits_truncate(mode))?;
        self.sync()
    }

    /// The names in the directory that is there, in no particular order; none if there is no directory.
    ///
    /// # Errors
    /// What `openat(2)` or `getdents(2)` answers.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = match openat(&self.directory, self.name.as_os_str(), flags, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) => return Ok(Vec::new()),
            found => found?,
        };
        self.bound.check(&found, &self.at)?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(found)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_owned());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes what is there: a file, a link, or an empty directory.
    ///
    /// # Errors
    /// What `unlinkat(2)` answers: ENOTEMPTY for a directory in which something is.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let flag = match self.look()? {
            None => return Ok(()),
            Some(Entry::Directory { .. }) => UnlinkatFlags::RemoveDir,
            Some(_) => UnlinkatFlags::NoRemoveDir,
        };
        unlinkat(&self.directory, self.name.as_os_str(), flag)?;
        self.sync()
    }

    /// Removes what a process left here that was killed while it wrote.
    ///
    /// # Errors
    /// What `unlinkat(2)` answers, ENOENT excepted.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let unfinished = self.unfinished();
        match unlinkat(
            &self.directory,
            unfinished.as_os_str(),
            UnlinkatFlags::NoRemoveDir,
        ) {
            // Where nothing can be written, nothing was left.
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::EROFS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn rename(&self, from: &OsStr) -> io::Result<()> {
        renameat(
            &self.directory,
            from,
            &self.directory,
            self.name.as_os_str(),
        )?;
        self.sync()
    }

    /// The names in the directory last through a power failure.
    fn sync(&self) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = openat(&self.directory, ".", flags, Mode::empty())?;
        File::from(directory).sync_all()
    }

    /// Known beforehand, so that it is found again after a kill.
    fn unfinished(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".denet-setup");
        name
    }
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn not_a_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a regular file")
}

/// Otherwise, through a hard link that another user put there, another file would be changed or locked.
fn must_be_own(file: &Metadata) -> io::Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    let what = match (file.nlink(), file.uid()) {
        (names @ 2.., _) => format!("it has {names} names (hard links)"),
        (_, uid) if ![0, own].contains(&uid) => format!("it belongs to uid {uid}"),
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn attributes(file: &File) -> io::Result<Attributes> {
    let names = match file.list_xattr() {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => return Ok(Attributes::new()),
        names => names?,
    };
    let names = names.filter_map(|name| name.into_string().ok());
    names
        .filter(|name| name != SELINUX)
        .map(|name| match file.get_xattr(&name)? {
            Some(value) => Ok((name, value)),
            None => Err(io::Error::from_raw_os_error(libc::ENODATA)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    fn base(root: &Path) -> Base {
        Base::open(root).unwrap()
    }

    fn own(bytes: &[u8]) -> Wanted<'_> {
        static NONE: Attributes = Attributes::new();
        Wanted {
            bytes,
            mode: 0o640,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            attributes: &NONE,
        }
    }

    #[test]
    fn files_are_put_whole_and_removed() {
        let tree = Tree::empty();
        let root = &tree.at;
        let place = Place::open(&base(root), Path::new("/x")).unwrap();
        assert_eq!(place.look().unwrap(), None);
        place.put(own(b"one")).unwrap();
        place.put(own(b"two")).unwrap();
        let Some(Entry::File { bytes, mode, .. }) = place.look().unwrap() else {
            panic!("a file");
        };
        assert_eq!((bytes.as_slice(), mode), (&b"two"[..], 0o640));
        assert_eq!(std::fs::read_dir(root).unwrap().count(), 1);
        place.put_link(OsStr::new("/else")).unwrap();
        assert_eq!(place.look().unwrap(), Some(Entry::Link("/else".into())));
        place.remove().unwrap();
        place.remove().unwrap();
        assert_eq!(std::fs::read_dir(root).unwrap().count(), 0);
    }

    #[test]
    fn links_on_the_way_are_not_followed() {
        let tree = Tree::empty();
        let root = &tree.at;
        std::os::unix::fs::symlink("/tmp", root.join("etc")).unwrap();
        let refused = Place::open(&base(root), Path::new("/etc/x")).unwrap_err();
        assert!(
            [libc::ENOTDIR, libc::ELOOP].contains(&refused.raw_os_error().unwrap()),
            "{refused}"
        );
    }

    #[test]
    fn where_others_may_write_nothing_is_put() {
        let tree = Tree::empty();
        let root = &tree.at;
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Place::open_trusted(&base(root), Path::new("/x")).unwrap_err();
        assert!(
            refused.to_string().contains("users other than root"),
            "{refused}"
        );
    }

    #[test]
    fn a_file_with_hard_links_or_another_owner_is_not_written_to() {
        let tree = Tree::with(&[("/other", "original"), ("/foreign", "original")]);
        let root = &tree.at;
        std::fs::hard_link(root.join("other"), root.join("linked")).unwrap();
        let place = |name: &str| Place::open(&base(root), Path::new(name)).unwrap();
        let refused = |name: &str, words: &str| {
            for error in [
                place(name).open_private().unwrap_err(),
                place(name).look_own().unwrap_err(),
            ] {
                assert_eq!(error.to_string(), words, "{name}");
            }
            assert!(place(name).look().unwrap().is_some(), "{name}");
        };
        refused("linked", "it has 2 names (hard links)");
        place("linked").put(own(b"new")).unwrap();
        assert_eq!(std::fs::read(root.join("other")).unwrap(), b"original");
        assert!(place("linked").look_own().unwrap().is_some());
        drop(place("made").open_private().unwrap());
        // Only root may give files away.
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(root.join("foreign"), Some(65534), None).unwrap();
            refused("foreign", "it belongs to uid 65534");
        }
    }
}
