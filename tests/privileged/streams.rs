//! What `denet monitor exec|net` and `denet trace` have in common: their targets, how they end, what they
//! refuse, and what they say of what was lost.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::attached::Group;
use crate::broken::is_locked_down;
use crate::lifetime::send;
use crate::need_root;
use crate::support::processes::{Blocked, Killed, has_ended, is_stopped};
use crate::support::wait::wait_until;
use crate::support::{Scratch, denet, in_guest, output, records, stderr, workload};

/// How targets are named.
/// The whole machine only in guests: elsewhere its first process is not ours to observe.
pub fn targets() -> &'static [&'static str] {
    match in_guest() {
        true => &["pid", "cgroup", "machine"],
        false => &["pid", "cgroup"],
    }
}

/// What a stream recorded of a process, of its cgroup or of the whole machine, from when it was attached
/// and that process went on, to the end of the process.
pub fn recorded(verb: &[&str], target: &str, group: &Group, pid: u32, go: impl FnOnce()) -> String {
    let scratch = Scratch::new();
    let out = scratch.path("records");
    let mut command = denet(["--quiet", "--out"]);
    command.arg(&out).args(verb);
    match target {
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
    wait_until("the process has ended", || has_ended(pid));
    // Of a group and of the machine there is always more to come.
    let code = if target == "pid" {
        0
    } else {
        send(&watching, Signal::SIGINT);
        130
    };
    let done = watching.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(code), "{verb:?} {target}");
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
            (&["--duration", "1000000"][..], 130, "interrupt"),
            (&["--duration", "0.3"], 0, "duration"),
        ] {
            let target = Blocked::start();
            let scratch = Scratch::new();
            let out = scratch.path("records");
            let mut command = denet(arguments);
            command
                .arg("--out")
                .arg(&out)
                .args(verb)
                .args(["--pid", &target.id().to_string()]);
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
            let records = records(&std::fs::read_to_string(&out).expect("records"));
            assert_eq!(records[0]["kind"], "metadata");
            let summary = records.last().expect("a summary");
            assert_eq!(
                (&summary["kind"], &summary["ended_by"]),
                (&"summary".into(), &end.into())
            );
            assert!(target.is_alive(), "{verb:?}: it lives");
        }
    }
}

#[test]
fn who_is_not_there_cannot_be_watched() {
    need_root();
    for verb in verbs() {
        let refused = |target: &[&str], named: &str| {
            let done = output(denet(verb).args(target));
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

/// A trace of a program that calls `getppid` so often, while denet is stopped and reads nothing. The
/// program goes on for as long as denet has not written a record with `awaited`.
fn stopped(
    calls: u64,
    arguments: &[&str],
    awaited: Option<&'static str>,
) -> (Option<i32>, Vec<Value>) {
    let scratch = Scratch::new();
    let [start, end] = ["start", "end"].map(|name| scratch.path(name));
    let script = format!(
        "touch {}; read released; {} hammer 1 {calls}; touch {}; read released; true",
        start.display(),
        workload().display(),
        end.display()
    );
    let mut command = denet(["--json", "--strict", "trace"]);
    command.args(arguments).args(["--", "sh", "-c", &script]);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Killed(child.expect("denet starts"));
    let Killed(child) = &mut child;
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let (found, finds) = mpsc::channel();
    let reader = thread::spawn(move || {
        let is_awaited = |line: &str| awaited.is_some_and(|part| line.contains(part));
        let lines = out.lines().map(|line| line.expect("text"));
        let lines = lines.inspect(|line| {
            if is_awaited(line) {
                let _ = found.send(());
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    wait_until("the program started", || start.exists());
    let mut held = child.stdin.take().expect("piped");
    send(child, Signal::SIGSTOP);
    wait_until("denet is stopped", || is_stopped(child.id()));
    held.write_all(b"\n").expect("the program reads");
    wait_until("the program called", || end.exists());
    send(child, Signal::SIGCONT);
    if awaited.is_some() {
        wait_until("denet writes it", || finds.try_recv().is_ok());
    }
    drop(held);
    let text = reader.join().expect("lines");
    (child.wait().expect("it ends").code(), records(&text))
}

/// More than the ring buffer of a trace holds.
const MANY: u64 = 700_000;

/// How a record of what was lost begins.
const LOST: &str = r#"{"kind":"lost""#;

#[test]
fn what_finds_no_room_is_counted_told_meanwhile_and_leaves_gaps() {
    need_root();
    let (code, records) = stopped(MANY, &["--args", "none"], Some(LOST));
    assert_eq!(code, Some(4), "--strict");
    let summary = records.last().expect("a summary");
    assert_eq!(summary["complete"], false);
    let lost = summary["lost"]["events"].as_u64().expect("a number");
    let its = records
        .iter()
        .filter(|record| record["name"] == "getppid")
        .count() as u64;
    assert!(its < MANY && lost >= MANY - its, "{its} and {lost} lost");
    // Beside those, what little the programs did around them.
    assert!(lost - (MANY - its) < 1000, "{its} and {lost} lost");
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut missing = 0;
    for record in records.iter().filter(|record| record["kind"] == "call") {
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
        // No call lasts as long.
        "duration>1000000s",
        "path=/nowhere",
    ] {
        let (code, records) = stopped(MANY, &["--args", "none", "-e", expression], None);
        let summary = records.last().expect("a summary");
        let skipped = summary["lost"]["skipped_runs"].as_u64() > Some(0);
        assert!(
            summary["complete"] == true || skipped,
            "{expression}: {summary}"
        );
        assert_eq!(summary["lost"]["events"], 0, "{expression}: {summary}");
        assert!(code == Some(0) || skipped, "{expression}");
        assert!(
            records.iter().all(|record| record["name"] != "getppid"),
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
        wait_until("it ends once the reader has closed the pipe", || {
            output(&mut Command::new("true"));
            watching.try_wait().expect("ours").is_some()
        });
        let ended = watching.wait().expect("it ended");
        assert_eq!(ended.code(), Some(0), "{arguments:?}");
    }
}
