//! What was read of a host, and what could not be, with the reason.

use std::fmt::Display;
use std::io;

use serde_json::{Map, Value};

use super::super::fact::malformed;
use crate::facts::Fact;
use crate::output::exact::Text;
use crate::sys::root::Root;

/// A value, or why it is not known.
pub(super) type Read<T> = Result<T, String>;

/// By name: values, and why there is none.
#[derive(Default)]
pub(super) struct Gathered {
    known: Map<String, Value>,
    unread: Map<String, Value>,
}

impl Gathered {
    /// Something that every host has.
    pub(super) fn put(&mut self, name: &str, value: Read<impl Into<Value>>) {
        self.put_if_any(name, value.map(Some));
    }

    /// Something that a host may be without.
    pub(super) fn put_if_any(&mut self, name: &str, value: Read<Option<impl Into<Value>>>) {
        match value {
            Ok(Some(value)) => {
                self.known.insert(name.to_owned(), value.into());
            }
            Ok(None) => {}
            Err(why) => {
                self.unread.insert(name.to_owned(), why.into());
            }
        }
    }

    /// A string that may not be UTF-8.
    pub(super) fn put_text(&mut self, name: &str, value: Read<Text>) {
        if let Ok(Some(bytes)) = value.as_ref().map(Text::bytes_b64) {
            let beside = format!("{name}_bytes_b64");
            self.known.insert(beside, bytes.into());
        }
        self.put(name, value.map(|text| text.to_string()));
    }

    /// The record: what is known, then what is not.
    pub(super) fn into_record(self, kind: &str) -> Value {
        let mut record = Map::new();
        record.insert("kind".to_owned(), kind.into());
        record.extend(self.known);
        if !self.unread.is_empty() {
            record.insert("unread".to_owned(), Value::Object(self.unread));
        }
        Value::Object(record)
    }
}

/// Names what was to be read.
pub(super) fn named(path: impl Display, error: &io::Error) -> String {
    format!("{path}: {error}")
}

/// What a file says, where `parse` understands it.
pub(super) fn read<T>(root: &Root, path: &str, parse: impl FnOnce(&str) -> Option<T>) -> Read<T> {
    let text = root.text(path).map_err(|error| named(path, &error))?;
    parse(&text).ok_or_else(|| malformed(path, &text))
}

/// The same, `None` where there is no such file.
pub(super) fn read_if_there<T>(
    root: &Root,
    path: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Read<Option<T>> {
    match root.text(path) {
        Ok(text) => parse(&text).map(Some).ok_or_else(|| malformed(path, &text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

/// The only line of a file.
pub(super) fn read_line(root: &Root, path: &str) -> Read<Text> {
    let bytes = root.read(path).map_err(|error| named(path, &error))?;
    let text = Text::from(bytes.trim_ascii());
    if text.is_empty() {
        return Err(malformed(path, &text));
    }
    Ok(text)
}

/// A fact, which must be there.
pub(super) fn of_fact<T>(path: &str, fact: Fact<T>) -> Read<T> {
    match fact {
        Fact::Known(value) => Ok(value),
        Fact::Absent => Err(named(path, &io::Error::from_raw_os_error(libc::ENOENT))),
        Fact::Denied(why) | Fact::Failed(why) => Err(why),
    }
}

/// A line that says something.
pub(super) fn line(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

/// A whole number.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
