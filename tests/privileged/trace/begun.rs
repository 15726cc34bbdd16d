//! Calls that are in progress when a trace begins.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

use super::{FOREVER, sleeps};
use crate::need_root;
use crate::running::{Done, Watching};
use crate::support::processes::{Killed, blocks_in, is_stopped};
use crate::support::wait::wait_until;
use crate::support::{Scratch, denet, load, stderr};

/// A trace of a process, once it is attached.
fn tracing(pid: u32, expressions: &[&str]) -> Watching {
    let scratch = Scratch::new();
    let mut denet = denet(["--out"]);
    denet.arg(scratch.path("records")).arg("trace");
    for expression in expressions {
        denet.args(["-e", expression]);
    }
    let watching = Watching::spawn(denet.args(["-p", &pid.to_string()]), scratch);
    watching.wait_for("denet is attached", |records| records.first().map(drop));
    watching
}

/// `cat` that waits for input.
fn cat() -> Killed {
    let cat = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let cat = Killed(cat.expect("cat"));
    wait_until("cat reads", || reads(cat.0.id()));
    cat
}

fn reads(pid: u32) -> bool {
    blocks_in(pid, "cat", libc::SYS_read)
}

fn pipes(cat: &mut Child) -> (ChildStdin, ChildStdout) {
    let (stdin, stdout) = (cat.stdin.take(), cat.stdout.take());
    (stdin.expect("piped"), stdout.expect("piped"))
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let is_it = |record: &&Value| record["kind"] == kind;
    records.iter().filter(is_it).collect()
}

fn wait_for_in_progress(watching: &Watching, name: &str) -> Value {
    watching.wait_for("the call in progress is shown", |records| {
        let mut shown = of_kind(records, "in_progress").into_iter();
        shown.rfind(|it| it["name"] == name).cloned()
    })
}

fn interrupted(watching: Watching) -> Done {
    watching.signal(Signal::SIGINT);
    watching.end()
}

/// Nothing was lost; whether the kernel skipped programs where they are preempted is not the subject here.
fn assert_complete(done: &Done) {
    let summary = done.summary();
    let skipped = summary["lost"]["skipped_runs"].as_u64() > Some(0);
    assert_eq!(summary["lost"]["unseen"], 0, "{summary}");
    assert_eq!(summary["complete"], !skipped, "{summary}");
}

#[test]
fn a_blocked_call_is_shown_at_once_and_again_when_it_returns() {
    need_root();
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("our own folder");
    let path = fifo.display().to_string();
    let cat = Command::new("cat").arg(&fifo).stdout(Stdio::null()).spawn();
    let mut cat = Killed(cat.expect("cat"));
    wait_until("cat opens", || {
        blocks_in(cat.0.id(), "cat", libc::SYS_openat)
    });
    let watching = tracing(cat.0.id(), &[]);
    let shown = wait_for_in_progress(&watching, "openat");
    assert_eq!(shown["args"][1]["decoded"], path, "{shown}");
    assert_eq!(
        (&shown["result"], &shown["in_progress_at_attach"]),
        (&Value::Null, &Value::Bool(true))
    );
    fs::write(&fifo, "payload\n").expect("cat opens it");
    let done = watching.end();
    cat.0.wait().expect("it ends");
    let calls = of_kind(&done.records, "call");
    let opened: Vec<_> = calls.iter().filter(|it| it["name"] == "openat").collect();
    let [opened] = opened.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(opened["args"][1]["decoded"], path, "{opened}");
    assert_eq!(opened["result_name"], path, "{opened}");
    assert_eq!(
        (&opened["in_progress_at_attach"], &opened["duration_ns"]),
        (&Value::Bool(true), &Value::Null)
    );
    let text = stderr(&done.output);
    let begun = text.find(&format!("\"{path}\", O_RDONLY <in progress>\n"));
    let resumed = text.find("<... openat resumed>");
    assert!(begun.is_some() && begun < resumed, "{text}");
    assert!(text.contains(" <began earlier>\n"), "{text}");
    assert_complete(&done);
}

#[test]
fn a_buffer_is_read_when_the_call_returns() {
    need_root();
    let mut cat = cat();
    let (mut stdin, stdout) = pipes(&mut cat.0);
    let watching = tracing(cat.0.id(), &[]);
    let shown = wait_for_in_progress(&watching, "read");
    let pipe = shown["args"][0]["decoded"].clone();
    assert!(
        pipe.as_str().is_some_and(|it| it.starts_with("pipe:[")),
        "{shown}"
    );
    stdin.write_all(b"payload\n").expect("cat reads");
    drop(stdin);
    let done = watching.end();
    drop(stdout);
    let calls = of_kind(&done.records, "call");
    assert_eq!(calls[0]["name"], "read", "{calls:?}");
    assert_eq!(calls[0]["args"][0]["decoded"], pipe);
    assert_eq!(calls[0]["args"][1]["decoded"], "payload\n");
    assert_eq!(calls[0]["result"], 8);
    let earlier = |it: &&&Value| it["in_progress_at_attach"] == true;
    assert_eq!(calls.iter().filter(earlier).count(), 1, "{calls:?}");
    let text = stderr(&done.output);
    assert!(text.contains(", <in progress>\n"), "{text}");
    assert!(
        text.contains("<... read resumed>\"payload\\n\", "),
        "{text}"
    );
    assert_complete(&done);
}

#[test]
fn a_call_that_goes_on_is_one_unfinished_call() {
    need_root();
    let cat = cat();
    let watching = tracing(cat.0.id(), &[]);
    wait_for_in_progress(&watching, "read");
    let done = interrupted(watching);
    let calls = of_kind(&done.records, "call");
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (&call["unfinished"], &call["in_progress_at_attach"]),
        (&Value::Bool(true), &Value::Bool(true)),
        "{call}"
    );
    let text = stderr(&done.output);
    assert_eq!(text.matches("read(").count(), 1, "{text}");
    assert_complete(&done);
}

