//! What is reported about an interface.

use std::path::PathBuf;
use std::time::Duration;

use super::counters::{Count, Counts};
use crate::facts::interfaces::XdpMode;

/// The interface, and how frames are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Name of the interface when counting began.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// Where the program runs, as the kernel reports it.
    pub mode: XdpMode,
    /// Why not in the driver, if that was tried.
    pub not_native: Option<String>,
    /// Id of the program.
    pub program: u32,
    /// Its name: `denet_xdp`, or `denet_xdp_copy` for users without CAP_PERFMON.
    pub program_name: String,
    /// Where it is pinned, if it stays attached.
    pub pinned: Option<PathBuf>,
    /// The counts when this run began, if an earlier one pinned the counters.
    pub resumed: Option<Count>,
}

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Time since the start of this run.
    pub elapsed: Duration,
    /// The counts of each possible CPU, in order.
    pub cpus: Vec<Counts>,
}

impl Reading {
    /// The sum over all CPUs.
    pub(crate) fn sum(&self) -> Counts {
        Counts::sum(&self.cpus)
    }
}

/// The interval between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Interval<'a> {
    /// The earlier one.
    pub before: &'a Reading,
    /// The later one.
    pub now: &'a Reading,
}

impl Interval<'_> {
    /// The frames in between.
    pub(crate) fn added(&self) -> Counts {
        self.now.sum().since(&self.before.sum())
    }

    /// The time in between.
    pub(crate) fn length(&self) -> Duration {
        self.now.elapsed.saturating_sub(self.before.elapsed)
    }
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `--duration` is over.
    Duration,
    /// A signal.
    Interrupted(i32),
    /// The interface is gone.
    InterfaceGone,
    /// Another process detached the program.
    TakenOff,
    /// The reader closed the pipe of the records, and there is no other output.
    Unread,
}

impl End {
    /// Stable name, for scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Interrupted(_) => "interrupt",
            Self::InterfaceGone => "interface_gone",
            Self::TakenOff => "taken_off",
            Self::Unread => "unread",
        }
    }

    /// Whether the pinned program continues to count.
    pub(crate) fn leaves_pinned(self) -> bool {
        !matches!(self, Self::InterfaceGone | Self::TakenOff)
    }
}

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The counters when it began.
    pub first: Reading,
    /// The counters at the end, after the program was detached unless it stays attached.
    pub last: Reading,
    /// Why it ended.
    pub end: End,
}

impl Whole {
    /// The frames of this run.
    pub(crate) fn added(&self) -> Counts {
        self.last.sum().since(&self.first.sum())
    }

    /// The frames of each CPU that received any in this run, by its number.
    pub(crate) fn cpus_added(&self) -> impl Iterator<Item = (usize, Count)> {
        let pairs = self.last.cpus.iter().zip(&self.first.cpus);
        let frames = pairs.map(|(last, first)| last.frames().since(first.frames()));
        frames.enumerate().filter(|(_, count)| count.packets > 0)
    }
}

/// The result of removing pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The counts of each possible CPU; `None` if no counters were pinned.
    pub counted: Option<Vec<Counts>>,
    /// Whether the program was attached until then.
    pub was_attached: bool,
    /// What could not be removed and why, if anything.
    pub left: Option<String>,
}
