//! `denet`: parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;
use denet::{cli, run};

fn main() -> ExitCode {
    let (options, output, debug) = cli::Cli::parse().into_parts();
    run::start_log(debug);
    ExitCode::from(run::run(options, &output))
}
