//! The options of `denet stats`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::commands::stats::{Options, Source};

/// What is to be summarised.
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// JSON lines that denet recorded, whole, cut off or still growing; `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

impl Stats {
    pub(crate) fn into_parts(self, json: bool, top: usize) -> Options {
        let from = if self.file == Path::new("-") {
            Source::Stdin
        } else {
            Source::File(self.file)
        };
        Options { from, json, top }
    }
}
