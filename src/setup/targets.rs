//! Reading targets and putting them into a state.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::accounts;
use super::group_lock::GroupLock;
use super::state::{FileState, State, Target, digest};
use super::system::{System, invalid};
use super::validate;
use crate::sys::mountinfo;
use crate::sys::mounts;
use crate::sys::place::{Attributes, Entry, Wanted};
use crate::sys::sysctl;

const GROUP: &str = "/etc/group";
pub(super) const GSHADOW: &str = "/etc/gshadow";
pub(super) const PASSWD: &str = "/etc/passwd";

impl System {
    /// What a target is now.
    ///
    /// # Errors
    /// What the system answers. A target that does not exist is not an error; one that an image cannot have is.
    pub(crate) fn observe(&self, target: &Target) -> io::Result<State> {
        self.must_have(target)?;
        match target {
            Target::Path(path) => Ok(self.look(path)?.map_or(State::Absent, |it| state(&it).0)),
            Target::Group(name) => Ok(match self.group(name)? {
                Some((gid, members)) => State::Group { gid, members },
                None => State::Absent,
            }),
            Target::Member { user, group } => {
                let members = self.group(group)?.map(|(_, members)| members);
                Ok(presence(members.is_some_and(|all| all.contains(user))))
            }
            Target::Sysctl(key) => {
                let value = sysctl::read(&setting(key)?)?;
                Ok(value.map_or(State::Absent, State::Value))
            }
            Target::Mount { kind, at } => self.is_mounted(kind, at).map(presence),
            Target::MountOptions(at) => {
                let any = self.is_mounted("tracefs", at)? || self.is_mounted("debugfs", at)?;
                if !any {
                    return Ok(State::Absent);
                }
                let (gid, mode) = mounts::group_and_mode(at)?;
                Ok(State::Options { gid, mode })
            }
            Target::GroupWrite(at) => match mounts::group_and_mode(&at.join("trace")) {
                Ok((_, mode)) => Ok(presence(mode & 0o020 != 0)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Absent),
                Err(error) => Err(error),
            },
        }
    }

    /// Puts a target into a state; `bytes` is the content of a file.
    ///
    /// # Errors
    /// What the system answers. What is replaced is replaced whole or not at all.
    pub(super) fn put(&self, target: &Target, state: &State, bytes: &[u8]) -> io::Result<()> {
        self.must_have(target)?;
        match (target, state) {
            (Target::Path(path), State::Absent) => self.trusted(path)?.remove(),
            (Target::Path(path), State::File(file)) => self.put_file(path, file, bytes),
            (Target::Path(path), State::Link(to)) => self.trusted(path)?.put_link(to.as_ref()),
            (Target::Path(path), State::Directory { mode, .. }) => {
                self.trusted(path)?.make_directory(*mode)
            }
            (Target::Group(name), State::Group { gid, .. }) => {
                let _lock = GroupLock::take(self)?;
                self.add_group(name, *gid)
            }
            (Target::Group(name), State::Absent) => {
                let _lock = GroupLock::take(self)?;
                self.edit_groups(|text| accounts::removed(text, name))
            }
            (Target::Member { user, group }, State::Present | State::Absent) => {
                let _lock = GroupLock::take(self)?;
                let member = *state == State::Present;
                self.edit_groups(|text| accounts::with_member(text, group, user, member))
            }
            (Target::Sysctl(key), State::Value(value)) => sysctl::write(&setting(key)?, value),
            (Target::Mount { kind, at }, State::Present) => mounts::add(kind, at),
            (Target::Mount { at, .. }, State::Absent) => mounts::remove(at),
            (Target::MountOptions(at), State::Options { gid, mode }) => {
                mounts::remount(at, *gid, *mode)
            }
            // It went away with its mount.
            (Target::MountOptions(_), State::Absent) => Ok(()),
            (Target::GroupWrite(at), State::Present | State::Absent) => {
                mounts::group_write(at, *state == State::Present)
            }
            (target, state) => Err(invalid(format!("{target} cannot be {state}"))),
        }
    }

    /// Removes what was left of a write that did not end.
    pub(super) fn clear(&self, target: &Target) -> io::Result<()> {
        match target {
            Target::Path(path) => self.clear_at(path),
            Target::Group(_) | Target::Member { .. } => self.clear_groups(target),
            _ => Ok(()),
        }
    }

