//! Who is looked at, and who is new among them.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::discovery::{self, Discovery};
use super::{cgroup, source};

/// Whose processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A child of denet's, and its descendants; denet may be who adopts orphans.
    Command {
        /// Its process id.
        pid: u32,
        /// Orphans become children of denet.
        adopts: bool,
    },
    /// A process that denet did not start, and its descendants.
    Process(u32),
    /// All of a cgroup and those below it; its folder.
    Cgroup(PathBuf),
    /// All of the machine but the kernel's own.
    All,
}

impl Scope {
    /// The process that the others descend from, if there is one.
    pub fn root(&self) -> Option<u32> {
        match self {
            Self::Command { pid, .. } | Self::Process(pid) => Some(*pid),
            Self::Cgroup(_) | Self::All => None,
        }
    }
}

/// All that belong to a scope.
#[derive(Debug)]
pub struct Population {
    /// Whose processes.
    pub scope: Scope,
    // Descendants as well.
    children: bool,
    discovery: Discovery,
    // Ids and inode numbers of the kernel's own threads.
    kernel_threads: HashMap<u32, u64>,
}

impl Population {
    /// `children`: not only the process that the others descend from.
    pub fn new(scope: Scope, children: bool) -> Self {
        let adopter = match &scope {
            Scope::Command { adopts: true, .. } => Some(std::process::id()),
            Scope::Command { adopts: false, .. }
            | Scope::Process(_)
            | Scope::Cgroup(_)
            | Scope::All => None,
        };
        Self {
            scope,
            children,
            discovery: Discovery::new(adopter),
            kernel_threads: HashMap::new(),
        }
    }

    /// Those that are not known. `listed` are all that live, where somebody else knows.
    ///
    /// # Errors
    /// `/proc`, or the cgroup, cannot be listed.
    pub fn newcomers(
        &mut self,
        listed: Option<&[u32]>,
        is_known: impl Fn(u32) -> bool,
    ) -> io::Result<Vec<u32>> {
        let unknown = |pid: &u32| !is_known(*pid);
        if let Some(listed) = listed {
            return Ok(listed.iter().copied().filter(unknown).collect());
        }
        match &self.scope {
            Scope::Command { .. } | Scope::Process(_) if !self.children => Ok(Vec::new()),
            Scope::Command { pid, .. } | Scope::Process(pid) => self.discovery.newcomers(&[*pid]),
            Scope::Cgroup(folder) => {
                let members = cgroup::members(folder)?;
                Ok(members.into_iter().filter(unknown).collect())
            }
            Scope::All => {
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
