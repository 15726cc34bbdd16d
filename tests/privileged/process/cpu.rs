//! CPU time: denet's figure lies between what the programs measured of themselves and what was measured
//! around denet.

use std::process::{Command, Stdio};

use denet::sys::processes;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::loaded::{Loaded, numbers, of_kind, trees, wait_for_numbers};
use crate::need_root;
use crate::running::{RUSAGE_NS, Watching, wait_until_reading};
use crate::support::processes::is_gone;
use crate::support::wait::wait_until;
use crate::support::{Scratch, load, stderr};

/// The CPU time of a summary lies between what the processes measured just inside and what was measured
/// just outside.
fn assert_between(inside_ns: u64, summary: &Value, outside_ns: u64) {
    let seen = summary["cpu_secs"].as_f64().expect("a number") * 1e9;
    assert!(
        seen + RUSAGE_NS as f64 >= inside_ns as f64 && seen <= outside_ns as f64,
        "{inside_ns} <= {seen} <= {outside_ns}: {summary}"
    );
}

/// CPU time of samples after the first one: no less, and no more. Times in records are whole milliseconds.
fn sampled_ns(samples: &[&Value]) -> (f64, f64) {
    let (mut least, mut most) = (0.0, 0.0);
    for pair in samples.windows(2) {
        let at = |sample: &Value| sample["ts_ms"].as_u64().expect("a time");
        let usage = pair[1]["aggregated"]["cpu_usage"].as_f64();
        let cores = usage.expect("a number") / 100.0;
        let ms = (at(pair[1]) - at(pair[0])) as f64;
        least += cores * (ms - 1.0).max(0.0) * 1e6;
        most += cores * (ms + 1.0) * 1e6;
    }
    (least, most)
}

/// The CPU time of the summary, and what the samples add up to, is what the program used. The work lies
/// between two samples.
fn cpu_is_right(shape: &str, count: &str) {
    need_root();
    let options = ["--interval", "200", "--max-interval", "200"];
    let mut loaded = Loaded::start(&options, &["cpu", "1000", count, shape]);
    let first = loaded.watching.wait_for("a sample", |records| {
        Some(trees(records).len()).filter(|samples| *samples > 0)
    });
    loaded.watching.go();
    loaded.wait_for("done", 1);
    loaded.watching.wait_for_later_sample();
    let (done, measured) = loaded.end();
    let inside_ns = measured.iter().sum();
    assert_between(inside_ns, done.summary(), done.children_ns);
    assert!(inside_ns >= 1_000_000_000, "{shape}: {inside_ns}");
    let (least, most) = sampled_ns(&trees(&done.records)[first - 1..]);
    // Of reaped children /proc/PID/stat has two fields, each truncated to a tick.
    let reaped = matches!(shape, "children" | "turns");
    let truncated = u64::from(reaped) * 2 * 1_000_000_000 / processes::ticks_per_second();
    assert!(
        most + truncated as f64 >= inside_ns as f64 && least <= done.children_ns as f64,
        "{shape}: the program {inside_ns}, samples {least} to {most}, all {}",
        done.children_ns
    );
}

#[test]
fn a_busy_core() {
    cpu_is_right("alone", "1");
}

#[test]
fn two_busy_cores_in_threads_and_in_children() {
    cpu_is_right("threads", "2");
    cpu_is_right("children", "2");
}

/// Two processes that take turns: each sleeps while the other one works.
#[test]
fn half_of_a_core() {
    cpu_is_right("turns", "2");
}

#[test]
fn children_that_nobody_waits_for_are_not_lost() {
    need_root();
    let mut loaded = Loaded::start(&["--max-interval", "100"], &["unreaped", "300", "2"]);
    let children = loaded.wait_for("child", 2);
    let children: Vec<_> = children.iter().map(|pid| *pid as u32).collect();
    children.iter().for_each(|pid| wait_until_reading(*pid));
    // Up to here, and no further until they may end.
    let clocks = children.iter().map(|pid| processes::cpu_ns(*pid));
    let children_ns: u64 = clocks.map(|clock| clock.expect("it lives")).sum();
    assert!(children_ns >= 600_000_000, "{children_ns}");
    loaded.watching.wait_for_later_sample();
    loaded.watching.stop();
    loaded.watching.go();
    wait_until("the children are gone", || {
        children.iter().all(|pid| is_gone(*pid))
    });
    loaded.watching.signal(Signal::SIGCONT);
    loaded.watching.wait_for_later_sample();
    loaded.wait_for("cpu", 1);
    let (done, of_parent) = loaded.end();
    let summary = done.summary();
    // What they used after the last sample is not known, and the record shows that.
    assert_eq!(summary["quality"]["processes_disowned"], 2, "{summary}");
    assert_eq!(summary["usage_complete"], false, "{summary}");
    // denet waited for their parent alone.
    let outside_ns = children_ns + done.children_ns;
    assert_between(children_ns + of_parent[0], summary, outside_ns);
}

