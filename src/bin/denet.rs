//! `denet`: parse, run, exit.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use denet::cli::{Asked, Cli};
use denet::monitor::xdp;
use denet::sys::terminal;
use denet::{monitor, provision, run, summarise};

/// Where stdout is no terminal.
const COLUMNS: usize = 80;

denet::identify!("denet");

fn main() -> ExitCode {
    let (asked, debug) = Cli::from_words(std::env::args_os())
        .unwrap_or_else(|error| error.exit())
        .into_parts();
    run::start_log(debug);
    let code = match asked {
        Asked::Run(options, output) => run::run(options, &output),
        Asked::Attach(options, output) => run::attach(options, &output),
        Asked::Monitor(what, common) => monitor::run(&what, &common),
        Asked::MonitorXdp(options, output) => xdp::run(&options, &output),
        Asked::Stats(options) => summarise::run(&options),
        Asked::Setup(options) => {
            let columns = terminal::columns(io::stdout().as_fd()).unwrap_or(COLUMNS);
            let mut stdout = anstream::stdout();
            let code = provision::run(options, &mut stdout, columns);
            let _ = stdout.flush();
            code
        }
    };
    ExitCode::from(code)
}
