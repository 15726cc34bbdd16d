//! `ebpf_test`: parse, test, exit.

use std::process::ExitCode;

use clap::Parser as _;
use denet::cli;
use denet::commands::{exit, smoke};
use denet::output;
use denet::sys::environment;

denet::identify!("ebpf_test");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let parsed = cli::parsed(
        words,
        cli::EbpfTest::try_parse_from,
        |cli| cli.color,
        exit::TOOL_USAGE,
    );
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    output::start_log(parsed.debug);
    let (options, json) = parsed.into_parts();
    ExitCode::from(smoke::run(&options, json))
}
