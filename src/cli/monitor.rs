//! `denet monitor`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::decode::arguments::Detail;
use crate::decode::filter::{Filter, FilterError};
use crate::monitor::{self, ExecOptions, NetOptions, Target, TraceOptions, What, xdp};

/// What is to be watched.
#[derive(Debug, Subcommand)]
pub enum Monitor {
    /// Who executes what, failed attempts too
    #[command(after_help = EXEC_HELP)]
    Exec(ExecArgs),
    /// Who talks to whom through which sockets: bytes, calls, errors, connections
    #[command(after_help = NET_HELP)]
    Net(NetArgs),
    /// Frames that arrive at a network interface, by protocol; none is dropped or changed
    #[command(after_help = XDP_HELP)]
    Xdp(Xdp),
}

const EXEC_HELP: &str = "\
Lines go to stderr; --json writes records to stdout instead. Ctrl-C ends it with a summary.

Exit status: the command's own, 124 ended by --duration, 126 not executable, 127 not found; of what runs \
already 0 at its end, at the end of --duration, or when nobody reads on; 130 interrupted by Ctrl-C; 4 something \
was lost, under --strict; 125 denet failed; 3 eBPF unavailable; 2 wrong usage.

Examples:
  denet monitor exec
  denet monitor exec --uid 1000
  denet monitor exec -- make -j2
  denet --json --out builds.jsonl --quiet monitor exec --cgroup /system.slice";

/// What `denet monitor exec` is asked.
#[derive(Args, Debug)]
pub struct ExecArgs {
    #[command(flatten)]
    whom: WhomArgs,
    /// Executions by this real user alone
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Where to look: raw tracepoints (raw_tp), perf events of tracepoints (tracepoint), functions of the
    /// kernel (kprobe), or what suits this kernel
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = Hook::Auto)]
    hook: Hook,
}

const NET_HELP: &str = "\
Every byte that went through a socket by a system call, by process and by both ends. What io_uring moves is \
not seen. Text goes to stderr; --json writes records to stdout instead. Ctrl-C ends it with a summary.

Exit status: the command's own, 124 ended by --duration, 126 not executable, 127 not found; of what runs \
already 0 at its end, at the end of --duration, or when nobody reads on; 130 interrupted by Ctrl-C; 4 something \
was lost, under --strict; 125 denet failed; 3 eBPF unavailable; 2 wrong usage.

Examples:
  denet monitor net -- curl -s https://example.org
  denet monitor net --events --pid 4711
  denet --duration 60 --top 0 monitor net --cgroup /system.slice
  denet --json --out traffic.jsonl --quiet monitor net";

/// What `denet monitor net` is asked.
#[derive(Args, Debug)]
pub struct NetArgs {
    #[command(flatten)]
    whom: WhomArgs,
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

/// What may be asked where no function of the kernel's sees all calls.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CallHook {
    Auto,
    #[value(name = "raw_tp")]
    RawTp,
    Tracepoint,
}

impl From<CallHook> for monitor::Hooking {
    fn from(hook: CallHook) -> Self {
        match hook {
            CallHook::Auto => Self::Auto,
            CallHook::RawTp => Self::RawTracepoint,
            CallHook::Tracepoint => Self::Tracepoint,
        }
    }
}

impl NetArgs {
    /// What, and of whom.
    pub(super) fn into_parts(self) -> (What, Target) {
        let options = NetOptions {
            events: self.events,
            hooking: self.hook.into(),
            max_endpoints: self.max_endpoints,
        };
        (What::Net(options), self.whom.into_target())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hook {
    Auto,
    #[value(name = "raw_tp")]
    RawTp,
    Kprobe,
    Tracepoint,
}

impl From<Hook> for monitor::Hooking {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Auto => Self::Auto,
            Hook::RawTp => Self::RawTracepoint,
            Hook::Kprobe => Self::Kprobe,
            Hook::Tracepoint => Self::Tracepoint,
        }
    }
}

