//! Who is looked at, and who is new among them.

use std::collections::HashMap;
use std::io;

use super::discovery::{self, Discovery};
use super::target::{Selection, Target};
use super::{cgroup, source};

/// All processes of a target.
#[derive(Debug)]
pub(crate) struct Population {
    target: Target,
    // The process that the others descend from.
    root: Option<u32>,
    discovery: Discovery,
    // Ids and inode numbers of the kernel's own threads.
    kernel_threads: HashMap<u32, u64>,
}

impl Population {
    /// `root` is the process that the others descend from; if denet `adopts` orphans, they belong to the target.
    pub(crate) fn new(target: Target, root: Option<u32>, adopts: bool) -> Self {
        let adopter = adopts.then(std::process::id);
        Self {
            target,
            root,
            discovery: Discovery::new(adopter),
            kernel_threads: HashMap::new(),
        }
    }

    /// Those that are not known.
    ///
    /// # Errors
    /// `/proc`, or the cgroup, cannot be listed.
    pub(crate) fn newcomers(&mut self, is_known: impl Fn(u32) -> bool) -> io::Result<Vec<u32>> {
        let unknown = |pid: &u32| !is_known(*pid);
        match (&self.target.selection, self.root) {
            (Selection::Command(_) | Selection::Process(_), Some(root)) => {
                if !self.target.descendants {
                    return Ok(Vec::new());
                }
                self.discovery.newcomers(&[root])
            }
            (Selection::Command(_) | Selection::Process(_), None) => Ok(Vec::new()),
            (Selection::Cgroup(folder), _) => {
                let members = cgroup::members(folder)?;
                Ok(members.into_iter().filter(unknown).collect())
            }
            (Selection::Machine, _) => {
                let mut all = discovery::all_processes()?;
                // denet is not part of what it watches.
                all.retain(|(pid, inode)| {
                    *pid != std::process::id() && self.kernel_threads.get(pid) != Some(inode)
                });
                let new = all.into_iter().filter(|(pid, _)| unknown(pid));
                Ok(self.sort_out_the_kernels(new.collect()))
            }
        }
    }

    fn sort_out_the_kernels(&mut self, mut new: Vec<(u32, u64)>) -> Vec<u32> {
        new.retain(|(pid, inode)| {
            let is_kernels = source::stat_of(*pid).is_ok_and(|stat| stat.is_kernel_thread());
            if is_kernels {
                self.kernel_threads.insert(*pid, *inode);
            }
            !is_kernels
        });
        new.into_iter().map(|(pid, _)| pid).collect()
    }
}
