//! Which files may be installed with capabilities: those that only root or the user behind sudo can have put
//! there, and whose ELF note identifies them as programs of this denet.

use std::io;
use std::path::Path;

use goblin::elf::Elf;

use super::accounts;
use crate::sys::identity;
use crate::sys::place::{Entry, Place, Trusted};
use crate::sys::root::Root;

/// What to do where one is refused.
pub(super) const ADVICE: &str = "Only files that root or you own are installed with capabilities, from \
     directories that root or you own and to which no other user can write: copy denet, ebpf_diag and ebpf_test \
     into such a directory, and run denet from there";

/// Whose files are trusted: root's, this user's, and those of the user behind sudo. Where each user has a group of
/// their own, as on most distributions, that group may write as well: with umask 002 it can.
pub(super) fn trusted() -> Trusted {
    let own = nix::unistd::geteuid().as_raw();
    let behind = std::env::var("SUDO_UID").ok().filter(|_| own == 0);
    let behind = behind.and_then(|uid| uid.parse().ok());
    let uids: Vec<u32> = [Some(0), Some(own), behind].into_iter().flatten().collect();
    let text = |path| Root::default().text(path).unwrap_or_default();
    let (passwd, group) = (text("/etc/passwd"), text("/etc/group"));
    let private = uids
        .iter()
        .filter_map(|uid| accounts::private_group(&passwd, &group, *uid));
    let gids = std::iter::once(0).chain(private).collect();
    Trusted { uids, gids }
}

/// The content of one of denet's programs, checked and read through one descriptor; `None` if there is none.
///
/// # Errors
/// Why it is not installed.
pub(super) fn read(path: &Path, name: &str, trusted: &Trusted) -> Result<Option<Vec<u8>>, String> {
    let named = |error: io::Error| match error.raw_os_error() {
        // Errors of `Place` itself already name the path.
        None if error.kind() == io::ErrorKind::PermissionDenied => error.to_string(),
        _ => format!("{}: {error}", path.display()),
    };
    let found = Place::open_of(trusted, path).and_then(|place| place.look());
    let (bytes, open, uid) = match found.map_err(named)? {
        None => return Ok(None),
        Some(Entry::File {
            bytes,
            mode,
            uid,
            gid,
            attributes,
        }) => (bytes, trusted.others_write(mode, gid, &attributes), uid),
        Some(_) => return Err(format!("{}: not a regular file", path.display())),
    };
    if !trusted.uids.contains(&uid) {
        return Err(format!("{}: it belongs to uid {uid}", path.display()));
    }
    if open {
        return Err(format!("{}: other users can write to it", path.display()));
    }
    match is_program(&bytes, name) {
        Ok(()) => Ok(Some(bytes)),
        Err(what) => Err(format!("{}: {what}", path.display())),
    }
}

/// Whether it is the program of that name, of this version.
fn is_program(bytes: &[u8], name: &str) -> Result<(), String> {
    let own = env!("CARGO_PKG_VERSION");
    match identity(bytes).as_deref() {
        None => Err("it is not one of denet's programs".to_owned()),
        Some(identity) if identity == format!("{name} {own}") => Ok(()),
        Some(other) => Err(format!("it is {}, not {name} {own}", other.escape_debug())),
    }
}

/// The text of its note.
fn identity(bytes: &[u8]) -> Option<String> {
    let elf = Elf::parse(bytes).ok()?;
    let mut notes = elf.iter_note_sections(bytes, Some(identity::SECTION))?;
    let note = notes.find_map(|note| note.ok().filter(|note| note.n_type == identity::KIND))?;
    let text = std::str::from_utf8(note.desc).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sys::place::trust;
    use crate::sys::root::tests::Tree;

    #[test]
    fn other_programs_are_refused() {
        let exe = fs::read("/proc/self/exe").unwrap();
        let refused = is_program(&exe, "denet").unwrap_err();
        assert_eq!(refused, "it is not one of denet's programs");
        for odd in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &exe[..64]] {
            assert!(is_program(odd, "denet").is_err());
        }
    }

    #[test]
    fn files_that_others_can_write_are_refused() {
        let tree = Tree::with(&[("/own/denet", "x")]);
        let of = |uids: &[u32], gids: &[u32]| Trusted {
            uids: uids.to_vec(),
            gids: gids.to_vec(),
        };
        let own = of(&[0, nix::unistd::geteuid().as_raw()], &[0]);
        let file = tree.at.join("own/denet");
        let folder = tree.at.join("own");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let refusal = |trusted: &Trusted| read(&file, "denet", trusted).unwrap_err();
        for path in [&tree.at, &folder] {
            mode(path, 0o755);
        }
        mode(&file, 0o755);
        assert!(refusal(&own).ends_with("not one of denet's programs"));
        mode(&file, 0o757);
        assert!(refusal(&own).ends_with("other users can write to it"));
        mode(&file, 0o755);
        let gid = nix::unistd::getegid().as_raw();
        mode(&folder, 0o775);
        mode(&file, 0o775);
        assert!(refusal(&of(&own.uids, &[gid])).ends_with("not one of denet's programs"));
        let others = format!("{}: other users can write there", folder.display());
        assert_eq!(refusal(&of(&own.uids, &[4_000_000])), others);
        mode(&folder, 0o755);
        mode(&file, 0o755);
        if trust::tests::set_acl(&file) {
            mode(&file, 0o775);
            assert!(refusal(&own).ends_with("other users can write to it"));
            mode(&file, 0o755);
        }
        mode(&folder, 0o777);
        let named = format!("{}: other users can write there", folder.display());
        assert_eq!(refusal(&own), named);
        mode(&folder, 0o1777);
        assert!(refusal(&own).ends_with("not one of denet's programs"));
        assert!(refusal(&of(&[4_000_000], &[0])).contains("belongs to uid"));
        assert_eq!(read(&folder.join("none"), "denet", &own), Ok(None));
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refusal(&own).ends_with("not a regular file"));
    }
}
