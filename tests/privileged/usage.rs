//! What processes used, whichever process waits for them: denet's figure lies between what the programs of
//! `tests/workloads/usage.c` measured of themselves just before they ended and what was measured around denet.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::need_root;
use crate::process::loaded::numbers;
use crate::running::RUSAGE_NS;
use crate::support::{DENET, Scratch, in_guest, output, skipped_runs, summary, usage};

/// Up to three times, until the kernel has run each program, which denet has to report otherwise: a kernel that
/// preempts programs skips some, and the one of CI runs none in an interrupt while a task of the machine's own is current.
fn without_skipped_runs(run: impl FnMut() -> Value) -> Value {
    let mut runs = std::iter::repeat_with(run);
    let skipped = |summary: &Value| {
        let unreported = summary["quality"]["usage_unreported"].as_u64();
        assert!(
            unreported == Some(0) || summary["usage_complete"] == false,
            "{summary}"
        );
        skipped_runs(summary) > Some(0) || unreported > Some(0)
    };
    let first = runs.by_ref().take(2).find(|summary| !skipped(summary));
    first.or_else(|| runs.next()).expect("a third one")
}

/// No sample comes before the last one.
const NO_SAMPLE: &[&str] = &["--enable-ebpf", "--interval", "3600000"];

/// denet around a program of usage.c, and around denet the same program, which adopts what denet leaves behind.
fn around(file: &Path, options: &[&str], mode: &[&str]) -> Command {
    let mut command = Command::new(usage());
    command.arg(file).args(["around", DENET]).args(options);
    command.args(["--top", "0", "--json", "run", "--"]);
    command.arg(usage()).arg(file).args(mode);
    command
}

fn seconds(of: &Value, field: &str) -> f64 {
    of[field].as_f64().expect("a number")
}

/// What of the summary lies between what was measured inside and outside.
fn assert_between(summary: &Value, file: &Path) {
    assert_between_with(summary, file, 0.0);
}

/// `uninherited`: what of the inner measurement is not part of the outer one.
fn assert_between_with(summary: &Value, file: &Path, uninherited: f64) {
    let sum = |name| numbers(file, name).iter().sum::<u64>() as f64;
    let is_complete = summary["quality"]["usage_unreported"] == 0;
    assert_eq!(summary["usage_complete"], is_complete, "{summary}");
    let faults = summary["page_faults_cached"].as_f64().expect("a number");
    assert!(
        sum("faults") <= faults || !is_complete,
        "{}: {summary}",
        sum("faults")
    );
    if uninherited == 0.0 {
        assert!(
            faults <= sum("faults-around"),
            "{}: {summary}",
            sum("faults-around")
        );
    }
    let inside = sum("cpu");
    let outside = sum("around") + uninherited * inside;
    let seen = seconds(summary, "cpu_secs") * 1e9;
    assert!(inside > 0.0 && outside > 0.0, "{inside} {outside}");
    assert!(
        (inside <= seen + RUSAGE_NS as f64 || !is_complete) && seen <= outside + RUSAGE_NS as f64,
        "{inside} <= {seen} <= {outside}: {summary}"
    );
    let parts = seconds(summary, "cpu_user_secs") + seconds(summary, "cpu_system_secs");
    assert!((parts * 1e9 - seen).abs() < 10.0, "{parts}: {summary}");
}

/// With samples, without any, and with none that sees a child. Returns the last summary.
fn is_exact(mode: &[&str], uninherited: f64) -> Value {
    need_root();
    let every = [
        &["--enable-ebpf", "--max-interval", "100"][..],
        &["--enable-ebpf", "--no-polling"],
        NO_SAMPLE,
    ];
    let runs = every.map(|options| {
        let scratch = Scratch::new();
        let file = scratch.path("numbers");
        let run = || {
            let _ = std::fs::remove_file(&file);
            summary(&output(&mut around(&file, options, mode)))
        };
        let summary = without_skipped_runs(run);
        assert_between_with(&summary, &file, uninherited);
        summary
    });
    runs.into_iter().next_back().expect("three runs")
}

