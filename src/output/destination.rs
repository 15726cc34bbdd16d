//! Where the results of a verb go.

use std::path::PathBuf;

/// Where results go.
#[derive(Clone, Debug)]
pub struct Output {
    /// Records to stdout.
    pub stdout: Option<Format>,
    /// Records to this file.
    pub out: Option<(PathBuf, Format)>,
    /// The report, on stderr.
    pub text: bool,
    /// Samples or events as they come, on stderr.
    pub samples: bool,
    /// Each sample on its own line.
    pub lines: bool,
    /// A record about the machine first.
    pub env: bool,
    /// Rows of each table, 0 for all.
    pub top: usize,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON lines.
    Json,
    /// A table of the samples.
    Csv,
}
