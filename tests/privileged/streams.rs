//! What `denet monitor exec|net` and `denet trace` have in common: whom they watch, how they end, what they
//! refuse, and what they say of what was lost.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::attached::Group;
use crate::broken::is_locked_down;
use crate::lifetime::send;
use crate::need_root;
use crate::support::wait::wait_until;
use crate::support::{Scratch, denet, output, records, stderr, workload};

/// The ways of naming whom to watch.
pub const WHOM: [&str; 3] = ["pid", "cgroup", "machine"];

/// What a stream recorded of a process, of its cgroup or of the whole machine, once it was attached and
/// that process went on.
pub fn recorded(verb: &[&str], whom: &str, group: &Group, pid: u32, go: impl FnOnce()) -> String {
    let scratch = Scratch::new();
    let out = scratch.path("records");
    let mut command = denet(["--quiet", "--duration", "3", "--out"]);
    command.arg(&out).args(verb);
    match whom {
        "pid" => command.args(["--pid", &pid.to_string()]),
        "cgroup" => {
            group.join(pid);
            command.args(["--cgroup", &group.folder()])
        }
        _ => &mut command,
    };
    let watching = command.stderr(Stdio::null()).spawn().expect("denet starts");
    wait_until("denet is attached", || has_records(&out));
    go();
    let done = watching.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{verb:?} {whom}");
    std::fs::read_to_string(&out).expect("records")
}

fn has_records(out: &std::path::Path) -> bool {
    std::fs::metadata(out).is_ok_and(|file| file.len() > 0)
}

/// Those that can be had here.
fn verbs() -> Vec<&'static [&'static str]> {
    let mut verbs: Vec<&[&str]> = vec![&["monitor", "exec"], &["trace"]];
    // Sockets are not read there: tests/privileged/monitors.rs.
    if !is_locked_down() {
        verbs.push(&["monitor", "net"]);
    }
    verbs
}

#[test]
fn ctrl_c_and_the_end_of_the_time_leave_a_summary_and_the_process() {
    need_root();
    for verb in verbs() {
        for (arguments, code, end) in [
            (&["--duration", "30"][..], 130, "interrupt"),
            (&["--duration", "0.3"], 0, "duration"),
        ] {
            let mut target = Command::new("sleep").arg("60").spawn().expect("sleep");
            let pid = target.id().to_string();
            let scratch = Scratch::new();
            let out = scratch.path("records");
            let mut command = denet(arguments);
            command
                .arg("--out")
                .arg(&out)
                .args(verb)
                .args(["--pid", &pid]);
            let watching = command
                .stderr(Stdio::piped())
                .spawn()
                .expect("denet starts");
            wait_until("denet is attached", || has_records(&out));
            if end == "interrupt" {
                send(&watching, Signal::SIGINT);
            }
            let done = watching.wait_with_output().expect("it ends");
            assert_eq!(done.status.code(), Some(code), "{verb:?}");
            assert!(
                stderr(&done).contains("complete: nothing was lost"),
                "{}",
                stderr(&done)
            );
            let told = records(&std::fs::read_to_string(&out).expect("records"));
            assert_eq!(told[0]["kind"], "metadata");
            let summary = told.last().expect("a summary");
            assert_eq!(
                (&summary["kind"], &summary["ended_by"]),
                (&"summary".into(), &end.into())
            );
            assert!(
                target.try_wait().expect("ours").is_none(),
                "{verb:?}: it lives"
            );
            target.kill().expect("it lives");
            target.wait().expect("it ends");
        }
    }
}

#[test]
fn who_is_not_there_cannot_be_watched() {
    need_root();
    for verb in verbs() {
        let refused = |whom: &[&str], named: &str| {
            let done = output(denet(verb).args(whom));
            let text = stderr(&done);
            assert_eq!(done.status.code(), Some(125), "{verb:?}: {text}");
            assert!(text.contains(named) && !text.contains('\u{1b}'), "{text:?}");
        };
        refused(&["--pid", "4194304"], "no process 4194304");
        if verb[0] == "monitor" {
            refused(&["--cgroup", "/no/such\u{1b}[31m"], "no/such");
        }
    }
}

