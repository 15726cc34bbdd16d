//! `denet`: parse, run, exit.

use std::io::{self, Write as _};
use std::process::ExitCode;

use denet::cli::{self, Asked, Cli};
use denet::commands::exit;
use denet::commands::{attach, run, setup, stats};
use denet::monitor;
use denet::monitor::xdp;
use denet::output::{self, width};
use denet::sys::environment;

denet::identify!("denet");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let parsed = match cli::parsed(words, Cli::from_words, exit::USAGE) {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    let (asked, debug) = parsed.into_parts();
    output::start_log(debug);
    let code = match asked {
        Asked::Run(options, output) => run::run(options, &output),
        Asked::Attach(options, output) => attach::run(options, &output),
        Asked::Monitor(what, common) => monitor::run(&what, &common),
        Asked::MonitorXdp(options, output) => xdp::run(&options, &output),
        Asked::Stats(options) => stats::run(&options),
        Asked::Setup(options) => {
            let columns = width::of(&io::stdout());
            let mut stdout = anstream::stdout();
            let code = setup::run(options, &mut stdout, columns);
            let _ = stdout.flush();
            code
        }
    };
    ExitCode::from(code)
}
