//! Why nothing can be said of a recording.

use std::{fmt, io};

use super::lines::LinesError;
use crate::output::schema::SCHEMA;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// Nothing is in it.
    #[error("empty: nothing was recorded")]
    Empty,
    /// Something else.
    #[error("{0}")]
    Strange(#[from] Strange),
    /// Made by a newer denet.
    #[error("schema {0}, this denet understands {SCHEMA}: use a newer denet")]
    Newer(u64),
    /// More than is read at once.
    #[error("line {number} is longer than {limit} bytes: no denet writes that")]
    TooLong {
        /// Counted from 1.
        number: u64,
        /// Bytes.
        limit: usize,
    },
    /// Reading failed.
    #[error("{0}")]
    Read(io::Error),
}

impl From<LinesError> for StatsError {
    fn from(error: LinesError) -> Self {
        match error {
            LinesError::TooLong { number, limit } => Self::TooLong { number, limit },
            LinesError::Read(error) => Self::Read(error),
        }
    }
}

/// What is no recording.
#[derive(Debug)]
pub struct Strange(pub(super) String);

impl std::error::Error for Strange {}

impl fmt::Display for Strange {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "not a denet recording: {}", self.0)
    }
}