/// Whom to watch; the whole machine where nobody is named.
#[derive(Args, Debug)]
struct WhomArgs {
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

impl WhomArgs {
    fn into_target(self) -> Target {
        match (self.pid, self.cgroup) {
            (Some(pid), _) => Target::Process(pid),
            (None, Some(folder)) => Target::Cgroup(folder),
            (None, None) if self.command.is_empty() => Target::Machine,
            (None, None) => Target::Command(self.command),
        }
    }
}

impl ExecArgs {
    /// What, and of whom.
    pub(super) fn into_parts(self) -> (What, Target) {
        let (uid, hooking) = (self.uid, self.hook.into());
        let what = What::Exec(ExecOptions { uid, hooking });
        (what, self.whom.into_target())
    }
}

/// What `denet trace` is asked.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("whom").args(["pid", "command"]).required(true)))]
pub struct Trace {
    /// A process that runs, and its descendants
    #[arg(short, long, value_name = "PID", value_parser = process_id)]
    pid: Option<u32>,
    /// Only these calls: names (open,close), groups (%file %network %process %memory %signal %ipc %desc),
    /// !names for all others, status=failed, errno=ENOENT, path=/etc, duration>1ms; may be repeated
    #[arg(short = 'e', long = "expr", value_name = "EXPR", value_parser = expression)]
    expressions: Vec<String>,
    /// Arguments: all that they point to, or their registers by name, or none
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Arguments::Full)]
    args: Arguments,
    /// Where to look: raw tracepoints (raw_tp), perf events of tracepoints (tracepoint), or what suits this
    /// kernel
    #[arg(long, value_enum, value_name = "HOOK", default_value_t = CallHook::Auto)]
    hook: CallHook,
    /// Start this command, and trace it and its descendants
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Up to the largest that the kernel gives (`PID_MAX_LIMIT` in `include/linux/threads.h`).
pub(super) fn process_id(text: &str) -> Result<u32, String> {
    const LARGEST: u32 = 4_194_304;
    let id = text.parse().ok().filter(|id| (1..=LARGEST).contains(id));
    id.ok_or_else(|| {
        format!("a process id is a number from 1 to {LARGEST} (pgrep finds it by name)")
    })
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arguments {
    None,
    Names,
    Full,
}

fn expression(text: &str) -> Result<String, FilterError> {
    Filter::parse([text]).map(|_| text.to_owned())
}

impl Trace {
    /// What, and of whom.
    pub(super) fn into_parts(self) -> (What, Target) {
        let filter = Filter::parse(self.expressions.iter().map(String::as_str));
        let filter = filter.expect("each expression was parsed");
        let detail = match self.args {
            Arguments::None => Detail::None,
            Arguments::Names => Detail::Names,
            Arguments::Full => Detail::Full,
        };
        let hooking = self.hook.into();
        let target = self
            .pid
            .map_or(Target::Command(self.command), Target::Process);
        let options = TraceOptions {
            detail,
            filter,
            hooking,
        };
        (What::Trace(options), target)
    }
}

const XDP_HELP: &str = "\
Counting begins at 0 and ends with denet, unless --pin keeps program and counters. A program that is at the \
interface already is left there: denet refuses and names it.

Exit status: 0 --duration is over, or the interface is gone; 130 interrupted by Ctrl-C; 125 denet failed, \
or there is no such interface; 3 eBPF cannot be used at it; 2 wrong usage.

Examples:
  denet monitor xdp eth0
  denet --duration 60 --out eth0.jsonl monitor xdp eth0
  denet monitor xdp eth0 --pin /sys/fs/bpf/denet-eth0
  denet monitor xdp eth0 --unpin /sys/fs/bpf/denet-eth0";

/// Which interface, and how.
#[derive(Args, Debug)]
pub struct Xdp {
    /// The network interface
    #[arg(value_name = "IFACE")]
    pub interface: String,
    /// Where the program runs: native (in the driver), generic (in the network stack), or auto for the
    /// first that works
    #[arg(long, value_enum, default_value_t = XdpMode::Auto, hide_possible_values = true)]
    pub mode: XdpMode,
    /// Keep program and counters in DIR of a bpffs when denet ends; a later run goes on with them
    #[arg(long, value_name = "DIR", conflicts_with = "unpin")]
    pub pin: Option<PathBuf>,
    /// Take the program off that was pinned in DIR, remove it and its counters, and say what they counted
    #[arg(long, value_name = "DIR", conflicts_with = "mode")]
    pub unpin: Option<PathBuf>,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// In the driver, else in the network stack.
    Auto,
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Xdp {
    /// Plain options.
    pub fn into_parts(self, interval: Duration, duration: Option<Duration>) -> xdp::Options {
        xdp::Options {
            interface: self.interface,
            mode: match self.mode {
                XdpMode::Auto => xdp::Mode::Auto,
                XdpMode::Native => xdp::Mode::Native,
                XdpMode::Generic => xdp::Mode::Generic,
            },
            pin: self.pin,
            unpin: self.unpin,
            interval,
            duration,
        }
    }
}