#[test]
fn the_process_alone_is_not_its_children() {
    need_root();
    let options = ["--exclude-children"];
    let mut loaded = Loaded::start(&options, &["cpu", "300", "2", "children"]);
    loaded.watching.go();
    loaded.wait_for("done", 1);
    loaded.watching.wait_for_later_sample();
    let (done, measured) = loaded.end();
    let (of_parent, of_children) = measured.split_last().expect("three");
    let children_ns: u64 = of_children.iter().sum();
    assert!(children_ns >= 600_000_000, "{children_ns}");
    let summary = done.summary();
    assert_between(*of_parent, summary, done.children_ns - children_ns);
    assert!(trees(&done.records).is_empty());
    let samples = of_kind(&done.records, "sample");
    assert!(samples[0]["command"].is_string(), "{samples:?}");
    assert_eq!(summary["max_processes"], 1, "{summary}");
}

#[test]
fn daemons_stay_in_sight() {
    need_root();
    let mut loaded = Loaded::start(&["--adopt", "--max-interval", "100"], &["daemon", "300"]);
    let daemon = loaded.wait_for("daemon", 1)[0];
    loaded.watching.go();
    loaded.wait_for("cpu", 3);
    loaded.watching.wait_for("the daemon's end", |records| {
        of_kind(records, "exit")
            .iter()
            .find(|exit| exit["pid"] == daemon)
            .map(|_| ())
    });
    let (done, measured) = loaded.end();
    let summary = done.summary();
    assert_between(measured.iter().sum(), summary, done.children_ns);
    // denet waited for the daemon and for the command.
    for pid in [&daemon.into(), &done.records[0]["pid"]] {
        let exits = of_kind(&done.records, "exit").into_iter();
        let codes: Vec<_> = exits
            .filter(|exit| exit["pid"] == *pid)
            .map(|exit| exit["exit_code"].as_i64())
            .collect();
        assert_eq!(codes, [Some(0)], "{:?}", done.records);
    }
}

#[test]
fn daemons_are_accounted_for_without_samples() {
    need_root();
    for ebpf in [&[][..], &["--enable-ebpf"]] {
        let options = &[&["--no-polling", "--adopt"][..], ebpf].concat();
        let mut loaded = Loaded::start(options, &["daemon", "300"]);
        loaded.wait_for("daemon", 1);
        loaded.watching.go();
        loaded.wait_for("cpu", 3);
        let (done, measured) = loaded.end();
        let summary = done.summary();
        // Neither lost nor counted twice.
        assert_between(measured.iter().sum(), summary, done.children_ns);
        assert_eq!(summary["usage_complete"], !ebpf.is_empty(), "{summary}");
    }
}

#[test]
fn daemons_are_accounted_for_in_a_pid_namespace() {
    need_root();
    let scratch = Scratch::new();
    let (file, out) = (scratch.path("numbers"), scratch.path("records"));
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", crate::support::DENET])
        .args(["--no-polling", "--adopt", "--quiet", "--out"])
        .arg(&out)
        .args(["run", "--"])
        .arg(load())
        .args(["daemon", "300"])
        .arg(&file)
        .stdin(Stdio::piped());
    let mut watching = Watching::spawn(&mut command, scratch);
    wait_for_numbers(&file, "daemon", 1);
    watching.go();
    wait_for_numbers(&file, "cpu", 3);
    let measured = numbers(&file, "cpu");
    let done = watching.end();
    assert!(stderr(&done.output).is_empty(), "{}", stderr(&done.output));
    // denet is a child of unshare's, and part of what was waited for.
    assert_between(measured.iter().sum(), done.summary(), done.children_ns);
}
