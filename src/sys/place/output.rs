//! Files that are written where others may have put something first, as in `/tmp`: what another user put
//! there is neither followed nor written to, whatever `fs.protected_symlinks`, `protected_regular` and
//! `protected_fifos` are set to. The rules are those of these sysctls (fs/namei.c: `may_follow_link`,
//! `may_create_in_sticky`).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Component, Path};

use nix::fcntl::{FcntlArg, OFlag, fcntl, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::{Bound, Place, kind_of};

/// As many links as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

impl Place {
    /// Where an output goes, with links followed.
    ///
    /// # Errors
    /// What the system answers; EPERM for a link that another user put into a directory where all users can write.
    pub(crate) fn of_output(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut directory = nix::fcntl::open(".", flags, Mode::empty())?;
        let mut names = words(path);
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            if name == "/" {
                directory = nix::fcntl::open("/", flags, Mode::empty())?;
                continue;
            }
            let place = Self {
                directory,
                name,
                at: path.to_owned(),
                bound: Bound(None),
            };
            let is_link = place
                .stat()?
                .is_some_and(|stat| kind_of(&stat) == SFlag::S_IFLNK);
            if is_link && !place.is_in_proc()? {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                place.must_be_followed()?;
                let target = readlinkat(&place.directory, place.name.as_os_str())?;
                for word in words(Path::new(&target)).into_iter().rev() {
                    names.push_front(word);
                }
                directory = place.directory;
            } else if names.is_empty() {
                return Ok(place);
            } else {
                directory = openat(
                    &place.directory,
                    place.name.as_os_str(),
                    flags,
                    Mode::empty(),
                )?;
            }
        }
        // The path is a directory itself: "/", or where links lead to it.
        Ok(Self {
            directory,
            name: ".".into(),
            at: path.to_owned(),
            bound: Bound(None),
        })
    }

    /// Opens a file that is written from its start, and makes it if there is none. A FIFO without a reader is an
    /// error, and is not waited for.
    ///
    /// # Errors
    /// What `openat(2)` answers; EPERM for a file that another user put into a directory where all users can write.
    pub(crate) fn create(&self) -> io::Result<File> {
        let mut flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        // Links in proc refer to files that are already open.
        if !self.is_in_proc()? {
            flags |= OFlag::O_NOFOLLOW;
        }
        let mode = Mode::from_bits_truncate(0o666);
        let file = openat(&self.directory, self.name.as_os_str(), flags, mode)?;
        let stat = fstat(&file)?;
        let kind = kind_of(&stat);
        let is_link_to_it = kind == SFlag::S_IFREG && stat.st_nlink > 1;
        if matches!(kind, SFlag::S_IFREG | SFlag::S_IFIFO)
            && self.is_of_another(&stat, is_link_to_it)?
        {
            return Err(self.refused("another user's file", "written to"));
        }
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
        let file = File::from(file);
        if kind == SFlag::S_IFREG {
            file.set_len(0)?;
        }
        Ok(file)
    }

    /// Saves a file, whole or not at all. A regular file that is there is replaced, not written to, so that its
    /// other names keep the old content. Anything else that is there is written to.
    ///
    /// # Errors
    /// As [`Place::create`], and what `write(2)` and `renameat(2)` answer.
    pub(crate) fn save(&self, bytes: &[u8]) -> io::Result<()> {
        let there = self.stat()?;
        if there.is_some_and(|stat| kind_of(&stat) != SFlag::S_IFREG) {
            return self.create()?.write_all(bytes);
        }
        let mut unfinished = self.name.clone();
        unfinished.push(format!(".{}", std::process::id()));
        // Always a new file: what another user put there is neither followed nor overwritten.
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o666);
        let mut file = File::from(openat(
            &self.directory,
            unfinished.as_os_str(),
            flags,
            mode,
        )?);
        let saved = file
            .write_all(bytes)
            .and_then(|()| self.rename(&unfinished));
        if saved.is_err() {
            self.unlink(&unfinished);
        }
        saved
    }

    fn is_in_proc(&self) -> io::Result<bool> {
        Ok(fstatfs(self.directory.as_fd())?.filesystem_type() == PROC_SUPER_MAGIC)
    }

    fn must_be_followed(&self) -> io::Result<()> {
        match self.stat()? {
            Some(stat) if self.is_of_another(&stat, false)? => {
                Err(self.refused("another user's link", "followed"))
            }
            _ => Ok(()),
        }
    }

    /// Whether another user may have put it into a directory where all users can write. `linked`: it is a hard
    /// link, which a user other than its owner may have put there.
    fn is_of_another(&self, stat: &FileStat, linked: bool) -> io::Result<bool> {
        let folder = fstat(&self.directory)?;
        let for_all = libc::S_ISVTX | libc::S_IWOTH;
        let own = nix::unistd::geteuid().as_raw();
        let known = [own, folder.st_uid].contains(&stat.st_uid);
        Ok(folder.st_mode & for_all == for_all && (linked || !known))
    }

    fn refused(&self, whose: &str, done: &str) -> io::Error {
        let what = format!(
            "{} is {whose}, in a directory where all users can write: it is not {done}",
            self.name.display()
        );
        io::Error::new(io::ErrorKind::PermissionDenied, what)
    }
}

