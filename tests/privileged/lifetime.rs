//! Signals, ends and interruptions: what becomes of the command, and that no eBPF outlives denet.

#![expect(unsafe_code, reason = "a terminal is taken over between fork and exec")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::need_root;
use crate::support;
use crate::support::wait::wait_until;
use crate::support::{DENET, Scratch, denet, output, stderr, stdout, summary, workload};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("denet runs");
}

/// Kind and id of a program or map.
type Id = (&'static str, u32);

/// Programs and maps whose names begin so, whoever loaded them.
fn named(prefix: &str) -> BTreeMap<Id, String> {
    let list = |kind: &'static str| {
        let listed = output(Command::new("bpftool").args([kind, "show"]));
        assert!(listed.status.success(), "{}", stderr(&listed));
        let text = stdout(&listed);
        let named = text.lines().filter_map(|line| {
            let (id, rest) = line.split_once(": ")?;
            let is_named = rest.contains(&format!("name {prefix}"));
            is_named.then_some(((kind, id.parse().ok()?), line.to_owned()))
        });
        named.collect::<BTreeMap<_, _>>()
    };
    let mut all = list("prog");
    all.extend(list("map"));
    all
}

/// Maps of each program, by its id.
fn maps_of_programs() -> BTreeMap<u32, Vec<u32>> {
    let listed = output(Command::new("bpftool").args(["prog", "show"]));
    let mut maps = BTreeMap::new();
    let mut program = None;
    for line in stdout(&listed).lines() {
        if !line.starts_with(char::is_whitespace) {
            let (id, _) = line.split_once(':').unwrap_or_default();
            program = id.parse().ok();
        } else if let (Some(id), Some((_, ids))) = (program, line.split_once("map_ids ")) {
            let ids = ids.split_whitespace().next().unwrap_or_default();
            let ids = ids.split(',').filter_map(|id| id.parse().ok());
            maps.insert(id, ids.collect());
        }
    }
    maps
}

/// Programs by the descriptors of processes that no test of ours has started, and what those take.
fn held_by_strangers() -> BTreeSet<Id> {
    let (name, value) = support::mark();
    let mark = format!("{name}={value}");
    let is_ours = |process: &Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == mark.as_bytes())
    };
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    let processes = processes.map(|entry| entry.path()).filter(|process| {
        let id = process.file_name().and_then(|name| name.to_str());
        id.is_some_and(|id| id.parse::<u32>().is_ok() && id != own) && !is_ours(process)
    });
    let maps = maps_of_programs();
    let descriptors = processes.flat_map(|process| std::fs::read_dir(process.join("fdinfo")));
    let texts = descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let mut held = BTreeSet::new();
    for text in texts {
        for line in text.lines() {
            let Some((what, id)) = line.split_once(':') else {
                continue;
            };
            match (what, id.trim().parse()) {
                ("prog_id", Ok(id)) => {
                    held.insert(("prog", id));
                    let its = maps.get(&id).into_iter().flatten();
                    held.extend(its.map(|map| ("map", *map)));
                }
                ("map_id", Ok(id)) => {
                    held.insert(("map", id));
                }
                _ => {}
            }
        }
    }
    held
}

/// What somebody else had loaded when a test began: another denet's, or what is pinned.
pub struct Others {
    prefix: &'static str,
    ids: BTreeSet<Id>,
}

impl Others {
    pub fn now(prefix: &'static str) -> Self {
        let ids = named(prefix).into_keys().collect();
        Self { prefix, ids }
    }

