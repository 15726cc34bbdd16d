//! `ebpf_diag`: parse, diagnose, write, exit.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser as _;
use denet::doctor::{self, DoctorError};
use denet::sys::{inherited, terminal};
use denet::{cli, exit, run};

/// Where stdout is no terminal.
const COLUMNS: usize = 80;

denet::identify!("ebpf_diag");

fn main() -> ExitCode {
    let mut parsed = match cli::EbpfDiag::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let wrong = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if wrong { exit::TOOL_USAGE } else { 0 });
        }
    };
    run::start_log(parsed.debug);
    let closed = "stdout is closed, and the report goes there";
    if inherited::was_closed(1) {
        let _ = writeln!(anstream::stderr(), "ebpf_diag: {closed}");
        return ExitCode::from(exit::TOOL_FAILED);
    }
    let page = parsed.explain.take();
    let result = written(|to, columns| match page {
        Some(id) => doctor::explain(&id, to).map(|()| 0),
        None => {
            let status = doctor::run(&parsed.into_parts(), to, columns)?;
            Ok(doctor::exit_code(status))
        }
    });
    result.map_or_else(failed, ExitCode::from)
}

/// All of it at once, without colours where nobody sees them.
fn written(
    make: impl FnOnce(&mut dyn io::Write, usize) -> Result<u8, DoctorError>,
) -> Result<u8, DoctorError> {
    let mut stdout = io::stdout();
    let columns = terminal::columns(stdout.as_fd()).unwrap_or(COLUMNS);
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
    let _ = writeln!(anstream::stderr(), "ebpf_diag: {error}");
    ExitCode::from(error.exit_code())
}
