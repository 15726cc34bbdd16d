//! `ebpf_diag`: parse, diagnose, exit.

use std::process::ExitCode;

use clap::Parser as _;
use denet::cli;
use denet::commands::{diagnose, exit};
use denet::output;
use denet::sys::environment;

denet::identify!("ebpf_diag");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let parsed = cli::parsed(
        words,
        cli::EbpfDiag::try_parse_from,
        |cli| cli.color,
        exit::TOOL_USAGE,
    );
    let mut parsed = match parsed {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    output::start_log(parsed.debug);
    let page = parsed.explain.take();
    ExitCode::from(diagnose::run(&parsed.into_parts(), page.as_deref()))
}
