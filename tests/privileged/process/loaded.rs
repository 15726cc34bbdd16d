//! Programs of load.c under denet, which measure what they use.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::running::{Done, Watching};
use crate::support::wait::wait_for;
use crate::support::{Scratch, load, stderr};

/// A program of load.c under denet, and the numbers that it measured.
pub struct Loaded {
    pub watching: Watching,
    numbers: PathBuf,
    _scratch: Scratch,
}

impl Loaded {
    pub fn start(options: &[&str], mode: &[&str]) -> Self {
        let scratch = Scratch::new();
        let numbers = scratch.path("numbers");
        let mut command = Command::new(load());
        let watching = Watching::run(options, command.args(mode).arg(&numbers));
        Self {
            watching,
            numbers,
            _scratch: scratch,
        }
    }

    pub fn wait_for(&self, name: &str, count: usize) -> Vec<u64> {
        wait_for_numbers(&self.numbers, name, count)
    }

    /// With the CPU time that each process measured of itself, the last one's last.
    pub fn end(self) -> (Done, Vec<u64>) {
        let done = self.watching.end();
        let text = stderr(&done.output);
        assert!(text.is_empty(), "{text}");
        (done, numbers(&self.numbers, "cpu"))
    }
}

/// Those of this name.
pub fn numbers(file: &Path, name: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let named = lines.filter(|line| line.0 == name);
    named.filter_map(|line| line.1.parse().ok()).collect()
}

pub fn wait_for_numbers(file: &Path, name: &str, count: usize) -> Vec<u64> {
    wait_for(&format!("{count} times {name}"), || {
        Some(numbers(file, name)).filter(|numbers| numbers.len() >= count)
    })
}

pub fn trees(records: &[Value]) -> Vec<&Value> {
    of_kind(records, "tree")
}

pub fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["kind"] == kind)
        .collect()
}
