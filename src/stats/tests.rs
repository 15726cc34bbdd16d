use std::io::{self, BufReader, Read};

use serde_json::{Value, json};

use super::*;
use crate::render::stats::{object, report};

const WHOLE: &str = include_str!("../../tests/data/recordings/whole.jsonl");
const T0: u64 = 1_700_000_000_000;

fn of(text: &str) -> Statistics {
    read(text.as_bytes()).unwrap()
}

fn error(text: impl AsRef<[u8]>) -> String {
    read(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_whole_recording_is_summed_up() {
    let whole = of(WHOLE);
    assert!(whole.is_whole() && whole.doubts.none());
    assert_eq!(whole.samples, 5);
    assert_eq!(whole.doubts.unknown_fields.total(), 0, "{:?}", whole.doubts);
    // 0% for 100 ms, 100% for 300 ms, 50% for a second.
    assert!((whole.cpu.mean().unwrap() - 800.0 / 14.0).abs() < 1e-9);
    let median = whole.cpu.percentile(0.5).unwrap();
    assert!((median - 50.0).abs() <= 50.0 * histogram::RESOLUTION);
    assert_eq!(
        (whole.cpu.peak(), whole.cpu.peak_ts_ms()),
        (Some(100.0), Some(T0 + 200))
    );
    assert_eq!(
        (whole.rss.peak(), whole.rss.peak_ts_ms()),
        (Some(5000.0), Some(T0 + 1400))
    );
    // Read less often than the rest: 200 ms and 1,200 ms after the one before.
    assert_eq!((whole.pss.count, whole.pss.peak()), (2, Some(4500.0)));
    let mean = (1500.0 * 200.0 + 4500.0 * 1200.0) / 1400.0;
    assert!((whole.pss.mean().unwrap() - mean).abs() < 1e-9);
    assert_eq!(whole.longest_gap, Some((1000, T0 + 1400)));
    assert_eq!(whole.totals[..2], [Some(16384), Some(4_194_304)]);
    assert_eq!((whole.exits.total, whole.exits.unknown), (4, 1));
    assert_eq!(
        whole.exits.by_code.iter().collect::<Vec<_>>(),
        [(&0, &1), (&2, &1)]
    );
    assert_eq!(whole.exits.by_signal.get(&9), Some(&1));
    assert_eq!(
        (whole.psi_some.peak(), whole.psi_full.peak()),
        (Some(12.5), Some(2.5))
    );
    assert_eq!(
        whole.perf.unwrap().named().next(),
        Some(("cycles", 6_000_000))
    );
    let calls = whole.calls.as_ref().unwrap();
    assert_eq!((calls.total, whole.sampled_calls), (Some(6000), Some(5000)));
    assert_eq!(disagree::disagreements(&whole), []);
}

#[test]
fn wherever_it_ends_it_says_what_there_was() {
    let mut samples = 0;
    let first = WHOLE.find('\n').unwrap();
    for end in 0..WHOLE.len() {
        let result = read(&WHOLE.as_bytes()[..end]);
        let Ok(cut) = result else {
            assert!(end < first, "{end}");
            continue;
        };
        let whole_lines = WHOLE.as_bytes()[end - 1] == b'\n' || WHOLE.as_bytes()[end] == b'\n';
        assert_eq!(cut.doubts.incomplete_last_line, !whole_lines, "{end}");
        assert!(cut.samples >= samples);
        samples = cut.samples;
        assert_eq!(cut.is_whole(), end == WHOLE.len() - 1);
    }
    assert_eq!(samples, 5);
}

#[test]
fn what_is_odd_is_counted_and_named() {
    let odd = of(include_str!("../../tests/data/recordings/odd.jsonl"));
    let doubts = &odd.doubts;
    assert_eq!(
        (
            doubts.not_json.first.as_slice(),
            doubts.no_record.first.as_slice()
        ),
        (&[3, 8][..], &[4][..])
    );
    assert_eq!(
        doubts.unknown_kinds.named.keys().collect::<Vec<_>>(),
        ["weather"]
    );
    assert_eq!(
        doubts.unknown_fields.named.keys().collect::<Vec<_>>(),
        ["colour"]
    );
    let wrong: Vec<_> = doubts.wrong_types.named.keys().collect();
    assert_eq!(wrong, ["mem_rss_kb", "thread_count", "ts_ms"]);
    let implausible: Vec<_> = doubts.implausible.named.keys().collect();
    assert_eq!(
        implausible,
        ["cpu_usage", "disk_read_bytes", "pid", "signal"]
    );
    assert_eq!(
        (doubts.backwards, doubts.after_summary, doubts.another_at),
        (1, 1, Some(14))
    );
    assert_eq!((odd.samples, odd.cpu.count, odd.rss.count), (4, 3, 3));
}

#[test]
fn contradictions_are_found() {
    let found = disagree::disagreements(&of(include_str!(
        "../../tests/data/recordings/contradicting.jsonl"
    )));
    let fields: Vec<_> = found.iter().map(|one| one.field).collect();
    let expected = [
        "sample_count",
        "peak_cpu_usage",
        "peak_mem_rss_kb",
        "max_threads",
        "disk_write_bytes",
        "ebpf.syscalls.total",
        "ebpf.syscalls.total",
        "total_time_secs",
    ];
    assert_eq!(fields, expected);
    let busy = (1..=20).map(|at| {
        json!({"kind": "sample", "ts_ms": T0 + at * 100, "cpu_usage": 100.0}).to_string() + "\n"
    });
    let lines: String = busy.collect();
    let metadata = json!({"kind": "metadata", "schema": 1, "t0_ms": T0});
    let summary = json!({"kind": "summary", "sample_count": 20, "total_time_secs": 2.0, "avg_cpu_usage": 40.0});
    let found = disagree::disagreements(&of(&format!("{metadata}\n{lines}{summary}\n")));
    assert_eq!((found.len(), found[0].field), (1, "avg_cpu_usage"));
}

#[test]
fn what_is_no_recording_is_told_what_it_is() {
    let tree = WHOLE.lines().nth(2).unwrap();
    for (text, word) in [
        ("", "empty"),
        ("\n \n\r\n", "empty"),
        ("[1]", "a JSON array"),
        ("5\n", "not an object"),
        ("{}", "without \"kind\""),
        ("{\"kind\":\"stats\"}", "of kind \"stats\""),
        ("{\"kind\":\"metadata\"}", "no schema"),
        ("{\"kind\":\"metadata\",\"schema\":\"1\"}", "no schema"),
        ("{\"kind\":\"metadata\",\"schema\":0}", "schema 0"),
        (
            "{\"kind\":\"metadata\",\"schema\":2}",
            "schema 2, this denet understands 1: use a newer denet",
        ),
        ("{\"kind\":\"meta", "incomplete"),
        ("{\n\"kind\":\"metadata\"}", "goes on in the next line"),
        (tree, "\"tree\""),
        ("ts_ms,cpu_usage\n1,2\n", "CSV) of denet's"),
        ("a,b,c\n1,2,3\n", "a table (CSV): \"a,b,c\""),
        ("#!/bin/sh\n", "text: \"#!/bin/sh\""),
        ("\u{1f}\u{1b}[31m", "binary"),
        ("\u{7f}ELF", "ELF"),
    ] {
        assert!(error(text).contains(word), "{word}: {}", error(text));
    }
    assert!(error(b"\x1f\x8b\x08\x00").contains("gzip"));
    assert!(error(b"\xff\xfe{\0").contains("binary"));
    let marked = read([b"\xef\xbb\xbf", WHOLE.as_bytes()].concat().as_slice()).unwrap();
    assert_eq!(marked.samples, 5);
    let windows = of(&WHOLE.replace('\n', "\r\n"));
    assert!(windows.doubts.none() && windows.is_whole());
}

#[test]
fn long_lines_are_read_and_longer_ones_refused() {
    let metadata = r#"{"kind":"metadata","schema":1}"#;
    let long = format!(
        "{metadata}\n{{\"kind\":\"tree\",\"children\":[{}1]}}\n",
        "1,".repeat(5000)
    );
    assert_eq!(read_limited(long.as_bytes(), 20_000).unwrap().samples, 1);
    let error = read_limited(long.as_bytes(), 5000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2 is longer than 5000 bytes: no denet writes that"
    );
}

/// Gives a byte at a time, and then fails.
struct Trickle<'a>(&'a [u8], Option<io::ErrorKind>);

impl Read for Trickle<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match (self.0.split_first(), self.1) {
            (Some((byte, rest)), _) => {
                to[0] = *byte;
                self.0 = rest;
                Ok(1)
            }
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
        }
    }
}

