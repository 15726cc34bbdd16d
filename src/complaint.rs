//! Errors as every program of denet's writes them to stderr: its name, then what is wrong.

use std::io::Write as _;

use crate::escape::{printable, printable_lines};

/// Writes an error on one line.
pub fn complain(program: &str, what: &str) {
    complain_in_lines(program, &printable(what));
}

/// Writes an error whose line breaks are denet's own.
pub fn complain_in_lines(program: &str, what: &str) {
    let what = printable_lines(what);
    // Where it fails there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{program}: {what}");
}
