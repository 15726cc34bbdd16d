//! Shows samples on stderr as they come: one line that is drawn again, or a line each.
//!
//! The command writes to the same terminal, so the line stands at the right margin and the cursor goes
//! back to where it was: nothing that the command wrote is erased, and it goes on where it stopped.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr as _;

use super::width;
use crate::process::model::Tree;
use crate::render::live;
use crate::sys::terminal;

/// Beside what the command writes, so much of the terminal is left to it.
const SHARED: usize = 2;

/// The samples shown so far.
#[derive(Debug)]
pub struct Live {
    started: Instant,
    before: Option<Tree>,
    in_place: bool,
    faint: bool,
    // The command writes there as well.
    shared: bool,
    drawn: usize,
}

impl Live {
    /// `lines`: each on a line of its own, also in a terminal.
    pub fn new(lines: bool) -> Self {
        Self {
            started: Instant::now(),
            before: None,
            in_place: !lines && io::stderr().is_terminal() && terminal::can_move(),
            faint: anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            shared: io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Shows a sample.
    pub fn show(&mut self, tree: Tree) {
        let elapsed = self.started.elapsed();
        let before = self.before.as_ref();
        let mut stderr = io::stderr().lock();
        // There is nobody to tell if the terminal is gone.
        if self.in_place {
            let columns = width::of(&stderr);
            let room = columns.saturating_sub(1) / if self.shared { SHARED } else { 1 };
            let line = live::line(&tree, before, elapsed, room);
            let width = line.width().max(self.drawn.min(room));
            self.drawn = line.width();
            let _ = write!(
                stderr,
                "{}",
                at_right_margin(&line, width, columns, self.faint)
            );
        } else {
            let line = live::line(&tree, before, elapsed.max(Duration::ZERO), width::OF_LINES);
            let _ = writeln!(stderr, "{line}");
        }
        // The sum is enough to compare with.
        self.before = Some(Tree {
            children: Vec::new(),
            ..tree
        });
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
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

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Draws a line of this width so that it ends before the last column, and returns.
fn at_right_margin(line: &str, width: usize, columns: usize, faint: bool) -> String {
    let column = columns.saturating_sub(width).max(1);
    // Over what is left of an earlier line.
    let padding = " ".repeat(width.saturating_sub(line.width()));
    let (begin, end) = if faint {
        ("\x1b[2m", "\x1b[22m")
    } else {
        ("", "")
    };
    // DECSC, CHA, DECRC.
    format!("\x1b7\x1b[{column}G{padding}{begin}{line}{end}\x1b8")
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
            "\x1b7\x1b[1G\x1b[2mabc\x1b[22m\x1b8"
        );
    }
}
