//! Reports what is observed: records, lines and a status on stderr while it lasts, and a report at the end.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use super::complaint::complain;
use super::escape::printable_lines;
use super::records::Records;
use super::status::Status;
use super::{Output, page, width};
use crate::sys::blocking_writer::BlockingWriter;
use crate::sys::{inherited, terminal};

/// The error if nothing can be reported.
pub(crate) type Unwritable = String;

/// Reports to every output that was requested.
pub(crate) struct Reporter {
    pub(crate) records: Records,
    output: Output,
    status: Status,
    // Columns of the terminal on stderr.
    columns: Option<usize>,
    // The reader of lines has closed its end.
    lines_unread: bool,
    // A line could not be written for another reason.
    lines_failed: bool,
}

impl Reporter {
    /// Opens the outputs. `unbegun`: what was not done, for the error.
    ///
    /// # Errors
    /// The message to end with.
    pub(crate) fn open(output: &Output, unbegun: &'static str) -> Result<Self, Unwritable> {
        Self::check(output)?;
        Ok(Self {
            records: Records::open(output, unbegun)?,
            status: Status::new(output.lines),
            output: output.clone(),
            columns: terminal::columns(io::stderr().as_fd()),
            lines_unread: false,
            lines_failed: false,
        })
    }

    /// Checks, before anything is done, that stdout is open if it is needed.
    ///
    /// # Errors
    /// The message to end with.
    pub(crate) fn check(output: &Output) -> Result<(), Unwritable> {
        if output.stdout.is_some() && inherited::was_closed(1) {
            let closed = "stdout is closed, but records go there; redirect it, or use --out FILE";
            return Err(closed.to_owned());
        }
        Ok(())
    }

    /// The options that it was opened with.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Columns of the terminal on stderr, if it is one.
    pub(crate) fn terminal_columns(&self) -> Option<usize> {
        self.columns
    }

    /// Columns for lines.
    pub(crate) fn columns(&self) -> usize {
        self.columns.unwrap_or(width::OF_LINES)
    }

    /// Samples or events are shown as they come.
    pub(crate) fn shows_lines(&self) -> bool {
        self.output.samples
    }

    /// Shows whole lines, if they were requested. They have already been escaped; this is a safeguard.
    pub(crate) fn lines(&mut self, lines: &str) {
        if self.shows_lines() {
            let shown = show(lines);
            match shown {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.lines_unread = true,
                Err(_) => self.lines_failed = true,
            }
        }
    }

    /// Shows the status on one line, if samples are shown; `line` makes it for a number of columns.
    pub(crate) fn status(&mut self, line: impl FnOnce(usize) -> String) {
        if self.shows_lines() {
            self.status.line(line);
        }
    }

    /// The status is redrawn in place.
    pub(crate) fn is_in_place(&self) -> bool {
        self.status.is_in_place()
    }

    /// Shows a page of lines, if samples are shown.
    pub(crate) fn page(&self, write: impl FnOnce(&mut dyn io::Write, usize) -> io::Result<()>) {
        if self.shows_lines() {
            page::to_stderr(write);
        }
    }

    /// Shows a table instead of the last one, if samples are shown.
    pub(crate) fn table(
        &mut self,
        write: impl FnOnce(&mut dyn io::Write, usize) -> io::Result<()>,
    ) {
        if self.shows_lines() {
            self.status.table(write);
        }
    }

    /// Shows the report instead of the last table, if it was requested.
    pub(crate) fn report(
        &mut self,
        write: impl FnOnce(&mut dyn io::Write, usize) -> io::Result<()>,
    ) {
        if self.output.text {
            self.status.table(write);
        }
    }

    /// Shows the report as plain lines, if it was requested.
    pub(crate) fn report_lines(&self, lines: &str) {
        if self.output.text {
            // If the reader has closed the pipe, there is nowhere to report it.
            let _ = show(lines);
        }
    }

    /// Removes the status.
    pub(crate) fn clear(&mut self) {
        self.status.clear();
    }

    /// All readers of lines and records have closed their pipes, and there were some.
    pub(crate) fn is_unread(&self) -> bool {
        let lines = self.shows_lines().then_some(self.lines_unread);
        let records = self.records.wanted().then(|| self.records.unread());
        let mut wanted = [lines, records].into_iter().flatten().peekable();
        wanted.peek().is_some() && wanted.all(|unread| unread)
    }

    /// No reader has gone, and nothing failed, so that every line and record was written.
    pub(crate) fn is_written(&self) -> bool {
        self.records.are_written() && !self.lines_unread && !self.lines_failed
    }

    /// Whether everything could be written; reports the error if not, where there is a place for that.
    pub(crate) fn end(&self) -> bool {
        match self.records.failure() {
            None => !self.lines_failed,
            Some((name, error)) => {
                complain(
                    "denet",
                    &format!("not all could be written to {name}: {error}"),
                );
                false
            }
        }
    }
}

/// Writes to stderr in one call.
fn show(text: &str) -> io::Result<()> {
    BlockingWriter(io::stderr()).write_all(printable_lines(text).as_bytes())
}
