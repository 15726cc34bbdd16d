//! `denet stats`: recordings as they come from a disk, a pipe, a run that goes on or was killed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::wait::wait_for;
use crate::support::{DENET, Scratch, denet, output, stderr, stdout};

fn recording(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    folder.join(name)
}

fn stats(arguments: &[&str], file: &Path) -> Output {
    output(denet(["stats"]).args(arguments).arg(file))
}

/// The text, of what could be summarised.
fn text(file: &Path) -> String {
    let done = stats(&[], file);
    assert_eq!((done.status.code(), stderr(&done).as_str()), (Some(0), ""));
    stdout(&done)
}

fn object(file: &Path) -> Value {
    let done = stats(&["--json"], file);
    assert_eq!((done.status.code(), stderr(&done).as_str()), (Some(0), ""));
    let lines = stdout(&done);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    serde_json::from_str(&lines).expect("JSON")
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?}: {text}");
    }
}

#[test]
fn help_says_what_matters_here() {
    let help = stdout(&output(&mut denet(["stats", "--help"])));
    has(
        &help,
        &[
            "FILE",
            "standard input",
            "--json",
            "--top",
            "125",
            "Examples",
        ],
    );
    assert!(!help.contains("--enable-ebpf"), "{help}");
    has(&stdout(&output(&mut denet(["--help"]))), &["stats"]);
}

#[test]
fn a_whole_recording() {
    let report = text(&recording("whole.jsonl"));
    let words = [
        "denet: make -j2",
        "exit 2 · 1.50 s wall",
        "cpu            57.1%",
        "1 SIGKILL",
        "open (i386)",
        "total                     6,000  100.0%",
        "PSS          4.0 MiB",
        "sum of RSS",
        "peak 4.4 MiB PSS in samples, ",
        "mix of calls: 60.0% file_io, 40.0% memory",
        "complete",
    ];
    has(&report, &words);
    // The class is that of the counts: the report makes no claim about what limits the program.
    for word in ["truncated", "disagree", "odd", "\u{1b}", "io_bound"] {
        assert!(!report.contains(word), "{word}: {report}");
    }
    let object = object(&recording("whole.jsonl"));
    let analysis = &object["ebpf"]["syscalls"]["analysis"];
    assert_eq!(analysis["behavior_classification"], "io_bound");
    assert_eq!(analysis["basis"], "counts");
    assert_eq!(
        (object["kind"].as_str(), object["schema"].as_u64()),
        (Some("stats"), Some(1))
    );
    assert_eq!(object["samples"]["count"], 5);
    assert_eq!(object["disagreements"], serde_json::json!([]));
}

