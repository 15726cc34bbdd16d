//! Arguments of calls on clocks and timers.

use super::super::call::When;
use super::super::value::Value;
use super::date;
use super::reader::{Bytes, Reader};

/// The units of a `timespec` in a second.
const NANOSECONDS: &str = "tv_nsec";
const MICROSECONDS: &str = "tv_usec";
/// `tv_nsec` of `utimensat`: the time of the call, and no change.
const NOW: i64 = 0x3fff_ffff;
const OMIT: i64 = 0x3fff_fffe;

/// What was captured, as `decode` reads it; the address where there is nothing to read.
pub(super) fn decoded(
    reader: &Reader<'_>,
    at: usize,
    when: When,
    decode: impl Fn(Bytes<'_>) -> Option<Value>,
) -> Value {
    let bytes = with_words_of_the_call(reader, reader.bytes(at, when));
    bytes.and_then(decode).unwrap_or_else(|| reader.address(at))
}

/// The calls of 32-bit programs with `64` in their names take what 64-bit programs take.
fn with_words_of_the_call<'a>(reader: &Reader<'_>, bytes: Option<Bytes<'a>>) -> Option<Bytes<'a>> {
    let wide = reader.call.name().contains("64");
    bytes.map(|bytes| Bytes {
        word: if wide { 8 } else { bytes.word },
        ..bytes
    })
}

/// A `timespec` or `timeval` that stands `at` words in.
fn moment(bytes: Bytes<'_>, at: usize, unit: &'static str) -> Option<Value> {
    Some(Value::Struct(vec![
        ("tv_sec".into(), Value::Int(bytes.long(0, at)?)),
        (unit.into(), Value::Int(bytes.long(0, at + 1)?)),
    ]))
}

/// A `timespec`.
pub(super) fn nanoseconds(bytes: Bytes<'_>) -> Option<Value> {
    moment(bytes, 0, NANOSECONDS)
}

pub(super) fn microseconds(bytes: Bytes<'_>) -> Option<Value> {
    moment(bytes, 0, MICROSECONDS)
}

/// A `timeval` that stands `at` words in.
pub(super) fn seconds(bytes: Bytes<'_>, at: usize) -> Option<Value> {
    moment(bytes, at, MICROSECONDS)
}

/// A time of day in a comment behind it: UTC, for this is nobody's zone.
fn dated(bytes: Bytes<'_>, at: usize, unit: &'static str) -> Option<Value> {
    let told = moment(bytes, at, unit)?;
    let (seconds, part) = (bytes.long(0, at)?, bytes.long(0, at + 1)?);
    Some(
        match date::text(seconds, part, if unit == NANOSECONDS { 9 } else { 6 }) {
            Some(date) => told.noted(date),
            None => told,
        },
    )
}

fn file_time(bytes: Bytes<'_>, at: usize) -> Option<Value> {
    match bytes.long(0, at + 1)? {
        NOW => Some(Value::word("UTIME_NOW")),
        OMIT => Some(Value::word("UTIME_OMIT")),
        _ => dated(bytes, at, NANOSECONDS),
    }
}

fn pair(bytes: Bytes<'_>, one: impl Fn(Bytes<'_>, usize) -> Option<Value>) -> Option<Value> {
    Some(Value::List(vec![one(bytes, 0)?, one(bytes, 2)?], false))
}

fn timer(bytes: Bytes<'_>, unit: &'static str) -> Option<Value> {
    Some(Value::Struct(vec![
        ("it_interval".into(), moment(bytes, 0, unit)?),
        ("it_value".into(), moment(bytes, 2, unit)?),
    ]))
}

/// Two `timespec`s of files.
pub(super) fn file_times(bytes: Bytes<'_>) -> Option<Value> {
    pair(bytes, file_time)
}

/// Two `timeval`s of files.
pub(super) fn file_times_microseconds(bytes: Bytes<'_>) -> Option<Value> {
    pair(bytes, |bytes, at| dated(bytes, at, MICROSECONDS))
}

pub(super) fn timer_nanoseconds(bytes: Bytes<'_>) -> Option<Value> {
    timer(bytes, NANOSECONDS)
}

pub(super) fn timer_microseconds(bytes: Bytes<'_>) -> Option<Value> {
    timer(bytes, MICROSECONDS)
}

pub(super) fn time_t(bytes: Bytes<'_>) -> Option<Value> {
    let seconds = bytes.long(0, 0)?;
    Some(Value::List(vec![Value::Int(seconds)], false))
}

/// What is left of a sleep is written only where a signal ended it, though the call failed then.
pub(super) fn remaining(reader: &Reader<'_>, at: usize) -> Value {
    let interrupted = reader
        .call
        .result
        .is_some_and(|result| matches!(result, -4 | -516..=-512));
    let bytes = interrupted
        .then(|| reader.captured(at, When::Exit))
        .flatten();
    let bytes = with_words_of_the_call(reader, bytes);
    let told = bytes.and_then(|bytes| moment(bytes, 0, NANOSECONDS));
    told.unwrap_or_else(|| reader.address(at))
}
