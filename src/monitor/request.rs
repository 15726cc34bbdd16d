//! The entry of a monitor in the table, and a request to run it.

use std::fmt::Debug;
use std::time::Duration;

use clap::{ArgMatches, Command};

use super::xdp;
use crate::output::Output;
use crate::process::target::Selection;
use crate::profile::Limits;

/// A monitor: its verb, its help and its options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monitor {
    /// As typed.
    pub(crate) name: &'static str,
    /// In one sentence.
    pub(crate) about: &'static str,
    /// Exit status and examples.
    pub(crate) after_help: &'static str,
    /// The general options that it has; groups of ids.
    pub(crate) options: &'static [&'static [&'static str]],
    /// What `--interval` means here.
    pub(crate) interval: &'static str,
    /// Milliseconds without `--interval`.
    pub(crate) every_ms: u64,
    /// Adds its own arguments.
    pub(crate) arguments: fn(Command) -> Command,
    /// Reads its own arguments.
    pub(crate) parse: fn(&ArgMatches) -> Result<Request, clap::Error>,
}

/// What to observe, with the options of one monitor.
#[derive(Debug)]
pub(crate) enum Request {
    /// Report events of processes.
    Processes(Selection, Box<dyn ProcessMonitor>),
    /// Count the frames that arrive at a network interface.
    Interface(xdp::Options),
}

/// General options of a monitor.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Descendants of processes too.
    pub(crate) descendants: bool,
    /// Stop after this time.
    pub(crate) duration: Option<Duration>,
    /// Continue until the last descendant has ended.
    pub(crate) wait_all: bool,
    /// How often losses are checked and sums are shown.
    pub(crate) interval: Duration,
    /// Where results go.
    pub(crate) output: Output,
    /// Loss is an error.
    pub(crate) strict: bool,
    /// Limits for tests.
    pub(crate) limits: Limits,
}

/// A monitor of processes, with its own options.
#[cfg(feature = "ebpf")]
pub(crate) trait ProcessMonitor: Debug {
    /// Its name, as in records.
    fn name(&self) -> &'static str;

    /// What to load.
    ///
    /// # Errors
    /// This kernel lacks what it needs.
    fn plan(&self, options: &Options) -> Result<Plan, SessionError>;

    /// The header of the lines at this width, if they have one.
    fn header(&self, _columns: usize) -> String {
        String::new()
    }

    /// Reports the records of the eBPF programs.
    fn consumer(self: Box<Self>, events: SharedEvents) -> Box<dyn Consumer>;
}

#[cfg(feature = "ebpf")]
use super::events::SharedEvents;
#[cfg(feature = "ebpf")]
use crate::backends::stream::Plan;
#[cfg(feature = "ebpf")]
use crate::profile::{options::SessionError, stream::Consumer};

/// Without eBPF there are no events of processes.
#[cfg(not(feature = "ebpf"))]
pub(crate) trait ProcessMonitor: Debug {}

#[cfg(not(feature = "ebpf"))]
impl<T: Debug> ProcessMonitor for T {}
