//! Hostile text, and a check that it does not reach a terminal unescaped.

use std::process::{Command, Output};

use denet::output::escape::is_harmless;

use super::output;

/// Fits the name of a thread, of which the kernel keeps 15 bytes; also a valid name of a file.
pub const HOSTILE: &str = "\u{202e}\u{9b}\u{200b}\u{1b}[31m\u{7}\n";

/// Runs a command without styles and with them, and checks that its output is harmless. Returns the plain one.
pub fn shown(command: &mut Command) -> String {
    let plain = harmless(&output(command.env_remove("CLICOLOR_FORCE")));
    assert!(!plain.contains('\u{1b}'), "{command:?}: {plain:?}");
    harmless(&output(command.env("CLICOLOR_FORCE", "1")));
    plain
}

/// Both outputs, after checking them. Styles and line breaks are denet's own, unless they are parts of [`HOSTILE`].
pub fn harmless(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8(both).expect("bytes that are no text are escaped");
    assert!(!text.contains("panicked"), "{text}");
    let mut rest = without_styles(&text).chars().collect::<Vec<_>>();
    rest.retain(|c| *c != '\n' && !is_harmless(*c));
    assert!(rest.is_empty(), "{rest:?} in {text:?}");
    for raw in ["\u{1b}[31m\\x07", "\\x07\n"] {
        assert!(!text.contains(raw), "{raw:?} in {text:?}");
    }
    text
}

/// Without complete sequences of "Select Graphic Rendition".
fn without_styles(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let parameters = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match parameters.strip_prefix('m') {
            Some(behind) => out += behind,
            None => out += &format!("\u{1b}[{piece}"),
        }
    }
    out
}

/// A script named [`HOSTILE`], made in `folder`. With `busy` it computes for a while, with `both` it does so in two
/// processes, with `left` it leaves a process behind that reads its standard input, with `read` it reads it itself.
pub fn script(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join(HOSTILE);
    let content = b"#!/bin/sh\ncase $1 in\n\
        busy) i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done ;;\n\
        both) \"$0\" busy & \"$0\" busy; wait ;;\n\
        left) exec 3<&0; \"$0\" read <&3 >/dev/null 2>&1 & ;;\n\
        read) read x ;;\n\
        missing) \"./$2\" 2>/dev/null; true <\"$2\" ;;\n\
        esac 2>/dev/null\nexit 0\n";
    super::executable(&path, content);
    path
}
