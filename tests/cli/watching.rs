//! Samples, attaching and bad input, without eBPF and without root.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::support::processes::{Blocked, pid_in};
use crate::support::wait::wait_until;
use crate::support::{Scratch, denet, kinds, output, records, stderr, stdout, summary};

/// A running denet whose output can be read. The command's standard input stays open until `end`.
struct Running {
    child: Child,
    scratch: Scratch,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let scratch = Scratch::new();
        let to = |name| File::create(scratch.path(name)).expect("room");
        let child = denet(arguments)
            .stdin(Stdio::piped())
            .stdout(to("stdout"))
            .stderr(to("stderr"))
            .spawn()
            .expect("denet starts");
        Self { child, scratch }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.scratch.path(name)).expect("UTF-8")
    }

    /// Whole lines so far.
    fn lines(&self, name: &str) -> usize {
        self.text(name).matches('\n').count()
    }

    fn stdout(&self) -> Vec<Value> {
        let text = self.text("stdout");
        records(&text[..text.rfind('\n').map_or(0, |at| at + 1)])
    }

    /// Lets the command go on, and waits for denet.
    fn end(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends")
    }
}

/// So many samples among the records.
fn has_samples(records: &[Value], n: usize) -> bool {
    let kinds = kinds(records);
    kinds.iter().filter(|kind| **kind == "tree").count() >= n
}

#[test]
fn a_process_that_runs_is_watched_until_it_ends() {
    let target = Blocked::start();
    let mut watching = Running::start(&["--json", "attach", &target.id().to_string()]);
    wait_until("it is sampled", || has_samples(&watching.stdout(), 3));
    let pid = target.id();
    drop(target);
    assert_eq!(
        watching.end().code(),
        Some(0),
        "{}",
        watching.text("stderr")
    );
    let records = watching.stdout();
    assert_eq!(records[0]["pid"], pid);
    assert_eq!(records[0]["cmd"], serde_json::json!(["cat"]));
    let summary = records.last().expect("a summary");
    assert_eq!(summary["ended_by"], "command");
    // What it used after the last sample is not known.
    assert_eq!(summary["usage_complete"], false, "{summary}");
}

#[test]
fn duration_lets_it_live() {
    let target = Blocked::start();
    let done = output(&mut denet([
        "-d",
        "0.3",
        "-q",
        "attach",
        &target.id().to_string(),
    ]));
    assert_eq!(done.status.code(), Some(0));
    assert!(
        stderr(&done).contains("runs on (--duration is over)"),
        "{}",
        stderr(&done)
    );
    assert!(target.is_alive());
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
    let start = |options: &[&str]| Running::start(&[options, &["-i", "50", "run", "cat"]].concat());
    let lines = |run: &Running| {
        let text = run.text("stderr");
        text.lines()
            .filter(|line| line.contains(" process ·"))
            .count()
    };
    let scratch = Scratch::new();
    let out = scratch.path("records");
    let quiet = ["--quiet", "--out", out.to_str().expect("UTF-8")];
    let marker = scratch.path("started");
    let script = format!("touch {}; exec cat", marker.display());
    let mut unsampled = Running::start(&["--no-polling", "-i", "50", "run", "sh", "-c", &script]);
    wait_until("the command without samples runs", || marker.exists());
    let mut quiet = start(&quiet);
    let (mut usual, mut plain) = (start(&[]), start(&["--no-update"]));
    wait_until("lines for samples", || lines(&usual) >= 4);
    wait_until("lines for samples", || lines(&plain) >= 4);
    wait_until("samples without lines", || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        text.matches(r#"{"kind":"tree""#).count() >= 4
    });
    for run in [&mut usual, &mut plain, &mut quiet, &mut unsampled] {
        run.end();
    }
    assert_eq!(quiet.text("stderr"), "");
    // It ran for as long as the others.
    assert_eq!(lines(&unsampled), 0);
}

