//! The verb `attach`: processes that run already, profiled and reported.

use std::ffi::OsString;

use super::profiling::{About, Reporter, mode};
use crate::cli::Output;
use crate::commands::exit;
use crate::output::{may_write, now_ms, refuse, scope};
use crate::profile::attached::{AttachOptions, Attached};
use crate::render::json::{EbpfMetadata, Metadata};

/// Watches processes that run and reports; returns the exit code.
pub fn run(options: AttachOptions, output: &Output) -> u8 {
    if let Err(code) = may_write(output) {
        return code;
    }
    let (mode, children) = (mode(options.ebpf), options.closeness.children);
    let scope = scope();
    let attached = match Attached::new(options) {
        Ok(attached) => attached,
        Err(error) => return refuse(&error),
    };
    let subject = attached.subject.clone();
    let title = match (subject.pid, subject.command.is_empty()) {
        (None, _) => vec![subject.title.clone().into()],
        (Some(pid), true) => vec![format!("{pid} [{}]", subject.title).into()],
        (Some(pid), false) => {
            let pid = OsString::from(pid.to_string());
            [&[pid], subject.command.as_slice()].concat()
        }
    };
    let about = About {
        metadata: Metadata {
            pid: subject.pid,
            command: &subject.command,
            executable: subject.executable.as_deref(),
            attached: Some(subject.title.as_str()).filter(|_| subject.pid.is_none()),
            t0_ms: now_ms(),
            absent: attached.absent(),
            ebpf: mode.map(|mode| EbpfMetadata {
                mode,
                backend: attached.backend(),
                refused: attached.refused.as_ref(),
                scope,
            }),
        },
        title: &title,
        unbegun: "nothing was watched",
    };
    let mut reporter = match Reporter::begin(&about, output, children) {
        Ok(reporter) => reporter,
        Err(code) => return code,
    };
    let done = attached.run(&mut |event| reporter.event(event));
    reporter.conclude(done, exit::of_attached)
}
