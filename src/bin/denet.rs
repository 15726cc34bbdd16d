//! `denet`: parse, run, exit.

use std::process::ExitCode;

use denet::cli::{self, Cli};
use denet::commands::exit;
use denet::sys::environment;

denet::identify!("denet");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let code = match cli::parsed(words, Cli::from_words, |cli| cli.color, exit::USAGE) {
        Ok(parsed) => parsed.run(),
        Err(code) => code,
    };
    ExitCode::from(code)
}