#[test]
fn a_pipe_may_be_slow_or_break() {
    let slow = read(BufReader::new(Trickle(WHOLE.as_bytes(), None))).unwrap();
    assert_eq!(object(&slow), object(&of(WHOLE)));
    let broken = BufReader::new(Trickle(
        WHOLE.as_bytes(),
        Some(io::ErrorKind::ConnectionReset),
    ));
    assert!(matches!(read(broken), Err(StatsError::Read(_))));
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let mut text = WHOLE.lines().next().unwrap().to_owned() + "\n";
    for number in 0..20_000 {
        let line = match number % 4 {
            0 => format!("{{\"kind\":\"exit\",\"exit_code\":{number}}}\n"),
            1 => format!("{{\"kind\":\"x{number}\"}}\n"),
            2 => format!(
                "{{\"kind\":\"sample\",\"y{number}\":1,\"ts_ms\":{}}}\n",
                T0 + number
            ),
            _ => "broken\n".to_owned(),
        };
        text += &line;
    }
    let all = of(&text);
    assert_eq!((all.samples, all.exits.total), (5000, 5000));
    assert!(all.exits.by_code.len() <= 400);
    assert_eq!(all.doubts.unknown_kinds.total(), 5000);
    assert!(object(&all).to_string().len() < 20_000);
}

