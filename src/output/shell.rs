//! Words as they are typed in a shell.

use std::fmt::Write as _;

use crate::output::escape::is_harmless;

/// The word, quoted if a shell would interpret it, and escaped if a terminal would.
pub(crate) fn quoted(word: &str) -> String {
    quoted_bytes(word.as_bytes())
}

/// The same for a word that may not be UTF-8. All but the smallest shells know `$'…'`.
pub(crate) fn quoted_bytes(word: &[u8]) -> String {
    let harmless = str::from_utf8(word).ok();
    let Some(word) = harmless.filter(|word| word.chars().all(is_harmless)) else {
        return format!("$'{}'", escaped(word));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%=:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Escaped for use within `$'…'`.
fn escaped(word: &[u8]) -> String {
    let mut out = String::with_capacity(word.len() + 16);
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            let code = u32::from(c);
            let _ = match c {
                '\'' | '\\' => write!(out, "\\{c}"),
                '\n' => out.write_str("\\n"),
                c if is_harmless(c) => out.write_char(c),
                c if c.is_ascii() => write!(out, "\\x{code:02x}"),
                _ if code <= 0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_it_is_quoted() {
        assert_eq!(quoted("ls"), "ls");
        assert_eq!(quoted("--top=3"), "--top=3");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(r"s/\n//"), r"'s/\n//'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        assert_eq!(quoted("it's\n\\"), r"$'it\'s\n\\'");
        assert_eq!(quoted("\u{1b}[31m\u{202e}"), r"$'\x1b[31m\u202e'");
        assert_eq!(quoted("\u{e0041}1"), r"$'\U000e00411'");
        assert_eq!(quoted_bytes(b"a\xff"), r"$'a\xff'");
    }
}
