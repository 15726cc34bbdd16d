//! In a time namespace, times of records are those of the wall clock, and lifetimes those that the test measured.

use std::process::{Command, Output, Stdio};

use denet::sys::root::Root;
use serde_json::Value;

use crate::broken::is_locked_down;
use crate::need_root;
use crate::running::Watching;
use crate::support::processes::Blocked;
use crate::support::{DENET, Scratch, output, records, stderr, stdout, talker};

/// Nanoseconds since 1970.
fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_nanos() as u64
}

/// What is added to both clocks, in seconds: none may become negative.
fn offsets() -> [[String; 2]; 2] {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("the kernel's");
    let (seconds, _) = uptime.split_once('.').expect("a fraction");
    let half = seconds.parse::<u64>().expect("a number") / 2;
    [
        ["1000000".to_owned(), "2000000".to_owned()],
        [format!("-{half}"), format!("-{half}")],
    ]
}

/// Without `--fork`, `unshare` becomes denet, which then is in the namespace if the kernel is Linux 6.3 or later.
fn inside([monotonic, boottime]: &[String; 2], fork: bool) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--time", "--monotonic", monotonic, "--boottime", boottime]);
    command.args(fork.then_some("--fork")).arg(DENET);
    command.stdin(Stdio::null());
    command
}

/// Every time of every record, in nanoseconds, with its name.
fn times(value: &Value, to: &mut Vec<(String, u64)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let ns = match name.as_str() {
                    "ts_ns" => value.as_u64(),
                    // Up to half a unit of a rounded number.
                    "ts_ms" | "t0_ms" => value.as_f64().map(|ms| (ms * 1e6) as u64),
                    _ => None,
                };
                to.extend(ns.map(|ns| (name.clone(), ns)));
                times(value, to);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| times(value, to)),
        _ => {}
    }
}

fn records_of(done: &Output) -> Vec<Value> {
    assert!(done.status.success(), "{}", stderr(done));
    records(&stdout(done))
}

#[test]
fn times_are_those_of_the_wall_clock() {
    need_root();
    // A millisecond: some times are given in these.
    const ROUNDED: u64 = 1_000_000;
    let verbs: [&[&str]; 5] = [
        &["trace"],
        &["monitor", "exec"],
        &["monitor", "net", "--events"],
        &["--enable-ebpf", "run"],
        &["run"],
    ];
    for offsets in &offsets() {
        for fork in [true, false] {
            for verb in verbs {
                if verb.contains(&"net") && is_locked_down() {
                    continue;
                }
                let mut command = inside(offsets, fork);
                command.args(["--quiet", "--json"]).args(verb).arg("--");
                let began = now();
                let done = output(command.arg(talker()).arg("many-parts"));
                let ended = now();
                let records = records_of(&done);
                let mut all = Vec::new();
                records.iter().for_each(|record| times(record, &mut all));
                assert!(all.len() > 1, "{verb:?}: {records:?}");
                for (name, ns) in all {
                    let within = began - ROUNDED..=ended + ROUNDED;
                    assert!(within.contains(&ns), "{verb:?} {name} {ns} {within:?}");
                }
                let lived = records.iter().filter_map(|it| it["lifetime_ms"].as_f64());
                let longest = (ended - began) as f64 / 1e6;
                // `/proc` counts starts in hundredths of a second.
                lived.for_each(|ms| assert!(ms <= longest + 10.0, "{verb:?} {ms} {longest}"));
            }
        }
    }
}

#[test]
fn a_process_from_outside_is_as_old_as_it_is() {
    need_root();
    for offsets in &offsets() {
        let began = now();
        let target = Blocked::start();
        let inner = now();
        let scratch = Scratch::new();
        let mut command = inside(offsets, false);
        command.args(["--quiet", "--enable-ebpf", "--out"]);
        command.arg(scratch.path("records")).args(["attach"]);
        let watching = Watching::spawn(command.arg(target.id().to_string()), scratch);
        let sample = watching.wait_for("a sample", |records| {
            records.iter().find(|it| it["kind"] == "tree").cloned()
        });
        let seen = sample["ts_ms"].as_u64().expect("a time") * 1_000_000;
        let age = sample["parent"]["metrics"]["uptime_secs"].as_f64();
        let bounds = [seen.saturating_sub(inner), now() - began].map(|ns| ns as f64 / 1e9);
        let (least, most) = (bounds[0] - 0.011, bounds[1] + 0.011);
        assert!(
            age >= Some(least) && age <= Some(most),
            "{age:?} {bounds:?}"
        );
        drop(target);
        let _ = watching.end();
    }
}

#[test]
fn the_kernel_starts_when_it_did() {
    need_root();
    let outside = denet::facts::host::env_record(&Root::default());
    let outside = outside["boot_time_secs"].as_u64().expect("known");
    for offsets in &offsets() {
        let mut command = inside(offsets, true);
        command.args(["--quiet", "--json", "--write-env", "run", "true"]);
        let records = records_of(&output(&mut command));
        let env = records.iter().find(|record| record["kind"] == "env");
        let inside = env.and_then(|env| env["boot_time_secs"].as_u64());
        // The wall clock is slewed.
        let within = outside - 1..=outside + 1;
        assert!(inside.is_some_and(|at| within.contains(&at)), "{inside:?}");
    }
}
