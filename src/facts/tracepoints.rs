//! The tracepoints that denet uses, as tracefs shows them.

use serde::{Deserialize, Serialize};

use super::access::{Access, Trail, Want};
use super::fact::Fact;
use super::mounts::Mounts;
use super::privileges::Privileges;
use crate::sys::root::Root;

/// Group and name of each.
pub(crate) const WANTED: [(&str, &str); 5] = [
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_exit"),
    ("sched", "sched_process_fork"),
    ("raw_syscalls", "sys_enter"),
    ("raw_syscalls", "sys_exit"),
];

/// A tracepoint in tracefs. All `Absent` where tracefs is mounted nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tracepoint {
    /// `raw_syscalls:sys_enter`
    pub(crate) name: String,
    /// The way to its `id`, in the tracefs that was mounted first.
    pub(crate) trail: Fact<Trail>,
    /// The number in there, as this process reads it.
    pub(crate) id: Fact<u64>,
}

impl Tracepoint {
    /// Looks at all of [`WANTED`].
    pub(crate) fn probe_all(root: &Root, mounts: &Mounts) -> Vec<Self> {
        let point = mounts
            .tracefs
            .as_ref()
            .and_then(|mounts| mounts.first().map_or(Fact::Absent, Fact::Known))
            .map(|first| first.mount.point.clone());
        let one = |(group, name)| {
            let path = point
                .as_ref()
                .map(|point| format!("{point}/events/{group}/{name}/id"));
            let number = |text: &str| text.trim().parse().ok();
            Self {
                name: format!("{group}:{name}"),
                trail: path.as_ref().map(|path| Trail::probe(root, path)),
                id: path.and_then(|path| Fact::read(root, &path, number)),
            }
        };
        WANTED.into_iter().map(one).collect()
    }

    /// Whether somebody may read the id, and what is in the way.
    pub(crate) fn readable_by(&self, who: &Privileges) -> Fact<Access> {
        let access = |trail: &Trail| trail.access(who, Want::Read);
        self.trail.as_ref().map(access)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mounts;
    use super::super::privileges::tests::nobody;
    use super::*;
    use crate::sys::root::tests::Tree;

    fn probe(tree: &Tree) -> Vec<Tracepoint> {
        let root = tree.root();
        Tracepoint::probe_all(&root, &Mounts::probe(&root, &mounts::table(&root)))
    }

    const MOUNTED: &str = "9 1 0:12 / /sys/kernel/tracing rw - tracefs none rw\n\
        8 1 0:12 / /sys/kernel/debug/tracing rw - tracefs none rw\n";

    #[test]
    fn what_is_mounted_is_looked_at() {
        let events = "/sys/kernel/tracing/events";
        let enter = format!("{events}/raw_syscalls/sys_enter/id");
        let fork = format!("{events}/sched/sched_process_fork/id");
        let files = [
            ("/proc/self/mountinfo", MOUNTED),
            (&enter, "404\n"),
            (&fork, "four\n"),
        ];
        let found = probe(&Tree::with(&files));
        let ids: Vec<_> = found.iter().map(|point| point.id.known()).collect();
        assert_eq!(ids, [None, None, None, Some(&404), None]);
        assert!(matches!(found[2].id, Fact::Failed(_)));
        assert_eq!(found[4].name, "raw_syscalls:sys_exit");
        let access = found[3].readable_by(&nobody());
        assert_eq!(access, Fact::Known(Access::Allowed));
        let missing = found[0].readable_by(&nobody());
        let missing = missing.known().unwrap();
        assert!(matches!(missing, Access::Missing(at) if at.ends_with("/sched_process_exec")));
    }

    #[test]
    fn nothing_is_mounted_to_look() {
        let tree = Tree::with(&[
            ("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 x rw\n"),
            (
                "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
                "1\n",
            ),
        ]);
        let found = probe(&tree);
        assert_eq!(found.len(), WANTED.len());
        assert!(found.iter().all(|point| point.id == Fact::Absent));
    }
}
