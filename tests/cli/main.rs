//! The binary as anyone may run it: bad input, exit codes, where output goes. No privileges needed.

use std::process::{Command, Stdio};

use serde_json::Value;

mod colour;
mod doctor;
mod escapes;
mod hosts;
mod smoke;
mod stats;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tiers use the rest")]
mod support;

mod watching;

use support::processes::{Blocked, blocks_in, is_gone, pid_in};
use support::wait::wait_until;
use support::{DENET, Scratch, denet, executable, kinds, output, records, stderr, stdout, summary};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = output(&mut denet(arguments));
    (output.status.code(), stdout(&output), stderr(&output))
}

/// There are samples only where a command took long.
fn kinds_but_samples(records: &[Value]) -> impl Iterator<Item = &str> {
    kinds(records).into_iter().filter(|kind| *kind != "tree")
}

#[test]
fn usage_errors_say_what_to_do() {
    let (code, _, text) = run(&[]);
    assert!(code == Some(2) && text.contains("Usage: denet"), "{text}");
    let (code, _, text) = run(&["run"]);
    assert!(code == Some(2) && text.contains("<CMD>"), "{text}");
    let (code, _, text) = run(&["--enable-epbf", "run", "true"]);
    assert!(code == Some(2) && text.contains("'--enable-ebpf"), "{text}");
    let (code, _, text) = run(&["runn", "true"]);
    assert!(code == Some(2) && text.contains("'run'"), "{text}");
    let (code, _, text) = run(&["ls", "-l"]);
    assert!(
        code == Some(2) && text.contains("denet [OPTIONS] run -- CMD"),
        "{text}"
    );
    let (code, _, text) = run(&["--enable-ebpf=maybe", "run", "true"]);
    assert!(code == Some(2) && text.contains("require, auto"), "{text}");
    let (code, _, text) = run(&["-d", "soon", "run", "true"]);
    assert!(
        code == Some(2) && text.contains("not a number of seconds"),
        "{text}"
    );
}

/// Released binaries are built without the feature test-hooks, and so are those of this tier.
#[test]
#[cfg(not(feature = "test-hooks"))]
fn options_that_only_tests_need_are_rejected() {
    for arguments in [
        &["--btf", "/x", "run", "true"][..],
        &["--max-tasks", "2", "run", "true"],
        &["setup", "--die-at", "1"],
    ] {
        let (code, _, text) = run(arguments);
        assert!(
            code == Some(2) && text.contains("unexpected argument"),
            "{arguments:?}: {text}"
        );
    }
    let refused = output(Command::new(support::EBPF_TEST).args(["--btf", "/x"]));
    let text = stderr(&refused);
    assert!(
        refused.status.code() == Some(64) && text.contains("unexpected argument"),
        "{text}"
    );
}

