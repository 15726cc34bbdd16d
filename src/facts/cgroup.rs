//! The memory that the control groups of this process may take: maps count.

use std::path::Path;

use procfs_core::{FromBufRead as _, ProcessCGroup, ProcessCGroups};
use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::mounts::{FileSystem, Mounts};
use crate::sys::root::Root;

/// A control group with a memory controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Its directory.
    pub(crate) path: String,
    /// Bytes it may use; `Known(None)` for any amount.
    pub(crate) limit: Fact<Option<u64>>,
    /// Bytes it uses now.
    pub(crate) used: Fact<u64>,
}

/// Where this process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    /// 2, or 1 where the memory controller is bound to the old hierarchy.
    pub(crate) version: u8,
    /// Its own control group first, then those around it that this process sees. The root of version
    /// 2 has no limit and is left out.
    pub(crate) levels: Vec<Level>,
}

impl Cgroup {
    /// Looks at the groups of this process; `Absent` where none accounts for memory.
    pub(crate) fn probe(root: &Root, mounts: &Mounts) -> Fact<Self> {
        let all = Fact::read(root, "/proc/self/cgroup", memberships);
        all.and_then(|all| {
            if let Some(own) = membership(&all, "memory") {
                let first = |mounts: &Fact<Vec<FileSystem>>| {
                    let of_memory = |system: &&FileSystem| {
                        let mut options = system.mount.super_options.iter();
                        options.any(|option| option == "memory")
                    };
                    let mounts = mounts.as_ref();
                    mounts.and_then(|all| found(all.iter().find(of_memory)))
                };
                return first(&mounts.cgroup1)
                    .map(|mount| Self::of(root, &mount, &own.pathname, &V1));
            }
            let first = mounts.cgroup2.as_ref();
            let first = first.and_then(|mounts| found(mounts.first()));
            match (first, membership(&all, "")) {
                (mount, Some(own)) => mount.map(|mount| Self::of(root, &mount, &own.pathname, &V2)),
                (_, None) => Fact::Absent,
            }
        })
        .and_then(|cgroup| {
            if cgroup.levels.is_empty() {
                Fact::Absent
            } else {
                Fact::Known(cgroup)
            }
        })
    }

    /// The least that any level has left, in bytes; `None` if no level is known to be limited.
    pub(crate) fn left(&self) -> Option<u64> {
        let left = |level: &Level| {
            let limit = (*level.limit.known()?)?;
            Some(limit.saturating_sub(*level.used.known()?))
        };
        self.levels.iter().filter_map(left).min()
    }

    fn of(root: &Root, system: &FileSystem, path: &str, files: &Files) -> Self {
        // In a container the mount begins at the container's own group.
        let path = Path::new(path.trim_start_matches('/'));
        let begins = system.mount.root.trim_start_matches('/');
        let point = Path::new(&system.mount.point);
        let own = point.join(path.strip_prefix(begins).unwrap_or(path));
        let levels = own
            .ancestors()
            .take_while(|directory| directory.starts_with(point))
            .filter_map(|directory| Level::probe(root, directory, files));
        Self {
            version: files.version,
            levels: levels.collect(),
        }
    }
}

impl Level {
    fn probe(root: &Root, directory: &Path, files: &Files) -> Option<Self> {
        let path = |name: &str| format!("{}/{name}", directory.display());
        let limit = Fact::read(root, &path(files.limit), parse_limit);
        let used = Fact::read(root, &path(files.used), |text| text.trim().parse().ok());
        (limit != Fact::Absent).then(|| Self {
            path: directory.display().to_string(),
            limit,
            used,
        })
    }
}

fn found(system: Option<&FileSystem>) -> Fact<FileSystem> {
    system.map_or(Fact::Absent, |system| Fact::Known(system.clone()))
}

struct Files {
    version: u8,
    limit: &'static str,
    used: &'static str,
}

const V1: Files = Files {
    version: 1,
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
};

const V2: Files = Files {
    version: 2,
    limit: "memory.max",
    used: "memory.current",
};

/// `/proc/PID/cgroup`: the group of a process in each hierarchy.
pub(crate) fn memberships(text: &str) -> Option<Vec<ProcessCGroup>> {
    let ProcessCGroups(all) = ProcessCGroups::from_buf_read(text.as_bytes()).ok()?;
    let mut paths = all.iter().map(|one| &one.pathname);
    paths.all(|path| path.starts_with('/')).then_some(all)
}

/// That in the hierarchy of this controller; `""` for that of version 2.
pub(crate) fn membership<'a>(
    all: &'a [ProcessCGroup],
    controller: &str,
) -> Option<&'a ProcessCGroup> {
    all.iter().find(|one| match controller {
        "" => one.controllers.is_empty(),
        name => one.controllers.iter().any(|other| other == name),
    })
}

/// `max`, or bytes; version 1 writes "none" as the largest multiple of a page.
pub(super) fn parse_limit(text: &str) -> Option<Option<u64>> {
    const NONE: u64 = i64::MAX as u64 & !0xffff;
    match text.trim() {
        "max" => Some(None),
        number => number
            .parse()
            .ok()
            .map(|bytes| Some(bytes).filter(|bytes| *bytes < NONE)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mounts;
    use super::*;
    use crate::sys::root::tests::Tree;

    fn probe(files: &[(&str, &str)]) -> Fact<Cgroup> {
        let tree = Tree::with(files);
        let root = tree.root();
        Cgroup::probe(&root, &Mounts::probe(&root, &mounts::table(&root)))
    }

    #[test]
    fn the_tightest_group_decides() {
        let found = probe(&[
            (
                "/proc/self/mountinfo",
                "1 0 0:9 / /sys/fs/cgroup rw - cgroup2 x rw\n",
            ),
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000\n"),
            ("/sys/fs/cgroup/a/memory.current", "990\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "500\n"),
        ]);
        let found = found.known().unwrap();
        assert_eq!((found.version, found.levels.len()), (2, 2));
        assert_eq!(found.levels[0].path, "/sys/fs/cgroup/a/b");
        assert_eq!(found.levels[0].limit, Fact::Known(None));
        assert_eq!(found.left(), Some(10));
    }

    #[test]
    fn the_old_hierarchy_and_a_containers_view_of_it() {
        let found = probe(&[
            (
                "/proc/self/mountinfo",
                "1 0 0:9 /docker/ab /sys/fs/cgroup/memory rw - cgroup x rw,memory\n",
            ),
            ("/proc/self/cgroup", "4:cpu,memory:/docker/ab\n0::/\n"),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "many\n"),
        ]);
        let found = found.known().unwrap();
        assert_eq!((found.version, found.levels.len()), (1, 1));
        assert_eq!(found.levels[0].limit, Fact::Known(None));
        assert!(matches!(found.levels[0].used, Fact::Failed(_)));
        assert_eq!(found.left(), None);
    }

    #[test]
    fn garbage_is_no_membership() {
        for text in ["x", "0::relative", "a:b:/c", "0:", "\u{fffd}"] {
            assert!(memberships(text).is_none(), "{text:?}");
        }
        assert_eq!(parse_limit("-1"), None);
        let none = probe(&[
            ("/proc/self/mountinfo", ""),
            ("/proc/self/cgroup", "0::/\n"),
        ]);
        assert_eq!(none, Fact::Absent);
    }
}
