//! The binary as anyone may run it: bad input, exit codes, where output goes. No privileges needed.

use std::process::{Command, Stdio};

use serde_json::Value;

mod doctor;
mod hosts;
mod smoke;
mod stats;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tiers use the rest")]
mod support;

mod watching;

use support::{DENET, Scratch, denet, executable, output, records, stderr, stdout, summary};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = output(&mut denet(arguments));
    (output.status.code(), stdout(&output), stderr(&output))
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
    let script = format!(
        "cat {0} & sleep 0.2; {DENET} -q -i 60000 --out {0} run true; wait",
        fifo.display()
    );
    let read = output(Command::new("sh").args(["-c", &script]));
    assert_eq!(records(&stdout(&read)).len(), 3, "{}", stderr(&read));
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
    let script =
        format!("{DENET} --json run sh -c 'sleep 0.2; exit 9' | true; exit ${{PIPESTATUS[0]}}");
    let gone = output(Command::new("bash").args(["-c", &script]));
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
    let (code, out, text) = run(&["run", "sh", "-c", "echo out; echo err >&2; exit 3"]);
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
    let kinds: Vec<Value> = records(&std::fs::read_to_string(&file).expect("written"))
        .iter()
        .map(|record| record["kind"].clone())
        .collect();
    assert_eq!(kinds, ["metadata", "exit", "summary"]);
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

#[test]
fn wait_all_waits_for_orphans_without_ebpf_too() {
    let script = "(sleep 0.4; echo late) & exit 6";
    let waited = output(&mut denet(["-q", "--wait-all", "run", "sh", "-c", script]));
    assert_eq!(
        (waited.status.code(), stdout(&waited).as_str()),
        (Some(6), "late\n")
    );
}

#[test]
fn duration() {
    let started = std::time::Instant::now();
    let (code, _, text) = run(&["-d", "0.2", "run", "sleep", "30"]);
    assert_eq!(code, Some(124), "{text}");
    assert!(text.contains("--duration is over"), "{text}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    assert_eq!(run(&["-d", "20", "run", "true"]).0, Some(0));
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
