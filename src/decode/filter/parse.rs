//! Reads one expression of `-e`.

use std::collections::BTreeSet;

use super::error::did_you_mean;
use super::{Class, Filter, FilterError, Status};
use crate::decode::errors;
use crate::decode::quote::escaped;
use crate::decode::syscalls::{Abi, Table};
use crate::decode::table::Entry;

/// What may stand before `=`.
const KEYS: [&str; 5] = ["trace", "status", "errno", "path", "duration"];
/// What strace knows besides, which would change the traced program or is an option here.
const NOT_HERE: [&str; 10] = [
    "inject", "fault", "signal", "signals", "read", "write", "raw", "abbrev", "verbose", "kvm",
];

/// A part of an expression, with its place.
#[derive(Clone, Copy)]
struct Part<'a> {
    whole: &'a str,
    start: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn error(self, message: String) -> FilterError {
        FilterError {
            expression: self.whole.to_owned(),
            start: self.start,
            length: self.text.len(),
            message,
        }
    }

    fn from(self, at: usize) -> Self {
        Self {
            start: self.start + at,
            text: &self.text[at..],
            ..self
        }
    }

    fn until(self, at: usize) -> Self {
        Self {
            text: &self.text[..at],
            ..self
        }
    }

    /// What a prefix leaves, if it is there.
    fn without(self, prefix: char) -> Option<Self> {
        self.text
            .starts_with(prefix)
            .then(|| self.from(prefix.len_utf8()))
    }

    /// The parts between commas; an empty one is an error.
    fn list(self) -> Result<Vec<Self>, FilterError> {
        let mut parts = Vec::new();
        let mut at = 0;
        for text in self.text.split(',') {
            let part = Self {
                start: self.start + at,
                text,
                ..self
            };
            if text.is_empty() {
                return Err(part.error("a name is missing".to_owned()));
            }
            parts.push(part);
            at += text.len() + 1;
        }
        Ok(parts)
    }
}

pub(super) fn expression(filter: &mut Filter, text: &str) -> Result<(), FilterError> {
    let whole = Part {
        whole: text,
        start: 0,
        text,
    };
    if text.is_empty() {
        return Err(whole.error("the expression is empty".to_owned()));
    }
    let Some(at) = text.find(['=', '>', '<']) else {
        return names(filter, whole);
    };
    let (key, value) = (whole.until(at), whole.from(at + 1));
    let sign = &text[at..=at];
    match (key.text, sign) {
        ("trace" | "t", "=") => names(filter, value),
        ("status", "=") => statuses(filter, value),
        ("errno", "=") => errnos(filter, value),
        ("path", "=") => path(filter, value),
        ("duration", ">") => duration(filter, value),
        ("duration", _) => {
            let sign = Part {
                start: at,
                text: sign,
                ..whole
            };
            Err(sign.error("a duration is asked for with >, as in duration>1ms".to_owned()))
        }
        (known, _) if KEYS.contains(&known) => {
            let sign = Part {
                start: at,
                text: sign,
                ..whole
            };
            Err(sign.error(format!("{known} takes =")))
        }
        (other, _) if NOT_HERE.contains(&other) => Err(key.error(format!(
            "{other}= is strace's; denet filters by trace, status, errno, path and duration"
        ))),
        (other, _) => Err(key.error(format!(
            "unknown word {}{}; known are trace, status, errno, path and duration",
            quoted(other),
            did_you_mean(other, KEYS.into_iter())
        ))),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text.as_bytes(), b""))
}

fn names(filter: &mut Filter, value: Part<'_>) -> Result<(), FilterError> {
    let (excluded, value) = value
        .without('!')
        .map_or((false, value), |rest| (true, rest));
    let mut found = BTreeSet::new();
    for part in value.list()? {
        add_names(&mut found, part)?;
    }
    if excluded {
        filter.without.extend(found);
    } else {
        filter.names.get_or_insert_default().extend(found);
    }
    Ok(())
}

fn add_names(to: &mut BTreeSet<&'static str>, part: Part<'_>) -> Result<(), FilterError> {
    if part.text.starts_with('/') {
        let message = "regular expressions are not supported; give names or groups such as %file";
        return Err(part.error(message.to_owned()));
    }
    if let Some(unsure) = part.without('?') {
        to.extend(
            syscalls()
                .find(|(name, ..)| *name == unsure.text)
                .map(|(name, ..)| name),
        );
        return Ok(());
    }
    match part.text {
        "all" => to.extend(syscalls().map(|(name, ..)| name)),
        "none" => {}
        name => {
            let known = match part.without('%') {
                Some(class) => Some(class_of(class)?),
                None => None,
            };
            match known {
                Some(class) => to.extend(members(class)),
                None => {
                    let found = syscalls().find(|(known, ..)| *known == name);
                    to.insert(found.ok_or_else(|| unknown_name(part))?.0);
                }
            }
        }
    }
    Ok(())
}

