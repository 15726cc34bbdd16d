//! Signals, exits and interruptions: what happens to the command, and that no eBPF program outlives denet.

#![expect(
    unsafe_code,
    reason = "ptrace, and what happens between fork and exec, have no safe call here"
)]

mod loaded;
mod steps;
mod terminal;

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::need_root;
use crate::support;
use crate::support::processes::{
    Killed, blocks_in, has_ended, has_pending_signal, is_at_rest, is_gone, pid_in,
};
use crate::support::wait::{wait_for, wait_until};
use crate::support::{DENET, Scratch, denet, output, stderr, stdout, summary, workload};

pub use loaded::Others;
use loaded::named;
use steps::{Steps, be_traced};
use terminal::Terminal;

pub fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("denet runs");
}

const DENETS: &str = "denet_";

fn started(marker: &Path) {
    wait_until("the command started", || marker.exists());
}

#[test]
fn a_killed_denet_leaves_the_command_unharmed_and_nothing_loaded() {
    need_root();
    let others = Others::now(DENETS);
    let scratch = Scratch::new();
    let (start, end) = (scratch.path("start"), scratch.path("end"));
    let script = format!(
        "touch {}; read released; touch {}",
        start.display(),
        end.display()
    );
    let mut child = denet(["--enable-ebpf", "run", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("denet starts");
    started(&start);
    assert!(!others.joined().is_empty(), "bpftool sees what runs");
    let held = child.stdin.take();
    send(&child, Signal::SIGKILL);
    child.wait().expect("it ends");
    drop(held);
    wait_until("the command ran on", || end.exists());
    wait_until("nothing is left", || others.joined().is_empty());
}

/// Others' programs may come and go: what a test finds left is what came since it began.
#[test]
fn what_another_denet_has_loaded_is_not_ours() {
    need_root();
    let scratch = Scratch::new();
    let run = |name: &str| {
        let marker = scratch.path(name);
        let script = format!("touch {}; exec cat", marker.display());
        let child = denet(["--enable-ebpf", "-q", "run", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("denet starts");
        started(&marker);
        child
    };
    let end = |mut child: Child| {
        send(&child, Signal::SIGINT);
        child.wait().expect("it ends");
    };
    let theirs = run("theirs");
    let others = Others::now(DENETS);
    assert!(!others.ids.is_empty(), "bpftool sees theirs");
    let other = scratch.path("other");
    let script = format!("touch {}; exec cat", other.display());
    let mut command = Command::new(DENET);
    command
        .args(["--enable-ebpf", "-q", "run", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let late = command.spawn().expect("denet starts");
    started(&other);
    wait_until("the one that came late is not ours either", || {
        others.joined().is_empty()
    });
    let ours = run("ours");
    assert!(!others.joined().is_empty(), "bpftool sees ours");
    end(ours);
    wait_until("ours is gone", || others.joined().is_empty());
    let still_there = named(DENETS);
    assert!(others.ids.iter().any(|id| still_there.contains_key(id)));
    end(theirs);
    end(late);
}

/// Stops from denet's first instruction until its command runs: where it waits for something it makes
/// more calls, so the least of a few.
fn stops_of_a_start() -> usize {
    let starts = (0..3).map(|_| stops_of_one_start());
    starts.min().expect("three")
}

fn stops_of_one_start() -> usize {
    let scratch = Scratch::new();
    let marker = scratch.path("ran");
    let mut command = denet(["--enable-ebpf", "-q", "run", "touch"]);
    command.arg(&marker).stderr(Stdio::null());
    // SAFETY: one system call.
    unsafe { command.pre_exec(be_traced) };
    let mut child = command.spawn().expect("denet starts");
    let mut steps = Steps::of(&child);
    let mut stops = 0;
    while !marker.exists() {
        steps.advance(1);
        stops += 1;
    }
    steps.release();
    child.wait().expect("it ends");
    stops
}

#[test]
fn a_killed_denet_starts_no_command() {
    need_root();
    let others = Others::now(DENETS);
    let scratch = Scratch::new();
    let whole = stops_of_a_start();
    let mut waited = Vec::new();
    // Somewhere between its first instruction and the release of the command.
    for part in 0..12 {
        let marker = scratch.path(&format!("ran-{part}"));
        let mut command = denet(["--enable-ebpf", "-q", "run", "touch"]);
        command.arg(&marker).stderr(Stdio::null());
        // SAFETY: one system call.
        unsafe { command.pre_exec(be_traced) };
        let mut child = command.spawn().expect("denet starts");
        Steps::of(&child).advance(whole * part / 12);
        // It is stopped, and releases nothing meanwhile.
        if children_of(child.id()).into_iter().any(is_held_child) {
            waited.push(marker);
        }
        send(&child, Signal::SIGKILL);
        child.wait().expect("it ends");
    }
    wait_until("no stopped child is left", || held_children().is_empty());
    wait_until("nothing is left", || others.joined().is_empty());
    assert!(!waited.is_empty(), "some waited to be released");
    for marker in waited {
        assert!(!marker.exists(), "{}", marker.display());
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let children = output(Command::new("ps").args(["-o", "pid=", "--ppid", &pid.to_string()]));
    let children = stdout(&children);
    let ids = children.split_whitespace().map(str::parse);
    ids.collect::<Result<_, _>>().expect("ids")
}

/// Whether a child of a stopped denet waits for its release. Returns once that is certain: one that was
/// only just forked may not have run yet.
fn is_held_child(pid: u32) -> bool {
    let is_held = || blocks_in(pid, "denet", libc::SYS_read);
    let runs_the_command = || {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim_end() != "denet")
    };
    let mut held = false;
    wait_until("the child waits for its release, or is past it", || {
        held = is_held();
        held || has_ended(pid) || runs_the_command()
    });
    held
}

/// Live processes named denet that are children of init: held children whose denet is gone.
fn held_children() -> Vec<String> {
    let listed = output(Command::new("ps").args(["-eo", "ppid=,stat=,comm="]));
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let is_one = |line: &&str| {
        line.trim().starts_with("1 ") && line.ends_with(" denet") && !line.contains(" Z")
    };
    text.lines().filter(is_one).map(str::to_owned).collect()
}

#[test]
fn ctrl_c_reaches_the_command_and_the_summary_comes() {
    need_root();
    let scratch = Scratch::new();
    let marker = scratch.path("start");
    let script = format!("echo $$ >{}; exec cat", marker.display());
    let mut terminal = Terminal::run(&["--enable-ebpf", "run", "sh", "-c", &script]);
    let pid = pid_in(&marker);
    wait_until("the command reads the terminal", || {
        blocks_in(pid, "cat", libc::SYS_read)
    });
    terminal.ctrl_c();
    let (code, _, text) = terminal.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(
        text.contains("killed by SIGINT") && text.contains("complete: "),
        "{text}"
    );
}

#[test]
fn ctrl_c_comes_once_and_a_command_may_handle_it() {
    need_root();
    let scratch = Scratch::new();
    let (marker, count) = (scratch.path("start"), scratch.path("count"));
    // A second SIGINT would come before SIGUSR1: denet passes both on in the order of their numbers.
    let script = format!(
        "trap 'echo x >>{0}' INT; trap 'kill $!; exit 5' USR1; exec 3<&0; cat <&3 & echo $! >{1}; \
         while kill -0 $! 2>/dev/null; do wait $!; done",
        count.display(),
        marker.display(),
    );
    let mut terminal = Terminal::run(&["--enable-ebpf", "run", "sh", "-c", &script]);
    let reader = pid_in(&marker);
    wait_until("the command waits", || {
        blocks_in(reader, "cat", libc::SYS_read)
    });
    terminal.ctrl_c();
    let handled = || std::fs::metadata(&count).is_ok_and(|file| file.len() > 0);
    wait_until("the command handles it", handled);
    wait_until("denet has seen it too", || is_at_rest(terminal.child.id()));
    send(&terminal.child, Signal::SIGUSR1);
    let (code, _, text) = terminal.end();
    assert_eq!(code, Some(5), "{text}");
    assert_eq!(std::fs::read_to_string(count).expect("handled"), "x\n");
}

/// Seconds, for what lives until it is killed.
const FOREVER: &str = "1000000";

#[test]
fn ctrl_c_ends_the_wait_for_descendants() {
    need_root();
    let scratch = Scratch::new();
    let marker = scratch.path("start");
    let script = format!(
        "echo $$ >{}; exec {} daemonise {FOREVER} 5",
        marker.display(),
        workload().display()
    );
    let mut terminal = Terminal::run(&["--enable-ebpf", "--wait-all", "run", "sh", "-c", &script]);
    // It ends once the daemon has its name.
    let command = pid_in(&marker);
    wait_until("denet waits for the daemon alone", || is_gone(command));
    terminal.ctrl_c();
    // The daemon lives on, and holds what denet writes to open.
    let code = terminal.child.wait().expect("it ends").code();
    let mut said = [0; 1 << 16];
    let mut from = terminal.child.stderr.take().expect("piped");
    let n = from.read(&mut said).expect("denet has written");
    let text = String::from_utf8_lossy(&said[..n]);
    assert_eq!(code, Some(130), "{text}");
    let named = text.split("daemon (").nth(1);
    let daemon = named.and_then(|named| named.split(')').next()?.parse().ok());
    let daemon = daemon.unwrap_or_else(|| panic!("{text}"));
    kill(Pid::from_raw(daemon), Signal::SIGKILL).expect("it runs still");
}

#[test]
fn ctrl_c_at_any_moment_of_the_start() {
    need_root();
    let others = Others::now(DENETS);
    let scratch = Scratch::new();
    let whole = stops_of_a_start();
    for part in 0..14 {
        let marker = scratch.path(&format!("ran-{part}"));
        let script = format!("touch {}; exec cat", marker.display());
        let arguments = ["--enable-ebpf", "run", "sh", "-c", &script];
        let mut terminal = Terminal::start(&arguments, be_traced);
        let mut steps = Steps::of(&terminal.child);
        steps.advance(whole * part / 13);
        terminal.ctrl_c();
        wait_until("the terminal sends the signal", || {
            has_pending_signal(terminal.child.id())
        });
        steps.release();
        let (code, signal, text) = terminal.end();
        // Before denet's first instruction the signal kills; afterwards denet says what happened.
        assert!(
            code == Some(130) || signal == Some(libc::SIGINT),
            "{part} of 13: {code:?} {signal:?} {text}"
        );
        assert!(
            code.is_none()
                || text.contains("killed by SIGINT")
                || text.contains("before the command was started"),
            "{text}"
        );
    }
    wait_until("nothing is left", || others.joined().is_empty());
}

#[test]
fn a_signal_for_denet_alone_is_passed_on() {
    need_root();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        let scratch = Scratch::new();
        let marker = scratch.path("start");
        // Every shell interrupts a `wait` for a trap.
        let script = format!(
            "trap 'exit 7' {}; exec 3<&0; cat <&3 >/dev/null 2>&1 & touch {}; wait; exit 8",
            signal as i32,
            marker.display()
        );
        let mut child = denet(["--enable-ebpf", "--json", "run", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("denet starts");
        started(&marker);
        let held = child.stdin.take();
        send(&child, signal);
        let output = child.wait_with_output().expect("it ends");
        drop(held);
        assert_eq!(
            output.status.code(),
            Some(7),
            "{signal}: {}",
            stderr(&output)
        );
        assert_eq!(summary(&output)["exit"]["exit_code"], 7);
    }
}

#[test]
fn signals_ignored_from_the_start_change_nothing() {
    need_root();
    let ignoring = |signals: &str, rest: &str| {
        let script = format!("trap '' {signals}; exec {DENET} --enable-ebpf --json {rest}");
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("bash starts")
    };
    // Ignored, SIGCHLD lets the kernel reap the command before anyone can ask how it ended.
    let reaped = ignoring("CHLD", "run sh -c 'exit 6'")
        .wait_with_output()
        .expect("it ends");
    assert_eq!(reaped.status.code(), Some(6), "{}", stderr(&reaped));
    let scratch = Scratch::new();
    let marker = scratch.path("start");
    let script = format!(
        "--wait-all run sh -c 'exec 3<&0; cat <&3 >/dev/null 2>&1 & echo $$ >{}; exit 4'",
        marker.display()
    );
    let mut waiting = ignoring("HUP INT", &script);
    let held = waiting.stdin.take();
    let command = pid_in(&marker);
    wait_until("denet waits for the orphan alone", || is_gone(command));
    send(&waiting, Signal::SIGHUP);
    send(&waiting, Signal::SIGINT);
    wait_until("denet rests", || is_at_rest(waiting.id()));
    drop(held);
    let waited = waiting.wait_with_output().expect("it ends");
    assert_eq!(waited.status.code(), Some(4), "{}", stderr(&waited));
    assert_eq!(summary(&waited)["still_running"], serde_json::json!([]));
}

/// A kernel stack is used again at once: whoever gets that of a task which ended while denet was
/// detaching must not be taken for it.
#[test]
fn nobody_elses_calls_are_counted_at_the_end() {
    need_root();
    let others: Vec<_> = (0..2)
        .map(|_| {
            let mut command = Command::new(workload());
            command.args(["others", FOREVER]);
            Killed(command.spawn().expect("it starts"))
        })
        .collect();
    // A guest without KVM takes a second for each.
    let runs = if crate::support::in_guest() { 10 } else { 40 };
    for _ in 0..runs {
        let run = output(
            denet(["--enable-ebpf", "--json", "--top", "0", "run"])
                .arg(workload())
                .args(["leave", "2", "400"]),
        );
        let counts = crate::support::counts(&summary(&run));
        assert_eq!(counts.get("getpgrp"), None, "{counts:?}");
    }
    for mut other in others {
        let ended = other.0.try_wait().expect("ours");
        assert!(ended.is_none(), "it was there to the end");
    }
}

#[test]
fn duration_ends_a_command_that_ignores_sigterm() {
    need_root();
    let scratch = Scratch::new();
    let marker = scratch.path("start");
    let script = format!("trap '' TERM; echo $$ >{}; exec cat", marker.display());
    let before = Instant::now();
    let mut child = denet(["--enable-ebpf", "--json", "-d", "0.3", "run", "sh", "-c"])
        .arg(&script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("denet starts");
    let held = child.stdin.take();
    let command = pid_in(&marker);
    let (ran, mut lived) = (Instant::now(), before);
    wait_until("the command ends", || {
        let now = Instant::now();
        let is_gone = is_gone(command);
        if !is_gone {
            lived = now;
        }
        is_gone
    });
    let output = child.wait_with_output().expect("it ends");
    let outside = before.elapsed().as_secs_f64();
    drop(held);
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    let summary = summary(&output);
    assert_eq!(
        (&summary["exit"]["signal"], &summary["ended_by"]),
        (&9.into(), &"duration".into())
    );
    // It has 0.3 s, and two seconds from SIGTERM to SIGKILL. denet's time lies between the command's
    // observed lifetime and denet's own.
    let inside = lived.saturating_duration_since(ran).as_secs_f64();
    let secs = summary["total_time_secs"].as_f64().expect("a number");
    assert!(secs >= 2.3, "{summary}");
    assert!(
        inside <= secs && secs <= outside,
        "{inside} {outside} {summary}"
    );
}

#[test]
fn duration_ends_the_wait_for_descendants() {
    need_root();
    let scratch = Scratch::new();
    // The daemon keeps open what the command writes to, so that is a file.
    let out = scratch.path("records");
    // A command that is not through by then is ended too: a longer one shows what happens after it.
    let mut secs = 0.7;
    let (status, summary) = wait_for("the command ends before the duration does", || {
        let status = denet(["--enable-ebpf", "--quiet", "--wait-all", "-d"])
            .arg(secs.to_string())
            .arg("--out")
            .arg(&out)
            .args(["run", "--"])
            .arg(workload())
            .args(["daemonise", FOREVER, "5"])
            .stdout(Stdio::null())
            .status()
            .expect("denet starts");
        secs *= 2.0;
        let records = support::records(&std::fs::read_to_string(&out).expect("records"));
        let summary = records.last().expect("a summary").clone();
        for left in summary["still_running"].as_array().expect("a list") {
            let pid = left["pid"].as_i64().expect("an id");
            kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it still runs");
        }
        let through = summary["exit"]["exit_code"] == 0;
        through.then_some((status, summary))
    });
    assert_eq!(status.code(), Some(124), "{summary}");
    assert_eq!(summary["ended_by"], "duration", "{summary}");
    assert_eq!(summary["still_running"][0]["command"], "daemon");
}