/// A trace of a program that calls `getppid` so often, while denet is stopped and reads nothing.
fn stopped(calls: u64, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let scratch = Scratch::new();
    let [start, end] = ["start", "end"].map(|name| scratch.path(name));
    let script = format!(
        "touch {}; sleep 1; {} hammer 1 {calls}; touch {}; sleep 1",
        start.display(),
        workload().display(),
        end.display()
    );
    let mut command = denet(["--json", "--strict", "trace"]);
    command.args(arguments).args(["--", "sh", "-c", &script]);
    let child: Child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("denet starts");
    wait_until("the program started", || start.exists());
    send(&child, Signal::SIGSTOP);
    crate::loss::wait_for(&end);
    send(&child, Signal::SIGCONT);
    let done = child.wait_with_output().expect("it ends");
    (
        done.status.code(),
        records(&String::from_utf8_lossy(&done.stdout)),
    )
}

/// More than the ring buffer of a trace holds.
const MANY: u64 = 700_000;

#[test]
fn what_finds_no_room_is_counted_told_meanwhile_and_leaves_gaps() {
    need_root();
    let (code, told) = stopped(MANY, &["--args", "none"]);
    assert_eq!(code, Some(4), "--strict");
    let summary = told.last().expect("a summary");
    assert_eq!(summary["complete"], false);
    let lost = summary["lost"]["events"].as_u64().expect("a number");
    let its = told
        .iter()
        .filter(|record| record["name"] == "getppid")
        .count() as u64;
    assert!(its < MANY && lost >= MANY - its, "{its} and {lost} lost");
    // Beside those, what little the programs did around them.
    assert!(lost - (MANY - its) < 1000, "{its} and {lost} lost");
    assert!(
        told.iter().any(|record| record["kind"] == "lost"),
        "while it went on"
    );
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut missing = 0;
    for record in told.iter().filter(|record| record["kind"] == "call") {
        let number = |field: &str| record[field].as_u64().expect("a number");
        let before = last.insert(number("tid"), number("seq")).unwrap_or(0);
        assert!(number("seq") > before, "{record}");
        missing += number("seq") - before - 1;
    }
    assert!(missing <= lost, "{missing} of {lost}");
}

#[test]
fn what_is_not_asked_for_takes_no_room() {
    need_root();
    for expression in [
        "getuid",
        "status=failed",
        "errno=ENOENT",
        "duration>10s",
        "path=/nowhere",
    ] {
        let (code, told) = stopped(MANY, &["--args", "none", "-e", expression]);
        let summary = told.last().expect("a summary");
        let skipped = summary["lost"]["skipped_runs"].as_u64() > Some(0);
        assert!(
            summary["complete"] == true || skipped,
            "{expression}: {summary}"
        );
        assert_eq!(summary["lost"]["events"], 0, "{expression}: {summary}");
        assert!(code == Some(0) || skipped, "{expression}");
        assert!(
            told.iter().all(|record| record["name"] != "getppid"),
            "{expression}"
        );
    }
}

#[test]
fn who_reads_no_more_ends_the_watch() {
    need_root();
    for arguments in [&["--json", "monitor", "exec"][..], &["monitor", "exec"]] {
        let mut watching = denet(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("denet starts");
        let (stdout, stderr) = (watching.stdout.take(), watching.stderr.take());
        let mut first = String::new();
        let read = match arguments[0] {
            "--json" => BufReader::new(stdout.expect("piped")).read_line(&mut first),
            _ => BufReader::new(stderr.expect("piped")).read_line(&mut first),
        };
        assert!(read.expect("text") > 0, "attached");
        wait_until("it ends, for nobody reads what it tells", || {
            output(&mut Command::new("true"));
            watching.try_wait().expect("ours").is_some()
        });
        let ended = watching.wait().expect("it ended");
        assert_eq!(ended.code(), Some(0), "{arguments:?}");
    }
}
