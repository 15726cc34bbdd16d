//! Each claim of completeness is withdrawn when what it rests on is violated: docs/completeness.md lists them.

use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::attached::Group;
use crate::broken::is_locked_down;
use crate::lifetime::send;
use crate::need_root;
use crate::net::told::{self, is_forbidden, number};
use crate::support::processes::{Blocked, Killed};
use crate::support::wait::wait_until;
use crate::support::{DENET, Scratch, denet, output, records, stderr, stdout, summary, workload};

const CLAIM: &str = "complete: nothing was lost";

/// With records in a file on a disk that is soon full.
fn on_a_full_disk(verb: &str, arguments: &[&str]) -> (Output, String) {
    let scratch = Scratch::new();
    let script = format!(
        "denet=$1; shift; mount -t tmpfs -o size=16k none \"$0\" && \
         \"$denet\" --out \"$0/records\" {verb} -- \"$@\"; code=$?; cat \"$0/records\"; exit $code"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command.arg(&scratch.0).arg(DENET).arg(workload());
    let done = output(command.args(arguments).stdin(Stdio::null()));
    let written = stdout(&done);
    (done, written)
}

#[test]
fn records_that_find_the_disk_full_are_not_complete() {
    need_root();
    for verb in ["trace", "monitor exec"] {
        let (done, written) = on_a_full_disk(verb, &["names", "500"]);
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(125), "{verb}: {text}");
        assert!(
            text.contains("not all could be written to"),
            "{verb}: {text}"
        );
        assert!(text.contains("NOT complete: not all records"), "{verb}");
        assert!(
            !text.contains(CLAIM) && !written.contains(r#""complete":"#),
            "{verb}"
        );
    }
}

/// Nothing can be said on stderr any more.
#[test]
fn lines_that_cannot_be_written_are_a_failure() {
    need_root();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = denet(["trace", "--", "true"]);
    command.stderr(full.expect("/dev/full"));
    assert_eq!(output(&mut command).status.code(), Some(125));
}

#[test]
fn records_that_are_no_longer_read_are_not_complete() {
    need_root();
    let mut watching = denet(["--json", "monitor", "exec"]);
    let watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = Killed(watching.spawn().expect("denet starts"));
    let Killed(child) = &mut watching;
    let mut out = child.stdout.take().expect("piped");
    let mut first = [0];
    std::io::Read::read_exact(&mut out, &mut first).expect("attached");
    drop(out);
    let mut text = child.stderr.take().expect("piped");
    wait_until("it ends once the reader has closed the pipe", || {
        output(&mut Command::new("true"));
        child.try_wait().expect("ours").is_some()
    });
    let mut told = String::new();
    std::io::Read::read_to_string(&mut text, &mut told).expect("text");
    assert!(!told.contains(CLAIM), "{told}");
}

/// What a denet that was killed has written, after so many records.
fn killed(verb: &[&str], records: usize) -> (Scratch, String) {
    let target = Blocked::start();
    let scratch = Scratch::new();
    let out = scratch.path("records");
    let mut command = denet(["--quiet", "--interval", "50", "--out"]);
    command.arg(&out).args(verb).arg(target.id().to_string());
    let watching = Killed(command.stderr(Stdio::null()).spawn().expect("denet starts"));
    let written = || std::fs::read_to_string(&out).unwrap_or_default();
    wait_until("it has written", || written().lines().count() >= records);
    drop(watching);
    let written = written();
    (scratch, written)
}

#[test]
fn a_killed_denet_claims_nothing() {
    need_root();
    let mut streams: Vec<&[&str]> = vec![&["trace", "-p"], &["monitor", "exec", "--pid"]];
    if !is_locked_down() {
        streams.push(&["monitor", "net", "--pid"]);
    }
    for verb in streams {
        let (_scratch, written) = killed(verb, 1);
        assert!(!written.contains(r#""complete""#), "{verb:?}: {written}");
    }
    let (scratch, written) = killed(&["--enable-ebpf", "attach"], 3);
    assert!(!written.contains(r#""summary""#), "{written}");
    let recording = scratch.path("records");
    let text = stdout(&output(denet(["stats"]).arg(&recording)));
    assert!(text.contains("truncated"), "{text}");
    assert!(!text.contains("complete: no syscall was lost"), "{text}");
    assert!(text.contains("up to the last sample"), "{text}");
}

/// Rows by user and name are counted in the kernel.
#[test]
fn more_names_than_there_is_room_for_are_counted() {
    need_root();
    let mut command = denet(["--json", "monitor", "exec", "--"]);
    let done = output(command.arg(workload()).args(["names", "5000"]));
    let summary = summary(&done);
    assert_eq!(summary["complete"], false, "{summary}");
    let full = summary["lost"]["map_full"].as_u64().expect("a count");
    assert!(full > 0, "{summary}");
    let skipped = summary["lost"]["skipped_runs"].as_u64().expect("a count");
    let failed = summary["failed"].as_u64().expect("a count");
    assert!(
        failed + full <= 5000 + 1 && failed + full + skipped >= 5000,
        "{summary}"
    );
}

#[test]
fn lengths_that_are_not_known_are_not_complete() {
    if is_forbidden() {
        return;
    }
    let told = told::watch(&[], &["many-parts"]);
    assert_eq!(number(&told.summary["lengths_unknown"]), 1);
    assert_eq!(told.summary["complete"], false, "{}", told.summary);
    let mut command = denet(["monitor", "net", "--"]);
    let text = stderr(&output(
        command.arg(crate::support::talker()).arg("many-parts"),
    ));
    assert!(
        text.contains("NOT complete, lost: 1 length not known"),
        "{text}"
    );
}

/// A stopped denet reads nothing, and the ring buffer of executions is soon full.
#[test]
fn executions_while_denet_is_stopped_are_counted() {
    need_root();
    let many = 60_000;
    let group = Group::new();
    let mut child = Killed(attempts(many));
    group.join(child.0.id());
    let scratch = Scratch::new();
    let out = scratch.path("records");
    let mut command = denet(["--quiet", "--out"]);
    command.arg(&out).args(["monitor", "exec", "--cgroup"]);
    command.arg(group.folder()).stderr(Stdio::null());
    let watching = command.spawn().expect("denet starts");
    let read = || records(&std::fs::read_to_string(&out).unwrap_or_default());
    wait_until("denet is attached", || !read().is_empty());
    send(&watching, Signal::SIGSTOP);
    wait_until("denet is stopped", || {
        crate::support::processes::is_stopped(watching.id())
    });
    let mut stdin = child.0.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"\n").expect("it reads");
    assert!(child.0.wait().expect("it ends").success());
    send(&watching, Signal::SIGCONT);
    send(&watching, Signal::SIGINT);
    assert_eq!(
        watching.wait_with_output().expect("it ends").status.code(),
        Some(130)
    );
    let all = read();
    let summary = all.last().expect("a summary");
    let its: Vec<&Value> = all.iter().filter(|it| it["kind"] == "exec").collect();
    let lost = summary["lost"]["events"].as_u64().expect("a count");
    assert!(lost > 0 && summary["complete"] == false, "{summary}");
    let skipped = summary["lost"]["skipped_runs"].as_u64().expect("a count");
    let failed = its.iter().filter(|it| it["errno"] == "ENOENT").count() as u64;
    assert!(failed + lost + skipped >= many, "{failed} {summary}");
    // What was counted in the kernel needs no room in the ring buffer.
    assert!(
        summary["failed"]
            .as_u64()
            .is_some_and(|counted| counted + skipped >= many)
    );
}

/// A shell that waits for a line, and then becomes a program that executes what is not there so often.
fn attempts(many: u64) -> Child {
    Command::new("sh")
        .args(["-c", "read released; exec \"$0\" \"$@\""])
        .arg(workload())
        .args(["attempts", &many.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh")
}

/// The file of a run on a full disk lacks its summary, and so its claims.
#[test]
fn a_run_on_a_full_disk_has_no_summary_there() {
    need_root();
    let (done, written) = on_a_full_disk("--enable-ebpf run", &["children", "500"]);
    let text = stderr(&done);
    assert_eq!(done.status.code(), Some(125), "{text}");
    assert!(text.contains("not all could be written to"), "{text}");
    assert!(!written.contains(r#""kind":"summary""#), "{written}");
}
