//! denet itself is stopped, and continues: what it reports leaves that time out.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::loaded::Loaded;
use crate::need_root;
use crate::running::{Watching, sleeps_in, wait_until_reading};
use crate::support::processes::{has_ended, is_stopped, state};
use crate::support::wait::wait_until;
use crate::support::{Scratch, load, output};

const MODES: [&[&str]; 3] = [&[], &["--no-polling"], &["--enable-ebpf"]];

/// Seconds: no less, and no more.
struct Bounds(f64, f64);

impl Bounds {
    fn hold(&self, summary: &Value, field: &str) {
        let seen = summary[field].as_f64().expect("a number");
        assert!(
            self.0 <= seen && seen <= self.1,
            "{} <= {seen} <= {}: {summary}",
            self.0,
            self.1
        );
    }
}

/// As long as that takes.
fn two_hundred_ms_of_cpu() {
    let scratch = Scratch::new();
    let mut work = Command::new(load());
    work.args(["cpu", "200", "1", "alone"])
        .arg(scratch.path("numbers"));
    assert!(output(work.stdin(Stdio::null())).status.success());
}

fn command_of(watching: &Watching) -> u32 {
    let pid = watching.wait_for("denet started", |records| records.first()?["pid"].as_u64());
    pid as u32
}

/// An average is what was used, over this time.
fn is_average_over(summary: &Value, secs: f64) {
    let number = |field: &str| summary[field].as_f64().expect("a number");
    let average = 100.0 * number("cpu_secs") / secs;
    assert!(
        (number("avg_cpu_usage") - average).abs() < 1e-6 * average,
        "{average}: {summary}"
    );
}

/// With the program, the summary; with the stop, how long it was. `meanwhile` is called while denet is stopped.
fn summary_around(
    options: &[&str],
    meanwhile: impl FnOnce(&mut Loaded, u32),
) -> (Value, Bounds, Duration) {
    let outside = Instant::now();
    let mut loaded = Loaded::start(options, &["cpu", "300", "1", "alone"]);
    let command = command_of(&loaded.watching);
    wait_until_reading(command);
    let denet = loaded.watching.id();
    let before = Instant::now();
    loaded.watching.stop();
    let inside = Instant::now();
    meanwhile(&mut loaded, command);
    let least = inside.elapsed().as_secs_f64();
    loaded.watching.signal(Signal::SIGCONT);
    wait_until("denet waits again, or has ended", || {
        has_ended(denet) || state(denet) == Some('S') && sleeps_in(denet).is_some()
    });
    let stop = Bounds(least, before.elapsed().as_secs_f64());
    let (done, _) = loaded.end();
    let summary = done.summary().clone();
    assert!(summary.get("stopped_is_least").is_none(), "{summary}");
    stop.hold(&summary, "stopped_secs");
    (summary, stop, outside.elapsed())
}

#[test]
fn a_stopped_denet_leaves_that_time_out() {
    need_root();
    for options in MODES {
        let (summary, stop, all) = summary_around(options, |loaded, _| {
            loaded.watching.go();
            loaded.wait_for("done", 1);
        });
        Bounds(0.0, all.as_secs_f64() - stop.0).hold(&summary, "total_time_secs");
        // The command ran on, and what it used meanwhile is part of what is averaged.
        let number = |field: &str| summary[field].as_f64().expect("a number");
        assert!(number("cpu_secs") >= 0.3, "{summary}");
        let active = number("total_time_secs") + number("stopped_secs");
        is_average_over(&summary, active);
        let analysis = &summary["ebpf"]["syscalls"]["analysis"];
        if let Some(rate) = analysis["syscall_rate_per_sec"].as_f64() {
            let calls = summary["ebpf"]["syscalls"]["total"]
                .as_f64()
                .expect("a number");
            assert!((rate - calls / active).abs() < 1e-6 * rate, "{summary}");
        }
    }
}

#[test]
fn a_command_that_is_stopped_too_is_not_averaged_over_that_time() {
    need_root();
    for options in MODES {
        let (summary, ..) = summary_around(options, |_, command| {
            let command = Pid::from_raw(command as i32);
            kill(command, Signal::SIGSTOP).expect("it lives");
            wait_until("it is stopped", || is_stopped(command.as_raw() as u32));
            two_hundred_ms_of_cpu();
            kill(command, Signal::SIGCONT).expect("it lives");
        });
        let wall = summary["total_time_secs"].as_f64().expect("a number");
        is_average_over(&summary, wall);
    }
}

#[test]
fn no_average_is_shown_of_a_command_that_ended_unseen() {
    need_root();
    for options in MODES {
        let (summary, ..) = summary_around(options, |loaded, command| {
            loaded.watching.close();
            wait_until("it has ended", || has_ended(command));
            two_hundred_ms_of_cpu();
        });
        assert!(summary.get("avg_cpu_usage").is_none(), "{summary}");
        let syscalls = &summary["ebpf"]["syscalls"];
        if let Some(analysis) = syscalls["analysis"].as_object() {
            assert!(!analysis.contains_key("syscall_rate_per_sec"), "{summary}");
            assert!(!analysis.contains_key("cpu_intensity"), "{summary}");
        }
    }
}

/// SIGCONT alone is no stop.
#[test]
fn a_denet_that_is_continued_was_not_stopped() {
    need_root();
    for options in [&["--no-polling"][..], &["--no-polling", "--enable-ebpf"]] {
        let mut loaded = Loaded::start(options, &["cpu", "1", "1", "alone"]);
        let command = command_of(&loaded.watching);
        wait_until_reading(command);
        let denet = loaded.watching.id();
        wait_until("denet waits", || {
            sleeps_in(denet).is_some_and(|(call, _)| call == libc::SYS_poll)
        });
        loaded.watching.signal(Signal::SIGCONT);
        loaded.watching.go();
        loaded.wait_for("done", 1);
        let (done, _) = loaded.end();
        assert_eq!(done.summary()["stopped_secs"], 0.0, "{}", done.summary());
    }
}
