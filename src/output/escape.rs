//! Escapes text from outside before it is printed: control characters would act on the terminal, and invisible
//! or reordered text would mislead its readers.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal shows the character, in its place, and does nothing else. Harmful are control
/// characters, line separators, characters that change the text direction, invisible characters
/// (`Default_Ignorable_Code_Point` of Unicode, with joiners and variation selectors), and noncharacters.
pub fn is_harmless(c: char) -> bool {
    // The usual case, and fast.
    if (' '..='~').contains(&c) {
        return true;
    }
    let is_noncharacter = u32::from(c) & 0xfffe == 0xfffe;
    let is_harmful = matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    !(is_noncharacter || is_harmful)
}

/// Text on one line: whatever is not harmless is escaped. Backslashes stay, so text that is already escaped
/// does not change.
pub(crate) fn printable(text: &str) -> String {
    replaced(text, is_harmless, escape).into_owned()
}

/// Text whose line breaks denet added itself.
pub(crate) fn printable_lines(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    replaced(text, is_harmless_or_break, escape)
}

/// JSON with the same value. Its syntax is ASCII, so harmful characters occur only within strings; line breaks
/// between values stay.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    replaced(text, is_harmless_or_break, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// Only printable ASCII and line breaks, as in nearly all records and lines. There are millions of them, so
/// this has no branch per byte.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) | (byte == b'\n');
    text.bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
}

fn is_harmless_or_break(c: char) -> bool {
    c == '\n' || is_harmless(c)
}

fn replaced(
    text: &str,
    keeps: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if text.chars().all(&keeps) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if keeps(c) {
            out.push(c);
        } else {
            escape(&mut out, c);
        }
    }
    Cow::Owned(out)
}

fn escape(out: &mut String, c: char) {
    let code = u32::from(c);
    let _ = match c {
        '\n' => out.write_str("\\n"),
        '\t' => out.write_str("\\t"),
        '\r' => out.write_str("\\r"),
        c if c.is_ascii() => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
}

/// Bytes as in a C string literal, without quotes: harmless UTF-8 stays, everything else is escaped, including
/// the backslash.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if is_harmless(c) => out.push(c),
                c => escape(&mut out, c),
            }
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

    const HARMFUL: [char; 40] = [
        '\0',
        '\u{7}',
        '\n',
        '\u{1b}',
        '\u{7f}',
        '\u{80}',
        '\u{9b}',
        '\u{9f}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{180b}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{206f}',
        '\u{3164}',
        '\u{fdd0}',
        '\u{fe00}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{ffff}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e007f}',
        '\u{e01ef}',
        '\u{10ffff}',
    ];

    #[test]
    fn visible_text_is_harmless() {
        let text = " ~\\naïve ÿ 漢字 עברית العربية ไทย 🦀 \u{301} \u{a0} \u{fffd} ✓·…█";
        assert!(text.chars().all(is_harmless));
        assert!(!HARMFUL.into_iter().any(is_harmless));
        assert!(('\0'..=char::MAX).all(|c| !(c.is_control() && is_harmless(c))));
    }

    #[test]
    fn everything_else_is_escaped_once() {
        let text: String = HARMFUL.iter().collect();
        let shown = printable(&text);
        assert!(
            shown.is_ascii() && shown.chars().all(is_harmless),
            "{shown}"
        );
        assert_eq!(printable(&shown), shown);
        assert_eq!(printable("a\u{1b}[31m\u{9b}\n\\"), "a\\x1b[31m\\u{9b}\\n\\");
        assert_eq!(printable_lines("a\n\u{7}\n"), "a\n\\x07\n");
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes_are_escaped_as_in_c() {
        assert_eq!(escaped(b"/usr/bin/ls"), "/usr/bin/ls");
        assert_eq!(escaped("naïve".as_bytes()), "naïve");
        assert_eq!(escaped(b"a\x1b[31m\n\xff\\"), "a\\x1b[31m\\n\\xff\\\\");
        assert_eq!(escaped("\u{202e}txt".as_bytes()), "\\u{202e}txt");
        let all: Vec<u8> = (0..=255).collect();
        assert!(escaped(&all).chars().all(is_harmless));
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text: String = HARMFUL.iter().collect();
        let value = serde_json::json!({ text.clone() + "ü": text });
        let written = value.to_string();
        let shown = json(&written);
        assert!(
            shown.chars().all(is_harmless) && shown.contains('ü'),
            "{shown}"
        );
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
        assert!(matches!(json("{}\n[\"ü\"]\n"), Cow::Borrowed(_)));
    }
}
