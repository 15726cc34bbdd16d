//! The status on stderr, which is redrawn: one line at the right margin, or a table.
//!
//! The command writes to the same terminal. After the line is drawn, the cursor returns to where it was: nothing
//! that the command wrote is erased, and its output continues where it stopped.

use std::io::{self, IsTerminal as _, Write as _};

use unicode_width::UnicodeWidthStr as _;

use super::colour::{self, FAINT, Style};
use super::{page, width};
use crate::sys::terminal;

/// If the command writes to the terminal too, this share of it is left to the command.
const SHARED: usize = 2;

/// What is drawn now.
#[derive(Debug)]
pub(crate) struct Status {
    in_place: bool,
    faint: bool,
    // The command writes there too.
    shared: bool,
    // Width of the line, or lines of the table.
    drawn: usize,
}

impl Status {
    /// `lines`: nothing is redrawn, not even on a terminal.
    pub(crate) fn new(lines: bool) -> Self {
        Self {
            in_place: !lines && io::stderr().is_terminal() && terminal::can_move(),
            faint: colour::is_wanted(&io::stderr()),
            shared: io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// The status is redrawn in place.
    pub(crate) fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// Shows a line, which `line` makes for a number of columns.
    pub(crate) fn line(&mut self, line: impl FnOnce(usize) -> String) {
        let mut stderr = io::stderr().lock();
        // If the terminal is gone, there is nowhere to report it.
        if self.in_place {
            let columns = width::of(&stderr);
            let room = columns.saturating_sub(1) / if self.shared { SHARED } else { 1 };
            let line = line(room);
            let width = line.width().max(self.drawn.min(room));
            self.drawn = line.width();
            let _ = write!(
                stderr,
                "{}",
                at_right_margin(&line, width, columns, self.faint)
            );
        } else {
            let _ = writeln!(stderr, "{}", line(width::OF_LINES));
        }
    }

    /// Shows a table instead of the last one.
    pub(crate) fn table(
        &mut self,
        write: impl FnOnce(&mut dyn io::Write, usize) -> io::Result<()>,
    ) {
        let erase = match self.drawn {
            0 => String::new(),
            // CPL, ED.
            lines => format!("\x1b[{lines}F\x1b[J"),
        };
        // Writing to memory does not fail.
        let page = page::page(&io::stderr(), write).unwrap_or_default();
        self.drawn = page.iter().filter(|byte| **byte == b'\n').count();
        let _ = io::stderr().write_all(&[erase.into_bytes(), page].concat());
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            let mut stderr = io::stderr().lock();
            let columns = width::of(&stderr);
            let _ = write!(
                stderr,
                "{}",
                at_right_margin("", self.drawn, columns, self.faint)
            );
            self.drawn = 0;
        }
    }
}

/// Draws a line of this width so that it ends before the last column, and moves the cursor back.
fn at_right_margin(line: &str, width: usize, columns: usize, faint: bool) -> String {
    let column = columns.saturating_sub(width).max(1);
    // Overwrites the rest of an earlier line.
    let padding = " ".repeat(width.saturating_sub(line.width()));
    let style = if faint { FAINT } else { Style::new() };
    // DECSC, CHA, DECRC, which restores the styles of the command too.
    format!("\x1b7\x1b[{column}G{padding}{}\x1b8", style.style(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_ends_at_the_margin_and_the_cursor_goes_back() {
        assert_eq!(
            at_right_margin("abc", 5, 80, false),
            "\x1b7\x1b[75G  abc\x1b8"
        );
        assert_eq!(
            at_right_margin("abc", 3, 2, true),
            "\x1b7\x1b[1G\x1b[2mabc\x1b[0m\x1b8"
        );
    }
}
