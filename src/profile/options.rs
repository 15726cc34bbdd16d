//! The options of a session, and the errors that prevent it.

use std::io;
use std::time::Duration;

use super::Limits;
use super::event_loop::Failure;
use super::sampling::SamplingOptions;
use crate::checks::finding::Finding;
use crate::checks::findings::NOT_FOLLOWED;
use crate::checks::scope::NOT_YOURS;
use crate::process::program::Unrunnable;
use crate::process::target::Target;

/// Whether syscalls are profiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ebpf {
    /// No.
    Off,
    /// If possible.
    Auto,
    /// Required: if it is not possible, nothing is started.
    Require,
}

/// What to observe, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What to observe.
    pub(crate) target: Target,
    /// The syscall profile.
    pub(crate) ebpf: Ebpf,
    /// Stop after this time; a command is ended.
    pub(crate) duration: Option<Duration>,
    /// Continue until the last descendant has ended.
    pub(crate) wait_all: bool,
    /// Become the parent of the command's orphans.
    pub(crate) adopt: bool,
    /// What to sample, and how often.
    pub(crate) sampling: SamplingOptions,
    /// Limits of the syscall profile.
    pub(crate) limits: Limits,
}

/// Why there was no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// There is no such command, or it cannot be executed.
    #[error(transparent)]
    Unrunnable(#[from] Unrunnable),
    /// The file exists, but the kernel cannot execute it.
    #[error("{0}: {1}")]
    Exec(String, io::Error),
    /// eBPF was required; the finding explains what is missing.
    #[error("eBPF is required and cannot be used here")]
    Refused(Box<Finding>),
    /// The user may not observe the target; the finding explains why.
    #[error("you may not observe this target")]
    NotYours(Box<Finding>),
    /// Nothing of the target could be followed; the finding explains why.
    #[error("nothing of this target could be followed")]
    NotFollowed(Box<Finding>),
    /// There is no such process or cgroup; the reason.
    #[error("{0}")]
    NoTarget(String),
    /// A signal came before the command was started.
    #[error("interrupted before the command was started")]
    Interrupted(i32),
    /// denet itself failed.
    #[error("{0}: {1}")]
    Failed(&'static str, io::Error),
}

impl SessionError {
    /// The error for a finding: eBPF cannot be used at all, or not for this target.
    pub(super) fn refused(finding: Box<Finding>) -> Self {
        match finding.id {
            NOT_YOURS => Self::NotYours(finding),
            NOT_FOLLOWED => Self::NotFollowed(finding),
            _ => Self::Refused(finding),
        }
    }
}

impl From<Failure> for SessionError {
    fn from((what, error): Failure) -> Self {
        Self::Failed(what, error)
    }
}
