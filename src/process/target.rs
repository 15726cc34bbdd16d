//! The target: which processes to observe.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Which processes.
    pub(crate) selection: Selection,
    /// Their descendants too.
    pub(crate) descendants: bool,
}

/// Which processes to observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// A command that denet starts: the command and its arguments, at least one.
    Command(Vec<OsString>),
    /// A process that is running.
    Process(u32),
    /// All processes of a cgroup and those below it; its directory.
    Cgroup(PathBuf),
    /// All processes of the machine except the kernel's own.
    Machine,
}
