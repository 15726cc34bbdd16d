//! `--color`, NO_COLOR and FORCE_COLOR, in every report of the three binaries.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{DENET, EBPF_DIAG, EBPF_TEST, Scratch, output};

const VARIABLES: [&str; 5] = [
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "CLICOLOR",
    "CI",
];

/// One of each report, and what the parser prints: the program, its arguments before and after `--color`.
fn reports(recording: &str) -> Vec<(&'static str, Vec<&str>, Vec<&str>)> {
    let goal = vec!["--only", "syscall-profiling"];
    vec![
        (DENET, vec![], vec!["run", "true"]),
        (DENET, vec!["run"], vec!["true"]),
        (DENET, vec!["stats", recording], vec![]),
        (DENET, vec!["setup"], vec![]),
        (EBPF_DIAG, goal.clone(), vec![]),
        (EBPF_DIAG, vec![], goal),
        (EBPF_TEST, vec![], vec![]),
        (DENET, vec!["--help"], vec![]),
        (DENET, vec![], vec!["--help"]),
        (DENET, vec!["attach", "--bogus"], vec![]),
        (EBPF_DIAG, vec!["--help"], vec![]),
        (EBPF_DIAG, vec!["--only", "nothing"], vec![]),
        (EBPF_TEST, vec!["--help"], vec![]),
    ]
}

fn each_report(check: impl Fn(&dyn Fn(&[&str], &[&str]) -> Command, &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    let recording = folder.join("whole.jsonl");
    let recording = recording.to_str().expect("our own names");
    for (program, before, after) in reports(recording) {
        let command = |options: &[&str], variables: &[&str]| {
            let mut command = Command::new(program);
            command.args(&before).args(options).args(&after);
            for name in VARIABLES {
                command.env_remove(name);
            }
            command.envs(variables.iter().map(|name| (name, "1")));
            command.stdin(Stdio::null()).env("TERM", "xterm");
            command
        };
        check(&command, &format!("{program} {before:?} {after:?}"));
    }
}

fn has_styles(text: &[u8]) -> bool {
    text.windows(2).any(|bytes| bytes == b"\x1b[")
}

fn is_coloured(command: &mut Command) -> bool {
    let output = output(command);
    has_styles(&[output.stdout, output.stderr].concat())
}

#[test]
fn the_option_precedes_the_environment_in_every_report() {
    each_report(|command, report| {
        for (options, variables, expected) in [
            (&[][..], &[][..], false),
            (&[], &["FORCE_COLOR"], true),
            (&[], &["CLICOLOR_FORCE"], true),
            (&[], &["FORCE_COLOR", "NO_COLOR"], false),
            (&["--color=always"], &["NO_COLOR"], true),
            (&["--color", "always"], &[], true),
            (&["--color=never"], &["FORCE_COLOR"], false),
            (&["--color=auto"], &["FORCE_COLOR"], true),
        ] {
            let found = is_coloured(&mut command(options, variables));
            assert_eq!(found, expected, "{report} {options:?} {variables:?}");
        }
    });
}

/// What it writes to a terminal.
fn in_a_terminal(command: &mut Command) -> Vec<u8> {
    let pair = nix::pty::openpty(None, None).expect("a terminal");
    let slave = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
    let mut child = command
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .expect("it starts");
    // The command holds descriptors of the terminal too.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    drop(pair.slave);
    let mut text = Vec::new();
    // EIO once the other end is closed.
    let _ = File::from(pair.master).read_to_end(&mut text);
    child.wait().expect("it ends");
    text
}

#[test]
fn a_terminal_gets_colours_unless_they_are_declined() {
    each_report(|command, report| {
        for (options, variables, expected) in [
            (&[][..], &[][..], true),
            (&[], &["NO_COLOR"], false),
            (&["--color=never"], &[], false),
            (&["--color=always"], &["NO_COLOR"], true),
        ] {
            // The status line moves the cursor.
            let mut command = command(options, variables);
            let text = in_a_terminal(command.env("TERM", "xterm"));
            let text = String::from_utf8_lossy(&text);
            let found = text.split("\x1b[").skip(1).any(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            });
            assert_eq!(
                found, expected,
                "{report} {options:?} {variables:?}: {text:?}"
            );
        }
    });
}

#[test]
fn only_known_words_say_when() {
    for program in [DENET, EBPF_DIAG, EBPF_TEST] {
        let refused = output(Command::new(program).args(["--color", "sometimes"]));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("auto, always, never"), "{text}");
    }
}

#[test]
fn the_option_of_a_command_is_its_own() {
    let scratch = Scratch::new();
    let script = format!(
        "{DENET} -q run echo --color=always >{}",
        scratch.path("out").display()
    );
    let done = output(Command::new("sh").args(["-c", &script]));
    assert!(done.status.success() && !has_styles(&done.stderr));
    let written = std::fs::read_to_string(scratch.path("out")).expect("written");
    assert_eq!(written, "--color=always\n");
}
