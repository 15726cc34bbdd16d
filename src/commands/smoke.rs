//! `ebpf_test`: takes one program through every stage, from loading to detaching.

use std::io;

use super::exit;
use crate::output::complaint::complain;
use crate::output::{escape, page};
use crate::render::smoke as render;
use crate::smoke::{self, Options, Report};
use crate::sys::inherited;

const NAME: &str = "ebpf_test";

/// Runs the test and writes the result to stdout; returns the exit code.
pub fn run(options: &Options, json: bool) -> u8 {
    if inherited::was_closed(1) {
        complain(NAME, "stdout is closed, and the result goes there");
        return exit::TOOL_FAILED;
    }
    let report = smoke::run(options);
    match write(&report, json) {
        // The reader closed the pipe: it has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(NAME, &format!("the result could not be written: {error}"));
            exit::TOOL_FAILED
        }
        _ if report.is_ok() => 0,
        _ => exit::STAGE_FAILED,
    }
}

fn write(report: &Report, json: bool) -> io::Result<()> {
    page::to_stdout(|to, columns| match json {
        true => {
            let object = render::object(report).to_string();
            writeln!(to, "{}", escape::json(&object))
        }
        false => render::table(to, report, columns),
    })
}