/// A fifo that both ends can open at once, for as long as this is.
fn fifo(path: &Path) -> File {
    let made = output(Command::new("mkfifo").arg(path));
    assert!(made.status.success(), "{}", stderr(&made));
    let mut options = File::options();
    options.read(true).write(true).open(path).expect("a fifo")
}

#[test]
fn orphans_stay_in_sight_and_what_still_runs_is_named() {
    let scratch = Scratch::new();
    let [child, orphan, ids] = ["child", "orphan", "ids"].map(|name| scratch.path(name));
    let (to_child, to_orphan) = (fifo(&child), fifo(&orphan));
    let script = format!(
        "cat {0} & echo $! >{2}; (setsid cat {1} >/dev/null 2>&1 &); read released",
        child.display(),
        orphan.display(),
        ids.display()
    );
    let mut run = Running::start(&["-i", "50", "--adopt", "--json", "run", "sh", "-c", &script]);
    let pid = pid_in(&ids);
    let is_its = |record: &Value| record["pid"] == pid;
    wait_until("the child is sampled", || {
        let records = run.stdout();
        let children = |it: &Value| it["children"].as_array().cloned().unwrap_or_default();
        records.iter().any(|it| children(it).iter().any(is_its))
    });
    drop(to_child);
    wait_until("its exit is recorded", || {
        let records = run.stdout();
        records.iter().any(|it| it["kind"] == "exit" && is_its(it))
    });
    run.end();
    let records = run.stdout();
    let summary = records.last().expect("a summary");
    let running = summary["still_running"].as_array().expect("a list");
    assert_eq!(running.len(), 1, "{summary}");
    assert_eq!(running[0]["command"], "cat");
    drop(to_orphan);
}

#[test]
fn csv_has_a_row_for_each_sample() {
    let mut run = Running::start(&["-i", "50", "-q", "--format", "csv", "run", "cat"]);
    wait_until("rows", || run.lines("stdout") > 24);
    run.end();
    let text = run.text("stdout");
    let rows: Vec<_> = text.lines().collect();
    assert!(rows[0].starts_with("ts_ms,cpu_usage,"), "{text}");
    let columns = |row: &str| row.split(',').count();
    assert!(
        rows.iter().all(|row| columns(row) == columns(rows[0])),
        "{text}"
    );
}

#[test]
fn a_full_process_table_harms_nobody() {
    // Children fail to start; the shell says so, and denet goes on.
    let script = "ulimit -u 1; for i in 1 2 3; do true & done; wait; exit 6";
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

#[test]
fn names_that_are_not_utf8_are_exact() {
    use std::os::unix::ffi::OsStrExt as _;
    let scratch = Scratch::new();
    let program = scratch.0.join(std::ffi::OsStr::from_bytes(b"\xff"));
    std::os::unix::fs::symlink("/bin/true", &program).expect("our own folder");
    let mut command = denet(["--quiet", "--json", "run", "--"]);
    command.arg(&program).arg("plain");
    let done = output(command.arg(std::ffi::OsStr::from_bytes(b"\xfe")));
    let records = records(&stdout(&done));
    let exact = &records[0]["cmd_bytes_b64"];
    assert!(exact[0].is_string(), "{exact}");
    assert_eq!([&exact[1], &exact[2]], [&Value::Null, &"/g==".into()]);
    assert_eq!(records[0]["cmd"][2], "\u{fffd}");
    let exit = records.iter().find(|record| record["kind"] == "exit");
    let exit = exit.unwrap_or_else(|| panic!("{records:?}"));
    assert_eq!(
        (&exit["command"], &exit["command_bytes_b64"]),
        (&"\u{fffd}".into(), &"/w==".into())
    );
    // The summary of the recording has them too, and finds nothing odd in them.
    let file = scratch.path("recording");
    std::fs::write(&file, &done.stdout).expect("our own folder");
    let stats = output(denet(["stats", "--json"]).arg(&file));
    let stats: Value = serde_json::from_str(&stdout(&stats)).expect("JSON");
    assert_eq!(stats["recording"]["cmd_bytes_b64"], *exact);
    assert_eq!(stats["odd"]["none"], true, "{stats}");
}
