//! `ebpf_diag`: parse, diagnose, write, exit.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use denet::cli;
use denet::commands::diagnose::{self, DoctorError};
use denet::commands::exit;
use denet::output::complaint::complain;
use denet::output::{self, width};
use denet::sys::{environment, inherited};

const NAME: &str = "ebpf_diag";

denet::identify!("ebpf_diag");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let parsed = cli::parsed(words, cli::EbpfDiag::try_parse_from, exit::TOOL_USAGE);
    let mut parsed = match parsed {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    output::start_log(parsed.debug);
    if inherited::was_closed(1) {
        complain(NAME, "stdout is closed, and the report goes there");
        return ExitCode::from(exit::TOOL_FAILED);
    }
    let page = parsed.explain.take();
    let result = written(|to, columns| match page {
        Some(id) => diagnose::explain(&id, to).map(|()| 0),
        None => {
            let status = diagnose::run(&parsed.into_parts(), to, columns)?;
            Ok(diagnose::exit_code(status))
        }
    });
    result.map_or_else(failed, ExitCode::from)
}

/// All of it at once, without colours where nobody sees them.
fn written(
    make: impl FnOnce(&mut dyn io::Write, usize) -> Result<u8, DoctorError>,
) -> Result<u8, DoctorError> {
    let mut stdout = io::stdout();
    let columns = width::of(&stdout);
    let mut page = anstream::AutoStream::new(Vec::new(), anstream::AutoStream::choice(&stdout));
    let code = make(&mut page, columns)?;
    match stdout
        .write_all(&page.into_inner())
        .and_then(|()| stdout.flush())
    {
        // A reader that went away has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(DoctorError::Output(error)),
        _ => Ok(code),
    }
}

fn failed(error: DoctorError) -> ExitCode {
    complain(NAME, &error.to_string());
    ExitCode::from(error.exit_code())
}