#[test]
fn figures_that_are_not_complete_are_the_least() {
    let scratch = Scratch::new();
    let partial = scratch.path("partial.jsonl");
    let whole = fs::read_to_string(recording("whole.jsonl")).expect("a recording");
    let changed = whole.replace(r#""usage_complete":true"#, r#""usage_complete":false"#);
    fs::write(&partial, changed).expect("room");
    let report = text(&partial);
    has(
        &report,
        &[
            "at least 900.0 ms CPU (500.0 ms user",
            "at least 16.0 KiB read",
        ],
    );
    assert!(!text(&recording("whole.jsonl")).contains("at least"));
}

#[test]
fn a_truncated_recording_says_up_to_when() {
    let report = text(&recording("truncated.jsonl"));
    let words = [
        "truncated: no summary; figures are of 3 samples up to 300.0 ms",
        "incomplete last line (still being written, or cut off)",
    ];
    has(&report, &words);
    assert_eq!(object(&recording("truncated.jsonl"))["truncated"], true);
    has(
        &text(&recording("one-process.jsonl")),
        &["denet: sleep 1", "3 samples up to 300.0 ms"],
    );
    has(
        &text(&recording("attached.jsonl")),
        &["denet: /system.slice", "--duration is over"],
    );
}

#[test]
fn what_is_odd_is_named() {
    let report = text(&recording("odd.jsonl"));
    let words = [
        "lines 3, 8 are not JSON: skipped",
        "line 4 is no record: skipped",
        "weather",
        "another recording begins in line 14",
    ];
    has(&report, &words);
    let report = text(&recording("contradicting.jsonl"));
    has(
        &report,
        &[
            "disagree  peak_mem_rss_kb: the summary says 4,000, but a sample has more: 5,000",
            "3 lost",
        ],
    );
    let scratch = Scratch::new();
    let broken = scratch.path("broken");
    let whole = fs::read_to_string(recording("whole.jsonl")).expect("ours");
    let lines = whole.replace("{\"kind\":\"exit\",\"ts_ms\":1700000001001", "{kind:");
    fs::write(&broken, lines).expect("room");
    has(&text(&broken), &["line 8 is not JSON: skipped"]);
}

#[test]
fn what_is_no_recording_is_refused() {
    let scratch = Scratch::new();
    let empty = scratch.path("empty");
    fs::write(&empty, "").expect("room");
    for (file, words) in [
        (scratch.path("missing"), "No such file"),
        (scratch.0.clone(), "Is a directory"),
        (empty, "empty: nothing was recorded"),
        (
            recording("newer.jsonl"),
            "schema 2, this denet understands 1: use a newer denet",
        ),
        (recording("samples.csv"), "CSV"),
        (
            recording("headless.jsonl"),
            "begins with a record of kind \"tree\"",
        ),
        (PathBuf::from(DENET), "ELF"),
        (
            PathBuf::from("/etc/passwd"),
            "not a denet recording: it is text",
        ),
        (PathBuf::from("/proc/self/mem"), "/proc/self/mem: "),
    ] {
        let refused = stats(&["--json"], &file);
        let said = stderr(&refused);
        assert_eq!(
            (refused.status.code(), stdout(&refused).as_str()),
            (Some(125), ""),
            "{said}"
        );
        assert!(
            said.starts_with("denet: ") && said.contains(words),
            "{words}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let usage = output(&mut denet(["stats"]));
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn from_a_pipe() {
    let mut command = Command::new(DENET);
    command
        .args(["stats", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("denet starts");
    let mut to = child.stdin.take().expect("piped");
    let whole = fs::read(recording("whole.jsonl")).expect("ours");
    for piece in whole.chunks(1000) {
        to.write_all(piece).expect("denet reads");
    }
    drop(to);
    let done = child.wait_with_output().expect("denet ends");
    let object: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (done.status.code(), &object["samples"]["count"]),
        (Some(0), &5.into())
    );
    let empty = output(&mut denet(["stats", "-"]));
    assert_eq!(empty.status.code(), Some(125));
    has(&stderr(&empty), &["standard input: empty"]);
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_none() {
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let failed = output(denet(["stats"]).arg(recording("whole.jsonl")).stdout(full));
    assert_eq!(failed.status.code(), Some(125), "{}", stderr(&failed));
    let script = format!(
        "({DENET} stats {0}; echo $? >&2) | true; {DENET} stats {0} >&-; echo $? >&2",
        recording("whole.jsonl").display()
    );
    let errors = stderr(&output(Command::new("sh").args(["-c", &script])));
    assert!(
        errors.starts_with("0\n") && errors.ends_with("125\n"),
        "{errors}"
    );
}

#[test]
fn a_run_is_summarised_while_it_goes_on_and_when_it_is_over() {
    let scratch = Scratch::new();
    let file = scratch.path("records");
    let mut run = denet(["--quiet", "--interval", "20", "--write-env", "--out"]);
    run.arg(&file)
        .args(["run", "--", "sh", "-c", "read released; exit 7"])
        .stdin(Stdio::piped());
    let mut child = run.spawn().expect("denet starts");
    let growing = wait_for("samples are recorded", || {
        let done = stats(&["--json"], &file);
        if !done.status.success() {
            return None;
        }
        let object: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        (object["samples"]["count"].as_u64() > Some(2)).then_some(object)
    });
    assert_eq!(growing["truncated"], true);
    assert_eq!(child.wait().expect("denet ends").code(), Some(7));
    let over = object(&file);
    assert_eq!(over["truncated"], false);
    assert_eq!(over["summary"]["exit"]["exit_code"], 7);
    assert_eq!(over["odd"]["none"], true, "{over}");
    assert_eq!(over["odd"]["unknown_fields"]["count"], 0, "{over}");
    assert_eq!(over["disagreements"], serde_json::json!([]));
    assert!(over["env"]["cpus_online"].as_u64() > Some(0), "{over}");
    assert!(
        over["metrics"]["mem_rss_kb"]["peak"].as_f64() > Some(0.0),
        "{over}"
    );
}