    /// What was loaded since, is still there, and is held by no stranger: ours, or nobody's.
    pub fn joined(&self) -> Vec<String> {
        let mut all = named(self.prefix);
        all.retain(|id, _| !self.ids.contains(id));
        if !all.is_empty() {
            let held = held_by_strangers();
            all.retain(|id, _| !held.contains(id));
        }
        all.into_values().collect()
    }
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
        "touch {}; sleep 1; touch {}",
        start.display(),
        end.display()
    );
    let mut child = denet(["--enable-ebpf", "run", "sh", "-c", &script])
        .stderr(Stdio::null())
        .spawn()
        .expect("denet starts");
    started(&start);
    assert!(!others.joined().is_empty(), "bpftool sees what runs");
    send(&child, Signal::SIGKILL);
    child.wait().expect("it ends");
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
        let script = format!("touch {}; exec sleep 30", marker.display());
        let child = denet(["--enable-ebpf", "-q", "run", "sh", "-c", &script])
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
    let stranger = scratch.path("stranger");
    let script = format!("touch {}; exec sleep 30", stranger.display());
    let mut command = Command::new(DENET);
    command.args(["--enable-ebpf", "-q", "run", "sh", "-c", &script]);
    let late = command.stderr(Stdio::null()).spawn().expect("denet starts");
    started(&stranger);
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

#[test]
fn a_killed_denet_starts_no_command() {
    need_root();
    let others = Others::now(DENETS);
    let scratch = Scratch::new();
    // Somewhere between its first instruction and the release of the command.
    for delay in 0..12 {
        let marker = scratch.path(&format!("ran-{delay}"));
        let mut child = denet(["--enable-ebpf", "-q", "run", "touch"])
            .arg(&marker)
            .stderr(Stdio::null())
            .spawn()
            .expect("denet starts");
        sleep(ms(delay));
        send(&child, Signal::SIGKILL);
        child.wait().expect("it ends");
    }
    wait_until("no gate is left waiting", || gates().is_empty());
    wait_until("nothing is left", || others.joined().is_empty());
}

/// Live processes named denet that are children of init: gates whose denet is gone.
fn gates() -> Vec<String> {
    let listed = output(Command::new("ps").args(["-eo", "ppid=,stat=,comm="]));
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let gate = |line: &&str| {
        line.trim().starts_with("1 ") && line.ends_with(" denet") && !line.contains(" Z")
    };
    text.lines().filter(gate).map(str::to_owned).collect()
}

/// denet on a terminal of its own; what is typed there goes to its process group.
struct Terminal {
    child: Child,
    keyboard: std::fs::File,
}

