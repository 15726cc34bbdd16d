//! From a command to its profile.
//!
//! `session` starts the command, `watch` waits for it, `follow` runs the eBPF side: those have
//! effects. What is made of their data is pure: `model` holds it, `tally` adds it up, `analyse` draws
//! conclusions.

pub mod analyse;
#[cfg(feature = "ebpf")]
pub mod cost;
#[cfg(feature = "ebpf")]
pub(crate) mod follow;
#[cfg(not(feature = "ebpf"))]
#[path = "unfollowed.rs"]
pub(crate) mod follow;
pub mod model;
pub mod session;
#[cfg(feature = "ebpf")]
pub mod tally;
mod watch;
#[cfg(feature = "ebpf")]
mod ways;

use std::path::PathBuf;

use crate::finding::Finding;
use crate::sys::gate::GateError;

/// What tests ask for, to see what happens then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Follow no more tasks than this.
    pub max_tasks: Option<u32>,
    /// Look here for the kernel's types.
    pub btf: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tasks: None,
            btf: "/sys/kernel/btf/vmlinux".into(),
        }
    }
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
