//! Bytes of programs as strace quotes them: nothing of them reaches a terminal raw.

use std::fmt::Write as _;

use crate::output::escape::is_harmless;

/// Printable ASCII as it is, the rest as C escapes or octal; also `\`, `"` and all of `also`.
pub(crate) fn escaped(bytes: &[u8], also: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let digit_follows = bytes
            .get(at + 1)
            .is_some_and(|byte| (b'0'..=b'7').contains(byte));
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            byte if is_plain(*byte) && !also.contains(byte) => out.push(char::from(*byte)),
            // A digit behind a short escape would be read as part of it.
            _ if digit_follows => {
                let _ = write!(out, "\\{byte:03o}");
            }
            _ => {
                let _ = write!(out, "\\{byte:o}");
            }
        }
    }
    out
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && is_harmless(char::from(byte))
}

/// In double quotes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes, b""))
}

/// Words of a process (a command, a thread's name) for use between `<` and `>`.
pub(crate) fn bracketed(bytes: &[u8]) -> String {
    escaped(bytes, b"<>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_strace_quotes() {
        assert_eq!(quoted(b"a\"b\\c\n\t\r"), r#""a\"b\\c\n\t\r""#);
        assert_eq!(quoted(b"\x1b[31m\0"), r#""\33[31m\0""#);
        assert_eq!(quoted(b"\x001\x7f7\x7f9\0"), r#""\0001\1777\1779\0""#);
        assert_eq!(quoted("é".as_bytes()), r#""\303\251""#);
        assert_eq!(bracketed(b"a<b>"), r"a\74b\76");
    }
}