fn words(path: &Path) -> VecDeque<OsString> {
    let word = |component: Component<'_>| match component {
        Component::CurDir => None,
        other => Some(other.as_os_str().to_owned()),
    };
    path.components().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};

    use super::*;
    use crate::sys::root::tests::Tree;

    fn non_blocking(path: &Path) -> File {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        options.open(path).unwrap()
    }

    fn create(path: &Path) -> io::Result<()> {
        Place::of_output(path)?.create()?.write_all(b"new")
    }

    #[test]
    fn own_files_are_written_also_through_links() {
        let tree = Tree::with(&[("/folder/old", "older than new")]);
        let at = |name: &str| tree.at.join(name);
        symlink("folder/old", at("link")).unwrap();
        symlink(at("link"), at("chain")).unwrap();
        symlink("folder/../folder/made", at("dangling")).unwrap();
        for (path, file) in [
            ("chain", "folder/old"),
            ("dangling", "folder/made"),
            ("x", "x"),
        ] {
            create(&at(path)).unwrap();
            assert_eq!(fs::read(at(file)).unwrap(), b"new", "{path}");
            Place::of_output(&at(path)).unwrap().save(b"saved").unwrap();
            assert_eq!(fs::read(at(file)).unwrap(), b"saved", "{path}");
        }
        assert!(at("chain").is_symlink());
        symlink("loop", at("loop")).unwrap();
        assert_eq!(
            create(&at("loop")).unwrap_err().raw_os_error(),
            Some(libc::ELOOP)
        );
        for folder in ["folder", "/", "."] {
            assert_eq!(
                create(&at(folder)).unwrap_err().raw_os_error(),
                Some(libc::EISDIR),
                "{folder}"
            );
        }
        assert_eq!(
            create(&at("none/x")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        assert_eq!(
            create(&at("fifo")).unwrap_err().raw_os_error(),
            Some(libc::ENXIO)
        );
    }

    #[test]
    fn descriptors_named_by_proc_are_written() {
        let tree = Tree::with(&[("/x", "")]);
        let file = File::options().write(true).open(tree.at.join("x")).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        symlink(format!("/proc/self/fd/{fd}"), tree.at.join("stdout")).unwrap();
        create(&tree.at.join("stdout")).unwrap();
        assert_eq!(fs::read(tree.at.join("x")).unwrap(), b"new");
        let (mut reader, writer) = io::pipe().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&writer);
        create(Path::new(&format!("/dev/fd/{fd}"))).unwrap();
        drop(writer);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "new");
    }

    /// Only root may give files away.
    #[test]
    fn files_of_others_in_a_shared_directory_are_left_alone() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let tree = Tree::with(&[
            ("/target", "original"),
            ("/tmp/file", "original"),
            ("/tmp/own", ""),
        ]);
        let at = |name: &str| tree.at.join(name);
        symlink("../target", at("tmp/link")).unwrap();
        symlink("..", at("tmp/folder")).unwrap();
        symlink("tmp/link", at("way")).unwrap();
        nix::unistd::mkfifo(&at("tmp/fifo"), Mode::S_IRWXU).unwrap();
        fs::hard_link(at("target"), at("tmp/hard")).unwrap();
        for name in ["link", "folder", "file", "fifo"] {
            lchown(at("tmp").join(name), Some(65534), None).unwrap();
        }
        let attempts = [
            "tmp/link",
            "tmp/folder/target",
            "way",
            "tmp/file",
            "tmp/fifo",
            "tmp/hard",
        ];
        fs::set_permissions(at("tmp"), Permissions::from_mode(0o1777)).unwrap();
        let reader = non_blocking(&at("tmp/fifo"));
        for path in attempts {
            let refused = create(&at(path)).unwrap_err();
            assert!(
                refused.to_string().contains("another user's"),
                "{path}: {refused}"
            );
        }
        drop(reader);
        assert!(Place::of_output(&at("tmp/link")).is_err());
        for file in ["target", "tmp/file"] {
            assert_eq!(fs::read(at(file)).unwrap(), b"original", "{file}");
        }
        create(&at("tmp/own")).unwrap();
        // Where only root can write, root is responsible for the links.
        fs::set_permissions(at("tmp"), Permissions::from_mode(0o755)).unwrap();
        create(&at("tmp/link")).unwrap();
        assert_eq!(fs::read(at("target")).unwrap(), b"new");
    }
}
