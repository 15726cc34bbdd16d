//! Control groups: who is in one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use crate::facts::mounts;
use crate::sys::mountinfo::Mount;
use crate::sys::root::Root;

/// All processes of a cgroup and of those below it.
///
/// # Errors
/// There is no such cgroup, or it may not be read.
pub(crate) fn members(folder: &Path) -> io::Result<Vec<u32>> {
    let mut members = listed(folder)?;
    members.retain(|pid| *pid != OUTSIDE);
    Ok(members)
}

/// How many of them have no id in this pid namespace.
pub(crate) fn outsiders(folder: &Path) -> u64 {
    let listed = listed(folder).unwrap_or_default();
    listed.iter().filter(|pid| **pid == OUTSIDE).count() as u64
}

/// A process that is not in the pid namespace of the reader.
const OUTSIDE: u32 = 0;

fn listed(folder: &Path) -> io::Result<Vec<u32>> {
    let mut members = Vec::new();
    let listed = fs::read_to_string(folder.join("cgroup.procs"))?;
    members.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // It may be removed at any moment.
            members.extend(self::listed(&entry.path()).unwrap_or_default());
        }
    }
    Ok(members)
}

/// The mount of cgroups of version 2.
pub(super) fn mounted() -> Option<Mount> {
    let table = mounts::table(&Root::default());
    let mut all = table.known()?.iter();
    all.find(|mount| mount.kind == "cgroup2").cloned()
}

/// The folder of a cgroup: as it is, or below where cgroups of version 2 are mounted.
///
/// # Errors
/// Why nobody can be found by it.
pub(crate) fn folder(named: &Path) -> Result<PathBuf, String> {
    let below = mounted().map(|mount| {
        let relative = named.strip_prefix("/").unwrap_or(named);
        Path::new(&mount.point).join(relative)
    });
    // In another file system, any user could make a file `cgroup.procs`.
    let is_of_kernel = |folder: &PathBuf| {
        let kind = statfs(folder).map(|it| it.filesystem_type());
        kind.is_ok_and(|kind| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&kind))
    };
    let is_cgroup = |folder: &PathBuf| is_of_kernel(folder) && folder.join("cgroup.procs").exists();
    let found = [Some(named.to_owned()), below]
        .into_iter()
        .flatten()
        .find(is_cgroup);
    let found =
        found.ok_or_else(|| format!("{} is no cgroup: it has no cgroup.procs", named.display()))?;
    match members(&found) {
        Ok(_) => Ok(found),
        Err(error) => Err(format!("{}: {error}", found.join("cgroup.procs").display())),
    }
}
