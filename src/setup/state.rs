//! What setup changes, and the states that it may be in. To apply is to put a target into its wanted
//! state; to undo is to put it back into the one before.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A thing that setup changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// What stands under an absolute path: a file, a link, a directory.
    Path(PathBuf),
    /// A group of the system.
    Group(String),
    /// A user among the members of a group.
    Member {
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
pub(crate) enum State {
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
        uid: u32,
        gid: u32,
    },
    /// A symbolic link.
    Link(String),
    /// A device, a FIFO, a socket: left alone.
    Special,
    /// A group.
    Group {
        gid: u32,
        /// Who is listed.
        members: Vec<String>,
    },
    /// A setting.
    Value(String),
    /// Group and mode of a mount's root.
    Options {
        gid: u32,
        /// The nine low bits.
        mode: u32,
    },
}

/// A file without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// The twelve low bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Extended attributes, in hexadecimal.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) bytes: u64,
    /// [`digest`] of the content.
    pub(crate) digest: String,
}

/// SHA-256 in lower-case hexadecimal, so that kept contents cannot be exchanged unnoticed.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it has the form of a [`digest`], which is also used as a file name.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The attribute that holds file capabilities.
pub(crate) const CAPABILITY: &str = "security.capability";

/// What differs between two states of a file, in words; empty if nothing.
pub(crate) fn differences(before: &FileState, now: &FileState) -> Vec<&'static str> {
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

impl Target {
    /// It belongs to a running kernel: an image has none.
    pub(crate) fn is_of_running_system(&self) -> bool {
        matches!(
            self,
            Self::Sysctl(_) | Self::Mount { .. } | Self::MountOptions(_) | Self::GroupWrite(_)
        )
    }
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
            Self::Special => f.write_str("not a regular file"),
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
    fn the_digest_is_sha_256() {
        // FIPS 180-2, B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), abc);
        assert!(is_digest(abc) && !is_digest(&abc[1..]) && !is_digest(&abc.to_uppercase()));
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
