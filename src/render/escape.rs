//! What programs write, made harmless: a terminal obeys what it is sent.

use std::fmt::Write as _;

/// Bytes as a C string would have them, without quotes: what is printable UTF-8 stays, all else is
/// escaped, also what turns the direction of writing or has no width.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\\' => out.push_str("\\\\"),
                c if is_harmless(c) => out.push(c),
                c if c.is_ascii() => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A word as a user would type it to a shell that knows `$'…'`.
pub fn word(bytes: &[u8]) -> String {
    let escaped = escaped(bytes);
    if escaped.as_bytes() == bytes {
        crate::shell::quoted(&escaped)
    } else {
        format!("$'{}'", escaped.replace('\'', "\\'"))
    }
}

fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(escaped(b"/usr/bin/ls"), "/usr/bin/ls");
        assert_eq!(escaped("naïve".as_bytes()), "naïve");
        assert_eq!(escaped(b"a\x1b[31m\n\xff\\"), "a\\x1b[31m\\n\\xff\\\\");
        assert_eq!(escaped("\u{202e}txt".as_bytes()), "\\u{202e}txt");
        let all: Vec<u8> = (0..=255).collect();
        assert!(!escaped(&all).contains(|c: char| c.is_control()));
    }

    #[test]
    fn words_are_as_a_shell_takes_them() {
        assert_eq!(word(b"a b"), "'a b'");
        assert_eq!(word(b"it's\n"), "$'it\\'s\\n'");
        assert_eq!(word(b""), "''");
    }
}
