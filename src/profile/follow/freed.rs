//! What freed tasks used, by process, and which tasks have ended but are not freed yet.

use std::collections::HashMap;
use std::os::fd::AsFd as _;

use crate::bpf::abi::{Freed, Task, TaskUsage};
use crate::bpf::kernel;
use crate::bpf::object::Program;
use crate::process::accounts::{Identity, TaskSums};
use crate::process::ledger::Used;
use crate::process::stat::Io;

/// A process, and what those of its tasks used that were freed.
pub(crate) type FreedProcess = (Identity, TaskSums);

/// The reports of the program that runs when the kernel frees a task.
pub(super) struct FreedUsage {
    program: Program,
    // How many tasks of a process have ended and are not freed.
    unfreed: HashMap<Identity, u32>,
    freed: HashMap<Identity, TaskSums>,
}

impl FreedUsage {
    pub(super) fn new(program: Program) -> Self {
        Self {
            program,
            unfreed: HashMap::new(),
            freed: HashMap::new(),
        }
    }

    pub(super) fn ended(&mut self, task: &Task) {
        let identity = (task.tgid, task.process_start_ns);
        *self.unfreed.entry(identity).or_default() += 1;
    }

    pub(super) fn freed(&mut self, task: &Freed) {
        let identity = (task.tgid, task.process_start_ns);
        let sums = self.freed.entry(identity).or_default();
        sums.used = sums.used.plus(used(&task.used));
        sums.before = sums.before.plus(used(&task.before));
        // Without an entry the record of its end found no room, which is counted.
        if let Some(unfreed) = self.unfreed.get_mut(&identity) {
            *unfreed -= 1;
            if *unfreed == 0 {
                self.unfreed.remove(&identity);
            }
        }
    }

    /// Those since last asked.
    pub(super) fn take(&mut self) -> Vec<FreedProcess> {
        std::mem::take(&mut self.freed).into_iter().collect()
    }

    /// Of each process, how many of its tasks ended and are not freed; none if there is no such task.
    pub(super) fn unfreed(&self) -> &HashMap<Identity, u32> {
        &self.unfreed
    }

    /// How many runs of the program the kernel skipped, if it says.
    pub(super) fn skipped(&self) -> Option<u64> {
        kernel::recursion_misses(self.program.fd.as_fd()).ok()
    }
}

fn used(usage: &TaskUsage) -> Used {
    Used {
        cpu_ns: usage.cpu_ns,
        user_ns: usage.user_ns,
        system_ns: usage.system_ns,
        minor_faults: usage.minor_faults,
        major_faults: usage.major_faults,
        io: Io {
            read_by_calls: usage.read_by_calls,
            written_by_calls: usage.written_by_calls,
            read_from_storage: usage.read_from_storage,
            written_to_storage: usage.written_to_storage,
        },
    }
}
