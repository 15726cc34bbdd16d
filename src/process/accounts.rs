//! What each process used, where the kernel reports it of every task that ends. Pure.
//!
//! A process that runs is read in `/proc`. Once it has ended, the reports of its tasks take the place of what was
//! last seen of it: they also contain what it used after that, and it does not matter which process waited for it.

use std::collections::HashMap;

use super::ledger::Used;
use super::sums::Busy;
use crate::output::exact::Text;

/// A process: its id, and its start by the kernel's reports.
pub(crate) type Identity = (u32, u64);

/// What tasks of one process used that were freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskSums {
    /// Since they were followed.
    pub(crate) used: Used,
    /// Before that.
    pub(crate) before: Used,
}

/// The accounts of all processes.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    processes: HashMap<Identity, Account>,
    total: Used,
}

/// The account of one process.
#[derive(Debug, Default)]
struct Account {
    seen: Used,
    freed: Used,
    base: Base,
    // As last seen.
    busy: Option<Busy>,
}

/// What a process had used when it was followed, which is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The reports of its tasks contain it: a command, which denet followed before it was executed.
    Reported(Used),
    /// They do not: the process was found running.
    Unreported(Used),
}

impl Default for Base {
    fn default() -> Self {
        Self::Unreported(Used::default())
    }
}

impl Account {
    fn used(&self) -> Used {
        let freed = match self.base {
            Base::Reported(base) => self.freed.beyond(base),
            Base::Unreported(_) => self.freed,
        };
        self.seen.at_least(freed)
    }
}

impl Accounts {
    fn change(&mut self, process: Identity, change: impl FnOnce(&mut Account)) {
        let account = self.processes.entry(process).or_default();
        let before = account.used();
        change(account);
        self.total = self.total.plus(account.used().beyond(before));
    }

    /// From now on this process is observed.
    pub(crate) fn begin(&mut self, process: Identity, base: Base) {
        self.change(process, |account| account.base = base);
    }

    /// Adds to what is not counted of a process.
    pub(crate) fn leave_out(&mut self, process: Identity, more: Used) {
        self.change(process, |account| {
            let (Base::Reported(base) | Base::Unreported(base)) = &mut account.base;
            *base = base.plus(more);
        });
    }

    /// What a process that runs has used: CPU time and page faults of all its threads, bytes of those that run.
    /// Returns what is counted of it.
    pub(crate) fn seen(&mut self, process: Identity, whole: Used) -> Used {
        let mut used = Used::default();
        self.change(process, |account| {
            let (Base::Reported(base) | Base::Unreported(base)) = account.base;
            let io = Used::of_io(whole.io).plus(Used::of_io(account.freed.io)).io;
            let seen = Used { io, ..whole }.beyond(base);
            account.seen = account.seen.at_least(seen);
            used = account.used();
        });
        used
    }

    /// Tasks of a process were freed.
    pub(crate) fn freed(&mut self, process: Identity, tasks: TaskSums) {
        self.change(process, |account| {
            account.freed = account.freed.plus(tasks.used);
            // It was part of what the threads that ran had used.
            if let Base::Unreported(base) = &mut account.base {
                base.io = Used::of_io(base.io).beyond(Used::of_io(tasks.before.io)).io;
            }
        });
    }

    /// What else was seen of a process.
    pub(crate) fn describe(&mut self, process: Identity, busy: Busy) {
        self.change(process, |account| account.busy = Some(busy));
    }

    /// The name of a process that may not have been seen.
    pub(crate) fn name(&mut self, process: Identity, command: &Text) {
        self.change(process, |account| {
            let busy = account.busy.get_or_insert_with(|| Busy {
                pid: process.0,
                ..Busy::default()
            });
            busy.command = command.clone();
        });
    }

    /// What all processes used.
    pub(crate) fn total(&self) -> Used {
        self.total
    }

    /// How many processes there were.
    pub(crate) fn count(&self) -> u64 {
        self.processes.len() as u64
    }

    /// Each process with its CPU time.
    pub(crate) fn into_busy(self) -> impl Iterator<Item = Busy> {
        self.processes.into_iter().map(|((pid, _), account)| {
            let cpu_ns = account.used().cpu_ns;
            let busy = account.busy.unwrap_or_default();
            Busy {
                pid,
                cpu_ns,
                ..busy
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::Io;

    const ONE: Identity = (7, 100);

    fn used(cpu_ns: u64, read: u64) -> Used {
        let io = Io {
            read_by_calls: read,
            ..Io::default()
        };
        Used {
            cpu_ns,
            io,
            ..Used::default()
        }
    }

    fn freed(cpu_ns: u64, read: u64) -> TaskSums {
        TaskSums {
            used: used(cpu_ns, read),
            before: Used::default(),
        }
    }

    #[test]
    fn reports_take_the_place_of_what_was_seen() {
        let mut accounts = Accounts::default();
        accounts.begin(ONE, Base::default());
        assert_eq!(accounts.seen(ONE, used(50, 10)), used(50, 10));
        // A thread ends: its CPU time was seen already, its bytes are no longer in /proc.
        accounts.freed(ONE, freed(20, 4));
        assert_eq!(accounts.seen(ONE, used(60, 7)), used(60, 11));
        accounts.freed(ONE, freed(45, 8));
        assert_eq!(accounts.total(), used(65, 12));
        accounts.freed((7, 900), freed(1000, 0));
        assert_eq!((accounts.total(), accounts.count()), (used(1065, 12), 2));
    }

    #[test]
    fn what_a_running_process_had_used_is_not_counted() {
        let mut accounts = Accounts::default();
        accounts.begin(ONE, Base::Unreported(used(500, 30)));
        assert_eq!(accounts.seen(ONE, used(510, 33)), used(10, 3));
        // One of its threads had read 12 of the 30 bytes.
        let tasks = TaskSums {
            used: used(2, 1),
            before: used(100, 12),
        };
        accounts.freed(ONE, tasks);
        assert_eq!(accounts.seen(ONE, used(515, 22)), used(15, 5));
    }

    #[test]
    fn what_a_command_used_before_it_was_executed_is_not_counted() {
        let mut accounts = Accounts::default();
        accounts.begin(ONE, Base::Reported(used(5, 0)));
        accounts.leave_out(ONE, used(0, 3));
        accounts.freed(ONE, freed(25, 4));
        assert_eq!(accounts.total(), used(20, 1));
    }
}
