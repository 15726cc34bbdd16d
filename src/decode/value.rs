//! A decoded argument: what it says, apart from how it is written.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write as _};

use serde_json::{Map, json};

use super::quote::{bracketed, escaped, quoted};
use crate::output::escape::is_harmless;
use crate::output::exact::Text;

/// What an argument or a field of it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// A number by its bits.
    Hex(u64),
    /// Permission bits.
    Octal(u64),
    /// Flags and constants by name.
    Word(Cow<'static, str>),
    /// A pointer that was not followed.
    Address(u64),
    /// Bytes or a string.
    Text {
        /// As captured.
        bytes: Vec<u8>,
        /// There was more.
        cut: bool,
    },
    /// Bytes that are no text.
    Bytes {
        /// As captured.
        bytes: Vec<u8>,
        /// There was more.
        cut: bool,
    },
    Fd {
        number: i32,
        /// What it refers to, where that is known.
        is: Option<Vec<u8>>,
        /// The call made it: what it refers to is known only when it has returned.
        new: bool,
    },
    /// Named fields.
    Struct(Vec<(Cow<'static, str>, Value)>),
    /// An array, and whether there was more of it.
    List(Vec<Value>, bool),
    /// Set members, as strace writes signal sets: `[HUP INT]`; the sign says that all but these are
    /// in it.
    Set(Vec<Cow<'static, str>>, bool),
    /// A value and what it means.
    Noted(Box<Value>, Cow<'static, str>),
    /// A macro of C with its arguments: `htons(80)`.
    Macro(&'static str, Vec<Value>),
    /// What it was, and what the call made of it.
    Changed(Box<Value>, Box<Value>),
    /// `A && B`, of a wait status; `A|B`, of mixed flags.
    Joined(Vec<Value>, &'static str),
}

impl Value {
    /// A constant by its name.
    pub(super) fn word(word: impl Into<Cow<'static, str>>) -> Self {
        Self::Word(word.into())
    }

    /// A comment behind it.
    pub(super) fn noted(self, note: impl Into<Cow<'static, str>>) -> Self {
        Self::Noted(Box::new(self), note.into())
    }

    /// All descriptors in it that the call made.
    pub(super) fn name_new(&mut self, name: &dyn Fn(i32) -> Option<Vec<u8>>) {
        match self {
            Self::Fd {
                number,
                is,
                new: true,
            } => *is = name(*number),
            Self::Struct(fields) => fields
                .iter_mut()
                .for_each(|(_, value)| value.name_new(name)),
            Self::List(values, _) | Self::Macro(_, values) | Self::Joined(values, _) => {
                values.iter_mut().for_each(|value| value.name_new(name));
            }
            Self::Noted(value, _) => value.name_new(name),
            Self::Changed(one, other) => {
                one.name_new(name);
                other.name_new(name);
            }
            _ => {}
        }
    }

    /// The number that it is, for machines; null of what is none.
    pub(super) fn number_json(&self) -> serde_json::Value {
        match self {
            Self::Int(number) => json!(number),
            Self::UInt(number) | Self::Hex(number) | Self::Octal(number) => json!(number),
            Self::Fd { number, .. } => json!(number),
            _ => serde_json::Value::Null,
        }
    }

    /// What a number stands for, for machines; `None` where it is but a number.
    pub(crate) fn meaning_json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Fd { is, .. } => is.as_ref().map(|is| text_json(is, false)),
            Self::Hex(_) | Self::Octal(_) => Some(json!(self.to_string())),
            _ => None,
        }
    }

    /// For machines: numbers as numbers, strings as strings, structures as objects, what points
    /// nowhere as null. Text that is not UTF-8, or has characters that are not harmless and not
    /// escaped by JSON, is an object of its `escaped` form, with `escaped_bytes_b64` if it is not UTF-8; one that
    /// was cut has `cut`.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Int(number) => json!(number),
            Self::UInt(number) => json!(number),
            Self::Word(word) if word == "NULL" => serde_json::Value::Null,
            Self::Address(0) => serde_json::Value::Null,
            Self::Text { bytes, cut } => text_json(bytes, *cut),
            Self::Bytes { bytes, cut: false } => json!({"hex": hex(bytes, "")}),
            Self::Bytes { bytes, cut: true } => json!({"hex": hex(bytes, ""), "cut": true}),
            Self::Fd { number, is, .. } => match is {
                None => json!({"fd": number}),
                Some(is) => json!({"fd": number, "is": text_json(is, false)}),
            },
            Self::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.json()));
                serde_json::Value::Object(fields.collect::<Map<_, _>>())
            }
            Self::List(values, more) => {
                let values: Vec<_> = values.iter().map(Self::json).collect();
                if *more {
                    json!({"list": values, "cut": true})
                } else {
                    json!(values)
                }
            }
            Self::Changed(before, after) => {
                json!({"before": before.json(), "after": after.json()})
            }
            Self::Hex(_)
            | Self::Octal(_)
            | Self::Word(_)
            | Self::Address(_)
            | Self::Set(..)
            | Self::Noted(..)
            | Self::Macro(..)
            | Self::Joined(..) => json!(self.to_string()),
        }
    }
}

/// Text whose JSON shows as what it is: JSON itself escapes only what is below a space.
pub(crate) fn plain(bytes: &[u8]) -> Option<&str> {
    let shows = |c: char| c < ' ' || is_harmless(c);
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(shows).then_some(text)
}

