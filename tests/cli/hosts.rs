//! Recorded hosts, each with its report: tests/hosts. And whatever a host is like, no advice opens it.
//!
//! Golden reports contain only checks that are not ok, so a new passing check changes none. Every check,
//! goal and section, in order, is in the report of one host only: `WHOLE`.
//!
//! `DENET_GOLDEN=write cargo test --test cli hosts` writes the reports anew; look at the difference before
//! you commit it.
#![expect(clippy::panic, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use denet::checks::report::{Diagnosis, Selection};
use denet::checks::step::Step;
use denet::checks::{CHECKS, Refusal, explain};
use denet::facts::Facts;
use serde::Deserialize as _;
use serde_json::Value;

use crate::support::{EBPF_DIAG, output, stderr, stdout};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts")
}

/// Every folder with options is a host.
pub fn hosts() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("tests/hosts").flatten();
    let mut hosts: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("options").exists())
        .collect();
    hosts.sort();
    hosts
}

fn name(host: &Path) -> &str {
    host.file_name()
        .and_then(|name| name.to_str())
        .expect("our own name")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn judged(host: &Path, more: &[&str]) -> Output {
    let options = read(&host.join("options"));
    let mut command = Command::new(EBPF_DIAG);
    command
        .args(options.split_whitespace())
        .args(more)
        .current_dir(host)
        .env_remove("RUST_LOG");
    output(&mut command)
}

/// The report of a release is that of the next.
fn without_version(text: &str) -> String {
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    text.replace(&version, "\"version\": \"VERSION\"")
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// One object a line is hard to compare.
fn laid_out(report: &Value) -> String {
    let text = serde_json::to_string_pretty(report).expect("a value");
    without_version(&text) + "\n"
}

/// The one host whose golden report is whole.
const WHOLE: &str = "healthy";

/// Without the checks that are ok, their number, and the probes, which are those of the facts.
fn not_ok(mut report: Value) -> Value {
    let checks = report["checks"].as_array_mut().expect("a list");
    checks.retain(|check| check["status"] != "ok");
    for (within, name) in [("/summary", "ok"), ("", "probes")] {
        let object = report.pointer_mut(within).and_then(Value::as_object_mut);
        let removed = object.and_then(|object| object.shift_remove(name));
        assert!(removed.is_some(), "no {name} in the report");
    }
    report
}

/// The same of the text: without the lines of checks that are ok, and without sections that are then empty.
fn text_not_ok(report: &str) -> String {
    /// Columns in front of a second line of what a check saw.
    const BEHIND: &str = "                            ";
    let mut ok = false;
    let mut text = String::new();
    for section in report.split("\n\n") {
        let lines: Vec<&str> = section.lines().collect();
        let mut left = lines.clone();
        left.retain(|line| {
            ok = line.starts_with(OK) || ok && line.starts_with(BEHIND);
            !ok
        });
        // Of a section with nothing but checks that are ok only the title is left.
        if left.len() == lines.len() || left.len() > 1 {
            text += &format!("{}\n\n", left.join("\n"));
        }
    }
    text.trim_end_matches('\n').to_owned() + "\n"
}

/// Reported only if they are named with `--only`.
const BY_NAME_ONLY: [&str; 2] = ["other-processes", "not-yours"];

/// How the line of a check that is ok begins.
const OK: &str = "  ✓ ";

/// The unfiltered report has every check and goal, once and in order, and counts those that are ok, of which
/// the text has a line each.
fn check_whole(name: &str, text: &str, json: &Value) {
    let ids = |list: &str| -> Vec<String> {
        let list = json[list].as_array().into_iter().flatten();
        list.map(|it| it["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let all: Vec<_> = denet::checks::report::ids()
        .filter(|id| !BY_NAME_ONLY.contains(id))
        .collect();
    assert_eq!([ids("goals"), ids("checks")].concat(), all, "{name}");
    let checks = json["checks"].as_array().into_iter().flatten();
    let ok = checks.filter(|check| check["status"] == "ok").count();
    assert_eq!(json["summary"]["ok"], ok, "{name}");
    let lines = text.lines().filter(|line| line.starts_with(OK)).count();
    assert_eq!(lines, ok, "{name}: {text}");
}

fn compare(file: &Path, found: &str, differ: &mut Vec<String>) {
    if std::env::var("DENET_GOLDEN").is_ok_and(|it| it == "write") {
        fs::write(file, found).expect("our own folder");
        return;
    }
    let golden = fs::read_to_string(file).unwrap_or_default();
    if golden == found {
        return;
    }
    differ.push(format!("{}\n{}", file.display(), diff(&golden, found)));
}

/// What both begin and end with left out.
fn diff(golden: &str, found: &str) -> String {
    const SHOWN: usize = 20;
    let (mut old, mut new): (Vec<_>, Vec<_>) = (golden.lines().collect(), found.lines().collect());
    let alike = old
        .iter()
        .zip(&new)
        .take_while(|(one, other)| one == other)
        .count();
    old.drain(..alike);
    new.drain(..alike);
    while old.last().is_some() && old.last() == new.last() {
        old.pop();
        new.pop();
    }
    let marked = |mark: char, lines: Vec<&str>| -> Vec<String> {
        let shown = lines.iter().take(SHOWN);
        shown.map(|line| format!("{mark} {line}")).collect()
    };
    let lines = [marked('-', old), marked('+', new)].concat();
    format!("@ line {}\n{}", alike + 1, lines.join("\n"))
}

/// A host's report as text, with its exit code, and as JSON.
fn reports(host: &Path) -> (String, Value) {
    let report = judged(host, &[]);
    assert_eq!(stderr(&report), "", "{}", name(host));
    let code = format!("exit {}\n", report.status.code().unwrap_or(-1));
    let json = parsed(&stdout(&judged(host, &["--json"])));
    (stdout(&report) + &code, json)
}

fn none_differs(differ: &[String]) {
    assert!(
        differ.is_empty(),
        "{}\nlook at the difference, then: DENET_GOLDEN=write cargo test --test cli hosts",
        differ.join("\n\n")
    );
}

#[test]
fn every_host_has_the_report_that_is_recorded() {
    let hosts = hosts();
    assert!(hosts.len() >= 8, "only {} hosts", hosts.len());
    let mut differ = Vec::new();
    for host in &hosts {
        let (text, json) = reports(host);
        check_whole(name(host), &text, &json);
        if name(host) != WHOLE {
            compare(&host.join("report.txt"), &text_not_ok(&text), &mut differ);
            let golden = laid_out(&not_ok(json.clone()));
            compare(&host.join("report.json"), &golden, &mut differ);
        }
        let facts = fs::read_to_string(host.join("facts.json"));
        let facts = facts.map_or(Value::Null, |facts| parsed(&facts));
        let probes = facts.pointer("/probes/all").cloned();
        let none = || Value::Array(Vec::new());
        assert_eq!(
            json["probes"],
            probes.unwrap_or_else(none),
            "{}",
            name(host)
        );
        let wide = text
            .lines()
            .filter(|line| line.chars().count() > 80)
            .count();
        let commands = text.matches("sudo ").count();
        assert!(wide <= commands, "{}: prose beyond 80 columns", name(host));
        let page = read(&host.join("README.md"));
        assert!(
            page.contains("Captured") || page.contains("Constructed"),
            "{}",
            name(host)
        );
    }
    none_differs(&differ);
}

/// Every check and every goal, in order, and what a check that is ok looks like.
#[test]
fn every_check_and_goal_is_in_one_whole_report() {
    let host = folder().join(WHOLE);
    let (text, json) = reports(&host);
    let mut differ = Vec::new();
    compare(&host.join("report.txt"), &text, &mut differ);
    compare(&host.join("report.json"), &laid_out(&json), &mut differ);
    none_differs(&differ);
}

/// Facts of every host, as JSON.
fn all_facts() -> Vec<(String, Value)> {
    let facts = |host: &PathBuf| {
        let scratch = crate::support::Scratch::new();
        let file = scratch.path("facts.json");
        let options = read(&host.join("options"));
        let saved = if options.contains("--facts") {
            host.join("facts.json")
        } else {
            judged(host, &["--save-facts", file.to_str().expect("ours")]);
            file
        };
        let value = serde_json::from_str(&read(&saved)).expect("facts");
        (name(host).to_owned(), value)
    };
    hosts().iter().map(facts).collect()
}

/// What no step may do, whatever is wrong.
fn opens(step: &Step) -> Option<String> {
    let text = step.text();
    let setting = |key: &str| {
        let value = text.split(&format!("{key}=")).nth(1)?;
        let end = value.find(|c: char| c != '-' && !c.is_ascii_digit());
        value[..end.unwrap_or(value.len())].parse::<i64>().ok()
    };
    let bad = setting("unprivileged_bpf_disabled").is_some_and(|value| value < 2)
        || setting("kptr_restrict").is_some_and(|value| value < 1)
        || setting("perf_event_paranoid").is_some_and(|value| value < 2)
        || [
            "cap_dac_read_search",
            "cap_sys_admin",
            "g+w",
            "o+w",
            "a+w",
            "chmod -R",
        ]
        .iter()
        .any(|words| text.contains(words));
    let octal = |mode: &str| {
        let end = mode.find(|c: char| !c.is_digit(8)).unwrap_or(mode.len());
        u32::from_str_radix(&mode[..end], 8).unwrap_or(0o777)
    };
    let mut modes: Vec<&str> = text.split("mode=").skip(1).collect();
    if text.contains("install ") {
        modes.extend(text.split(" -m ").skip(1));
    }
    let writable = modes.into_iter().any(|mode| octal(mode) & 0o022 != 0);
    (bad || writable).then_some(text)
}

const ERRNOS: [i32; 12] = [1, 2, 12, 13, 16, 17, 19, 22, 24, 38, 95, 524];
const COMMANDS: [&str; 6] = [
    "BPF_MAP_CREATE ringbuf",
    "BPF_PROG_LOAD x",
    "BPF_LINK_CREATE",
    "perf_event_open cycles",
    "tracefs events/x/id",
    "mount",
];

fn check_advice(name: &str, facts: &Facts) {
    let diagnosis = Diagnosis::of(facts, &Selection::default());
    let found = diagnosis
        .checks
        .iter()
        .filter_map(|check| check.verdict.finding());
    let mut steps: Vec<Step> = found.flat_map(|finding| finding.fix.clone()).collect();
    for what in COMMANDS {
        for errno in ERRNOS.map(Some).into_iter().chain([None]) {
            let refusal = Refusal {
                what,
                errno,
                log: None,
            };
            steps.extend(explain(facts, refusal).fix);
        }
    }
    for step in &steps {
        assert_eq!(opens(step), None, "{name}");
    }
    for goal in &diagnosis.goals {
        let ready = goal.status == denet::checks::goals::Status::Ready;
        assert_eq!(goal.because.is_empty(), ready, "{name}: {goal:?}");
        for id in &goal.because {
            let check = diagnosis.checks.iter().find(|check| check.id == *id);
            let check = check.unwrap_or_else(|| panic!("{name}: no check {id}"));
            let stands = check.verdict.finding().is_some() || check.verdict.name() == "unknown";
            assert!(stands, "{name}: {} by {id}: {:?}", goal.id, check.verdict);
        }
    }
}

/// xorshift64*, from a seed: the same mutations each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const NUMBERS: [i64; 12] = [-1, 0, 1, 2, 3, 4, 5, 8, 37, 40, 1000, 65534];
const SETS: [&str; 5] = [
    "0000000000000000",
    "000001ffffffffff",
    "000000c000000000",
    "0000008000000000",
    "00000000a80425fb",
];
const WORDS: [&str; 6] = [
    "none",
    "integrity",
    "confidentiality",
    "EPERM",
    "",
    "tracefs",
];

/// Changes one thing, somewhere; the position of the field of an object that it is in.
fn alter(value: &mut Value, dice: &mut Dice) -> Option<usize> {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let at = dice.below(fields.len());
            let field = fields.values_mut().nth(at)?;
            if dice.below(6) == 0 {
                *field = match dice.below(3) {
                    0 => Value::from("absent"),
                    1 => serde_json::json!({"denied": "no"}),
                    _ => serde_json::json!({"failed": "so"}),
                };
            } else {
                alter(field, dice);
            }
            return Some(at);
        }
        Value::Array(all) if !all.is_empty() => {
            let at = dice.below(all.len());
            if dice.below(8) == 0 {
                all.remove(at);
            } else {
                alter(&mut all[at], dice);
            }
        }
        Value::Number(_) => *value = Value::from(dice.of(&NUMBERS)),
        Value::Bool(is) => *is = !*is,
        Value::String(text) if text.len() == 16 => *text = dice.of(&SETS).to_owned(),
        Value::String(text) => *text = dice.of(&WORDS).to_owned(),
        _ => {}
    }
    None
}

/// Checks a host and many that differ from it; how many of those were facts.
fn check_altered(name: &str, value: &Value) -> usize {
    check_advice(name, &Facts::deserialize(value).expect("facts"));
    let mut understood = 0;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // To copy all facts each time would take longer than to judge them.
    let mut altered = value.clone();
    for _ in 0..1500 {
        let fields: Vec<_> = (0..=dice.below(6))
            .filter_map(|_| alter(&mut altered, &mut dice))
            .collect();
        if let Ok(facts) = Facts::deserialize(&altered) {
            understood += 1;
            check_advice(name, &facts);
        }
        for at in fields {
            let whole = value.as_object().and_then(|all| all.values().nth(at));
            let field = altered
                .as_object_mut()
                .and_then(|all| all.values_mut().nth(at));
            *field.expect("altered") = whole.expect("the same fields").clone();
        }
    }
    assert_eq!(altered, *value);
    understood
}

#[test]
fn no_advice_opens_any_host_nor_one_that_is_altered() {
    let hosts = Mutex::new(all_facts().into_iter());
    let next = || hosts.lock().expect("no panic while locked").next();
    let worker = || -> usize {
        let of_hosts = std::iter::from_fn(next);
        of_hosts
            .map(|(name, value)| check_altered(&name, &value))
            .sum()
    };
    let understood: usize = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.map(|understood| understood.expect("no advice that opens"))
            .sum()
    });
    assert!(understood > 5000, "only {understood} were facts");
}

/// Checks that no recorded host exercises, and what does instead.
const ELSEWHERE: [&str; 0] = [];

#[test]
fn every_check_finds_something_on_some_host() {
    let mut found: Vec<String> = Vec::new();
    for (_, value) in all_facts() {
        let facts: Facts = serde_json::from_value(value).expect("facts");
        let with_finding = CHECKS
            .iter()
            .filter(|check| (check.judge)(&facts).finding().is_some());
        found.extend(with_finding.map(|check| check.id.to_owned()));
    }
    let missing: Vec<_> = CHECKS
        .iter()
        .map(|check| check.id)
        .filter(|id| !found.iter().any(|known| known == id) && !ELSEWHERE.contains(id))
        .collect();
    assert!(missing.is_empty(), "on no host: {missing:?}");
}
