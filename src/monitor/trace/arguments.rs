//! Arguments of `denet trace`.

use std::ffi::OsString;

use clap::{ArgGroup, Args, FromArgMatches as _, ValueEnum};

use crate::backends::table::Hooking;
use crate::decode::arguments::Detail;
use crate::decode::filter::{Filter, FilterError};
use crate::monitor::arguments::{CallHook, FOLLOWING, WATCHING, process_id};
use crate::monitor::request::{Monitor, Request};
use crate::process::target::Selection;

/// `denet trace`.
pub(crate) const MONITOR: Monitor = Monitor {
    name: "trace",
    about: "Show every call as strace does, without stopping anybody",
    after_help: "\
A call is shown when it returns, with the time at which it began, or when it has lasted a tenth of a second. With -p, \
calls that are in progress are shown at once. \
Lines go to stderr; --json writes records to stdout instead.

If a process is not yours, for example after it executed a setuid file, its calls and times are shown, but \
not their arguments: see ebpf_diag --explain not-yours.

Exit status: as of denet monitor.

Examples:
  denet trace -- ls -l
  denet trace -p 4711
  denet --json --out calls.jsonl --quiet trace -- make",
    options: &[WATCHING, FOLLOWING],
    interval: "Show calls that last, and say what was lost, every MS milliseconds [default: 100]",
    every_ms: 100,
    arguments: Arguments::augment_args,
    parse: |matches| Arguments::from_arg_matches(matches).map(Arguments::into_request),
};

/// The options of `denet trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How much of the arguments is shown.
    pub(crate) detail: Detail,
    /// Which calls.
    pub(crate) filter: Filter,
    /// Where programs are attached.
    pub(crate) hooking: Hooking,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("target").args(["pid", "command"]).required(true)))]
struct Arguments {
    /// A process that runs, and its descendants
    #[arg(short, long, value_name = "PID", value_parser = process_id)]
    pid: Option<u32>,
    /// Only these calls: names (open,close), groups (%file %network %process %memory %signal %ipc %desc),
    /// !names for all others, status=failed, errno=ENOENT, path=/etc, duration>1ms; may be repeated
    #[arg(short = 'e', long = "expr", value_name = "EXPR", value_parser = expression)]
    expressions: Vec<String>,
    /// Arguments: all that they point to, or their registers by name, or none
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Shown::Full)]
    args: Shown,
    /// Where to look: raw tracepoints (raw_tp), perf events of tracepoints (tracepoint), or what suits this
    /// kernel
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = CallHook::Auto)]
    hook: CallHook,
    /// Start this command, and trace it and its descendants
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shown {
    None,
    Names,
    Full,
}

fn expression(text: &str) -> Result<String, FilterError> {
    Filter::parse([text]).map(|_| text.to_owned())
}

impl Arguments {
    fn into_request(self) -> Request {
        let filter = Filter::parse(self.expressions.iter().map(String::as_str));
        let options = Options {
            detail: match self.args {
                Shown::None => Detail::None,
                Shown::Names => Detail::Names,
                Shown::Full => Detail::Full,
            },
            filter: filter.expect("each expression was parsed"),
            hooking: self.hook.into(),
        };
        let selection = match self.pid {
            Some(pid) => Selection::Process(pid),
            None => Selection::Command(self.command),
        };
        Request::Processes(selection, Box::new(options))
    }
}
