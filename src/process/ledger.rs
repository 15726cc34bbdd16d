//! Whose number is it, once a process has ended? Pure.
//!
//! The kernel hands what an ended child used on to the parent that waits for it: CPU time and page faults
//! as those "of children", I/O into the parent's own. So the sum over those who live, denet included,
//! which waits for the command, is whole and nothing is in it twice. What is handed on to nobody (a
//! parent that ignores SIGCHLD, an orphan that init waits for) would vanish from the sum with the
//! process. Page faults tell: they are whole numbers, every process has some, and if those of the living
//! did not grow by as many as the vanished had, these were not handed on. Then what was last seen of
//! them is kept here.

use super::stat::Io;

/// What was used since a process began, itself and the children that it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// CPU time.
    pub(crate) cpu_ns: u64,
    /// CPU time in user mode and in the kernel, on most kernels estimated by ticks: together they say in which
    /// proportion `cpu_ns` divides.
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    /// Page faults without I/O.
    pub(crate) minor_faults: u64,
    /// Page faults with I/O.
    pub(crate) major_faults: u64,
    /// Bytes; of those that let us look.
    pub(crate) io: Io,
}

impl Used {
    fn each(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu_ns: each(self.cpu_ns, other.cpu_ns),
            user_ns: each(self.user_ns, other.user_ns),
            system_ns: each(self.system_ns, other.system_ns),
            minor_faults: each(self.minor_faults, other.minor_faults),
            major_faults: each(self.major_faults, other.major_faults),
            io: Io {
                read_by_calls: each(self.io.read_by_calls, other.io.read_by_calls),
                written_by_calls: each(self.io.written_by_calls, other.io.written_by_calls),
                read_from_storage: each(self.io.read_from_storage, other.io.read_from_storage),
                written_to_storage: each(self.io.written_to_storage, other.io.written_to_storage),
            },
        }
    }

    /// These bytes, and nothing else.
    pub(crate) fn of_io(io: Io) -> Self {
        Self {
            io,
            ..Self::default()
        }
    }

    /// CPU time, and nothing else.
    pub(crate) fn cpu_only(self) -> Self {
        Self {
            cpu_ns: self.cpu_ns,
            user_ns: self.user_ns,
            system_ns: self.system_ns,
            ..Self::default()
        }
    }

    /// CPU time in user mode and in the kernel; they add up to `cpu_ns`. As the kernel does it for `getrusage(2)`
    /// (`cputime_adjust` in `kernel/sched/cputime.c`): the scheduler's exact sum in the proportion of ticks.
    pub(crate) fn user_and_system(&self) -> (u64, u64) {
        let ticks = u128::from(self.user_ns) + u128::from(self.system_ns);
        let system = u128::from(self.cpu_ns) * u128::from(self.system_ns);
        let system = system.checked_div(ticks).unwrap_or(0) as u64;
        (self.cpu_ns - system, system)
    }

    /// The sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What is more than in the other.
    pub(crate) fn beyond(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    /// Each the larger of both.
    pub(crate) fn at_least(self, other: Self) -> Self {
        self.each(other, u64::max)
    }

    fn share(self, share: f64) -> Self {
        self.each(Self::default(), |number, _| (number as f64 * share) as u64)
    }
}

/// What of the ended nobody who lives has inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    kept: Used,
    // They vanished during the last look, and may have been handed on after their heir was read.
    pending: Used,
    pending_processes: u64,
    /// Processes whose last moments nobody accounts for.
    pub(crate) disowned: u64,
}

impl Ledger {
    /// `inherited` is by how many page faults those of children grew among the living, all together;
    /// `vanished` what was last seen of those who are gone since.
    ///
    /// The living have to be read before it is looked who is gone: who still lives after that was not
    /// handed on before.
    pub(crate) fn settle(&mut self, inherited: u64, vanished: &[Used]) {
        let (missing, left) = unpaid(self.pending.minor_faults, inherited);
        if missing > 0.0 {
            self.kept = self.kept.plus(self.pending.share(missing));
            self.disowned += (self.pending_processes as f64 * missing).ceil() as u64;
        }
        let gone = vanished
            .iter()
            .fold(Used::default(), |sum, one| sum.plus(*one));
        let (missing, _) = unpaid(gone.minor_faults, left);
        self.pending = gone.share(missing);
        self.pending_processes = (vanished.len() as f64 * missing).ceil() as u64;
    }

    /// These are gone, and nobody inherits.
    pub(crate) fn keep(&mut self, vanished: &[Used]) {
        self.kept = vanished.iter().fold(self.kept, |sum, one| sum.plus(*one));
    }

    /// To be added to what the living used.
    pub(crate) fn balance(&self) -> Used {
        self.kept.plus(self.pending)
    }
}

/// Which share of what is due was not paid, and what was paid beyond.
fn unpaid(due: u64, paid: u64) -> (f64, u64) {
    match paid.checked_sub(due) {
        Some(left) => (0.0, left),
        None => (1.0 - paid as f64 / due as f64, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(cpu_ns: u64, minor_faults: u64) -> Used {
        Used {
            cpu_ns,
            minor_faults,
            ..Used::default()
        }
    }

    #[test]
    fn user_and_system_add_up() {
        let of = |user_ns, system_ns| {
            let used = Used {
                user_ns,
                system_ns,
                ..used(1000, 0)
            };
            used.user_and_system()
        };
        assert_eq!(of(0, 0), (1000, 0));
        assert_eq!(of(0, 4), (0, 1000));
        assert_eq!(of(2, 1), (667, 333));
        assert_eq!(of(u64::MAX, u64::MAX), (500, 500));
    }

    #[test]
    fn what_was_handed_on_is_not_kept() {
        let mut ledger = Ledger::default();
        // Its last faults came after it was last seen; and others were never seen at all.
        ledger.settle(130, &[used(1000, 100)]);
        assert_eq!((ledger.balance(), ledger.disowned), (Used::default(), 0));
    }

    #[test]
    fn what_was_handed_on_after_the_heir_was_read_is_kept_until_then() {
        let mut ledger = Ledger::default();
        ledger.settle(0, &[used(1000, 100)]);
        assert_eq!(ledger.balance(), used(1000, 100));
        ledger.settle(100, &[]);
        assert_eq!((ledger.balance(), ledger.disowned), (Used::default(), 0));
    }

    #[test]
    fn what_nobody_inherits_is_kept() {
        let mut ledger = Ledger::default();
        ledger.settle(0, &[used(1000, 100), used(500, 60)]);
        ledger.settle(0, &[]);
        ledger.settle(900, &[used(70, 900)]);
        assert_eq!((ledger.balance(), ledger.disowned), (used(1500, 160), 2));
    }

    #[test]
    fn a_part_of_them() {
        let mut ledger = Ledger::default();
        ledger.settle(100, &[used(1000, 100), used(1000, 100)]);
        ledger.settle(0, &[]);
        assert_eq!((ledger.balance(), ledger.disowned), (used(1000, 100), 1));
    }
}