pub(crate) fn text_json(bytes: &[u8], cut: bool) -> serde_json::Value {
    let mut value = match plain(bytes) {
        Some(text) if !cut => return json!(text),
        Some(text) => json!({"text": text}),
        None => json!({"escaped": escaped(bytes, b"")}),
    };
    // As beside other readable forms that do not show which bytes they are of.
    if let Some(bytes) = Text::from(bytes).bytes_b64() {
        value["escaped_bytes_b64"] = bytes.into();
    }
    if cut {
        value["cut"] = true.into();
    }
    value
}

impl Display for Value {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(to, "{number}"),
            Self::UInt(number) => write!(to, "{number}"),
            Self::Hex(0) => to.write_char('0'),
            Self::Hex(number) => write!(to, "{number:#x}"),
            Self::Octal(bits) => write!(to, "0{bits:02o}"),
            Self::Word(word) => to.write_str(word),
            Self::Address(0) => to.write_str("NULL"),
            Self::Address(address) => write!(to, "{address:#x}"),
            Self::Text { bytes, cut } => {
                let dots = if *cut { "..." } else { "" };
                write!(to, "{}{dots}", quoted(bytes))
            }
            Self::Bytes { bytes, cut } => {
                let dots = if *cut { "..." } else { "" };
                write!(to, "\"{}\"{dots}", hex(bytes, "\\x"))
            }
            Self::Fd { number, is, .. } => match is {
                None => write!(to, "{number}"),
                Some(is) => write!(to, "{number}<{}>", referent(is)),
            },
            Self::Struct(fields) => {
                to.write_char('{')?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    match (name.is_empty(), value) {
                        (true, value) => write!(to, "{comma}{value}")?,
                        (false, value) => write!(to, "{comma}{name}={value}")?,
                    }
                }
                to.write_char('}')
            }
            Self::List(values, more) => {
                to.write_char('[')?;
                separated(to, values, ", ")?;
                to.write_str(match (more, values.is_empty()) {
                    (false, _) => "]",
                    (true, true) => "...]",
                    (true, false) => ", ...]",
                })
            }
            Self::Set(members, inverse) => {
                write!(
                    to,
                    "{}[{}]",
                    if *inverse { "~" } else { "" },
                    members.join(" ")
                )
            }
            Self::Noted(value, note) => write!(to, "{value} /* {note} */"),
            Self::Macro(name, arguments) => {
                write!(to, "{name}(")?;
                separated(to, arguments, ", ")?;
                to.write_char(')')
            }
            Self::Changed(before, after) => write!(to, "{before} => {after}"),
            Self::Joined(values, by) => separated(to, values, by),
        }
    }
}

/// What a descriptor refers to. The arrow between the ends of a connection is denet's own; in a path it
/// is part of the name.
fn referent(is: &[u8]) -> String {
    let escaped = bracketed(is);
    if is.starts_with(b"/") {
        return escaped;
    }
    escaped.replace(r"-\76", "->").replace(r"-\076", "->")
}

fn hex(bytes: &[u8], before_each: &str) -> String {
    let each = bytes.iter().map(|byte| format!("{before_each}{byte:02x}"));
    each.collect()
}

fn separated(to: &mut Formatter<'_>, values: &[Value], by: &str) -> fmt::Result {
    for (at, value) in values.iter().enumerate() {
        write!(to, "{}{value}", if at > 0 { by } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_get_types() {
        let text = |bytes: &[u8], cut| {
            Value::Text {
                bytes: bytes.to_vec(),
                cut,
            }
            .json()
        };
        assert_eq!(text(b"a\x1b", false), json!("a\u{1b}"));
        assert_eq!(
            text(b"\xff", true),
            json!({"escaped": "\\377", "escaped_bytes_b64": "/w==", "cut": true})
        );
        assert_eq!(
            ["\u{7f}", "\u{9b}m", "\u{202e}"].map(|steering| text(steering.as_bytes(), false)),
            [r"\177", r"\302\233m", r"\342\200\256"].map(|escaped| json!({"escaped": escaped}))
        );
        assert_eq!(Value::Address(0).json(), json!(null));
        assert_eq!(Value::Address(255).json(), json!("0xff"));
        let random = Value::Bytes {
            bytes: vec![1, 0xab],
            cut: true,
        };
        assert_eq!(random.to_string(), r#""\x01\xab"..."#);
        assert_eq!(random.json(), json!({"hex": "01ab", "cut": true}));
        let fields = vec![
            ("a".into(), Value::Int(-1)),
            ("b".into(), Value::List(vec![], true)),
        ];
        assert_eq!(
            Value::Struct(fields).json(),
            json!({"a": -1, "b": {"list": [], "cut": true}})
        );
    }

    #[test]
    fn only_connections_have_arrows() {
        let told = |is: &[u8]| {
            let (number, is, new) = (3, Some(is.to_vec()), false);
            Value::Fd { number, is, new }.to_string()
        };
        let connection = told(b"TCP 127.0.0.1:1->[::1]:2");
        assert_eq!(connection, "3<TCP 127.0.0.1:1->[::1]:2>");
        assert_eq!(told(b"TCP [::1]:1->[::1]:2"), "3<TCP [::1]:1->[::1]:2>");
        assert_eq!(told(b"/a->b"), r"3</a-\76b>");
        assert_eq!(told(b"/a->1\x1b"), r"3</a-\0761\33>");
    }

    #[test]
    fn octal_is_written_as_strace_does() {
        assert_eq!(Value::Octal(0o644).to_string(), "0644");
        assert_eq!(Value::Octal(0).to_string(), "000");
        assert_eq!(Value::Octal(0o7).to_string(), "007");
    }
}
