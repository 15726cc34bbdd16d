//! Whether other users can write to a file or into a directory.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::sys::stat::FileStat;

use super::Attributes;

/// POSIX ACL (acl(5)): grants users and groups more than the mode shows.
const ACL: &str = "system.posix_acl_access";

/// Whose files are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// Owners.
    pub(crate) uids: Vec<u32>,
    /// Groups whose only members are such owners.
    pub(crate) gids: Vec<u32>,
}

impl Trusted {
    /// Root and its group.
    pub(crate) fn root() -> Self {
        Self {
            uids: vec![0],
            gids: vec![0],
        }
    }

    /// Whether others can write to a file with this mode, group and attributes. With an ACL, the group's bits are
    /// the upper limit for every user and group named in it.
    pub(crate) fn others_write(&self, mode: u32, gid: u32, attributes: &Attributes) -> bool {
        let has_acl = || attributes.keys().any(|name| name.as_str() == ACL);
        self.writes(mode, gid) || mode & libc::S_IWGRP != 0 && has_acl()
    }

    /// The same for a directory.
    pub(super) fn others_write_in(
        &self,
        directory: &OwnedFd,
        stat: &FileStat,
        at: &Path,
    ) -> io::Result<bool> {
        let (mode, gid) = (stat.st_mode, stat.st_gid);
        if self.writes(mode, gid) || mode & libc::S_IWGRP == 0 {
            return Ok(self.writes(mode, gid));
        }
        has_acl(directory, at)
    }

    fn writes(&self, mode: u32, gid: u32) -> bool {
        mode & libc::S_IWOTH != 0 || mode & libc::S_IWGRP != 0 && !self.gids.contains(&gid)
    }
}

fn has_acl(directory: &OwnedFd, at: &Path) -> io::Result<bool> {
    // It was opened with O_PATH: fgetxattr(2) would fail with EBADF.
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    // NotFound would mean that the directory itself does not exist.
    let failed =
        |error| io::Error::other(format!("{}: its ACL cannot be read: {error}", at.display()));
    match xattr::get_deref(link, ACL) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => Ok(false),
        acl => acl.map(|acl| acl.is_some()).map_err(failed),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::{Base, Place};
    use xattr::FileExt as _;

    use super::*;
    use crate::sys::root::tests::Tree;

    /// Lets user 65534 do what the owner may, as far as the group's bits of the mode allow. `false` if that is
    /// not possible: only root can give files to root's group, and not every file system has ACLs.
    pub(crate) fn set_acl(path: &Path) -> bool {
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 7, u32::MAX),
            (0x02, 7, 65534),
            (0x04, 5, u32::MAX),
            (0x10, 7, u32::MAX),
            (0x20, 5, u32::MAX),
        ];
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            acl.extend([tag.to_le_bytes(), bits.to_le_bytes()].concat());
            acl.extend(id.to_le_bytes());
        }
        let file = File::open(path).unwrap();
        nix::unistd::geteuid().is_root()
            && nix::unistd::getegid().as_raw() == 0
            && file.set_xattr(ACL, &acl).is_ok()
    }

    #[test]
    fn an_acl_lets_others_write_where_the_mode_shows_roots_group() {
        let tree = Tree::with(&[("/folder/x", "")]);
        let folder = tree.at.join("folder");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let base = Base::open(&tree.at).unwrap();
        let open = |trusted: bool| {
            let path = Path::new("folder/x");
            let walks = [
                Place::open_trusted(&base, path),
                Place::open_own(&base, path),
            ];
            for place in walks {
                assert_eq!(place.is_ok(), trusted, "{:?}", place.err());
            }
            // This also checks the directories above, such as /tmp, where all users can write.
            let place = Place::open_of(&Trusted::root(), &folder.join("x"));
            assert_eq!(place.is_ok(), trusted, "{:?}", place.err());
        };
        mode(&tree.at, 0o755);
        mode(&folder, 0o775);
        if !set_acl(&folder) {
            return;
        }
        open(false);
        mode(&folder, 0o755);
        open(true);
        fs::remove_dir_all(&folder).unwrap();
        tree.write("/folder/x", b"");
        mode(&folder, 0o775);
        open(true);
    }

    #[test]
    fn mode_and_acl_of_a_file_are_checked() {
        let none = Attributes::new();
        let acl = Attributes::from([(ACL.to_owned(), Vec::new())]);
        let root = Trusted::root();
        assert!(!root.others_write(0o664, 0, &none));
        assert!(root.others_write(0o664, 0, &acl));
        assert!(!root.others_write(0o644, 0, &acl));
        assert!(root.others_write(0o664, 1, &none));
        assert!(root.others_write(0o646, 0, &none));
    }
}