impl Terminal {
    fn run(arguments: &[&str]) -> Self {
        let ends = openpty(None, None).expect("a pseudo-terminal");
        let mut command = Command::new(DENET);
        let (mark, value) = support::mark();
        command
            .args(arguments)
            .env(mark, value)
            .stdin(ends.slave.try_clone().expect("dup"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let become_leader = || {
            nix::unistd::setsid()?;
            // SAFETY: descriptor 0 is the terminal; this session has none yet.
            if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: two system calls.
        unsafe { command.pre_exec(become_leader) };
        let child = command.spawn().expect("denet starts");
        Self {
            child,
            keyboard: ends.master.into(),
        }
    }

    fn ctrl_c(&mut self) {
        self.keyboard
            .write_all(&[3])
            .expect("the terminal takes it");
    }

    fn end(mut self) -> (Option<i32>, Option<i32>, String) {
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut text)
            .expect("UTF-8");
        let status = self.child.wait().expect("it ends");
        (status.code(), status.signal(), text)
    }
}

#[test]
fn ctrl_c_reaches_the_command_and_the_summary_comes() {
    need_root();
    let scratch = Scratch::new();
    let marker = scratch.path("start");
    let script = format!("touch {}; exec sleep 30", marker.display());
    let mut terminal = Terminal::run(&["--enable-ebpf", "run", "sh", "-c", &script]);
    started(&marker);
    sleep(ms(100));
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
    let script = format!(
        "trap 'echo x >>{0}' INT; touch {1}; sleep 30 & while kill -0 $! 2>/dev/null; do wait; [ -s {0} ] && {{ sleep 0.3; kill $!; exit 5; }}; done",
        count.display(),
        marker.display(),
    );
    let mut terminal = Terminal::run(&["--enable-ebpf", "run", "sh", "-c", &script]);
    started(&marker);
    sleep(ms(100));
    terminal.ctrl_c();
    let (code, _, text) = terminal.end();
    assert_eq!(code, Some(5), "{text}");
    assert_eq!(std::fs::read_to_string(count).expect("handled"), "x\n");
}

#[test]
fn ctrl_c_ends_the_wait_for_descendants() {
    need_root();
    let program = workload().to_str().expect("UTF-8");
    let mut terminal = Terminal::run(&[
        "--enable-ebpf",
        "--wait-all",
        "run",
        program,
        "daemonise",
        "30",
        "5",
    ]);
    wait_until("the daemon runs", || {
        let daemons = output(Command::new("ps").args(["-C", "daemon", "-o", "pid="]));
        !daemons.stdout.is_empty()
    });
    sleep(ms(600));
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
    for delay in (0..40).step_by(3) {
        let marker = scratch.path(&format!("ran-{delay}"));
        let script = format!("touch {}; exec sleep 30", marker.display());
        let mut terminal = Terminal::run(&["--enable-ebpf", "run", "sh", "-c", &script]);
        sleep(ms(delay));
        terminal.ctrl_c();
        let (code, signal, text) = terminal.end();
        // Before denet's first instruction the signal kills; afterwards denet says what happened.
        assert!(
            code == Some(130) || signal == Some(libc::SIGINT),
            "{delay} ms: {code:?} {signal:?} {text}"
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
        let script = format!(
            "trap 'exit 7' {}; touch {}; while :; do sleep 0.05; done",
            signal as i32,
            marker.display()
        );
        let child = denet(["--enable-ebpf", "--json", "run", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("denet starts");
        started(&marker);
        send(&child, signal);
        let output = child.wait_with_output().expect("it ends");
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
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("bash starts")
    };
    // Ignored, SIGCHLD lets the kernel reap the command before anyone can ask how it ended.
    let reaped = ignoring("CHLD", "run sh -c 'exit 6'")
        .wait_with_output()
        .expect("it ends");
    assert_eq!(reaped.status.code(), Some(6), "{}", stderr(&reaped));
    let waiting = ignoring("HUP INT", "--wait-all run sh -c 'sleep 1 & exit 4'");
    sleep(ms(400));
    send(&waiting, Signal::SIGHUP);
    send(&waiting, Signal::SIGINT);
    let waited = waiting.wait_with_output().expect("it ends");
    assert_eq!(waited.status.code(), Some(4), "{}", stderr(&waited));
    assert_eq!(summary(&waited)["still_running"], serde_json::json!([]));
}

/// A kernel stack is used again at once: whoever gets that of a task which ended while denet was
/// detaching must not be taken for it.
#[test]
fn nobody_elses_calls_are_counted_at_the_end() {
    need_root();
    let mut strangers: Vec<Child> = (0..2)
        .map(|_| {
            Command::new(workload())
                .args(["strangers", "60"])
                .spawn()
                .expect("it starts")
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
    for stranger in &mut strangers {
        stranger.kill().expect("ours");
        stranger.wait().expect("ours");
    }
}

#[test]
fn duration_ends_a_command_that_ignores_sigterm() {
    need_root();
    let script = "trap '' TERM; while :; do sleep 0.05; done";
    let output = output(&mut denet([
        "--enable-ebpf",
        "--json",
        "-d",
        "0.3",
        "run",
        "sh",
        "-c",
        script,
    ]));
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    let summary = summary(&output);
    assert_eq!(
        (&summary["exit"]["signal"], &summary["ended_by"]),
        (&9.into(), &"duration".into())
    );
    assert!(
        summary["total_time_secs"]
            .as_f64()
            .is_some_and(|seconds| (2.2..5.0).contains(&seconds)),
        "{summary}"
    );
}

#[test]
fn duration_ends_the_wait_for_descendants() {
    need_root();
    let output = output(
        denet([
            "--enable-ebpf",
            "--json",
            "-d",
            "0.7",
            "--wait-all",
            "run",
            "--",
        ])
        .arg(workload())
        .args(["daemonise", "3", "5"]),
    );
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert_eq!(summary(&output)["still_running"][0]["command"], "daemon");
}