    fn clear_groups(&self, target: &Target) -> io::Result<()> {
        // Taking the locks removes those of a process that was killed.
        let _lock = match GroupLock::take(self) {
            // Nothing can have been left where nothing can be written.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            lock => lock?,
        };
        [GROUP, GSHADOW]
            .iter()
            .try_for_each(|path| self.clear_at(Path::new(path)))?;
        self.align_shadow(target)
    }

    /// Makes [`GSHADOW`] agree with [`GROUP`], which is written first.
    fn align_shadow(&self, target: &Target) -> io::Result<()> {
        match target {
            Target::Group(name) => match self.group(name)? {
                Some(_) => self.edit(GSHADOW, |text| with_shadow(text, name)),
                None => self.edit(GSHADOW, |text| accounts::removed(text, name)),
            },
            Target::Member { user, group } => {
                let members = self.group(group)?.map(|(_, members)| members);
                let member = members.is_some_and(|all| all.contains(user));
                self.edit(GSHADOW, |text| {
                    accounts::with_member(text, group, user, member)
                })
            }
            _ => Ok(()),
        }
    }

    fn clear_at(&self, path: &Path) -> io::Result<()> {
        match self.trusted(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            place => place?.clear(),
        }
    }

    fn put_file(&self, path: &Path, file: &FileState, bytes: &[u8]) -> io::Result<()> {
        let attributes = decoded(file)?;
        self.trusted(path)?.put(Wanted {
            bytes,
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
            attributes: &attributes,
        })
    }

    pub(super) fn group(&self, name: &str) -> io::Result<Option<(u32, Vec<String>)>> {
        let text = self.text(GROUP)?;
        Ok(text.and_then(|text| accounts::find(&text, name)))
    }

    /// A number for a new group.
    pub(super) fn free_gid(&self) -> io::Result<u32> {
        let group = self.text(GROUP)?.unwrap_or_default();
        let passwd = self.text(PASSWD)?.unwrap_or_default();
        accounts::free_gid(&group, &passwd)
            .ok_or_else(|| io::Error::other("no group number below 1000 is free"))
    }

    fn add_group(&self, name: &str, gid: u32) -> io::Result<()> {
        // A group may have been added since this was planned.
        let text = self.text(GROUP)?.unwrap_or_default();
        if !has_group(&text, name) && accounts::has_number(&text, gid) {
            let what =
                format!("another group has taken the id {gid} in the meantime: run this again");
            return Err(io::Error::other(what));
        }
        self.edit(GROUP, |text| {
            if has_group(text, name) {
                text.to_owned()
            } else {
                accounts::added(text, name, gid)
            }
        })?;
        self.edit(GSHADOW, |text| with_shadow(text, name))
    }

    fn edit_groups(&self, edit: impl Fn(&str) -> String) -> io::Result<()> {
        self.edit(GROUP, &edit)?;
        self.edit(GSHADOW, &edit)
    }

    /// A system without shadowed groups has no second file, and needs none.
    fn edit(&self, path: &str, edit: impl Fn(&str) -> String) -> io::Result<()> {
        let place = self.trusted(Path::new(path))?;
        let (bytes, mode, uid, gid, attributes) = match place.look()? {
            None if path == GSHADOW => return Ok(()),
            Some(Entry::File {
                bytes,
                mode,
                uid,
                gid,
                attributes,
            }) => (bytes, mode, uid, gid, attributes),
            _ => return Err(invalid(format!("{path}: not a regular file"))),
        };
        let text = String::from_utf8(bytes).map_err(|_| invalid(format!("{path}: not UTF-8")))?;
        let edited = edit(&text);
        if edited == text {
            return Ok(());
        }
        place.put(Wanted {
            bytes: edited.as_bytes(),
            mode,
            uid,
            gid,
            attributes: &attributes,
        })
    }

    fn is_mounted(&self, kind: &str, at: &Path) -> io::Result<bool> {
        let path = "/proc/self/mountinfo";
        let text = fs::read_to_string(path)?;
        let table = mountinfo::parse(&text).map_err(|line| invalid(format!("{path}: {line}")))?;
        let mut there = table.iter().filter(|mount| Path::new(&mount.point) == at);
        Ok(there.any(|mount| mount.kind == kind))
    }
}

fn has_group(text: &str, name: &str) -> bool {
    text.lines()
        .any(|line| line.split(':').next() == Some(name))
}

/// The text of [`GSHADOW`], with this group.
fn with_shadow(text: &str, name: &str) -> String {
    if has_group(text, name) {
        text.to_owned()
    } else {
        accounts::added_shadow(text, name)
    }
}

