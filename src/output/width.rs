//! The width of text.

use std::os::fd::AsFd;

use crate::sys::terminal;

/// If there is no terminal.
const PIPED: usize = 80;

/// For lines of events or samples that are not written to a terminal.
pub(crate) const OF_LINES: usize = 120;

/// Columns of the terminal behind a stream, or 80.
pub(crate) fn of(stream: &impl AsFd) -> usize {
    terminal::columns(stream.as_fd()).unwrap_or(PIPED)
}
