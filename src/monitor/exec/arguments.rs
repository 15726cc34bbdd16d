//! Arguments of `denet monitor exec`.

use clap::{Args as _, FromArgMatches as _, ValueEnum};

use crate::backends::table::Hooking;
use crate::exit_status_of_monitors;
use crate::monitor::arguments::{FOLLOWING, Processes, TABLE, WATCHING};
use crate::monitor::request::{Monitor, Request};

/// `denet monitor exec`.
pub(crate) const MONITOR: Monitor = Monitor {
    name: "exec",
    about: "Who executes what, failed attempts too",
    after_help: concat!(
        "Lines go to stderr; --json writes records to stdout instead. Ctrl-C ends it with a summary.\n\n",
        exit_status_of_monitors!(),
        "\n
Examples:
  denet monitor exec
  denet monitor exec --uid 1000
  denet monitor exec -- make -j2
  denet --json --out builds.jsonl --quiet monitor exec --cgroup /system.slice"
    ),
    options: &[WATCHING, FOLLOWING, TABLE],
    interval: "Say what was lost every MS milliseconds [default: 100]",
    every_ms: 100,
    arguments: Arguments::augment_args,
    parse: |matches| Arguments::from_arg_matches(matches).map(Arguments::into_request),
};

/// The options of `denet monitor exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Only executions by this real user.
    pub(crate) uid: Option<u32>,
    /// Where programs are attached.
    pub(crate) hooking: Hooking,
}

#[derive(clap::Args, Debug)]
struct Arguments {
    #[command(flatten)]
    processes: Processes,
    /// Executions by this real user alone
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Where to look: raw tracepoints (raw_tp), perf events of tracepoints (tracepoint), functions of the
    /// kernel (kprobe), or what suits this kernel
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = Hook::Auto)]
    hook: Hook,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hook {
    Auto,
    #[value(name = "raw_tp")]
    RawTp,
    Kprobe,
    Tracepoint,
}

impl From<Hook> for Hooking {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Auto => Self::Auto,
            Hook::RawTp => Self::RawTracepoint,
            Hook::Kprobe => Self::Kprobe,
            Hook::Tracepoint => Self::Tracepoint,
        }
    }
}

impl Arguments {
    fn into_request(self) -> Request {
        let options = Options {
            uid: self.uid,
            hooking: self.hook.into(),
        };
        Request::Processes(self.processes.into_selection(), Box::new(options))
    }
}
