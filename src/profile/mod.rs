//! Follows processes and profiles them.
//!
//! A `session` has `options`. It starts a command or attaches to running processes (`open`), and these are
//! `observed` in the `event_loop` of all verbs. `command` is the command that denet started, `sampling` samples
//! processes, `stops` measures for how long denet was stopped, `follow` runs the eBPF side, `stream` is for programs that report single calls instead of counting
//! them, `access` decides which processes the user may observe. These have effects. The rest is pure: `model` has
//! the types, `tally` adds up, `analyse` draws conclusions.

pub(crate) mod access;
pub(crate) mod analyse;
mod command;
#[cfg(all(feature = "ebpf", feature = "test-hooks"))]
pub mod cost;
pub(crate) mod event_loop;
#[cfg(feature = "ebpf")]
pub(crate) mod follow;
#[cfg(not(feature = "ebpf"))]
#[path = "unfollowed.rs"]
pub(crate) mod follow;
pub(crate) mod model;
mod observed;
mod open;
pub(crate) mod options;
pub(crate) mod sampling;
pub(crate) mod session;
pub(crate) mod stops;
#[cfg(feature = "ebpf")]
pub(crate) mod stream;
#[cfg(feature = "ebpf")]
pub(crate) mod tally;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::checks::finding::Finding;
use crate::decode::syscalls::Call;
use crate::output::exact::Text;
use crate::sys::account::Exit;
use crate::sys::gate::GateError;

/// Limits of the syscall profile, and what tests set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Follow no more tasks than this.
    pub(crate) max_tasks: Option<u32>,
    /// Look here for the kernel's types.
    pub(crate) btf: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tasks: None,
            btf: "/sys/kernel/btf/vmlinux".into(),
        }
    }
}

/// A process that was followed until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedProcess {
    /// Process id in denet's pid namespace.
    pub(crate) pid: u32,
    pub(crate) command: Text,
    /// `CLOCK_MONOTONIC`.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// How it ended, where the kernel lets a program see.
    pub(crate) exit: Option<Exit>,
}

/// Syscalls so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) by_call: BTreeMap<Call, u64>,
    pub(crate) losses: model::Losses,
    /// Of each live process and thread, by its id.
    pub(crate) by_process: HashMap<u32, u64>,
    pub(crate) by_thread: HashMap<u32, u64>,
}

/// Why a [`follow::Follower`] could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// eBPF cannot be used.
    Refused(Box<Finding>),
    /// The command could not be started, eBPF or not.
    #[cfg_attr(
        not(feature = "ebpf"),
        expect(dead_code, reason = "only eBPF starts it elsewhere")
    )]
    Gate(GateError),
}
