//! `denet trace`: what strace reports, thread by thread, call by call.

mod begun;
mod sequences;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::broken::is_locked_down;
use crate::lifetime::send;
use crate::need_root;
use crate::support::processes::{Killed, blocks_in, has_ended, pid_in};
use crate::support::wait::wait_until;
use crate::support::{
    Scratch, denet, load, output, records, stderr, stdout, without_skipped_runs, workload,
};

use sequences::{by_denet, by_strace};

/// Its exit status and records; nothing was lost.
fn reported(run: impl Fn() -> Output) -> (Option<i32>, Vec<Value>) {
    let (status, records) = without_skipped_runs(
        || {
            let done = run();
            (done.status.code(), records(&stdout(&done)))
        },
        |(_, records)| records.last()?["lost"]["skipped_runs"].as_u64(),
    );
    let summary = records.last().expect("a summary");
    assert_eq!(summary["complete"], true, "{summary}");
    (status, records)
}

fn trace(program: &Path, arguments: &[&str]) -> Vec<Value> {
    let (status, records) = reported(|| {
        let mut command = denet(["--json", "--strict", "trace", "--"]);
        output(command.arg(program).args(arguments))
    });
    assert_eq!(status, Some(0), "{arguments:?}");
    records
}

fn same_as_strace(arguments: &[&str]) {
    need_root();
    let records = trace(workload(), arguments);
    let (denet, strace) = (by_denet(&records), by_strace(workload(), arguments));
    assert_eq!(denet.len(), strace.len(), "{arguments:?}: threads");
    for (denet, strace) in denet.iter().zip(&strace) {
        let same = std::iter::zip(denet, strace).take_while(|(denet, strace)| denet == strace);
        let same = same.count();
        assert!(
            denet == strace,
            "{arguments:?}: the same up to {same}, then denet {:?}, strace {:?}",
            &denet[same..denet.len().min(same + 4)],
            &strace[same..strace.len().min(same + 4)]
        );
    }
}

#[test]
fn one_process() {
    same_as_strace(&["single"]);
}

#[test]
fn processes_and_threads() {
    same_as_strace(&["tree", "2"]);
    same_as_strace(&["threads", "8", "100"]);
}

#[test]
fn executions_and_spawns() {
    same_as_strace(&["exec"]);
    same_as_strace(&["spawn"]);
}

#[test]
fn signals() {
    same_as_strace(&["signals"]);
}

#[test]
fn each_thread_is_numbered_without_a_gap() {
    need_root();
    let records = trace(workload(), &["threads", "16", "2000"]);
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let is_call = |record: &&Value| record["kind"] == "call";
    let mut calls = 0;
    for call in records.iter().filter(is_call) {
        let seq = call["seq"].as_u64().expect("a number");
        let before = last
            .entry(call["tid"].as_u64().expect("a thread"))
            .or_default();
        assert_eq!(seq, *before + 1, "{call}");
        *before = seq;
        calls += u64::from(call["name"] == "getppid");
    }
    assert_eq!(calls, 16 * 2000);
}

#[test]
fn how_each_ended_is_told() {
    need_root();
    let records = trace(
        Path::new("/bin/sh"),
        &["-c", "(exit 3); (kill -9 $(exec sh -c 'echo $PPID')); true"],
    );
    let ends: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "exit")
        .collect();
    assert!(ends.iter().any(|end| end["exit_code"] == 3), "{ends:?}");
    assert!(
        ends.iter().any(|end| end["signal"] == "SIGKILL"),
        "{ends:?}"
    );
}

#[test]
fn paths_and_arguments_are_read_though_they_were_not_in_memory() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("page");
    let path = file.display().to_string();
    let records = trace(load(), &["executes-oddly", &path]);
    let execs: Vec<_> = records
        .iter()
        .filter(|record| record["name"] == "execve")
        .collect();
    let last = execs.last().expect("executions");
    let path = last["args"][0]["decoded"].as_str();
    if is_locked_down() {
        // The kernel's own copy may not be read there.
        assert!(path.is_some_and(|path| path.starts_with("0x")), "{last}");
    } else {
        assert_eq!(path, Some("/proc/self/exe"), "{last}");
    }
}

fn traced(expressions: &[&str], command: &[&str]) -> Vec<Value> {
    traced_as("full", expressions, command)
}

fn traced_as(arguments: &str, expressions: &[&str], command: &[&str]) -> Vec<Value> {
    traced_meanwhile(arguments, expressions, command, drop)
}

