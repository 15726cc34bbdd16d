//! Arguments of `denet monitor xdp`.

use std::path::PathBuf;

use clap::{Args as _, FromArgMatches as _, ValueEnum};

use super::{Mode, Options};
use crate::monitor::arguments::WATCHING;
use crate::monitor::request::{Monitor, Request};

/// `denet monitor xdp`.
pub(crate) const MONITOR: Monitor = Monitor {
    name: "xdp",
    about: "Frames that arrive at a network interface, by protocol; none is dropped or changed",
    after_help: "\
Counting begins at 0 and ends with denet, unless --pin keeps program and counters. A program that is at the \
interface already is left there: denet refuses and names it.

Exit status: 0 --duration is over, or the interface is gone; 130 interrupted by Ctrl-C; 125 denet failed, \
or there is no such interface; 3 eBPF cannot be used at it; 2 wrong usage.

Examples:
  denet monitor xdp eth0
  denet --duration 60 --out eth0.jsonl monitor xdp eth0
  denet monitor xdp eth0 --pin /sys/fs/bpf/denet-eth0
  denet monitor xdp eth0 --unpin /sys/fs/bpf/denet-eth0",
    options: &[WATCHING, &["no_update"]],
    interval: "Show the table every MS milliseconds [default: 1000]",
    every_ms: 1000,
    arguments: Arguments::augment_args,
    parse: |matches| {
        let arguments = Arguments::from_arg_matches(matches)?;
        Ok(Request::Interface(arguments.into_options()))
    },
};

#[derive(clap::Args, Debug)]
struct Arguments {
    /// The network interface
    #[arg(value_name = "IFACE")]
    interface: String,
    /// Where the program runs: native (in the driver), generic (in the network stack), or auto for the
    /// first that works
    #[arg(long, value_enum, default_value_t = ShownMode::Auto, hide_possible_values = true)]
    mode: ShownMode,
    /// Keep program and counters in DIR of a bpffs when denet ends; a later run goes on with them
    #[arg(long, value_name = "DIR", conflicts_with = "unpin")]
    pin: Option<PathBuf>,
    /// Take the program off that was pinned in DIR, remove it and its counters, and say what they counted
    #[arg(long, value_name = "DIR", conflicts_with = "mode")]
    unpin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShownMode {
    Auto,
    Native,
    Generic,
}

impl Arguments {
    fn into_options(self) -> Options {
        Options {
            interface: self.interface,
            mode: match self.mode {
                ShownMode::Auto => Mode::Auto,
                ShownMode::Native => Mode::Native,
                ShownMode::Generic => Mode::Generic,
            },
            pin: self.pin,
            unpin: self.unpin,
        }
    }
}