fn unknown_name(part: Part<'_>) -> FilterError {
    if let Some((class, _)) = Class::ALL.iter().find(|(name, _)| *name == part.text) {
        return part.error(format!(
            "unknown syscall {}; the group is %{class}",
            quoted(part.text)
        ));
    }
    let hint = did_you_mean(part.text, syscalls().map(|(name, ..)| name));
    part.error(format!("unknown syscall {}{hint}", quoted(part.text)))
}

fn class_of(part: Part<'_>) -> Result<Class, FilterError> {
    let found = Class::ALL.iter().find(|(name, _)| *name == part.text);
    found.map(|(_, class)| *class).ok_or_else(|| {
        let hint = did_you_mean(part.text, Class::ALL.into_iter().map(|(name, _)| name));
        let all = "known are %file, %network, %process, %memory, %signal, %ipc and %desc";
        part.error(format!("unknown group {}{hint}; {all}", quoted(part.text)))
    })
}

fn members(class: Class) -> impl Iterator<Item = &'static str> {
    syscalls()
        .filter(move |(name, category, entry)| class.has(name, *category, *entry))
        .map(|(name, ..)| name)
}

type Syscall = (
    &'static str,
    crate::decode::syscalls::Category,
    Option<&'static Entry>,
);

/// Those of the machine and of its 32-bit programs.
fn syscalls() -> impl Iterator<Item = Syscall> {
    [Abi::Native, Abi::Compat].into_iter().flat_map(|abi| {
        let all = Table::of(abi).entries();
        all.map(move |(nr, name, category)| (name, category, Entry::of(abi, nr)))
    })
}

fn statuses(filter: &mut Filter, value: Part<'_>) -> Result<(), FilterError> {
    const ALL: [(&str, Status); 3] = [
        ("failed", Status::Failed),
        ("successful", Status::Successful),
        ("unfinished", Status::Unfinished),
    ];
    for part in value.list()? {
        let found = ALL.iter().find(|(name, _)| *name == part.text);
        let (_, status) = found.ok_or_else(|| {
            let hint = did_you_mean(part.text, ALL.into_iter().map(|(name, _)| name));
            let known = "known are failed, successful and unfinished";
            part.error(format!(
                "unknown status {}{hint}; {known}",
                quoted(part.text)
            ))
        })?;
        filter.statuses.insert(*status);
    }
    Ok(())
}

fn errnos(filter: &mut Filter, value: Part<'_>) -> Result<(), FilterError> {
    for part in value.list()? {
        let errno = errors::number(part.text).ok_or_else(|| {
            let hint = did_you_mean(part.text, errors::names());
            part.error(format!("unknown errno {}{hint}", quoted(part.text)))
        })?;
        filter.errnos.insert(errno);
    }
    Ok(())
}

fn path(filter: &mut Filter, value: Part<'_>) -> Result<(), FilterError> {
    if value.text.is_empty() {
        return Err(value.error("a path is missing".to_owned()));
    }
    filter.paths.push(value.text.as_bytes().to_vec());
    Ok(())
}

fn duration(filter: &mut Filter, value: Part<'_>) -> Result<(), FilterError> {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let digits = value.text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = value.text.split_at(digits.unwrap_or(value.text.len()));
    let number_part = value.until(number.len());
    let amount: f64 = number.parse().map_err(|_| {
        number_part.error("a duration is a number and a unit, as in duration>1ms".to_owned())
    })?;
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, scale) = found.ok_or_else(|| {
        value
            .from(number.len())
            .error("the unit is one of ns, us, ms and s".to_owned())
    })?;
    let nanoseconds = amount * scale;
    if nanoseconds >= u64::MAX as f64 {
        return Err(number_part.error("no call lasts that long".to_owned()));
    }
    let least = nanoseconds as u64;
    // Of several, any is enough: the shortest.
    filter.longer_than_ns = Some(
        filter
            .longer_than_ns
            .map_or(least, |known| known.min(least)),
    );
    Ok(())
}
