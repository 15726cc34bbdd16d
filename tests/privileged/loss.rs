//! What cannot be shown is counted, and the output says so.

use std::io::Write as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::need_root;
use crate::support::processes::is_stopped;
use crate::support::wait::wait_until;
use crate::support::{
    Scratch, counts, denet, output, skipped_runs, stderr, summary, without_skipped_runs, workload,
};

fn limited(max_tasks: &str, arguments: &[&str]) -> Value {
    let options = [
        "--enable-ebpf",
        "--json",
        "--top",
        "0",
        "--wait-all",
        "--max-tasks",
        max_tasks,
        "run",
        "--",
    ];
    let output = output(denet(options).arg(workload()).args(arguments));
    assert!(output.status.success(), "{}", stderr(&output));
    summary(&output)
}

#[test]
fn more_tasks_than_memory() {
    need_root();
    let summary = limited("2", &["live", "40"]);
    let quality = &summary["ebpf"]["quality"];
    assert_eq!(quality["complete"], false, "{quality}");
    assert!(quality["map_full"].as_u64() > Some(0), "{quality}");
    // Nothing is only almost counted: what is shown and what is lost make the whole.
    let lost = quality["lost"].as_u64().expect("a count");
    let shown: u64 = counts(&summary).values().sum();
    let whole = without_skipped_runs(|| limited("4096", &["live", "40"]), skipped_runs);
    assert_eq!(whole["ebpf"]["quality"]["complete"], true, "{whole}");
    assert_eq!(lost + shown, counts(&whole).values().sum::<u64>());
    assert_eq!(quality["entered"].as_u64(), Some(lost + shown));
}

#[test]
fn the_report_says_how_much_was_lost() {
    need_root();
    let output = output(
        denet(["--enable-ebpf", "--max-tasks", "2", "run", "--"])
            .arg(workload())
            .args(["live", "40"]),
    );
    let text = stderr(&output);
    assert!(
        text.contains("incomplete: ") && text.contains("syscalls were counted as lost"),
        "{text}"
    );
}

#[test]
fn more_ended_tasks_than_the_ring_buffer_holds_while_denet_is_stopped() {
    need_root();
    let run = |children: u64, stopped: bool| {
        let scratch = Scratch::new();
        let (start, end) = (scratch.path("start"), scratch.path("end"));
        let script = format!(
            "touch {}; read go; {} children {children}; touch {}",
            start.display(),
            workload().display(),
            end.display()
        );
        let mut denet = denet([
            "--enable-ebpf",
            "--json",
            "--top",
            "0",
            "run",
            "sh",
            "-c",
            &script,
        ]);
        denet.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = denet.spawn().expect("denet starts");
        let pid = Pid::from_raw(child.id() as i32);
        wait_for(&start);
        if stopped {
            kill(pid, Signal::SIGSTOP).expect("denet runs");
            wait_until("denet is stopped", || is_stopped(child.id()));
        }
        let stdin = child.stdin.as_mut().expect("piped");
        stdin.write_all(b"go\n").expect("it is read");
        if stopped {
            wait_for(&end);
            kill(pid, Signal::SIGCONT).expect("denet waits");
        }
        summary(&child.wait_with_output().expect("it ends"))
    };
    let entered = |children| {
        let all = without_skipped_runs(|| run(children, false), skipped_runs);
        let quality = &all["ebpf"]["quality"];
        assert_eq!(quality["complete"], true, "{quality}");
        quality["entered"].as_u64().expect("a count")
    };
    // Each child makes the same calls, so two short runs tell what a long one makes.
    let (one, two) = (entered(1000), entered(2000));
    let part = run(26_000, true);
    // Nor was there room for what they used.
    assert_eq!(part["usage_complete"], false, "{part}");
    let quality = &part["ebpf"]["quality"];
    assert_eq!(quality["complete"], false, "{quality}");
    assert!(quality["records_lost"].as_u64() > Some(1000), "{quality}");
    assert_eq!(
        quality["entered"].as_u64(),
        Some(one + 25 * (two - one)),
        "{quality}"
    );
    let shown: u64 = counts(&part).values().sum();
    assert_eq!(
        quality["entered"].as_u64(),
        quality["lost"].as_u64().map(|lost| lost + shown)
    );
}

pub fn wait_for(marker: &std::path::Path) {
    wait_until(&marker.display().to_string(), || marker.exists());
}
