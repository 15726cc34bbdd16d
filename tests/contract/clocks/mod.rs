//! No test depends on how fast the machine is: each line of a test that reads a clock, sleeps or sets a
//! timeout is listed in tests/clocks, with the reason why it may.

mod scan;
mod sources;

use std::collections::BTreeMap;
use std::fs;

use crate::root;
use sources::{Found, LIST, found, numbered};

const ADVICE: &str = "wait for an event with support::wait (tests/support/wait.rs), compare with what the \
    test itself measured just inside and just outside, or add the line to tests/clocks with the reason why \
    it does not depend on the machine's speed";

/// How often each line is listed, and what is wrong with the list itself.
fn listed(list: &str) -> (BTreeMap<(String, String), usize>, Vec<String>) {
    let (mut listed, mut wrong) = (BTreeMap::new(), Vec::new());
    for (number, line) in numbered(list) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<_> = line.split('\t').collect();
        match columns[..] {
            [file, text, reason] if !reason.trim().is_empty() => {
                *listed
                    .entry((file.to_owned(), text.to_owned()))
                    .or_default() += 1;
            }
            [_, _, _] => wrong.push(format!("{LIST}:{number}: gives no reason")),
            _ => wrong.push(format!(
                "{LIST}:{number}: needs three columns between tabs: file, line, reason"
            )),
        }
    }
    (listed, wrong)
}

/// What is not listed, and what is listed but no longer there.
fn differences(found: &Found, list: &str) -> Vec<String> {
    let (listed, mut wrong) = listed(list);
    for (key @ (file, text), numbers) in found {
        let allowed = listed.get(key).copied().unwrap_or(0);
        for number in numbers.iter().skip(allowed) {
            wrong.push(format!("{file}:{number}: {text}\n    {ADVICE}"));
        }
    }
    for (key @ (file, text), times) in &listed {
        let there = found.get(key).map_or(0, Vec::len);
        if *times > there {
            wrong.push(format!("{LIST}: no such line in {file} any more: {text}"));
        }
    }
    wrong
}

#[test]
fn no_test_depends_on_how_fast_the_machine_is() {
    let list = fs::read_to_string(root().join(LIST)).expect("the list");
    let wrong = differences(&found(), &list);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_is_listed_once_for_each_time_it_is_there() {
    let key = ("tests/a.rs".to_owned(), "sleep(1);".to_owned());
    let twice = Found::from([(key, vec![3, 9])]);
    let line = "tests/a.rs\tsleep(1);\tthe reason\n";
    assert_eq!(differences(&twice, &line.repeat(2)), Vec::<String>::new());
    let missing = differences(&twice, line);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].starts_with("tests/a.rs:9: sleep(1);"),
        "{missing:?}"
    );
    assert!(missing[0].contains("support::wait"), "{missing:?}");
    let gone = differences(&twice, &line.repeat(3));
    assert_eq!(
        gone,
        ["tests/clocks: no such line in tests/a.rs any more: sleep(1);"]
    );
    let unreasoned = differences(&Found::new(), "# a comment\n\ntests/a.rs\tsleep(1);\t \n");
    assert_eq!(unreasoned, ["tests/clocks:3: gives no reason"]);
}
