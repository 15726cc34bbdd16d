//! What is told as it comes: records, a table that is drawn again, the report.

use std::io::{self, IsTerminal as _, Write as _};

use super::StartError;
use super::model::{About, Interval, Removed, Whole};
use crate::cli::Output;
use crate::commands::exit;
use crate::output::records::Records;
use crate::output::{self, complain};
use crate::render::{xdp, xdp_json};
use crate::sys::terminal;

/// Tells of an interface.
pub(super) struct Teller<'a> {
    output: &'a Output,
    records: Records,
    in_place: bool,
    // Lines of the table that stands on the terminal.
    drawn: usize,
}

impl<'a> Teller<'a> {
    /// Opens what is to be written.
    pub(super) fn open(output: &'a Output) -> Result<Self, StartError> {
        let records = Records::open(output, "nothing was attached").map_err(StartError::Failed)?;
        Ok(Self {
            output,
            records,
            in_place: !output.lines && io::stderr().is_terminal() && terminal::can_move(),
            drawn: 0,
        })
    }

    /// What is watched, and how.
    pub(super) fn begin(&mut self, about: &About) {
        self.records
            .write(&xdp_json::metadata(about, output::now_ms()));
        if self.output.samples && !self.in_place {
            self.show(|to, columns| xdp::header(to, about, columns));
        }
    }

    /// What came since the reading before.
    pub(super) fn interval(&mut self, about: &About, interval: Interval<'_>) {
        if self.records.wanted() {
            self.records
                .write(&xdp_json::interval(&interval, output::now_ms()));
        }
        if !self.output.samples {
            return;
        }
        if self.in_place {
            self.draw(|to, columns| xdp::table(to, about, &interval, columns));
        } else {
            self.show(|to, _| xdp::line(to, &interval));
        }
    }

    /// How it ended, and all that was counted.
    pub(super) fn conclude(&mut self, about: &About, whole: &Whole) {
        if self.records.wanted() {
            self.records.write(&xdp_json::summary(about, whole));
        }
        if self.output.text {
            self.draw(|to, columns| xdp::report(to, about, whole, columns));
        }
    }

    /// What was removed.
    pub(super) fn removed(&mut self, interface: &str, place: &std::path::Path, removed: &Removed) {
        self.records
            .write(&xdp_json::removed(interface, place, removed));
        if self.output.text {
            self.show(|to, columns| xdp::removed(to, interface, place, removed, columns));
        }
    }

    /// Whoever was told is gone.
    pub(super) fn is_unread(&self) -> bool {
        !self.output.text && self.records.unread()
    }

    /// This exit code, unless not all could be written.
    pub(super) fn end(&self, code: u8) -> u8 {
        self.records.end(code)
    }

    /// Instead of what stands there.
    fn draw(&mut self, write: impl Fn(&mut dyn io::Write, usize) -> io::Result<()>) {
        let erase = match self.drawn {
            0 => String::new(),
            // CPL, ED.
            lines => format!("\x1b[{lines}F\x1b[J"),
        };
        let page = page(write);
        self.drawn = page.iter().filter(|byte| **byte == b'\n').count();
        // Where it fails there is nobody to tell.
        let _ = io::stderr().write_all(&[erase.into_bytes(), page].concat());
    }

    fn show(&self, write: impl Fn(&mut dyn io::Write, usize) -> io::Result<()>) {
        let _ = io::stderr().write_all(&page(write));
    }
}

fn page(write: impl Fn(&mut dyn io::Write, usize) -> io::Result<()>) -> Vec<u8> {
    let choice = anstream::AutoStream::choice(&io::stderr());
    let mut page = anstream::AutoStream::new(Vec::new(), choice);
    // Writing to memory does not fail.
    let _ = write(&mut page, output::columns());
    page.into_inner()
}

/// Says why nothing is counted; returns the exit code.
pub(super) fn refuse(error: &StartError) -> u8 {
    match error {
        StartError::Refused(finding) => {
            complain("cannot count at that interface");
            output::explain(finding);
            exit::EBPF_UNAVAILABLE
        }
        StartError::Failed(why) => {
            complain(why);
            exit::FAILED
        }
    }
}