/// The calls of a command, with what is done to it while it runs. It is given the command's input, which
/// ends when that is dropped.
fn traced_meanwhile(
    arguments: &str,
    expressions: &[&str],
    command: &[&str],
    meanwhile: impl Fn(ChildStdin),
) -> Vec<Value> {
    need_root();
    let (_, mut records) = reported(|| {
        let mut denet = denet(["--json", "--strict", "trace", "--args", arguments]);
        for expression in expressions {
            denet.args(["-e", expression]);
        }
        denet.arg("--").args(command).stdin(Stdio::piped());
        denet.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Killed(denet.spawn().expect("denet starts"));
        meanwhile(child.0.stdin.take().expect("piped"));
        let (mut stdout, mut from) = (Vec::new(), child.0.stdout.take().expect("piped"));
        from.read_to_end(&mut stdout).expect("it ends");
        let status = child.0.wait().expect("it ends");
        Output {
            status,
            stdout,
            stderr: Vec::new(),
        }
    });
    records.retain(|record| record["kind"] == "call");
    records
}

#[test]
fn filters_keep_what_they_say() {
    let of = |name: &'static str| move |call: &Value| call["name"] == name;
    let calls = traced(
        &["trace=getppid,getuid"],
        &[&workload().display().to_string(), "exec"],
    );
    assert!(calls.iter().any(of("getppid")) && calls.iter().any(of("getuid")));
    assert!(
        calls
            .iter()
            .all(|call| of("getppid")(call) || of("getuid")(call))
    );

    let failed = traced(
        &["status=failed"],
        &["cat", "/nonexistent", "/etc/hostname"],
    );
    assert!(
        failed.iter().all(|call| !call["errno"].is_null()),
        "{failed:?}"
    );
    let asked: Vec<_> = traced(&["path=/nonex"], &["cat", "/nonexistent", "/etc/hostname"]);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0]["name"], &asked[0]["errno"]),
        (&"openat".into(), &"ENOENT".into())
    );
    for arguments in ["names", "none"] {
        let command = ["cat", "/nonexistent", "/etc/hostname"];
        assert_eq!(
            traced_as(arguments, &["path=/nonex"], &command).len(),
            1,
            "{arguments}"
        );
    }
    let denied = traced(&["errno=EBADF"], &["cat", "/nonexistent"]);
    assert_eq!(denied, Vec::<Value>::new());

    let none = traced(&["!%memory", "!%file", "!%desc"], &["true"]);
    assert!(
        none.iter()
            .all(|call| !of("mmap")(call) && !of("openat")(call))
    );
    assert!(none.iter().any(of("exit_group")));
}

#[test]
fn calls_are_kept_by_their_duration() {
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    let script = format!("echo $$ >{}; exec cat", file.display());
    let measured = Cell::new((0, 0));
    let began = Instant::now();
    let long = traced_meanwhile(
        "full",
        &["duration>100ms"],
        &["sh", "-c", &script],
        |held| {
            let pid = pid_in(&file);
            wait_until("it reads", || blocks_in(pid, "cat", libc::SYS_read));
            let inside = Instant::now();
            wait_until("the call is a long one", || inside.elapsed() > LONG);
            let inside = inside.elapsed();
            drop(held);
            wait_until("it is through", || has_ended(pid));
            measured.set((inside.as_nanos(), began.elapsed().as_nanos()));
            fs::remove_file(&file).expect("ours");
        },
    );
    let duration = |call: &Value| u128::from(call["duration_ns"].as_u64().expect("a number"));
    assert!(
        long.iter().all(|call| duration(call) > LONG.as_nanos()),
        "{long:?}"
    );
    let reads = long.iter().filter(|call| call["name"] == "read");
    let (inside, outside) = measured.get();
    let mut held = reads.filter(|call| duration(call) >= inside);
    let held = held.next().unwrap_or_else(|| panic!("{inside} {long:?}"));
    assert!(duration(held) <= outside, "{outside} {held}");
}

/// That of the expression above.
const LONG: Duration = Duration::from_millis(100);

/// Seconds, for a sleep that only a signal ends.
const FOREVER: &str = "1000000";

/// In a sleep that only a signal ends.
fn sleeps(pid: u32) -> bool {
    blocks_in(pid, "sleep", libc::SYS_clock_nanosleep)
}

/// A sleep that denet's command started: denet's end does not end it. Killed when the test ends.
struct Sleeper(u32);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Once it has ended, another process may have its id.
        if sleeps(self.0) {
            let _ = kill(Pid::from_raw(self.0 as i32), Signal::SIGKILL);
        }
    }
}

