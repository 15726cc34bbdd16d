//! Recorded calls and the output of strace for them: the oracle of [`crate::decode`].
//!
//! `tests/data/trace/record.sh` makes the recording: the same program once under strace and once
//! under `record.c`, which captures what the table requires.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::line;
use crate::decode::arguments::{Detail, View, decode};
use crate::decode::call::{Call, Piece, PieceData, What, When};
use crate::decode::syscalls::{Abi, Table};
use crate::decode::table::Entry;

/// Recordings, each with the output of strace: many calls with their usual arguments, and flags and constants of
/// all kinds.
const RECORDINGS: [(&str, &str); 2] = [
    (
        include_str!("../../../tests/data/trace/program.calls"),
        include_str!("../../../tests/data/trace/program.strace"),
    ),
    (
        include_str!("../../../tests/data/trace/flags.calls"),
        include_str!("../../../tests/data/trace/flags.strace"),
    ),
];

#[derive(Default)]
struct Recorded {
    nr: i32,
    args: [u64; 6],
    result: Option<i64>,
    pieces: Vec<RecordedPiece>,
}

struct RecordedPiece {
    arg: u8,
    when: When,
    data: Option<(Vec<Vec<u8>>, bool, bool)>,
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len() / 2).map(|at| byte(2 * at)).collect()
}

fn piece(words: &[&str]) -> RecordedPiece {
    let when = if words[2] == "e" {
        When::Enter
    } else {
        When::Exit
    };
    let text = words.get(5).copied().unwrap_or("");
    let data = match words[3] {
        "fault" => None,
        "bytes" => Some((vec![unhex(text)], words[4] == "1", false)),
        _ => {
            let strings = text.split(',').filter(|text| !text.is_empty());
            Some((
                strings
                    .map(|text| unhex(text.trim_end_matches('.')))
                    .collect(),
                true,
                true,
            ))
        }
    };
    RecordedPiece {
        arg: words[1].parse().unwrap(),
        when,
        data,
    }
}

fn recorded(text: &str) -> Vec<Recorded> {
    let mut calls: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "call" => {
                let hex = |word: &&str| u64::from_str_radix(word, 16).unwrap();
                let args: Vec<_> = words[2..].iter().map(hex).collect();
                calls.push(Recorded {
                    nr: words[1].parse().unwrap(),
                    args: args.try_into().unwrap(),
                    ..Recorded::default()
                });
            }
            "result" => calls.last_mut().unwrap().result = Some(words[1].parse().unwrap()),
            _ => calls.last_mut().unwrap().pieces.push(piece(&words)),
        }
    }
    calls
}

fn decoded(call: &Recorded) -> String {
    let data = |piece: &RecordedPiece| match piece.data.as_ref() {
        None => PieceDataOwned::Fault,
        Some((strings, _, true)) => PieceDataOwned::Strings(strings.clone()),
        Some((bytes, whole, false)) => PieceDataOwned::Bytes(bytes[0].clone(), *whole),
    };
    let owned: Vec<_> = call.pieces.iter().map(data).collect();
    let pieces: Vec<_> = call
        .pieces
        .iter()
        .zip(&owned)
        .map(|(piece, data)| Piece {
            arg: piece.arg,
            when: piece.when,
            data: data.lend(),
        })
        .collect();
    let (nr, args, result) = (call.nr, call.args, call.result);
    let call = Call {
        abi: Abi::Native,
        nr,
        args,
        result,
        pieces: &pieces,
    };
    let view = View {
        detail: Detail::Full,
        shown: 32,
        pid: 1,
        descriptors: None,
    };
    line::call(&line::Prefix::default(), &decode(&call, &view), None)
}

enum PieceDataOwned {
    Fault,
    Bytes(Vec<u8>, bool),
    Strings(Vec<Vec<u8>>),
}

impl PieceDataOwned {
    fn lend(&self) -> PieceData<'_> {
        match self {
            Self::Fault => PieceData::Fault,
            Self::Bytes(data, whole) => PieceData::Bytes {
                data,
                whole: *whole,
            },
            Self::Strings(list) => PieceData::Strings {
                list: list.iter().map(Vec::as_slice).collect(),
                more: false,
            },
        }
    }
}

