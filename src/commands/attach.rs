//! The verb `attach`: profiles running processes.

use std::ffi::OsString;

use super::profiling::{self, About};
use crate::output::Output;
use crate::process::seen::Subject;
use crate::profile::options::Options;

/// Attaches to processes and reports; returns the exit code.
pub(crate) fn run(options: Options, output: &Output) -> u8 {
    profiling::run(options, output, |subject| About {
        title: title(subject),
        unbegun: "nothing was watched",
    })
}

fn title(subject: &Subject) -> Vec<OsString> {
    match (subject.pid, subject.command.is_empty()) {
        (None, _) => vec![subject.title.to_string().into()],
        (Some(pid), true) => vec![format!("{pid} [{}]", subject.title).into()],
        (Some(pid), false) => {
            let pid = OsString::from(pid.to_string());
            [&[pid], subject.command.as_slice()].concat()
        }
    }
}
