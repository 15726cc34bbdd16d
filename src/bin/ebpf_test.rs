//! `ebpf_test`: parse, test, write, exit.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use denet::commands::exit;
use denet::output::complaint::complain;
use denet::output::escape;
use denet::output::{self, width};
use denet::render::smoke as render;
use denet::sys::{environment, inherited};
use denet::{cli, smoke};

denet::identify!("ebpf_test");

fn main() -> ExitCode {
    environment::refuse_tracing();
    let words = std::env::args_os();
    let parsed = cli::parsed(words, cli::EbpfTest::try_parse_from, exit::TOOL_USAGE);
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    output::start_log(parsed.debug);
    let (options, json) = parsed.into_parts();
    if inherited::was_closed(1) {
        return failed("stdout is closed, and the result goes there");
    }
    let report = smoke::run(&options);
    match write(&report, json) {
        // A reader that went away has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&format!("the result could not be written: {error}"))
        }
        _ if report.is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::STAGE_FAILED),
    }
}

fn write(report: &smoke::Report, json: bool) -> io::Result<()> {
    let mut stdout = io::stdout();
    let mut page = anstream::AutoStream::new(Vec::new(), anstream::AutoStream::choice(&stdout));
    if json {
        let object = render::object(report).to_string();
        writeln!(page, "{}", escape::json(&object))?;
    } else {
        let columns = width::of(&stdout);
        render::table(&mut page, report, columns)?;
    }
    stdout.write_all(&page.into_inner())?;
    stdout.flush()
}

fn failed(what: &str) -> ExitCode {
    complain("ebpf_test", what);
    ExitCode::from(exit::TOOL_FAILED)
}