#[test]
fn filters_hold_for_calls_in_progress() {
    need_root();
    let mut cat = cat();
    let (mut stdin, stdout) = pipes(&mut cat.0);
    let watching = tracing(cat.0.id(), &["write"]);
    stdin.write_all(b"payload\n").expect("cat reads");
    drop(stdin);
    let done = watching.end();
    drop(stdout);
    assert!(of_kind(&done.records, "in_progress").is_empty());
    let calls = of_kind(&done.records, "call");
    assert!(calls.len() == 1 && calls[0]["name"] == "write", "{calls:?}");
    assert_complete(&done);
}

/// `cat` is given one line after the other, each once it has passed on the one before; so it reads and writes in turn.
#[test]
fn returns_during_attaching_are_neither_lost_nor_repeated() {
    need_root();
    let mut cat = cat();
    let pid = cat.0.id();
    let (mut stdin, stdout) = pipes(&mut cat.0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut lines = BufReader::new(stdout).lines();
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let line = format!("{number}\n");
                stdin.write_all(line.as_bytes()).expect("cat reads");
                lines.next().expect("cat writes").expect("a line");
            }
        });
        let attempts = (0..8).map(|_| {
            let watching = tracing(pid, &["read,write"]);
            watching.wait_for("calls", |records| {
                (of_kind(records, "call").len() > 20).then_some(())
            });
            interrupted(watching)
        });
        let attempts: Vec<_> = attempts.collect();
        is_over.store(true, Ordering::Relaxed);
        for done in attempts {
            assert_in_turn(&done);
        }
    });
}

fn assert_in_turn(done: &Done) {
    let calls = of_kind(&done.records, "call");
    let calls: Vec<_> = calls
        .iter()
        .filter(|it| it["unfinished"] == false)
        .collect();
    for pair in calls.windows(2) {
        let [before, after] = [pair[0], pair[1]].map(|it| {
            let line = it["args"][1]["decoded"].as_str().expect("a buffer");
            (
                it["name"].as_str().expect("a name"),
                line.trim_end().parse::<u64>().expect("a number"),
            )
        });
        let follows = match before.0 {
            "read" => after == ("write", before.1),
            _ => after == ("read", before.1 + 1),
        };
        assert!(follows, "{} {}", pair[0], pair[1]);
    }
    let earlier = calls.iter().skip(1);
    let earlier = earlier.filter(|it| it["in_progress_at_attach"] == true);
    assert_eq!(earlier.count(), 0, "{calls:?}");
    assert_complete(done);
}

#[test]
fn a_call_that_a_stop_interrupted_is_reported_as_it_begins_again() {
    need_root();
    let mut cat = cat();
    let pid = cat.0.id();
    let (mut stdin, stdout) = pipes(&mut cat.0);
    let send = |signal| kill(Pid::from_raw(pid as i32), signal).expect("it runs");
    send(Signal::SIGSTOP);
    wait_until("cat is stopped", || is_stopped(pid));
    let watching = tracing(pid, &["read"]);
    send(Signal::SIGCONT);
    stdin.write_all(b"payload\n").expect("cat reads");
    drop(stdin);
    let done = watching.end();
    drop(stdout);
    assert!(of_kind(&done.records, "in_progress").is_empty());
    let calls = of_kind(&done.records, "call");
    let with = |it: &&&Value| it["args"][1]["decoded"] == "payload\n";
    assert_eq!(calls.iter().filter(with).count(), 1, "{calls:?}");
    assert_complete(&done);
}

#[test]
fn a_sleep_that_goes_on_after_a_stop_is_named() {
    need_root();
    let sleep = Command::new("sleep").arg(FOREVER).spawn();
    let sleep = Killed(sleep.expect("sleep"));
    let pid = sleep.0.id();
    wait_until("it sleeps", || sleeps(pid));
    let send = |signal| kill(Pid::from_raw(pid as i32), signal).expect("it sleeps");
    send(Signal::SIGSTOP);
    wait_until("it is stopped", || is_stopped(pid));
    send(Signal::SIGCONT);
    wait_until("it sleeps again", || {
        blocks_in(pid, "sleep", libc::SYS_restart_syscall)
    });
    let watching = tracing(pid, &[]);
    let shown = wait_for_in_progress(&watching, "restart_syscall");
    assert_eq!(shown["args"], json!([]), "{shown}");
    assert_complete(&interrupted(watching));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_through_the_32_bit_entry_has_its_own_number() {
    /// `read` there.
    const READ: libc::c_long = 3;
    need_root();
    let reader = Command::new(load())
        .arg("reads-by-int80")
        .stdin(Stdio::piped())
        .spawn();
    let mut reader = Killed(reader.expect("it starts"));
    let pid = reader.0.id();
    let name = load().file_name().expect("a file").to_string_lossy();
    wait_until("it reads", || blocks_in(pid, &name, READ));
    let mut stdin = reader.0.stdin.take().expect("piped");
    let watching = tracing(pid, &[]);
    let shown = wait_for_in_progress(&watching, "read");
    assert_eq!(shown["abi"], "i386", "{shown}");
    stdin.write_all(b"payload").expect("it reads");
    drop(stdin);
    let done = watching.end();
    let calls = of_kind(&done.records, "call");
    assert_eq!(
        (&calls[0]["name"], &calls[0]["abi"]),
        (&json!("read"), &json!("i386"))
    );
    assert_eq!(calls[0]["args"][1]["decoded"], "payload", "{calls:?}");
    assert_complete(&done);
}
