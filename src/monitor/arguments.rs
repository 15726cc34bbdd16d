//! Arguments that monitors have in common.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::backends::table::Hooking;
use crate::process::target::Selection;

/// Options that every monitor takes; ids of the general options.
pub(crate) const WATCHING: &[&str] = &[
    "enable_ebpf",
    "json",
    "out",
    "duration",
    "quiet",
    "interval",
    "strict",
    "debug",
];
/// Options of monitors that observe processes.
pub(crate) const FOLLOWING: &[&str] = &["exclude_children", "wait_all"];
/// Options of monitors with a table at the end.
pub(crate) const TABLE: &[&str] = &["top"];

/// Exit status of monitors that observe processes.
#[macro_export]
macro_rules! exit_status_of_monitors {
    () => {
        "Exit status: the command's own, 124 ended by --duration, 126 not executable, 127 not found; of what runs \
already 0 at its end, at the end of --duration, or when nobody reads on; 130 interrupted by Ctrl-C; 4 something \
was lost, under --strict; 125 denet failed; 3 eBPF unavailable; 2 wrong usage."
    };
}

/// Which processes to observe; the whole machine if none are named.
#[derive(Args, Debug)]
pub(crate) struct Processes {
    /// A process that runs, and its descendants
    #[arg(short, long, value_name = "PID", conflicts_with_all = ["cgroup", "command"], value_parser = process_id)]
    pid: Option<u32>,
    /// All processes of this cgroup and those below it
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    cgroup: Option<PathBuf>,
    /// Start this command, and watch it and its descendants
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Processes {
    /// The same without types of the parser.
    pub(crate) fn into_selection(self) -> Selection {
        match (self.pid, self.cgroup) {
            (Some(pid), _) => Selection::Process(pid),
            (None, Some(folder)) => Selection::Cgroup(folder),
            (None, None) if self.command.is_empty() => Selection::Machine,
            (None, None) => Selection::Command(self.command),
        }
    }
}

/// Where programs can be attached, for monitors that do not offer kernel functions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CallHook {
    // What suits this kernel.
    Auto,
    // Raw tracepoints.
    #[value(name = "raw_tp")]
    RawTp,
    // Perf events of tracepoints.
    Tracepoint,
}

impl From<CallHook> for Hooking {
    fn from(hook: CallHook) -> Self {
        match hook {
            CallHook::Auto => Self::Auto,
            CallHook::RawTp => Self::RawTracepoint,
            CallHook::Tracepoint => Self::Tracepoint,
        }
    }
}

/// A process id: up to the largest that the kernel assigns (`PID_MAX_LIMIT` in `include/linux/threads.h`).
///
/// # Errors
/// Which values are allowed.
pub(crate) fn process_id(text: &str) -> Result<u32, String> {
    const LARGEST: u32 = 4_194_304;
    let id = text.parse().ok().filter(|id| (1..=LARGEST).contains(id));
    id.ok_or_else(|| {
        format!("a process id is a number from 1 to {LARGEST} (pgrep finds it by name)")
    })
}