/// What `trace` writes for people about a sleep that a signal ended once denet had shown that it lasts;
/// and for how long it lasted, measured just inside and just outside.
fn sleep_ended_by_a_signal() -> (String, Duration, Duration) {
    need_root();
    let scratch = Scratch::new();
    let [file, out] = ["pid", "text"].map(|name| scratch.path(name));
    let script = format!("echo $$ >{}; exec sleep {FOREVER}", file.display());
    let began = Instant::now();
    let child = denet(["trace", "-e", "clock_nanosleep", "--", "sh", "-c", &script])
        .stderr(fs::File::create(&out).expect("our own folder"))
        .spawn();
    let mut child = Killed(child.expect("denet starts"));
    let text = || fs::read_to_string(&out).expect("UTF-8");
    let pid = pid_in(&file);
    let _sleeper = Sleeper(pid);
    wait_until("it sleeps", || sleeps(pid));
    let asleep = Instant::now();
    wait_until("denet shows it", || text().contains("<unfinished ...>"));
    let inside = asleep.elapsed();
    kill(Pid::from_raw(pid as i32), Signal::SIGUSR1).expect("it sleeps");
    child.0.wait().expect("it ends");
    (text(), inside, began.elapsed())
}

#[test]
fn a_call_that_lasts_is_shown_before_it_returns() {
    let (text, ..) = sleep_ended_by_a_signal();
    let call = format!("clock_nanosleep(CLOCK_REALTIME, 0, {{tv_sec={FOREVER}, tv_nsec=0}}");
    let unfinished = text.find(&call);
    let resumed = text.find("<... clock_nanosleep resumed>");
    assert!(unfinished.is_some() && unfinished < resumed, "{text}");
}

#[test]
fn what_a_killed_thread_was_in_is_told() {
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    let script = format!(
        "sleep {FOREVER} & echo $! >{}; wait $! 2>/dev/null; true",
        file.display()
    );
    let calls = traced_meanwhile(
        "full",
        &["clock_nanosleep"],
        &["sh", "-c", &script],
        |_held| {
            let pid = pid_in(&file);
            let _sleeper = Sleeper(pid);
            wait_until("it sleeps", || sleeps(pid));
            kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it sleeps");
            fs::remove_file(&file).expect("ours");
        },
    );
    // The kernel ends the call first, and then the thread.
    let ends: Vec<_> = calls.iter().map(|call| call["errno"].as_str()).collect();
    assert_eq!(ends, [Some("ERESTART_RESTARTBLOCK")]);
}

#[test]
fn what_goes_on_when_the_command_ends_is_unfinished() {
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    let script = format!(
        "sleep 0; sleep {FOREVER} >/dev/null 2>&1 & echo $! >{}; read released",
        file.display()
    );
    let sleeper = Cell::new(None);
    let calls = traced_meanwhile(
        "full",
        &["clock_nanosleep"],
        &["sh", "-c", &script],
        |held| {
            let pid = pid_in(&file);
            // Kills the sleeper of an earlier attempt.
            sleeper.set(Some(Sleeper(pid)));
            wait_until("it sleeps", || sleeps(pid));
            drop(held);
            fs::remove_file(&file).expect("ours");
        },
    );
    drop(sleeper);
    let mut ends: Vec<_> = calls
        .iter()
        .map(|call| call["unfinished"].as_bool())
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [Some(false), Some(true)], "{calls:?}");
}

#[test]
fn descriptors_are_called_by_what_they_are() {
    need_root();
    let script =
        "exec 5</etc/passwd 6>/dev/null; (read a <&5); cat <&5 >&6; exec 5<&-; exec 5</dev/zero";
    let done = output(denet(["trace", "-e", "%desc", "--", "sh", "-c"]).arg(script));
    let text = stderr(&done);
    let has = |wanted: &str| text.lines().any(|line| line.contains(wanted));
    // By the shell, by its child, and by what a child executes.
    assert!(has("5</etc/passwd>") && has("6</dev/null>"), "{text}");
    assert!(has("read(0</etc/passwd>, \"r\", 1)"), "{text}");
    assert!(has("1</dev/null>, "), "{text}");
    assert!(
        has("close(5</etc/passwd>)") || has(", 5</etc/passwd>"),
        "{text}"
    );
    assert!(has("5</dev/zero>"), "{text}");
}

#[test]
fn descriptors_that_were_open_before_are_known() {
    need_root();
    let script = "exec 7</etc/passwd; while :; do read x <&7 || exec 7</etc/passwd; done";
    let shell = Command::new("sh").args(["-c", script]).spawn();
    let shell = Killed(shell.expect("sh"));
    let pid = shell.0.id().to_string();
    let scratch = Scratch::new();
    let out = scratch.path("text");
    let watching = denet(["trace", "-e", "dup2,dup3", "-p", &pid])
        .stderr(fs::File::create(&out).expect("our own folder"))
        .spawn();
    let mut watching = Killed(watching.expect("denet starts"));
    let text = || fs::read_to_string(&out).expect("UTF-8");
    let known = "dup2(7</etc/passwd>, ";
    wait_until("calls with the descriptor's name", || {
        text().matches(known).count() > 3
    });
    send(&watching.0, Signal::SIGINT);
    watching.0.wait().expect("it ends");
    drop(shell);
    let text = text();
    let shown = text.lines().filter(|line| line.contains("dup2(7"));
    // Those that began before they were read have no names.
    let mut shown = shown.skip_while(|line| line.contains("dup2(7,"));
    assert!(shown.all(|line| line.contains(known)), "{text}");
}

