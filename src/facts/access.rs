//! Whether a process gets at a file: each directory on the way to it, and the file itself.
//!
//! By mode, owner, group and capabilities. Access control lists are not read (tracefs, bpffs, `/proc`
//! and `/sys` have none), nor what a security module adds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::privileges::Privileges;
use crate::sys::capabilities::Cap;
use crate::sys::root::{FileKind, Root, Stat};

/// What is wanted of the last file on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Want {
    /// Its content or, of a directory, its names.
    Read,
    /// To change it.
    Write,
    /// To run it or, of a directory, to go through it.
    Execute,
}

impl Want {
    const fn bit(self) -> u32 {
        match self {
            Self::Read => 4,
            Self::Write => 2,
            Self::Execute => 1,
        }
    }
}

/// A file or directory on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Component {
    /// Its path from the root on.
    pub(crate) path: String,
    pub(crate) stat: Fact<Stat>,
}

/// From `/` to a file, a component each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trail(pub Vec<Component>);

/// Does somebody get there?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Access {
    /// Yes.
    Allowed,
    /// The first that refuses.
    Refused {
        at: String,
        /// What is wanted of it.
        want: Want,
        stat: Stat,
    },
    /// There is no such file; the first that is missing.
    Missing(String),
    /// The first that nothing is known of, and why.
    Unknown(String),
}

impl Trail {
    /// Looks at every component of an absolute path.
    pub(crate) fn probe(root: &Root, path: impl AsRef<Path>) -> Self {
        let mut components: Vec<_> = path.as_ref().ancestors().collect();
        components.reverse();
        let look = |path: &Path| Component {
            path: path.display().to_string(),
            stat: Fact::of(path, root.stat(path)),
        };
        Self(components.into_iter().map(look).collect())
    }

    /// What is known of the last component.
    pub(crate) fn last(&self) -> Fact<Stat> {
        self.0
            .last()
            .map_or(Fact::Absent, |component| component.stat.clone())
    }

    /// Whether this process gets there, and if not, where it ends (`inode_permission`, fs/namei.c).
    pub(crate) fn access(&self, who: &Privileges, want: Want) -> Access {
        let last = self.0.len().saturating_sub(1);
        for (at, component) in self.0.iter().enumerate() {
            let wanted = if at == last { want } else { Want::Execute };
            let stat = match &component.stat {
                Fact::Known(stat) => *stat,
                Fact::Absent => return Access::Missing(component.path.clone()),
                Fact::Denied(why) | Fact::Failed(why) => return Access::Unknown(why.clone()),
            };
            if !allows(stat, who, wanted) {
                return Access::Refused {
                    at: component.path.clone(),
                    want: wanted,
                    stat,
                };
            }
        }
        Access::Allowed
    }
}

/// `generic_permission` (fs/namei.c): the first class that fits decides, then capabilities.
fn allows(stat: Stat, who: &Privileges, want: Want) -> bool {
    let in_group = who.gid == stat.gid || who.groups.contains(&stat.gid);
    let shift = match () {
        () if who.uid == stat.uid => 6,
        () if in_group => 3,
        () => 0,
    };
    let granted = stat.mode >> shift & want.bit() != 0;
    granted || reaches(stat, who) && overrides(stat, who, want)
}

fn overrides(stat: Stat, who: &Privileges, want: Want) -> bool {
    let is_directory = stat.kind == FileKind::Directory;
    let reads = match want {
        Want::Read => true,
        Want::Execute => is_directory,
        Want::Write => false,
    };
    let executable = want != Want::Execute || is_directory || stat.mode & 0o111 != 0;
    who.effective.has(Cap::DacOverride) && executable
        || who.effective.has(Cap::DacReadSearch) && reads
}