fn presence(there: bool) -> State {
    if there { State::Present } else { State::Absent }
}

fn setting(key: &str) -> io::Result<PathBuf> {
    validate::sysctl(key).ok_or_else(|| invalid(format!("{key} is not the name of a sysctl")))
}

/// The state of what is found, and its content.
pub(super) fn state(entry: &Entry) -> (State, &[u8]) {
    match entry {
        Entry::File {
            bytes,
            mode,
            uid,
            gid,
            attributes,
        } => {
            let state = FileState {
                mode: *mode,
                uid: *uid,
                gid: *gid,
                attributes: encoded(attributes),
                bytes: bytes.len() as u64,
                digest: digest(bytes),
            };
            (State::File(state), bytes)
        }
        Entry::Directory { mode, uid, gid } => {
            let (mode, uid, gid) = (*mode, *uid, *gid);
            (State::Directory { mode, uid, gid }, &[])
        }
        Entry::Link(to) => {
            let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
            (State::Link(to), &[])
        }
        Entry::Special => (State::Special, &[]),
    }
}

pub(super) fn encoded(attributes: &Attributes) -> std::collections::BTreeMap<String, String> {
    let hex = |value: &Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect();
    let pairs = attributes.iter();
    pairs
        .map(|(name, value)| (name.clone(), hex(value)))
        .collect()
}

fn decoded(file: &FileState) -> io::Result<Attributes> {
    let bytes = |hex: &str| -> Option<Vec<u8>> {
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    };
    let pairs = file.attributes.iter();
    pairs
        .map(|(name, value)| {
            let value = bytes(value).ok_or_else(|| invalid(format!("attribute {name}")))?;
            Ok((name.clone(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sys::root::tests::Tree;

    fn with_etc(files: &[(&str, &str)]) -> (Tree, System) {
        let tree = Tree::with(files);
        for folder in ["", "etc"] {
            let at = tree.at.join(folder);
            fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let system = System::new(&tree.at).unwrap();
        (tree, system)
    }

    /// Only root may change accounts.
    #[test]
    fn a_kill_between_group_and_gshadow_is_repaired() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let group = Target::Group("tracing".to_owned());
        let member = Target::Member {
            user: "bob".to_owned(),
            group: "users".to_owned(),
        };
        let cases = [
            (
                &group,
                "tracing:x:999:\n",
                "a:!::\n",
                "a:!::\ntracing:!::\n",
            ),
            (&group, "a:x:1:\n", "a:!::\ntracing:!::\n", "a:!::\n"),
            (
                &member,
                "users:x:9:bob,al\n",
                "users:!::al\n",
                "users:!::al,bob\n",
            ),
            (
                &member,
                "users:x:9:bob,al\n",
                "users:!::bob,al\n",
                "users:!::bob,al\n",
            ),
            (
                &member,
                "users:x:9:al\n",
                "users:!::al,bob\n",
                "users:!::al\n",
            ),
        ];
        for (target, group, before, after) in cases {
            let files = [("/etc/group", group), ("/etc/gshadow", before)];
            let (tree, system) = with_etc(&files);
            system.clear(target).unwrap();
            let text = |path| tree.root().text(path).unwrap();
            assert_eq!(
                (text(GROUP), text(GSHADOW)),
                (group.to_owned(), after.to_owned())
            );
        }
    }

    /// Only root may change accounts.
    #[test]
    fn locks_and_files_left_by_a_kill_are_removed() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (tree, system) = with_etc(&[("/etc/group", "root:x:0:\n")]);
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let target = Target::Group("tracing".to_owned());
        for holder in [ended.id(), std::process::id()] {
            for (name, content) in [
                ("..pwd.lock.denet-setup", "denet"),
                (".pwd.lock", "denet setup\n"),
                ("group.lock", &holder.to_string()),
                ("gshadow.lock", &holder.to_string()),
                (".gshadow.lock.denet-setup", ""),
                (".group.denet-setup", "root"),
            ] {
                tree.write(&format!("/etc/{name}"), content.as_bytes());
                let at = tree.at.join("etc").join(name);
                fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
            }
            system.clear(&target).unwrap();
            let left = tree.root().read_dir("/etc").unwrap();
            assert_eq!(left, ["group"], "{holder}");
        }
        // Not made by denet.
        tree.write("/etc/.pwd.lock", b"");
        system.clear(&target).unwrap();
        assert!(tree.at.join("etc/.pwd.lock").exists());
    }
}
