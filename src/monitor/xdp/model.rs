//! What is told of a watched interface.

use std::path::PathBuf;
use std::time::Duration;

use super::counters::{Count, Counts};
use crate::facts::interfaces::XdpMode;

/// What is watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Name of the interface when counting began.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// It was brought up.
    pub up: bool,
    /// Where the program runs, as the kernel says.
    pub mode: XdpMode,
    /// Why not in the driver, where that was tried.
    pub not_native: Option<String>,
    /// Id of the program.
    pub program: u32,
    /// Which one: `denet_xdp`, or for who lacks CAP_PERFMON `denet_xdp_copy`.
    pub program_name: String,
    /// Where it is pinned, and stays.
    pub pinned: Option<PathBuf>,
    /// What had been counted when this run began: an earlier one pinned the counters.
    pub resumed: Option<Count>,
}

/// What was read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// After the start of this run.
    pub elapsed: Duration,
    /// Of each possible CPU, in their order.
    pub cpus: Vec<Counts>,
}

impl Reading {
    /// Of all CPUs.
    pub(crate) fn sum(&self) -> Counts {
        Counts::sum(&self.cpus)
    }
}

/// Two readings, the later one to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Interval<'a> {
    /// The earlier one.
    pub before: &'a Reading,
    /// The later one.
    pub now: &'a Reading,
}

impl Interval<'_> {
    /// What came in between.
    pub(crate) fn added(&self) -> Counts {
        self.now.sum().since(&self.before.sum())
    }

    /// The time between.
    pub(crate) fn length(&self) -> Duration {
        self.now.elapsed.saturating_sub(self.before.elapsed)
    }
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `--duration` is over.
    Duration,
    /// A signal asked for it.
    Interrupted(i32),
    /// The interface is gone.
    InterfaceGone,
    /// Somebody took the program off.
    TakenOff,
    /// Nobody reads the records any more, and nothing else is told.
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

    /// What is pinned goes on counting.
    pub(crate) fn leaves_pinned(self) -> bool {
        !matches!(self, Self::InterfaceGone | Self::TakenOff)
    }
}

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The counters when it began.
    pub first: Reading,
    /// Once nothing counts any more, or where the program stays, at last.
    pub last: Reading,
    /// Why it ended.
    pub end: End,
}

impl Whole {
    /// What came in this run.
    pub(crate) fn added(&self) -> Counts {
        self.last.sum().since(&self.first.sum())
    }

    /// The frames of each CPU that took any in this run, by its number.
    pub(crate) fn cpus_added(&self) -> impl Iterator<Item = (usize, Count)> {
        let pairs = self.last.cpus.iter().zip(&self.first.cpus);
        let frames = pairs.map(|(last, first)| last.frames().since(first.frames()));
        frames.enumerate().filter(|(_, count)| count.packets > 0)
    }
}

/// What became of something that was pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What each possible CPU had counted; `None` where no counters were pinned.
    pub counted: Option<Vec<Counts>>,
    /// The program was attached until now.
    pub was_attached: bool,
    /// What could not be removed, and why, if anything.
    pub left: Option<String>,
}
