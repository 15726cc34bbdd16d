//! Error messages of denet's programs on stderr: the program's name, then what is wrong.

use std::io::Write as _;

use super::escape::{printable, printable_lines};

/// Writes an error on one line.
pub(crate) fn complain(program: &str, what: &str) {
    complain_in_lines(program, &printable(what));
}

/// Writes an error whose line breaks denet added itself.
pub(crate) fn complain_in_lines(program: &str, what: &str) {
    let what = printable_lines(what);
    // If this fails, there is nowhere to report it.
    let _ = writeln!(anstream::stderr(), "{program}: {what}");
}
