//! What setup changes, and the states that it may be in. To apply is to put a target into its wanted
//! state; to undo is to put it back into the one before.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A thing that setup changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// What stands under an absolute path: a file, a link, a directory.
    Path(PathBuf),
    /// A group of the system.
    Group(String),
    /// A user among the members of a group.
    Member {
        /// Who.
        user: String,
        /// Of which.
        group: String,
    },
    /// A setting of the running kernel.
    Sysctl(String),
    /// A file system of this type, mounted there.
    Mount {
        /// `tracefs`
        kind: String,
        /// Where.
        at: PathBuf,
    },
    /// Group and mode of the root of a mounted tracefs or debugfs.
    MountOptions(PathBuf),
    /// Whether the group may write to everything below.
    GroupWrite(PathBuf),
}

/// What a target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not there.
    Absent,
    /// There; of what is only there or not.
    Present,
    /// A regular file.
    File(FileState),
    /// A directory.
    Directory {
        /// The twelve low bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link.
    Link(String),
    /// A device, a FIFO, a socket: left alone.
    Special,
    /// A group.
    Group {
        /// Its number.
        gid: u32,
        /// Who is listed.
        members: Vec<String>,
    },
    /// A setting.
    Value(String),
    /// Group and mode of a mount's root.
    Options {
        /// Group.
        gid: u32,
        /// The nine low bits.
        mode: u32,
    },
}

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// The twelve low bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, in hexadecimal.
    pub attributes: BTreeMap<String, String>,
    /// How long it is.
    pub bytes: u64,
    /// [`digest`] of the content.
    pub digest: String,
}

/// FNV-1a of 128 bits: it tells an accident, and need not withstand root, who alone writes there.
pub fn digest(bytes: &[u8]) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mix = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    format!("{:032x}", bytes.iter().fold(OFFSET, mix))
}

/// The attribute that holds file capabilities.
pub const CAPABILITY: &str = "security.capability";

/// What differs between two states of a file, in words; empty if nothing.
pub fn differences(before: &FileState, now: &FileState) -> Vec<&'static str> {
    let capability = |state: &FileState| state.attributes.get(CAPABILITY).cloned();
    let mut found = Vec::new();
    let mut note = |differs: bool, what| {
        if differs {
            found.push(what);
        }
    };
    note(
        (before.bytes, &before.digest) != (now.bytes, &now.digest),
        "content",
    );
    note(before.mode != now.mode, "mode");
    note((before.uid, before.gid) != (now.uid, now.gid), "owner");
    note(
        capability(before).is_some() && capability(now).is_none(),
        "capabilities lost",
    );
    note(
        capability(before) != capability(now) && capability(now).is_some(),
        "capabilities",
    );
    found
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Member { user, group } => write!(f, "{user} in group {group}"),
            Self::Sysctl(key) => f.write_str(key),
            Self::Mount { kind, at } => write!(f, "{kind} on {}", at.display()),
            Self::MountOptions(at) => write!(f, "group and mode of {}", at.display()),
            Self::GroupWrite(at) => write!(f, "group write permission below {}", at.display()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Present => f.write_str("there"),
            Self::File(file) => {
                write!(
                    f,
                    "{} bytes, owner {}:{}, mode {:04o}",
                    file.bytes, file.uid, file.gid, file.mode
                )?;
                match file.attributes.contains_key(CAPABILITY) {
                    true => f.write_str(", with capabilities"),
                    false => Ok(()),
                }
            }
            Self::Directory { mode, uid, gid } => {
                write!(f, "directory, owner {uid}:{gid}, mode {mode:04o}")
            }
            Self::Link(to) => write!(f, "link to {to}"),
            Self::Special => f.write_str("no regular file"),
            Self::Group { gid, members } if members.is_empty() => write!(f, "gid {gid}"),
            Self::Group { gid, members } => write!(f, "gid {gid}: {}", members.join(", ")),
            Self::Value(value) => f.write_str(value),
            Self::Options { gid, mode } => write!(f, "gid {gid}, mode {mode:04o}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv() {
        // draft-eastlake-fnv: the empty string is the offset basis.
        assert_eq!(digest(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(digest(b"a"), "d228cb696f1a8caf78912b704e4a8964");
        assert_ne!(digest(b"ab"), digest(b"ba"));
    }

    #[test]
    fn what_differs_is_named() {
        let before = FileState {
            mode: 0o750,
            uid: 0,
            gid: 990,
            attributes: [(CAPABILITY.to_owned(), "01".to_owned())].into(),
            bytes: 1,
            digest: digest(b"a"),
        };
        let mut now = before.clone();
        assert!(differences(&before, &now).is_empty());
        now.attributes.clear();
        assert_eq!(differences(&before, &now), ["capabilities lost"]);
        now.digest = digest(b"b");
        now.mode = 0o755;
        assert_eq!(
            differences(&before, &now),
            ["content", "mode", "capabilities lost"]
        );
    }
}
