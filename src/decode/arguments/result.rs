//! What came of a call.

use std::fmt::{self, Display, Formatter};

use serde_json::json;

use super::super::call::{When, is_error};
use super::super::errors;
use super::super::names::{files, process, signals};
use super::super::table::{Kind, Returns};
use super::super::value::Value;
use super::Detail;
use super::files as of_files;
use super::reader::Reader;

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It lasts, or never returns.
    None,
    /// It never returns: `exit`.
    Never,
    /// It returned.
    Returned {
        /// The result.
        value: Value,
        /// What else it tells: flags, `Timeout`, which descriptors are ready.
        note: Option<String>,
    },
    /// It failed with that errno, or is to be made again (ERESTARTSYS and the like).
    Failed(i32),
}

impl Outcome {
    pub(super) fn name_new(&mut self, name: &dyn Fn(i32) -> Option<Vec<u8>>) {
        if let Self::Returned { value, .. } = self {
            value.name_new(name);
        }
    }

    /// Name of the error, if it failed.
    pub(crate) fn errno(&self) -> Option<String> {
        match self {
            Self::Failed(errno) => Some(error_name(*errno)),
            _ => None,
        }
    }

    /// The result for machines, a number; null where it never came or was an error.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Returned { value, .. } => value.number_json(),
            _ => json!(null),
        }
    }

    /// What the result stands for: what a new descriptor refers to, where that is known; addresses
    /// and flags by their bits, permissions in octal. `None` of other numbers.
    pub(crate) fn name_json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Returned { value, .. } => value.meaning_json(),
            _ => None,
        }
    }

    /// What else it tells.
    pub(crate) fn note(&self) -> Option<&str> {
        match self {
            Self::Returned { note, .. } => note.as_deref(),
            _ => None,
        }
    }
}

fn error_name(errno: i32) -> String {
    errors::named(errno).map_or_else(|| format!("errno {errno}"), |(name, _)| name.to_owned())
}

/// As strace writes it behind `= `.
impl Display for Outcome {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None | Self::Never => write!(to, "?"),
            Self::Returned { value, note: None } => write!(to, "{value}"),
            Self::Returned {
                value,
                note: Some(note),
            } => write!(to, "{value} ({note})"),
            Self::Failed(errno) => {
                let start = if errors::is_restart(*errno) {
                    "?"
                } else {
                    "-1"
                };
                match errors::named(*errno) {
                    Some((name, words)) => write!(to, "{start} {name} ({words})"),
                    None => write!(to, "-1 (errno {errno})"),
                }
            }
        }
    }
}

pub(super) fn outcome(reader: &Reader<'_>) -> Outcome {
    let returns = reader.entry.map_or(Returns::Int, |entry| entry.returns);
    let Some(result) = reader.call.result else {
        return if matches!(returns, Returns::Never) {
            Outcome::Never
        } else {
            Outcome::None
        };
    };
    if is_error(result) {
        return Outcome::Failed(-result as i32);
    }
    if reader.view.detail == Detail::Private {
        // Addresses would reveal the layout of its memory, registers its data.
        let is_shown = reader.entry.is_some() && matches!(returns, Returns::Int | Returns::Fd);
        let value = match is_shown {
            true => Value::Int(result),
            false => Value::Word("<private>".into()),
        };
        return Outcome::Returned { value, note: None };
    }
    let (value, note) = match returns {
        Returns::Int | Returns::Register | Returns::Never => (Value::Int(result), None),
        Returns::Hex if reader.word_size() == 4 => (Value::Hex(u64::from(result as u32)), None),
        Returns::Hex => (Value::Hex(result as u64), None),
        Returns::Octal => (Value::Octal(result as u64), None),
        Returns::Fd => (reader.new_fd(result as i32), None),
        Returns::Ready => (Value::Int(result), ready(reader, result)),
        Returns::SignalNumber => (
            Value::Int(result),
            Some(signals::name(result as u64).into_owned()),
        ),
        Returns::Enum(names) => (
            Value::Int(result),
            names.name(result as u64).map(str::to_owned),
        ),
        Returns::Flags(_) if result == 0 => (Value::Int(0), None),
        Returns::Flags(names) => {
            let bits = result as u64;
            (Value::Hex(bits), Some(names.flags(bits).to_string()))
        }
        Returns::Prctl => (Value::Int(result), prctl(reader, result)),
        Returns::Fcntl => fcntl(reader, result),
    };
    Outcome::Returned { value, note }
}

fn ready(reader: &Reader<'_>, result: i64) -> Option<String> {
    if result == 0 {
        return Some("Timeout".to_owned());
    }
    let entry = reader.entry?;
    let polled = matches!(entry.arguments.first(), Some((_, Kind::Pollfds(_))));
    let fds = polled.then(|| reader.bytes(0, When::Exit)).flatten()?;
    Some(of_files::ready(reader, fds))
}

fn prctl(reader: &Reader<'_>, result: i64) -> Option<String> {
    let dumpable = reader.int(0) == libc::PR_GET_DUMPABLE;
    let name = dumpable
        .then(|| process::DUMPABLE.name(result as u64))
        .flatten();
    name.map(str::to_owned)
}

fn fcntl(reader: &Reader<'_>, result: i64) -> (Value, Option<String>) {
    let bits = result as u64;
    let flags = |value: Value| Some(format!("flags {value}"));
    match reader.int(1) {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => (reader.new_fd(result as i32), None),
        libc::F_GETFD if bits == 0 => (Value::Int(0), None),
        libc::F_GETFD => (Value::Hex(bits), flags(files::FD.flags(bits))),
        libc::F_GETFL => (Value::Hex(bits), flags(of_files::open_flags(bits))),
        libc::F_GET_SEALS => (
            Value::Hex(bits),
            Some(format!("seals {}", files::SEALS.flags(bits))),
        ),
        libc::F_GETLEASE => (
            Value::Hex(bits),
            Some(files::LOCKS.constant(bits).to_string()),
        ),
        _ => (Value::Int(result), None),
    }
}
