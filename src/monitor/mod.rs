//! `denet monitor`: what processes do with the rest of the system, as it happens.
//!
//! Each monitor is a stream: programs that tell of single calls take the place of those that count, and a
//! `profile::stream::Consumer` takes in their records while the target runs. What is
//! made of a record is pure and stands in the monitor's `model` and in [`crate::render`].

#[cfg(feature = "ebpf")]
mod cgroups;
#[cfg(feature = "ebpf")]
pub mod exec;
#[cfg(feature = "ebpf")]
pub mod net;
#[cfg(feature = "ebpf")]
pub mod trace;
#[cfg(feature = "ebpf")]
mod watched;
pub mod xdp;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Output;
use crate::decode::arguments::Detail;
use crate::decode::filter::Filter;
use crate::profile::Limits;

#[cfg(feature = "ebpf")]
pub(crate) use watched::{Watched, follow};

/// Whom to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A command that denet starts, and its descendants.
    Command(Vec<OsString>),
    /// A process that runs, and its descendants.
    Process(u32),
    /// All in a cgroup; its folder.
    Cgroup(PathBuf),
    /// Every process.
    Machine,
}

/// Where programs are attached that see calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooking {
    /// Raw tracepoints, or where the kernel preempts their programs, perf events.
    #[default]
    Auto,
    /// Raw tracepoints.
    RawTracepoint,
    /// Perf events of tracepoints, which takes tracefs.
    Tracepoint,
    /// The kernel's functions.
    Kprobe,
}

/// What all monitors are told.
#[derive(Clone, Debug)]
pub struct Common {
    /// Whom to watch.
    pub target: Target,
    /// Stop after that long.
    pub duration: Option<Duration>,
    /// Go on until the last descendant has ended.
    pub wait_all: bool,
    /// Between two looks at what was lost or added up.
    pub interval: Duration,
    /// Where it goes.
    pub output: Output,
    /// Loss is an error.
    pub strict: bool,
    /// For tests.
    pub limits: Limits,
}

/// What `denet monitor exec` is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Of this real user alone.
    pub uid: Option<u32>,
    /// Where programs are attached.
    pub hooking: Hooking,
}

/// What `denet monitor net` is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetOptions {
    /// Each call as well, not only what they add up to.
    pub events: bool,
    /// Where programs are attached.
    pub hooking: Hooking,
    /// Rows, and calls at a time, that there is room for, to test what happens beyond.
    pub max_endpoints: Option<u32>,
}

/// What `denet trace` is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOptions {
    /// How much of the arguments is told.
    pub detail: Detail,
    /// Which calls.
    pub filter: Filter,
    /// Where programs are attached.
    pub hooking: Hooking,
}

/// Which monitor.
#[derive(Clone, Debug)]
pub enum What {
    /// Every call.
    Trace(TraceOptions),
    /// Executions.
    Exec(ExecOptions),
    /// Traffic.
    Net(NetOptions),
}

/// Watches until the end and reports; returns the exit code.
#[cfg(feature = "ebpf")]
pub fn run(what: &What, common: &Common) -> u8 {
    match what {
        What::Trace(options) => trace::run(options, common),
        What::Exec(options) => exec::run(options, common),
        What::Net(options) => net::run(options, common),
    }
}

/// A build without eBPF sees no calls.
#[cfg(not(feature = "ebpf"))]
pub fn run(_: &What, _: &Common) -> u8 {
    crate::output::built_without()
}