#[test]
fn of_orphans_whichever_process_adopts_them() {
    is_exact(&["orphans", "20", "10"], 0.0);
    let summary = is_exact(&["orphans", "60", "1"], 0.0);
    let processes = summary["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 121, "{summary}");
    assert_eq!(summary["quality"]["processes_seen"], 121, "{summary}");
}

#[test]
fn of_children_whose_parent_ignores_their_end() {
    // The outer program does not inherit it either; their ends take less than half of what they measure.
    is_exact(&["ignored", "30", "10"], 1.5);
}

#[test]
fn of_children_of_another_parent() {
    is_exact(&["clone-parent", "10", "10"], 0.0);
}

#[test]
fn of_threads_and_of_a_main_thread_that_ends_first() {
    is_exact(&["threads", "5", "10"], 0.0);
}

#[test]
fn before_and_after_an_exec_by_another_thread() {
    is_exact(&["executes", "5", "10"], 0.0);
}

#[test]
fn of_twenty_thousand_processes() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("numbers");
    let count = if in_guest() { "2000" } else { "20000" };
    let run = || {
        let _ = std::fs::remove_file(&file);
        let options = ["--enable-ebpf", "--no-polling"];
        summary(&output(&mut around(&file, &options, &["in-turn", count])))
    };
    let summary = without_skipped_runs(run);
    assert_between(&summary, &file);
    let seen = &summary["quality"]["processes_seen"];
    assert_eq!(
        seen.as_u64(),
        Some(count.parse::<u64>().expect("a number") + 1)
    );
}

/// The kernel frees the memory of a process after it has reported its end.
#[test]
fn of_a_process_whose_memory_takes_long_to_free() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("numbers");
    let mib = if in_guest() { "64" } else { "1024" };
    let run = || {
        let _ = std::fs::remove_file(&file);
        summary(&output(&mut around(&file, NO_SAMPLE, &["large", mib])))
    };
    let summary = without_skipped_runs(run);
    assert_between(&summary, &file);
    let waited_for = |process: &&Value| !numbers(&file, &process["pid"].to_string()).is_empty();
    let processes = summary["processes"].as_array().expect("a list");
    let child = processes.iter().find(waited_for).expect("the child");
    let inherited = numbers(&file, &child["pid"].to_string())[0];
    // wait4(2) cuts off less than a microsecond of each part.
    let seen = seconds(child, "cpu_secs") * 1e9;
    assert!(seen >= inherited as f64, "{seen} {inherited}");
}

/// They are not freed, and /proc shows what they used.
#[test]
fn of_zombies_that_no_process_waits_for() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("numbers");
    let run = || {
        let _ = std::fs::remove_file(&file);
        let mut command = around(&file, NO_SAMPLE, &["zombies", "5", "10"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let is_summary = |line: &String| line.contains(r#""kind":"summary""#);
        let summary = lines.map_while(Result::ok).find(is_summary);
        // Only now their parent ends.
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
        serde_json::from_str(&summary.expect("a summary")).expect("JSON")
    };
    let summary: Value = without_skipped_runs(run);
    assert_between(&summary, &file);
    assert_eq!(summary["still_running"][0]["command"], "usage", "{summary}");
}

/// Bytes of children that are waited for and of orphans, each once.
#[test]
fn in_bytes() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("numbers");
    let run = |blocks: &str| {
        let run = || {
            let mode = ["bytes", "8", blocks];
            summary(&output(&mut around(&file, NO_SAMPLE, &mode)))
        };
        without_skipped_runs(run)
    };
    let (with, without) = (run("50"), run("0"));
    let more = |field: &str| {
        let number = |of: &Value| of[field].as_u64().expect("a number");
        number(&with) - number(&without)
    };
    assert_eq!(
        more("syscall_read_bytes"),
        8 * 50 * 4096,
        "{with} {without}"
    );
    assert_eq!(
        more("syscall_write_bytes"),
        8 * 50 * 512,
        "{with} {without}"
    );
    assert_eq!(with["usage_complete"], true, "{with}");
}
