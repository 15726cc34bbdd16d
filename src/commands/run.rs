//! The verb `run`: a command started, profiled and reported.

use super::profiling::{About, Reporter, mode};
use crate::cli::Output;
use crate::commands::exit;
use crate::output::{may_write, now_ms, refuse, scope};
use crate::profile::session::{Options, Prepared};
use crate::render::json::{EbpfMetadata, Metadata};

/// Runs a command and reports; returns the exit code.
pub fn run(options: Options, output: &Output) -> u8 {
    if let Err(code) = may_write(output) {
        return code;
    }
    let command = options.command.clone();
    let (mode, children) = (mode(options.ebpf), options.closeness.children);
    let scope = scope();
    let prepared = match Prepared::new(options) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    let about = About {
        metadata: Metadata {
            pid: Some(prepared.pid() as u32),
            command: &command,
            executable: Some(&prepared.executable),
            attached: None,
            t0_ms: now_ms(),
            absent: prepared.absent(),
            ebpf: mode.map(|mode| EbpfMetadata {
                mode,
                backend: prepared.backend(),
                refused: prepared.refused.as_ref(),
                scope,
            }),
        },
        title: &command,
        unbegun: "the command was not started",
    };
    let mut reporter = match Reporter::begin(&about, output, children) {
        Ok(reporter) => reporter,
        Err(code) => return code,
    };
    let done = prepared.run(&mut |event| reporter.event(event));
    reporter.conclude(done, exit::of_run)
}
