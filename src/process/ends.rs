//! Who ended and how, told once.

use std::collections::HashMap;

use super::model::Exited;
use super::source;
use crate::output::exact::Text;
use crate::sys::account::Exit;

/// Who ended, and what denet knows of it beside `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub pid: u32,
    /// Its name, if it was read in time.
    pub(crate) command: Option<Text>,
    /// How it ended.
    pub(crate) exit: Option<Exit>,
    /// `CLOCK_BOOTTIME` of its start, in ticks.
    pub(crate) start_ticks: Option<i64>,
}

/// Ends that were noticed.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    are_told: bool,
    waiting: Vec<Exited>,
    // How those ended that denet waited for.
    statuses: HashMap<u32, Exit>,
}

impl Ends {
    /// `are_told`: the kernel tells of each; what is noticed otherwise is late, and not all.
    pub(crate) fn new(are_told: bool) -> Self {
        Self {
            are_told,
            ..Self::default()
        }
    }

    /// The kernel told of an end.
    pub(crate) fn told_of(&mut self, mut exited: Exited) {
        if exited.exit().is_none() {
            exited.set_exit(self.statuses.remove(&exited.pid));
        }
        self.waiting.push(exited);
    }

    /// denet waited for this process, of which the kernel tells as well.
    pub(crate) fn learnt(&mut self, ended: &Ended) {
        self.statuses
            .extend(ended.exit.map(|exit| (ended.pid, exit)));
    }

    /// An end was noticed here.
    pub(crate) fn noticed(&mut self, exited: Exited) {
        if !self.are_told {
            self.waiting.push(exited);
        }
    }

    /// Those since last asked.
    pub(crate) fn take(&mut self) -> Vec<Exited> {
        std::mem::take(&mut self.waiting)
    }
}

/// Name and start of a process that has ended, while its parent did not wait for it.
pub(crate) fn last_words(pid: u32) -> Option<(Text, i64)> {
    let stat = source::stat_of(pid).ok()?;
    Some((stat.command, stat.start_ticks))
}
