//! Mounted file systems: those that eBPF and tracing go through.
//!
//! Only what is listed there is ever looked at: to walk into `/sys/kernel/debug/tracing` would make
//! debugfs mount tracefs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::access::Trail;
use super::fact::Fact;
use super::fact::malformed;
use super::privileges::Privileges;
use crate::sys::mountinfo::{self, Mount};
use crate::sys::root::Root;

/// A mounted file system and the way to its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSystem {
    /// How it is mounted.
    pub(crate) mount: Mount,
    /// Owner, group and mode of its root, and of each directory above.
    pub(crate) trail: Trail,
}

/// Every mount of each file system that matters, in the order of mounting; `Absent` if it is
/// mounted nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mounts {
    /// Tracepoints and their ids.
    pub(crate) tracefs: Fact<Vec<FileSystem>>,
    /// The kernel's debugging files.
    pub(crate) debugfs: Fact<Vec<FileSystem>>,
    /// Pinned programs and maps.
    pub(crate) bpffs: Fact<Vec<FileSystem>>,
    /// What security modules say.
    pub(crate) securityfs: Fact<Vec<FileSystem>>,
    /// Control groups, version 2.
    pub(crate) cgroup2: Fact<Vec<FileSystem>>,
    /// Control groups, version 1: one a controller.
    pub(crate) cgroup1: Fact<Vec<FileSystem>>,
    /// `/proc` hides other users' processes. `Absent` if it hides nothing.
    pub(crate) hidepid: Fact<HidePid>,
    /// What `/` is: `overlay` in most containers.
    pub(crate) root_kind: Fact<String>,
}

/// What a mount of `/proc` hides, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HidePid {
    /// `noaccess`, `invisible`, `ptraceable`; before Linux 5.8 `1`, `2`.
    pub(crate) level: String,
    /// The group that sees all the same (`gid=`).
    pub(crate) group: u32,
}

impl HidePid {
    /// Whether processes of others show to this one (`has_pid_permissions`, fs/proc/base.c); whoever may
    /// trace them sees them in any case.
    pub(crate) fn lets_through(&self, who: &Privileges) -> bool {
        self.exempts() && (who.gid == self.group || who.groups.contains(&self.group))
    }

    /// Some group is exempted; not from `ptraceable`.
    pub(crate) fn exempts(&self) -> bool {
        !["ptraceable", "4"].contains(&self.level.as_str())
    }
}

/// All mounts that this process sees.
pub(crate) fn table(root: &Root) -> Fact<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    Fact::of(path, root.text(path)).and_then(|text| match mountinfo::parse(&text) {
        Ok(mounts) => Fact::Known(mounts),
        Err(line) => Fact::Failed(malformed(path, line)),
    })
}

impl Mounts {
    /// Looks at the roots of those in the table that matter.
    pub(crate) fn probe(root: &Root, table: &Fact<Vec<Mount>>) -> Self {
        let of = |kind: &str| {
            table.as_ref().and_then(|table| {
                let ours = table.iter().filter(|mount| mount.kind == kind);
                some(ours.map(|mount| FileSystem::probe(root, mount)).collect())
            })
        };
        Self {
            tracefs: of("tracefs"),
            debugfs: of("debugfs"),
            bpffs: of("bpf"),
            securityfs: of("securityfs"),
            cgroup2: of("cgroup2"),
            cgroup1: of("cgroup"),
            hidepid: table.as_ref().and_then(|table| hidepid(table)),
            root_kind: table.as_ref().and_then(|table| {
                let found = mountinfo::holding(table, Path::new("/"));
                found.map_or(Fact::Absent, |mount| Fact::Known(mount.kind.clone()))
            }),
        }
    }
}

impl FileSystem {
    fn probe(root: &Root, mount: &Mount) -> Self {
        Self {
            mount: mount.clone(),
            trail: Trail::probe(root, &mount.point),
        }
    }
}

fn some<T>(all: Vec<T>) -> Fact<Vec<T>> {
    if all.is_empty() {
        Fact::Absent
    } else {
        Fact::Known(all)
    }
}

fn hidepid(table: &[Mount]) -> Fact<HidePid> {
    let shows_all = ["0", "off"];
    let proc = mountinfo::holding(table, Path::new("/proc")).filter(|mount| mount.kind == "proc");
    let level = proc.and_then(|mount| mount.value("hidepid"));
    let group = proc.and_then(|mount| mount.value("gid")?.parse().ok());
    match level.filter(|level| !shows_all.contains(level)) {
        Some(level) => Fact::Known(HidePid {
            level: level.to_owned(),
            // Of root's group nothing is said (proc_show_options).
            group: group.unwrap_or(0),
        }),
        None => Fact::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mountinfo::tests::MOUNTINFO;
    use crate::sys::root::tests::Tree;

    #[test]
    fn looks_at_the_roots_of_what_is_mounted() {
        let tree = Tree::with(&[
            ("/proc/self/mountinfo", MOUNTINFO),
            ("/sys/kernel/tracing/README", ""),
        ]);
        let root = tree.root();
        let mounts = Mounts::probe(&root, &table(&root));
        let tracefs = mounts.tracefs.known().unwrap();
        assert_eq!(tracefs[0].trail.0.len(), 4);
        assert!(tracefs[0].trail.last().known().is_some());
        let bpffs = mounts.bpffs.known().unwrap();
        assert_eq!(bpffs[0].trail.last(), Fact::Absent);
        assert_eq!(mounts.debugfs, Fact::Absent);
        let hidden = HidePid {
            level: "invisible".to_owned(),
            group: 990,
        };
        let mut who = crate::facts::privileges::tests::nobody();
        assert!(!hidden.lets_through(&who));
        who.groups.push(990);
        assert!(hidden.lets_through(&who));
        let by_tracing = HidePid {
            level: "ptraceable".to_owned(),
            ..hidden.clone()
        };
        assert!(!by_tracing.lets_through(&who));
        assert_eq!(mounts.hidepid, Fact::Known(hidden));
        assert_eq!(mounts.root_kind, Fact::Known("ext4".into()));
    }

    #[test]
    fn garbage_is_said_to_be_garbage() {
        let tree = Tree::with(&[("/proc/self/mountinfo", b"\xff\x00 - \xff")]);
        let mounts = Mounts::probe(&tree.root(), &table(&tree.root()));
        assert!(matches!(mounts.tracefs, Fact::Failed(_)));
        assert!(matches!(mounts.hidepid, Fact::Failed(_)));
    }
}