/// Capabilities of a user namespace do not reach files whose owners it does not map
/// (`privileged_wrt_inode_uidgid`); such owners show as the overflow id.
fn reaches(stat: Stat, who: &Privileges) -> bool {
    const OVERFLOW: u32 = 65534;
    who.initial_user_namespace != Fact::Known(false) || stat.uid != OVERFLOW && stat.gid != OVERFLOW
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::privileges::tests::nobody;
    use super::*;
    use crate::sys::capabilities::CapSet;

    pub(crate) fn stat(kind: FileKind, mode: u32, uid: u32, gid: u32) -> Stat {
        Stat {
            kind,
            mode,
            uid,
            gid,
            size: 0,
            modified_s: 0,
        }
    }

    fn trail(parts: &[(&str, u32, u32, u32)]) -> Trail {
        let component = |(at, (path, mode, uid, gid)): (usize, &(&str, u32, u32, u32))| {
            let kind = if at + 1 < parts.len() {
                FileKind::Directory
            } else {
                FileKind::Regular
            };
            Component {
                path: (*path).to_owned(),
                stat: Fact::Known(stat(kind, *mode, *uid, *gid)),
            }
        };
        Trail(parts.iter().enumerate().map(component).collect())
    }

    fn refusing(access: &Access) -> &str {
        match access {
            Access::Refused { at, .. } => at,
            Access::Missing(what) | Access::Unknown(what) => what,
            Access::Allowed => "",
        }
    }

    #[test]
    fn the_first_component_that_refuses_is_named() {
        let tracefs = |root_mode, file_mode, gid| {
            trail(&[
                ("/", 0o755, 0, 0),
                ("/t", root_mode, 0, gid),
                ("/t/id", file_mode, 0, gid),
            ])
        };
        let user = nobody();
        let at = |trail: Trail| refusing(&trail.access(&user, Want::Read)).to_owned();
        assert_eq!(at(tracefs(0o700, 0o444, 0)), "/t");
        assert_eq!(at(tracefs(0o755, 0o440, 0)), "/t/id");
        assert_eq!(at(tracefs(0o750, 0o440, 1000)), "");
        assert_eq!(at(tracefs(0o750, 0o440, 990)), "/t");
        // The owner's bits decide for the owner, however generous the others'.
        let own = trail(&[("/x", 0o077, 1000, 1000)]);
        assert_eq!(at(own), "/x");
    }

    #[test]
    fn root_reads_everything_and_runs_what_somebody_may_run() {
        let mut root = nobody();
        root.uid = 0;
        root.effective = CapSet::up_to(40);
        let file = |mode| trail(&[("/", 0o700, 1, 1), ("/x", mode, 1, 1)]);
        assert_eq!(file(0).access(&root, Want::Read), Access::Allowed);
        assert_eq!(refusing(&file(0o600).access(&root, Want::Execute)), "/x");
        assert_eq!(file(0o601).access(&root, Want::Execute), Access::Allowed);
        root.effective = CapSet::of(Cap::DacReadSearch);
        assert_eq!(file(0).access(&root, Want::Read), Access::Allowed);
        assert_eq!(refusing(&file(0).access(&root, Want::Write)), "/x");
        root.effective = CapSet::of(Cap::SysAdmin);
        assert_eq!(refusing(&file(0o777).access(&root, Want::Read)), "/");
    }

    #[test]
    fn capabilities_of_a_namespace_end_at_its_owners() {
        let mut inside = nobody();
        inside.effective = CapSet::up_to(40);
        inside.initial_user_namespace = Fact::Known(false);
        let owned = |uid| trail(&[("/x", 0o600, uid, uid)]);
        assert_eq!(refusing(&owned(65534).access(&inside, Want::Read)), "/x");
        assert_eq!(owned(5).access(&inside, Want::Read), Access::Allowed);
    }

    #[test]
    fn what_is_missing_or_unknown_is_neither_allowed_nor_refused() {
        let mut way = trail(&[
            ("/", 0o755, 0, 0),
            ("/a", 0o755, 0, 0),
            ("/a/b", 0o644, 0, 0),
        ]);
        way.0[1].stat = Fact::Absent;
        let access = way.access(&nobody(), Want::Read);
        assert_eq!(access, Access::Missing("/a".into()));
        way.0[1].stat = Fact::Denied("/a: no".into());
        let access = way.access(&nobody(), Want::Read);
        assert_eq!(access, Access::Unknown("/a: no".into()));
    }

    #[test]
    fn looks_at_every_component() {
        let trail = Trail::probe(&Root::default(), "/proc/self/status");
        let paths: Vec<_> = trail.0.iter().map(|part| part.path.as_str()).collect();
        assert_eq!(paths, ["/", "/proc", "/proc/self", "/proc/self/status"]);
        assert!(trail.0.iter().all(|part| part.stat.known().is_some()));
    }
}