/// Calls for which denet intentionally shows less than strace: what vectors point at, the bytes of `mincore` and
/// the remaining time of a `ppoll` are not captured; random bytes differ between two runs.
fn differs_on_purpose(name: &str) -> bool {
    let vectors = ["readv", "writev", "preadv", "pwritev2", "vmsplice"];
    vectors.contains(&name) || ["mincore", "ppoll", "getrandom", "sethostname"].contains(&name)
}

/// Families whose protocols remain numbers, and flags that are newer than the recorded strace, which shows them as
/// bits.
fn says_more_or_less(line: &str) -> bool {
    const FAMILIES: [&str; 9] = [
        "AX25", "IRDA", "RXRPC", "ISDN", "PHONET", "CAIF", "NFC", "KCM", "SMC",
    ];
    const YOUNGER: [&str; 2] = [
        "MFD_HUGETLB|0x3fffff8|63<<MFD_HUGE_SHIFT",
        "PIDFD_NONBLOCK|0xfffff7ff",
    ];
    let family = line
        .strip_prefix("socket(AF_")
        .and_then(|rest| rest.split_once(", "));
    family.is_some_and(|(family, _)| FAMILIES.contains(&family))
        || YOUNGER.iter().any(|flags| line.contains(flags))
}

#[test]
fn what_strace_says_of_the_same_calls() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut differing = String::new();
    let mut compared = BTreeSet::new();
    for (calls, said) in RECORDINGS {
        let calls = recorded(calls);
        let lines: Vec<_> = said
            .lines()
            .filter(|line| !line.starts_with(['-', '+']))
            .collect();
        assert_eq!(calls.len(), lines.len());
        // The first call is the tracer's own execve of the program.
        for (call, line) in calls.iter().zip(lines).skip(1) {
            compare(call, line, &mut differing, &mut compared);
        }
    }
    assert!(differing.is_empty(), "{differing}");
    assert!(compared.len() > 200, "{}", compared.len());
}

fn compare<'a>(
    call: &Recorded,
    line: &'a str,
    differing: &mut String,
    compared: &mut BTreeSet<&'a str>,
) {
    let name = line.split('(').next().unwrap();
    assert_eq!(Table::of(Abi::Native).lookup(call.nr).unwrap().0, name);
    if Entry::of(Abi::Native, call.nr).is_none()
        || differs_on_purpose(name)
        || says_more_or_less(line)
    {
        return;
    }
    compared.insert(name);
    let decoded = decoded(call);
    if decoded != line {
        let _ = writeln!(differing, "strace {line}\ndenet  {decoded}");
    }
}

/// What `record.c` captured: if this changes, the calls have to be recorded again.
#[test]
fn what_is_captured_is_what_was_recorded() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/trace/captures");
    let captures = captures();
    if std::env::var_os("DENET_GOLDEN").is_some() {
        std::fs::write(file, &captures).unwrap();
    }
    let recorded = std::fs::read_to_string(file).unwrap();
    assert_eq!(captures, recorded, "see tests/data/trace/record.sh");
}

fn captures() -> String {
    let mut text = String::new();
    for (nr, ..) in Table::of(Abi::Native).entries() {
        let Some(entry) = Entry::of(Abi::Native, nr) else {
            continue;
        };
        for capture in entry.captures(Abi::Native) {
            let when = if capture.when == When::Enter {
                'e'
            } else {
                'x'
            };
            let what = match capture.what {
                What::String => "string 0 0".to_owned(),
                What::Strings => "strings 0 0".to_owned(),
                What::Bytes(count) => format!("fixed {count} 0"),
                What::BytesByArg { arg, unit } => format!("arg {arg} {unit}"),
                What::BytesByResult { unit } => format!("result 0 {unit}"),
                What::BytesByIntAt { arg } => format!("intat {arg} 0"),
            };
            let _ = writeln!(text, "{nr} {} {when} {what}", capture.arg);
        }
    }
    text
}
