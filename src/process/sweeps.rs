//! When to read proportional set sizes. Pure.
//!
//! The kernel computes one by a walk over the page tables of the process, about 80 ns for each resident page of 4 KiB:
//! 40 ms for nine processes that share 200 MiB, a thousand times what the rest of a sample takes. So the sizes of all
//! processes are read together, in a sweep, and sweeps have a bounded share of the time. There is none at the end of
//! a command, whose memory is gone by then; so the next one comes sooner where the processes have grown since.

use std::time::Duration;

/// Of the time, sweeps take at most one part in so many,
const SHARE: u32 = 50;
/// and where the resident sets have grown since the last one.
const SHARE_GROWN: u32 = 20;
/// No sooner than this, where they have not grown.
const LEAST: Duration = Duration::from_secs(1);
/// Growth by one part in so many counts.
const GROWTH: u64 = 16;
/// A sweep that would take longer is left out: denet does nothing else meanwhile, and records of the kernel's would
/// be lost.
const LONGEST: Duration = Duration::from_millis(250);
/// What it takes, until one was measured.
const PER_PAGE_NS: u64 = 80;
const PER_PROCESS_NS: u64 = 20_000;

/// What a sweep has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) processes: u64,
    /// Of 4 KiB, in all their resident sets.
    pub(crate) pages: u64,
}

impl Extent {
    fn guess_ns(self) -> u64 {
        self.pages * PER_PAGE_NS + self.processes * PER_PROCESS_NS
    }
}

/// The last sweep.
#[derive(Clone, Copy, Debug)]
struct Last {
    end_ns: u64,
    took: Duration,
    extent: Extent,
}

/// The sweeps so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweeps(Option<Last>);

impl Sweeps {
    /// Whether a sweep may begin now, on `CLOCK_MONOTONIC`.
    pub(crate) fn is_due(&self, now_ns: u64, extent: Extent) -> bool {
        if self.expected(extent) > LONGEST {
            return false;
        }
        self.0.is_none_or(|last| {
            let pages = last.extent.pages;
            let has_grown = extent.pages > pages + pages / GROWTH;
            now_ns.saturating_sub(last.end_ns) >= pause(last.took, has_grown).as_nanos() as u64
        })
    }

    /// One was made.
    pub(crate) fn done(&mut self, start_ns: u64, end_ns: u64, extent: Extent) {
        self.0 = Some(Last {
            end_ns,
            took: Duration::from_nanos(end_ns.saturating_sub(start_ns)),
            extent,
        });
    }

    /// As fast as the last one.
    fn expected(&self, extent: Extent) -> Duration {
        let guess = extent.guess_ns();
        let ns = match self.0 {
            Some(last) => {
                let pace = last.took.as_nanos() as f64 / last.extent.guess_ns().max(1) as f64;
                (guess as f64 * pace) as u64
            }
            None => guess,
        };
        Duration::from_nanos(ns)
    }
}

/// From the end of a sweep that took so long to the next one.
fn pause(took: Duration, has_grown: bool) -> Duration {
    if has_grown {
        took * SHARE_GROWN
    } else {
        (took * SHARE).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn extent(mib: u64) -> Extent {
        Extent {
            processes: 9,
            pages: mib * 256,
        }
    }

    #[test]
    fn sweeps_have_a_bounded_share_of_the_time() {
        let took = Duration::from_millis(40);
        assert_eq!(pause(took, false), Duration::from_secs(2));
        assert_eq!(pause(took, true), Duration::from_millis(800));
        assert_eq!(pause(Duration::from_micros(100), false), LEAST);
        // An hour of samples, one every 100 ms, of processes that grow all the time.
        let (mut sweeps, mut in_sweeps) = (Sweeps::default(), 0);
        for at in (0..3_600_000).step_by(100) {
            let (now, extent) = (at * MS, extent(1 + at / 3600));
            if sweeps.is_due(now, extent) {
                let cost = extent.guess_ns();
                sweeps.done(now, now + cost, extent);
                in_sweeps += cost;
            }
        }
        let share = in_sweeps as f64 / (3_600_000 * MS) as f64;
        assert!((0.001..=1.0 / 20.0).contains(&share), "{share}");
    }

    #[test]
    fn growth_is_seen_within_a_second() {
        let mut sweeps = Sweeps::default();
        assert!(sweeps.is_due(0, extent(10)));
        sweeps.done(0, 2 * MS, extent(10));
        assert!(!sweeps.is_due(100 * MS, extent(10)));
        // Nine processes that share 200 MiB.
        assert!(sweeps.is_due(100 * MS, extent(1800)));
        sweeps.done(100 * MS, 140 * MS, extent(1800));
        assert!(!sweeps.is_due(939 * MS, extent(2700)));
        assert!(sweeps.is_due(940 * MS, extent(2700)));
        assert!(!sweeps.is_due(2139 * MS, extent(1800)));
        assert!(sweeps.is_due(2140 * MS, extent(1800)));
    }

    #[test]
    fn what_would_take_too_long_is_left_out() {
        let mut sweeps = Sweeps::default();
        assert!(sweeps.is_due(0, extent(11 << 10)) && !sweeps.is_due(0, extent(13 << 10)));
        // Huge pages: a sweep takes a hundredth of what was expected.
        let quick = extent(10 << 10);
        sweeps.done(0, quick.guess_ns() / 100, quick);
        assert!(sweeps.is_due(1_000_000 * MS, extent(900 << 10)));
        assert!(!sweeps.is_due(1_000_000 * MS, extent(1300 << 10)));
    }
}
