//! Samples, attaching and bad input, without eBPF and without root.

use std::process::{Command, Stdio};

use crate::support::{denet, kinds, output, records, stderr, stdout, summary};

#[test]
fn a_process_that_runs_is_watched_until_it_ends() {
    let mut target = Command::new("sleep").arg("0.7").spawn().expect("sleep");
    // spawn() returns when the old memory is left, which is before the new one has its words.
    let words = format!("/proc/{}/cmdline", target.id());
    while std::fs::read(&words).expect("it runs").is_empty() {
        std::thread::yield_now();
    }
    let done = output(&mut denet(["--json", "attach", &target.id().to_string()]));
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    target.wait().expect("it ended");
    let records = records(&stdout(&done));
    assert_eq!(records[0]["pid"], target.id());
    assert_eq!(records[0]["cmd"], serde_json::json!(["sleep", "0.7"]));
    assert!(
        kinds(&records)
            .iter()
            .filter(|kind| **kind == "tree")
            .count()
            >= 3,
        "{records:?}"
    );
    let summary = summary(&done);
    assert_eq!(summary["ended_by"], "command");
    assert!(summary.get("cpu_user_secs").is_none(), "{summary}");
}

#[test]
fn duration_lets_it_live() {
    let mut target = Command::new("sleep").arg("30").spawn().expect("sleep");
    let pid = target.id().to_string();
    let done = output(&mut denet(["-d", "0.3", "-q", "attach", &pid]));
    assert_eq!(done.status.code(), Some(0));
    assert!(
        stderr(&done).contains("runs on (--duration is over)"),
        "{}",
        stderr(&done)
    );
    assert!(target.try_wait().expect("ours").is_none());
    target.kill().expect("it lives");
    target.wait().expect("it ends");
}

#[test]
fn who_cannot_be_attached_to_is_told_apart() {
    for (whom, code, words) in [
        (&["4194304"][..], 125, "there is no process 4194304"),
        (&["2"], 125, "process 2"),
        (
            &["0"],
            2,
            "'0' for '[PID]': a process id is a number from 1 to 4194304",
        ),
        (&["x"], 2, "pgrep finds it by name"),
        (&["--cgroup", "/nowhere"], 125, "is no cgroup"),
        (&["--all", "1"], 2, "cannot be used with"),
    ] {
        let done = output(denet(["attach"]).args(whom));
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(code), "{whom:?}: {text}");
        assert!(text.contains(words), "{whom:?}: {text}");
    }
}

#[test]
fn samples_are_lines_where_there_is_no_terminal_and_none_when_quiet() {
    let lines = |options: &[&str]| {
        let mut command = denet(options);
        let done = output(command.args(["-i", "50", "run", "sleep", "0.3"]));
        stderr(&done)
            .lines()
            .filter(|line| line.contains(" process"))
            .count()
    };
    assert!(lines(&[]) >= 4);
    assert!(lines(&["--no-update"]) >= 4);
    // The report's own line about samples.
    assert_eq!(lines(&["--quiet"]), 1);
    assert_eq!(lines(&["--no-polling"]), 0);
}

#[test]
fn orphans_stay_in_sight_and_what_still_runs_is_named() {
    // Long enough to be sampled where others keep the CPUs busy.
    let script = "(sleep 0.5; exit 0) & (setsid sleep 20 &) ; sleep 2";
    let done = output(&mut denet([
        "-i", "50", "--json", "run", "sh", "-c", script,
    ]));
    let records = records(&stdout(&done));
    let summary = summary(&done);
    let running = summary["still_running"].as_array().expect("a list");
    assert_eq!(running.len(), 1, "{summary}");
    assert_eq!(running[0]["command"], "sleep");
    assert!(kinds(&records).contains(&"exit"));
    let pid = running[0]["pid"].as_u64().expect("an id").to_string();
    output(Command::new("kill").arg(pid));
}

#[test]
fn csv_has_a_row_for_each_sample() {
    let done = output(&mut denet([
        "-i", "50", "-q", "--format", "csv", "run", "sleep", "2",
    ]));
    let text = stdout(&done);
    let rows: Vec<_> = text.lines().collect();
    assert!(
        rows.len() >= 24 && rows[0].starts_with("ts_ms,cpu_usage,"),
        "{text}"
    );
    let columns = |row: &str| row.split(',').count();
    assert!(
        rows.iter().all(|row| columns(row) == columns(rows[0])),
        "{text}"
    );
}

#[test]
fn a_full_process_table_harms_nobody() {
    // Children fail to start; the shell says so, and denet goes on.
    let script = "ulimit -u 1; for i in 1 2 3; do sleep 0.05 & done; sleep 0.1; exit 6";
    let mut command = denet(["-i", "20", "--json", "run", "sh", "-c", script]);
    let done = output(command.stderr(Stdio::null()));
    let summary = summary(&done);
    assert_eq!(summary["kind"], "summary");
}

#[test]
fn a_record_of_the_machine_comes_first_if_asked_for() {
    let done = output(&mut denet(["--json", "--write-env", "run", "true"]));
    let records = records(&stdout(&done));
    assert_eq!(kinds(&records)[..2], ["metadata", "env"], "{records:?}");
}
