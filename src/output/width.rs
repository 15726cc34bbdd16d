//! How wide what is written may be.

use std::os::fd::AsFd;

use crate::sys::terminal;

/// Where there is no terminal.
const PIPED: usize = 80;

/// Lines that are not written to a terminal, one for each event or sample.
pub(crate) const OF_LINES: usize = 120;

/// Columns of the terminal behind a stream, or 80.
pub(crate) fn of(stream: &impl AsFd) -> usize {
    terminal::columns(stream.as_fd()).unwrap_or(PIPED)
}