#[test]
fn help_and_version_go_to_stdout() {
    let (code, text, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for word in [
        "--enable-ebpf",
        "--wait-all",
        "Exit status",
        "Examples",
        "124",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let version = format!("denet {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
}

#[test]
fn commands_that_cannot_run() {
    assert_eq!(
        run(&["run", ""]),
        (
            Some(127),
            String::new(),
            "denet: '': command not found\n".to_owned()
        )
    );
    let (code, _, text) = run(&["run", "no-such-command"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(127), "denet: no-such-command: command not found\n")
    );
    let (code, _, text) = run(&["run", "/etc/passwd"]);
    assert_eq!(
        (code, text.as_str()),
        (
            Some(126),
            "denet: /etc/passwd: Permission denied (os error 13)\n"
        )
    );
    let (code, _, text) = run(&["run", "/"]);
    assert!(
        code == Some(126) && text.contains("Is a directory"),
        "{text}"
    );
    let scratch = Scratch::new();
    let binary = scratch.path("binary");
    executable(&binary, b"\x7fELF\0 of no machine");
    let foreign = output(denet(["run"]).arg(&binary));
    assert_eq!(foreign.status.code(), Some(126), "{}", stderr(&foreign));
    assert!(
        stderr(&foreign).contains("Exec format error"),
        "{}",
        stderr(&foreign)
    );
    let script = scratch.path("script");
    executable(&script, b"#!/no/such/interpreter\n");
    let broken = output(denet(["run"]).arg(&script));
    assert_eq!(broken.status.code(), Some(127), "{}", stderr(&broken));
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_command_starts() {
    for place in ["/no/such/folder/records", "/", "/dev/full"] {
        let (code, out, text) = run(&["--out", place, "run", "echo", "ran"]);
        assert_eq!((code, out.as_str()), (Some(125), ""), "{text}");
        assert!(
            text.contains(place) && text.contains("the command was not started"),
            "{text}"
        );
    }
}

#[test]
fn a_fifo_without_a_reader_is_refused_and_one_with_a_reader_is_written() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo");
    output(Command::new("mkfifo").arg(&fifo));
    let refused = output(denet(["--out"]).arg(&fifo).args(["run", "echo", "ran"]));
    assert_eq!(
        (refused.status.code(), stdout(&refused).as_str()),
        (Some(125), "")
    );
    let mut cat = Command::new("cat");
    let reader = cat.arg(&fifo).stdout(Stdio::piped()).spawn().expect("cat");
    wait_until("the reader opens it", || {
        blocks_in(reader.id(), "cat", libc::SYS_openat)
    });
    let written = output(denet(["-q", "--out"]).arg(&fifo).args(["run", "true"]));
    let read = reader.wait_with_output().expect("it ends");
    let records = records(&stdout(&read));
    assert!(
        kinds_but_samples(&records).eq(["metadata", "exit", "summary"]),
        "{records:?} {}",
        stderr(&written)
    );
}

#[test]
fn a_mistyped_command_does_not_cost_the_last_records() {
    let scratch = Scratch::new();
    let kept = scratch.path("records");
    std::fs::write(&kept, "precious").expect("room");
    let mistyped = output(denet(["--out"]).arg(&kept).args(["run", "no-such-command"]));
    assert_eq!(mistyped.status.code(), Some(127));
    assert_eq!(std::fs::read_to_string(&kept).expect("kept"), "precious");
}

#[test]
fn closed_stdout() {
    let closed = |arguments: &str| {
        let script = format!("{DENET} {arguments} >&-");
        output(Command::new("sh").args(["-c", &script]))
    };
    let refused = closed("--json run touch /dev/null");
    assert_eq!(refused.status.code(), Some(125));
    assert!(
        stderr(&refused).contains("stdout is closed, but records go there"),
        "{}",
        stderr(&refused)
    );
    let text = closed("run true");
    assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let mut child = denet(["--json", "run", "sh", "-c", "read released; exit 9"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("denet starts");
    drop(child.stdout.take());
    let gone = child.wait_with_output().expect("it ends");
    assert_eq!((gone.status.code(), stderr(&gone).as_str()), (Some(9), ""));
}

#[test]
fn closed_stderr() {
    let script = format!("{DENET} run sh -c 'exit 9' 2>&-");
    assert_eq!(
        output(Command::new("sh").args(["-c", &script]))
            .status
            .code(),
        Some(9)
    );
}

#[test]
fn streams_are_kept_apart() {
    let script = "echo out; echo err >&2; exit 3";
    let (code, out, text) = run(&["--no-polling", "run", "sh", "-c", script]);
    assert_eq!((code, out.as_str()), (Some(3), "out\n"));
    assert!(
        text.contains("not counted (--enable-ebpf counts them)"),
        "{text}"
    );
    assert!(
        text.starts_with("err\n") && text.contains("exit 3"),
        "{text}"
    );
    let scratch = Scratch::new();
    let file = scratch.path("records");
    let quiet = output(
        denet(["-q", "--out"])
            .arg(&file)
            .args(["run", "echo", "out"]),
    );
    assert_eq!(
        (stdout(&quiet).as_str(), stderr(&quiet).as_str()),
        ("out\n", "")
    );
    let records = records(&std::fs::read_to_string(&file).expect("written"));
    assert!(
        kinds_but_samples(&records).eq(["metadata", "exit", "summary"]),
        "{records:?}"
    );
}

#[test]
fn a_run_without_ebpf_has_its_summary() {
    let run = output(&mut denet(["--json", "run", "sh", "-c", "exit 4"]));
    assert_eq!(run.status.code(), Some(4));
    let summary = summary(&run);
    assert_eq!(summary["exit"]["exit_code"], 4);
    assert!(
        summary.get("ebpf").is_none() && summary["peak_mem_rss_kb"].as_u64() > Some(0),
        "{summary}"
    );
}

/// Prints the parent of a process whose parent has ended, while the shell still runs.
const ORPHAN: &str = r#"x=$( (m=$(exec sh -c 'echo $PPID')
    (while read -r _ _ _ p _ </proc/self/stat; [ "$p" = "$m" ]; do :; done; echo "$p") & ) ); echo "$x""#;

#[test]
fn orphans_have_the_parent_that_they_have_without_denet() {
    let alone = stdout(&output(Command::new("sh").args(["-c", ORPHAN])));
    let observed = |options: &[&str]| {
        let child = denet(options)
            .args(["-q", "run", "sh", "-c", ORPHAN])
            .stdout(Stdio::piped())
            .spawn()
            .expect("denet starts");
        let pid = child.id();
        (stdout(&child.wait_with_output().expect("it ends")), pid)
    };
    for options in [&[][..], &["--no-polling"], &["--exclude-children"]] {
        assert_eq!(observed(options).0, alone, "{options:?}");
    }
    for option in ["--adopt", "--wait-all"] {
        let (parent, denet) = observed(&[option]);
        assert_eq!(parent, format!("{denet}\n"), "{option}");
    }
}

#[test]
fn the_parts_of_cpu_time_add_up_to_it() {
    let script = "for i in 1 2 3; do (head -c 30000000 /dev/zero | cksum >/dev/null &); done; :";
    for options in [
        &["--adopt", "--wait-all"][..],
        &["--no-polling"],
        &["--exclude-children"],
    ] {
        let mut command = denet(options);
        let summary = summary(&output(
            command.args(["-q", "--json", "run", "sh", "-c", script]),
        ));
        let seconds = |field: &str| summary[field].as_f64().expect("a number");
        let parts = seconds("cpu_user_secs") + seconds("cpu_system_secs");
        assert!((parts - seconds("cpu_secs")).abs() < 1e-8, "{summary}");
        assert!(seconds("cpu_secs") > 0.0, "{summary}");
    }
}

/// Others may begin while a command runs, and then it is not known whether they descend from it.
#[test]
fn usage_is_called_complete_only_if_no_process_began() {
    let run = |script: &str| {
        let mut command = denet(["--no-polling", "-q", "--json", "run", "sh", "-c", script]);
        summary(&output(&mut command))["usage_complete"] == true
    };
    assert!((0..1000).any(|_| run(":")), "a process that is alone");
    assert!(!run("(: &); :"));
    let mut command = denet(["--no-polling", "run", "sh", "-c", "(: &); :"]);
    let report = stderr(&output(&mut command));
    let headline = report.lines().find(|line| line.starts_with("exit 0"));
    let headline = headline.unwrap_or_default();
    assert!(headline.contains("· at least "), "{report}");
}

#[test]
fn wait_all_waits_for_orphans_without_ebpf_too() {
    let scratch = Scratch::new();
    let ids = scratch.path("ids");
    let script = format!(
        "exec 3<&0; (read released <&3; echo late) & echo $$ >{}; exit 6",
        ids.display()
    );
    let mut child = denet(["-q", "--wait-all", "run", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("denet starts");
    let held = child.stdin.take();
    let command = pid_in(&ids);
    wait_until("the command itself has ended", || is_gone(command));
    drop(held);
    let waited = child.wait_with_output().expect("it ends");
    assert_eq!(
        (waited.status.code(), stdout(&waited).as_str()),
        (Some(6), "late\n")
    );
}

#[test]
fn duration() {
    let endless = Blocked::start();
    let reads = format!("/proc/{}/fd/0", endless.id());
    // Only SIGTERM ends a command that waits for the end of a pipe that is held open here.
    let (code, _, text) = run(&["-d", "0.2", "run", "cat", &reads]);
    assert_eq!(code, Some(124), "{text}");
    assert!(text.contains("--duration is over"), "{text}");
    assert_eq!(run(&["-d", "1000000", "run", "true"]).0, Some(0));
}

#[test]
fn no_colours_in_a_pipe() {
    let (_, _, text) = run(&["run", "true"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let mut forced = denet(["run", "true"]);
    let coloured = output(forced.env("CLICOLOR_FORCE", "1").stderr(Stdio::piped()));
    assert!(
        stderr(&coloured).contains('\u{1b}'),
        "{}",
        stderr(&coloured)
    );
}
