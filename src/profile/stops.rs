//! How long denet itself was stopped (SIGSTOP, or Ctrl-Z and `fg`): that is no part of the time that it reports.
//!
//! No process learns when it is stopped, but SIGCONT arrives when it continues. Since when it had been stopped follows
//! from the kernel's record of its switches: while it waits it leaves the CPU once, and once more for each stop.
//! Without that record (perf events need not be allowed) it was stopped for no less than it was late for what was due.

use std::time::{Duration, Instant};

use crate::sys::switches::Switches;

/// Absences from the CPU in nanoseconds; `None` if not all are known.
type Absences = Option<Vec<u64>>;

/// What is known of the last step and the last wait of the event loop.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    switches: Option<Switches>,
    in_step: Absences,
    in_wait: Absences,
    due: Option<Instant>,
}

/// A time in which denet was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) time: Duration,
    /// It may have been longer.
    pub(crate) is_least: bool,
}

impl Stops {
    /// From now on. Not later than capabilities are given up.
    pub(crate) fn watch() -> Self {
        let switches = Switches::record();
        if let Err(error) = &switches {
            tracing::debug!(%error, "no record of switches");
        }
        Self {
            switches: switches.ok(),
            ..Self::default()
        }
    }

    /// Forgets what was before.
    pub(super) fn restart(&mut self) {
        self.take();
    }

    pub(super) fn before_wait(&mut self, due: Option<Instant>) {
        self.in_step = self.take();
        self.due = due;
    }

    pub(super) fn after_wait(&mut self) {
        self.in_wait = self.take();
    }

    fn take(&mut self) -> Absences {
        self.switches.as_mut()?.take()
    }

    /// The stop after which denet continued in the last wait.
    pub(super) fn last(&self) -> Stop {
        match (&self.in_step, &self.in_wait) {
            (Some(in_step), Some(in_wait)) => Stop {
                time: Duration::from_nanos(stopped_ns(in_step, in_wait)),
                is_least: false,
            },
            _ => Stop {
                time: self.due.map_or(Duration::ZERO, |due| due.elapsed()),
                is_least: true,
            },
        }
    }
}

/// If denet was stopped before it waited, it did not wait, because SIGCONT had arrived.
fn stopped_ns(in_step: &[u64], in_wait: &[u64]) -> u64 {
    match in_wait {
        [] => in_step.iter().copied().max().unwrap_or(0),
        [_, stops @ ..] => stops.iter().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absence_of_a_wait_is_the_wait() {
        assert_eq!(stopped_ns(&[3, 4], &[900, 50, 7]), 57);
        // SIGCONT, though it was not stopped.
        assert_eq!(stopped_ns(&[3, 4], &[900]), 0);
        assert_eq!(stopped_ns(&[3, 700, 4], &[]), 700);
        assert_eq!(stopped_ns(&[], &[]), 0);
    }

    #[test]
    fn without_a_record_it_was_stopped_since_something_was_due() {
        let mut stops = Stops::default();
        assert_eq!(stops.last().time, Duration::ZERO);
        let now = Instant::now();
        stops.before_wait(now.checked_sub(Duration::from_secs(5)));
        stops.after_wait();
        let last = stops.last();
        assert!(
            last.is_least && last.time >= Duration::from_secs(5),
            "{last:?}"
        );
        stops.before_wait(now.checked_add(Duration::from_secs(3600)));
        assert_eq!(stops.last().time, Duration::ZERO);
    }
}
