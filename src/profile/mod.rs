//! From a command to its profile.
//!
//! `session` starts the command, `watch` waits for it, `attached` watches those that run already, `sampling`
//! looks at their processes again and again, `follow` runs the eBPF side, `stream` is how programs
//! that tell of single calls take the place of those that count: those have effects. What is made of their data is pure: `model` holds it, `tally` adds it up, `analyse` draws
//! conclusions.

pub mod analyse;
pub mod attached;
#[cfg(feature = "ebpf")]
pub mod cost;
#[cfg(feature = "ebpf")]
pub(crate) mod follow;
#[cfg(not(feature = "ebpf"))]
#[path = "unfollowed.rs"]
pub(crate) mod follow;
pub mod model;
pub mod sampling;
pub mod session;
#[cfg(feature = "ebpf")]
pub(crate) mod stream;
#[cfg(feature = "ebpf")]
pub mod tally;
mod watch;
#[cfg(feature = "ebpf")]
mod ways;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::checks::finding::Finding;
use crate::decode::syscalls::Call;
use crate::sys::account::Exit;
use crate::sys::gate::GateError;

/// Whom to follow, what to learn of them, and what tests ask for, to see what happens then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Descendants as well, not only the threads of a process.
    pub children: bool,
    /// Tell of each process that ended, and how.
    pub ends: bool,
    /// Follow no more tasks than this.
    pub max_tasks: Option<u32>,
    /// Look here for the kernel's types.
    pub btf: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            children: true,
            ends: false,
            max_tasks: None,
            btf: "/sys/kernel/btf/vmlinux".into(),
        }
    }
}

/// Whom to follow that denet did not start; ids are those of the initial pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// These processes and their descendants.
    Processes(Vec<u32>),
    /// Every task of the machine but the kernel's own, and every new one.
    All,
}

/// A process that was followed until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedProcess {
    /// Process id in the initial pid namespace.
    pub(crate) pid: u32,
    pub(crate) command: String,
    /// `CLOCK_MONOTONIC`.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// How it ended, where the kernel lets a program see.
    pub(crate) exit: Option<Exit>,
    /// Nobody who is followed was its parent.
    pub(crate) orphan: bool,
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