/// xorshift64: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

const SPOILERS: [&str; 16] = [
    "-1",
    "1e300",
    "-0.0",
    "1e999",
    "NaN",
    "null",
    "\"x\"",
    "[]",
    "{}",
    "true",
    "18446744073709551615",
    "-9223372036854775808",
    "0.1",
    "\"\\u0000\u{1b}[31m\"",
    "253402300799999",
    "[{\"kind\":[]}]",
];

/// The recording, spoilt in one to three places.
fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = WHOLE.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, [dice.below(256) as u8])),
            2 => bytes[at] = dice.below(256) as u8,
            3 => drop(bytes.drain(at..(at + dice.below(2000)).min(bytes.len()))),
            4 => bytes.rotate_left(at),
            _ => {
                // Another value for a field.
                let after = |from: usize, stops: &[u8]| {
                    let rest = bytes[from..].iter();
                    from + rest
                        .clone()
                        .position(|byte| stops.contains(byte))
                        .unwrap_or(rest.len())
                };
                let from = (after(at, b":") + 1).min(bytes.len());
                let to = after(from, b",}");
                let spoiler = SPOILERS[dice.below(SPOILERS.len())];
                bytes.splice(from..to, spoiler.bytes());
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

#[test]
fn two_thousand_spoilt_recordings() {
    let mut dice = Dice(0x5eed);
    let (mut read_some, mut refused) = (0, 0);
    for number in 0..2000 {
        let bytes = mutated(&mut dice);
        let Ok(statistics) = read(bytes.as_slice()) else {
            refused += 1;
            continue;
        };
        read_some += 1;
        for columns in [1, 80, 200] {
            let mut page = Vec::new();
            report(&mut page, &statistics, 10, columns).unwrap();
            let page = String::from_utf8(page).unwrap();
            let plain = anstream::adapter::strip_str(&page).to_string();
            assert!(
                !plain.contains("NaN") && !plain.contains("inf"),
                "{number}: {plain}"
            );
            let commands = |c: char| c.is_control() && c != '\n';
            assert!(!plain.contains(commands), "{number}: {plain:?}");
        }
        let object = object(&statistics);
        for metric in ["cpu_usage", "mem_rss_kb"] {
            ordered(&object["metrics"][metric]);
        }
        let again: Value = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(again["kind"], "stats");
    }
    assert!(read_some > 1000 && refused > 100, "{read_some} {refused}");
}

fn ordered(metric: &Value) {
    if metric.is_null() {
        return;
    }
    let figures = ["p50", "p95", "peak"].map(|name| metric[name].as_f64().unwrap());
    assert!(figures.is_sorted() && figures[0] >= 0.0, "{metric}");
    let mean = metric["mean"].as_f64().unwrap();
    assert!(
        (0.0..=figures[2] * (1.0 + 1e-9)).contains(&mean),
        "{metric}"
    );
}
