//! The tree that facts are read from: this machine's, or a recorded one.
//!
//! Under another directory every absolute path and every symbolic link stays within it, and nothing
//! that only the running kernel could answer is asked.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use serde::{Deserialize, Serialize};

/// No file of interest is larger: a kernel's types are 5 to 30 MB.
const LONGEST_MIB: u64 = 64;

/// As many links as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileKind {
    Regular,
    Directory,
    Symlink,
    Character,
    Block,
    Fifo,
    Socket,
}

/// What `stat(2)` says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stat {
    pub(crate) kind: FileKind,
    /// Permissions, the twelve low bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// Last change of its content, in seconds since 1970.
    pub(crate) modified_s: i64,
}

/// How the file system of a file is mounted, as far as `statvfs(3)` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountFlags {
    /// Privileges of files have no effect.
    pub(crate) nosuid: bool,
    /// Nothing is executed.
    pub(crate) noexec: bool,
    /// Nothing is written.
    pub(crate) read_only: bool,
}

/// A tree of files that is read like `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    at: PathBuf,
}

impl Default for Root {
    fn default() -> Self {
        Self::new("/")
    }
}

impl Root {
    /// The tree that begins at this directory.
    pub(crate) fn new(at: impl Into<PathBuf>) -> Self {
        Self { at: at.into() }
    }

    /// The directory that paths begin at.
    pub(crate) fn directory(&self) -> &Path {
        &self.at
    }

    /// It is this machine's own, so that the running kernel may be asked as well.
    pub(crate) fn is_live(&self) -> bool {
        self.at == Path::new("/")
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// What `open(2)` or `read(2)` answers, InvalidInput for anything but a regular file, without waiting for
    /// it, FileTooLarge beyond 64 MiB.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.read_at_most(path, LONGEST_MIB)
    }

    /// The bytes of a file of at most `mib` MiB.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub(crate) fn read_at_most(&self, path: impl AsRef<Path>, mib: u64) -> io::Result<Vec<u8>> {
        let (file, metadata) = open_regular(&self.resolve(path.as_ref())?)?;
        let most = mib << 20;
        let mut bytes = Vec::new();
        if metadata.len() <= most {
            file.take(most + 1).read_to_end(&mut bytes)?;
        }
        if metadata.len() > most || bytes.len() as u64 > most {
            let what = format!("larger than {mib} MiB");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(bytes)
    }

    /// The text of a file; what is no UTF-8 in it is replaced.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let bytes = self.read(path)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first bytes of a file, `most` at most.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub(crate) fn head(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        let (file, _) = open_regular(&self.resolve(path.as_ref())?)?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// What `open(2)` or `getdents(2)` answers.
    pub(crate) fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        fs::read_dir(self.resolve(path.as_ref())?)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    /// Where a symbolic link points, as it is written there.
    ///
    /// # Errors
    /// What `readlink(2)` answers.
    pub(crate) fn read_link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = path.as_ref();
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => fs::read_link(self.resolve(parent)?.join(name)),
            _ => fs::read_link(self.resolve(path)?),
        }
    }

    /// What a file is, through symbolic links.
    ///
    /// # Errors
    /// What `stat(2)` answers.
    pub(crate) fn stat(&self, path: impl AsRef<Path>) -> io::Result<Stat> {
        let metadata = fs::metadata(self.resolve(path.as_ref())?)?;
        Ok(Stat {
            kind: kind_of(metadata.file_type()),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.size(),
            modified_s: metadata.mtime(),
        })
    }

    /// How the file system of a file is mounted.
    ///
    /// # Errors
    /// What `statvfs(3)` answers; EOPNOTSUPP under a recorded tree, whose mounts are gone.
    pub(crate) fn statvfs(&self, path: impl AsRef<Path>) -> io::Result<MountFlags> {
        if !self.is_live() {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let flags = statvfs(path.as_ref())?.flags();
        Ok(MountFlags {
            nosuid: flags.contains(FsFlags::ST_NOSUID),
            noexec: flags.contains(FsFlags::ST_NOEXEC),
            read_only: flags.contains(FsFlags::ST_RDONLY),
        })
    }

    /// An extended attribute, `None` if the file has none of that name.
    ///
    /// # Errors
    /// What `getxattr(2)` answers, ENODATA excepted.
    pub(crate) fn attribute(
        &self,
        path: impl AsRef<Path>,
        name: &str,
    ) -> io::Result<Option<Vec<u8>>> {
        xattr::get_deref(self.resolve(path.as_ref())?, name)
    }

    /// The path without symbolic links, as it is called in this tree.
    ///
    /// # Errors
    /// What `readlink(2)` answers, and ENOENT where there is no such file.
    pub(crate) fn canonical(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        if self.is_live() {
            return fs::canonicalize(path);
        }
        let found = self.resolve(path.as_ref())?;
        fs::symlink_metadata(&found)?;
        let inside = found.strip_prefix(&self.at).map_err(io::Error::other)?;
        Ok(Path::new("/").join(inside))
    }

    /// Where the file is for the running kernel. A link or `..` in a recorded tree does not lead out.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_live() {
            return Ok(path.to_owned());
        }
        let mut found = self.at.clone();
        let mut waiting: Vec<OsString> = words(path);
        let mut links = 0;
        while let Some(word) = waiting.pop() {
            if word.as_bytes() == b".." {
                if found != self.at {
                    found.pop();
                }
                continue;
            }
            let next = found.join(&word);
            let is_link = fs::symlink_metadata(&next).is_ok_and(|metadata| metadata.is_symlink());
            if !is_link {
                found = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let target = fs::read_link(&next)?;
            if target.is_absolute() {
                found.clone_from(&self.at);
            }
            waiting.extend(words(&target));
        }
        Ok(found)
    }
}

