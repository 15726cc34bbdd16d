//! Calls of each thread in order, from denet's records and from strace's output.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Scratch, output};

/// Name and result of a call, without what differs between two runs: ids and addresses.
pub type Call = (String, String);

fn alike(name: &str, result: &str) -> Call {
    let number = result.parse::<i64>().ok();
    let result = match (name, number) {
        // What it returns is what the interrupted code had in that register.
        ("rt_sigreturn", _) => "any",
        (_, None) if result.starts_with("0x") => "large",
        // Ids of processes may be small or large.
        (name, Some(_)) if IDS.contains(&name) => "id",
        (_, Some(4096..)) => "large",
        _ => result,
    };
    (name.to_owned(), result.to_owned())
}

const IDS: &[&str] = &[
    "clone",
    "clone3",
    "vfork",
    "fork",
    "getpid",
    "getppid",
    "gettid",
    "wait4",
    "set_tid_address",
];

/// Each thread's calls in order; the threads in no order.
fn sequences(threads: BTreeMap<u64, Vec<Call>>) -> Vec<Vec<Call>> {
    let mut all: Vec<_> = threads.into_values().collect();
    all.sort();
    all
}

pub fn by_denet(records: &[Value]) -> Vec<Vec<Call>> {
    let mut threads: BTreeMap<u64, Vec<Call>> = BTreeMap::new();
    for call in records.iter().filter(|record| record["kind"] == "call") {
        let result = match (call["errno"].as_str(), &call["result"]) {
            (Some(errno), _) => errno.to_owned(),
            (None, Value::Null) => "?".to_owned(),
            (None, Value::Number(result)) => result.to_string(),
            (None, other) => format!("no number: {other}"),
        };
        let name = call["name"].as_str().expect("a name");
        let tid = call["tid"].as_u64().expect("a thread");
        threads.entry(tid).or_default().push(alike(name, &result));
    }
    sequences(threads)
}

/// In decimal, whatever base it is written in.
fn number(result: &str) -> String {
    let (digits, base) = match (result.strip_prefix("0x"), result.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => return result.to_owned(),
    };
    i64::from_str_radix(digits, base)
        .map_or_else(|_| result.to_owned(), |number| number.to_string())
}

/// `-1 ENOENT (No such file…)` is ENOENT, `? ERESTARTSYS (To be…)` is ERESTARTSYS, `8 (flags 0x2)` is 8.
fn result_of(line: &str) -> Option<String> {
    let (_, result) = line
        .rsplit_once(") = ")
        .or_else(|| line.rsplit_once(")  = "))?;
    let mut words = result.split_whitespace();
    Some(match (words.next()?, words.next()) {
        ("-1" | "?", Some(errno)) => errno.to_owned(),
        (result, _) => number(result),
    })
}

pub fn by_strace(program: &Path, arguments: &[&str]) -> Vec<Vec<Call>> {
    let scratch = Scratch::new();
    let file = scratch.path("strace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-a1", "-esignal=none", "-o"])
        .arg(&file);
    assert!(
        output(command.arg(program).args(arguments))
            .status
            .success()
    );
    let text = std::fs::read_to_string(&file).expect("its output");
    let mut threads: BTreeMap<u64, Vec<Call>> = BTreeMap::new();
    for line in text.lines() {
        let (tid, rest) = line.split_once(' ').expect("a thread");
        let calls = threads.entry(tid.parse().expect("an id")).or_default();
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix("<... ") {
            let (name, _) = rest.split_once(' ').expect("resumed");
            *calls.last_mut().expect("begun") = alike(name, &result_of(rest).expect("a result"));
        } else if let Some((name, rest)) = rest.split_once('(').filter(|_| !rest.starts_with('+')) {
            let result = result_of(rest).unwrap_or_else(|| "?".to_owned());
            calls.push(alike(name, &result));
        }
    }
    sequences(threads)
}