#[test]
fn a_file_without_a_name_is_not_its_directory() {
    let scratch = Scratch::new();
    let program = workload().display().to_string();
    let folder = scratch.0.display().to_string();
    let calls = traced(&["fsync"], &[&program, "nameless", &folder]);
    let [call] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(call["result"], 0, "{call}");
    assert_eq!(call["args"][0]["decoded"], Value::Null, "{call}");
}

#[test]
fn the_thread_whose_place_an_execution_takes_is_told_so() {
    need_root();
    let done = without_skipped_runs(
        || {
            let mut command = denet(["trace", "-e", "getpgrp", "--"]);
            output(command.arg(workload()).arg("exec-thread"))
        },
        |done| Some(u64::from(!stderr(done).contains("nothing was lost"))),
    );
    let text = stderr(&done);
    let of = |words: &str| {
        let line = text.lines().find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("{words}: {text}"))
    };
    let prefix = |line: &str| line.split(']').next().map(str::to_owned);
    let taken = of("+++ superseded by execve in pid ");
    assert_eq!(prefix(taken), prefix(of("+++ executes \"/proc/self/exe\"")));
    let by = taken.split(' ').rev().nth(1);
    assert!(by.is_some_and(|by| by.parse::<u32>().is_ok()), "{taken}");
}

#[test]
fn births_and_executions_are_told_whatever_is_asked_for() {
    need_root();
    let shell = "sh -c 'exit 3'; (exit 4); sh -c 'kill -9 $$'; true";
    let (_, records) = reported(|| {
        let mut command = denet(["--json", "--strict", "trace", "-e", "getppid", "--"]);
        output(command.args(["sh", "-c", shell]))
    });
    let of = |kind: &'static str| records.iter().filter(move |record| record["kind"] == kind);
    assert_eq!(of("start").count(), 3, "{records:?}");
    let paths: Vec<_> = of("exec")
        .map(|it| it["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths.iter().all(|path| path.ends_with("/sh")), "{paths:?}");
    let mut ends: Vec<_> = of("exit")
        .map(|it| (it["exit_code"].as_i64(), it["signal"].as_str()))
        .collect();
    ends.sort_unstable();
    assert_eq!(
        ends,
        [
            (None, Some("SIGKILL")),
            (Some(0), None),
            (Some(3), None),
            (Some(4), None)
        ]
    );
    let mut born: Vec<_> = of("start").map(|it| &it["tid"]).collect();
    let mut ended: Vec<_> = of("exit").map(|it| &it["tid"]).collect();
    born.sort_by_key(|tid| tid.as_u64());
    ended.sort_by_key(|tid| tid.as_u64());
    assert!(
        born.iter().all(|tid| ended.contains(tid)),
        "{born:?} {ended:?}"
    );
}

#[test]
fn what_is_left_of_a_sleep_that_a_signal_ended_is_read() {
    need_root();
    let (text, inside, outside) = sleep_ended_by_a_signal();
    let left = text
        .lines()
        .find(|line| line.contains("ERESTART_RESTARTBLOCK"));
    let left = left.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(left.matches("{tv_sec=").count(), 1, "{left}");
    let (_, remaining) = left.split_once("resumed>{tv_sec=").expect("what is left");
    let (secs, rest) = remaining.split_once(", tv_nsec=").expect("both");
    let (ns, _) = rest.split_once('}').expect("both");
    let [secs, ns] = [secs, ns].map(|number| number.parse::<u64>().expect("a number"));
    let remaining = Duration::from_secs(secs) + Duration::from_nanos(ns);
    let all = Duration::from_secs(FOREVER.parse().expect("a number"));
    // The kernel counts up to the last moment at which the timer may fire: the time that was given, and the
    // timer slack, which the sleeper inherited from this thread.
    let slack = nix::sys::prctl::get_timerslack().expect("Linux");
    let latest = all + Duration::from_nanos(u64::try_from(slack).expect("nanoseconds"));
    assert!(
        all - outside <= remaining && remaining <= latest - inside,
        "{inside:?} {outside:?} {slack} {left}"
    );
}
