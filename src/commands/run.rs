//! The verb `run`: starts a command and profiles it.

use super::profiling::{self, About};
use crate::output::Output;
use crate::profile::options::Options;

/// Runs a command and reports; returns the exit code.
pub(crate) fn run(options: Options, output: &Output) -> u8 {
    profiling::run(options, output, |subject| About {
        title: subject.command.clone(),
        unbegun: "the command was not started",
    })
}
