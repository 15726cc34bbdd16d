//! Where the results of a verb go.

use std::path::PathBuf;

/// Where results go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Records to stdout.
    pub(crate) stdout: Option<Format>,
    /// Records to this file.
    pub(crate) out: Option<(PathBuf, Format)>,
    /// Show the report, on stderr.
    pub(crate) text: bool,
    /// Show samples or events as they come, on stderr.
    pub(crate) samples: bool,
    /// Each sample on its own line.
    pub(crate) lines: bool,
    /// Write a record about the machine first.
    pub(crate) env: bool,
    /// Rows of each table; 0 for all.
    pub(crate) top: usize,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON lines.
    Json,
    /// A table of the samples.
    Csv,
}