/// Opens a regular file. Opening anything else can have side effects: a tape is rewound, a watchdog starts, a
/// FIFO's writer goes on. So the file's type is checked first through a descriptor with `O_PATH`, and the file is
/// then opened through that descriptor.
fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let open = |path: &Path, flag| File::options().read(true).custom_flags(flag).open(path);
    let found = open(path, libc::O_PATH)?;
    check_regular(&found)?;
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = match open(Path::new(&link), libc::O_NONBLOCK) {
        // Without /proc: by its name again, which may refer to something else by now, so its type is checked again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(path, libc::O_NONBLOCK)?,
        file => file?,
    };
    let metadata = check_regular(&file)?;
    Ok((file, metadata))
}

fn check_regular(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// The names in a path, the last one first.
fn words(path: &Path) -> Vec<OsString> {
    let named = path
        .components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
    named.collect()
}

fn kind_of(file_type: fs::FileType) -> FileKind {
    if file_type.is_dir() {
        FileKind::Directory
    } else if file_type.is_symlink() {
        FileKind::Symlink
    } else if file_type.is_char_device() {
        FileKind::Character
    } else if file_type.is_block_device() {
        FileKind::Block
    } else if file_type.is_fifo() {
        FileKind::Fifo
    } else if file_type.is_socket() {
        FileKind::Socket
    } else {
        FileKind::Regular
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;

    use super::*;

    /// A tree of its own, removed when dropped. After a kill `tests/run` removes it by its name.
    pub(crate) struct Tree {
        pub(crate) at: PathBuf,
    }

    impl Tree {
        pub(crate) fn empty() -> Self {
            Self::with::<&str>(&[])
        }

        /// With these files, by path and content.
        pub(crate) fn with<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("denet-test-{}-root-{number}", std::process::id());
            let tree = Self {
                at: std::env::temp_dir().join(name),
            };
            fs::create_dir_all(&tree.at).unwrap();
            for (path, content) in files {
                tree.write(path, content.as_ref());
            }
            tree
        }

        pub(crate) fn write(&self, path: &str, content: &[u8]) {
            let file = self.at.join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }

        pub(crate) fn root(&self) -> Root {
            Root::new(&self.at)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.at);
        }
    }

    #[test]
    fn links_stay_within_the_tree() {
        let tree = Tree::with(&[("/etc/hostname", "inside")]);
        let root = tree.root();
        symlink("/etc/hostname", tree.at.join("absolute")).unwrap();
        symlink("../../../../etc/hostname", tree.at.join("upward")).unwrap();
        symlink("loop", tree.at.join("loop")).unwrap();
        for path in ["/absolute", "/upward", "/../etc/hostname", "etc/./hostname"] {
            assert_eq!(root.text(path).unwrap(), "inside", "{path}");
        }
        assert_eq!(
            root.canonical("/absolute").unwrap(),
            Path::new("/etc/hostname")
        );
        assert_eq!(
            root.read_link("/absolute").unwrap(),
            Path::new("/etc/hostname")
        );
        let error = root.text("/loop").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        assert!(root.statvfs("/etc").is_err());
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let tree = Tree::with(&[("/x", "")]);
        nix::unistd::mkfifo(&tree.at.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", tree.at.join("zero")).unwrap();
        assert!(tree.root().read("/fifo").is_err());
        assert!(tree.root().read("/zero").is_err());
        assert!(tree.root().read("/").is_err());
        assert!(Root::default().read("/dev/zero").is_err());
        for path in ["/fifo", "/zero", "/"] {
            assert!(tree.root().head(path, 1).is_err(), "{path}");
        }
        assert!(Root::default().head("/dev/zero", 1).is_err());
        assert_eq!(
            Root::default().head("/proc/self/exe", 4).unwrap(),
            b"\x7fELF"
        );
        assert_eq!(tree.root().stat("/fifo").unwrap().kind, FileKind::Fifo);
    }

    #[test]
    fn special_files_are_not_opened() {
        let tree = Tree::empty();
        let path = tree.at.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // A writer waits in openat(2) until a reader opens the FIFO, however briefly.
        let (send, receive) = std::sync::mpsc::channel();
        let writing = path.clone();
        let writer = std::thread::spawn(move || {
            send.send(nix::unistd::gettid()).unwrap();
            let (flags, mode) = (OFlag::O_WRONLY, Mode::empty());
            nix::fcntl::openat(nix::fcntl::AT_FDCWD, &writing, flags, mode).map(drop)
        });
        let of_writer = format!("/proc/self/task/{}/syscall", receive.recv().unwrap());
        let waits = || {
            let now = fs::read_to_string(&of_writer).unwrap();
            now.starts_with(&format!("{} ", libc::SYS_openat))
        };
        while !waits() {
            std::thread::yield_now();
        }
        assert!(tree.root().read("/fifo").is_err());
        assert!(tree.root().head("/fifo", 1).is_err());
        let opened = !waits();
        let mut reader = File::options();
        let reader = reader.read(true).custom_flags(libc::O_NONBLOCK);
        let _reader = reader.open(&path).unwrap();
        writer.join().unwrap().unwrap();
        assert!(!opened, "the FIFO was opened");
    }
}
