//! Strings in records that come from the kernel or from other processes, and so may be any bytes: `NAME` is readable,
//! and if it is not exact, because the bytes are not UTF-8, `NAME_bytes_b64` beside it is.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serializer;
use serde::ser::SerializeMap as _;
use serde_json::{Value, json};

/// A string that may not be UTF-8; as a `str`, its readable form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    readable: String,
    bytes_b64: Option<String>,
}

impl Text {
    /// The bytes in base64, unless the readable form is exact.
    pub fn bytes_b64(&self) -> Option<&str> {
        self.bytes_b64.as_deref()
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        let readable = String::from_utf8_lossy(bytes);
        Self {
            bytes_b64: (readable.as_bytes() != bytes).then(|| STANDARD.encode(bytes)),
            readable: readable.into_owned(),
        }
    }
}

impl From<&OsStr> for Text {
    fn from(bytes: &OsStr) -> Self {
        bytes.as_bytes().into()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.readable
    }
}

impl fmt::Display for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(self)
    }
}

/// Of a structure that is written field by field, with `#[serde(flatten)]`.
///
/// # Errors
/// The serializer's.
pub(crate) fn command<S: Serializer>(text: &Text, to: S) -> Result<S::Ok, S::Error> {
    entries(["command", "command_bytes_b64"], text, to)
}

/// The same under another name.
///
/// # Errors
/// The serializer's.
pub(crate) fn name<S: Serializer>(text: &Text, to: S) -> Result<S::Ok, S::Error> {
    entries(["name", "name_bytes_b64"], text, to)
}

fn entries<S: Serializer>(names: [&str; 2], text: &Text, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    map.serialize_entry(names[0], &text.readable)?;
    if let Some(bytes) = &text.bytes_b64 {
        map.serialize_entry(names[1], bytes)?;
    }
    map.end()
}

/// Adds a string to a record.
pub(crate) fn put(record: &mut Value, name: &str, text: impl Into<Text>) {
    let text = text.into();
    record[name] = text.readable.into();
    if let Some(bytes) = text.bytes_b64 {
        record[format!("{name}_bytes_b64")] = bytes.into();
    }
}

/// Adds a list of strings to a record. The list of exact bytes has the same places, with null where the readable
/// form is exact.
pub(crate) fn put_list<T: Into<Text>>(
    record: &mut Value,
    name: &str,
    all: impl IntoIterator<Item = T>,
) {
    let all: Vec<Text> = all.into_iter().map(Into::into).collect();
    record[name] = all.iter().map(|text| &text.readable).cloned().collect();
    if all.iter().any(|text| text.bytes_b64.is_some()) {
        let bytes: Vec<_> = all.iter().map(Text::bytes_b64).collect();
        record[format!("{name}_bytes_b64")] = json!(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_added_only_where_text_is_not_exact() {
        let mut record = json!({"exact": null, "late": 1});
        put(&mut record, "exact", "ü\u{fffd}\0");
        put(&mut record, "not", &b"a\xff"[..]);
        put_list(&mut record, "plain", ["a", "b"]);
        put_list(&mut record, "mixed", [&b"a"[..], b"\xfe", b""]);
        let expected = json!({
            "exact": "ü\u{fffd}\0", "late": 1,
            "not": "a\u{fffd}", "not_bytes_b64": "Yf8=",
            "plain": ["a", "b"],
            "mixed": ["a", "\u{fffd}", ""], "mixed_bytes_b64": [null, "/g==", null],
        });
        assert_eq!(record, expected);
    }
}
