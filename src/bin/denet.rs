//! `denet`: parse, run, exit.

use std::process::ExitCode;

use denet::{cli, run};

fn main() -> ExitCode {
    let (options, output, debug) = cli::Cli::from_words(std::env::args_os())
        .unwrap_or_else(|error| error.exit())
        .into_parts();
    run::start_log(debug);
    ExitCode::from(run::run(options, &output))
}
