//! Arguments of `denet monitor net`.

use clap::{Args as _, FromArgMatches as _};

use crate::backends::table::Hooking;
use crate::exit_status_of_monitors;
use crate::monitor::arguments::{CallHook, FOLLOWING, Processes, TABLE, WATCHING};
use crate::monitor::request::{Monitor, Request};

/// `denet monitor net`.
pub(crate) const MONITOR: Monitor = Monitor {
    name: "net",
    about: "Who talks to whom through which sockets: bytes, calls, errors, connections",
    after_help: concat!(
        "Every byte that went through a socket by a system call, by process and by both ends. What io_uring moves is \
not seen. Text goes to stderr; --json writes records to stdout instead. Ctrl-C ends it with a summary.\n\n",
        exit_status_of_monitors!(),
        "\n
Examples:
  denet monitor net -- curl -s https://example.org
  denet monitor net --events --pid 4711
  denet --duration 60 --top 0 monitor net --cgroup /system.slice
  denet --json --out traffic.jsonl --quiet monitor net"
    ),
    options: &[WATCHING, FOLLOWING, TABLE],
    interval: "Say what was lost every MS milliseconds [default: 100]",
    every_ms: 100,
    arguments: Arguments::augment_args,
    parse: |matches| Arguments::from_arg_matches(matches).map(Arguments::into_request),
};

/// The options of `denet monitor net`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Report each call too, not only the sums.
    pub(crate) events: bool,
    /// Where programs are attached.
    pub(crate) hooking: Hooking,
    /// For tests: maximum number of rows, and of simultaneous calls.
    pub(crate) max_endpoints: Option<u32>,
}

#[derive(clap::Args, Debug)]
struct Arguments {
    #[command(flatten)]
    processes: Processes,
    /// Tell of each call as well, not only of what they add up to
    #[arg(long)]
    events: bool,
    /// Where to look: raw tracepoints (raw_tp), perf events of tracepoints (tracepoint), or what suits this
    /// kernel
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = CallHook::Auto)]
    hook: CallHook,
    /// Have room for no more rows, and no more calls at a time, than this, to test what happens beyond
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_endpoints: Option<u32>,
}

impl Arguments {
    fn into_request(self) -> Request {
        let options = Options {
            events: self.events,
            hooking: self.hook.into(),
            max_endpoints: self.max_endpoints,
        };
        Request::Processes(self.processes.into_selection(), Box::new(options))
    }
}
