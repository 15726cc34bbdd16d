//! Arguments of the command line. The parser repeats them in its errors and its help, so these are made from
//! escaped arguments.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use super::color::Color;
use crate::output::escape::{escaped, printable, printable_lines};

/// Parses the arguments. Prints the parser's error, or the help that was requested. From then on text is
/// coloured as `color` of the parsed arguments asks for.
///
/// # Errors
/// The exit code: `usage` for an error, 0 for help.
pub fn parsed<T>(
    words: impl IntoIterator<Item = OsString>,
    parse: impl Fn(Vec<OsString>) -> Result<T, clap::Error>,
    color: impl Fn(&T) -> Color,
    usage: u8,
) -> Result<T, u8> {
    let words: Vec<_> = words.into_iter().collect();
    Color::typed(&words).unwrap_or_default().choose();
    let shown: Vec<_> = words.iter().map(|word| harmless(word)).collect();
    let parsed = parse(words.clone()).map_err(|error| {
        let same = |other: &clap::Error| other.kind() == error.kind();
        let _ = if shown == words {
            error.print()
        } else if let Some(error) = parse(shown).err().filter(same) {
            error.print()
        } else {
            // The parser reads the escaped arguments differently.
            let text = error.render().to_string();
            write!(anstream::stderr(), "{}", printable_lines(&text))
        };
        if error.use_stderr() { usage } else { 0 }
    })?;
    color(&parsed).choose();
    Ok(parsed)
}

fn harmless(word: &OsStr) -> OsString {
    let shown = word.to_str().map(printable);
    shown.unwrap_or_else(|| escaped(word.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmful_characters_are_escaped() {
        let shown = |word: &[u8]| harmless(OsStr::from_bytes(word));
        assert_eq!(shown(br"--top=3\x"), r"--top=3\x");
        assert_eq!(shown("ü\u{1b}\u{202e}".as_bytes()), "ü\\x1b\\u{202e}");
        assert_eq!(shown(b"\xff\x1b"), r"\xff\x1b");
    }
}
