//! `ebpf_test` as anyone may run it.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{EBPF_TEST, Scratch, output, stderr, stdout};

const NOBODY: u32 = 65534;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(EBPF_TEST);
    output(command.args(arguments).env_remove("RUST_LOG"))
}

/// By somebody without privileges, from where everyone may execute it.
fn unprivileged(arguments: &[&str]) -> Output {
    let scratch = Scratch::new();
    let binary = scratch.path("ebpf_test");
    let copied = output(Command::new("cp").arg(EBPF_TEST).arg(&binary));
    assert!(copied.status.success(), "{}", stderr(&copied));
    let mut command = Command::new(&binary);
    command.args(arguments).env_remove("RUST_LOG");
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    output(&mut command)
}

fn usage_error(arguments: &[&str], words: &[&str]) {
    let refused = run(arguments);
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(64), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?}: {text}");
    }
    assert_eq!(stdout(&refused), "");
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["--syscall", "--json", "Exit status", "64", "70"] {
        assert!(stdout(&help).contains(word), "{word}: {}", stdout(&help));
    }
    let version = format!("ebpf_test {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&run(&["--version"])), version);
}

#[test]
fn an_unknown_syscall_is_met_with_similar_names() {
    usage_error(
        &["--syscall", "getpidd"],
        &["'getpidd'", "no such syscall", "similar: getpid"],
    );
    usage_error(&["--syscall", ""], &["--syscall <NAME>"]);
}

#[test]
fn what_cannot_be_made_harmless_is_refused_with_the_reason() {
    for name in ["exit_group", "clone3", "execve", "rt_sigreturn", "reboot"] {
        usage_error(
            &["--syscall", name],
            &[name, "no arguments make it harmless: "],
        );
    }
    usage_error(&["--syscall", "sync"], &["it writes out every file system"]);
}

#[test]
fn wrong_options_are_usage_errors_too() {
    usage_error(&["--jsno"], &["'--json'"]);
    usage_error(&["getpid"], &["unexpected argument 'getpid'"]);
}

#[test]
#[cfg(feature = "ebpf")]
fn without_privileges_one_stage_fails_and_the_rest_is_not_run() {
    let refused = unprivileged(&["--json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let report: Value = serde_json::from_str(&stdout(&refused)).expect("one object");
    assert_eq!(
        (&report["schema"], &report["ok"], &report["observed"]),
        (&1.into(), &false.into(), &Value::Null)
    );
    assert_eq!(report["tool"]["name"], "ebpf_test");
    let stages = report["stages"].as_array().expect("a list");
    let status: Vec<_> = stages
        .iter()
        .filter_map(|one| one["status"].as_str())
        .collect();
    let failed = status.iter().position(|one| *one == "FAILED").expect("one");
    // Where anyone may make maps, it is the program that is refused.
    let name = stages[failed]["name"].as_str().expect("a name");
    assert!(["maps", "load"].contains(&name), "{report}");
    assert!(
        status[..failed].iter().all(|one| *one == "ok"),
        "{status:?}"
    );
    assert!(
        status[failed + 1..].iter().all(|one| *one == "not run"),
        "{status:?}"
    );
    let finding = &stages[failed]["finding"];
    let id = finding["id"].as_str().expect("a finding");
    assert!(!finding["evidence"].as_array().expect("a list").is_empty());

    let text = unprivileged(&[]);
    assert_eq!(text.status.code(), Some(1));
    let text = stdout(&text);
    for words in [
        format!("✗ {name:<7}  FAILED"),
        format!("[{id}]"),
        "· detach   not run".to_owned(),
        format!("FAILED at {name}: {id} ("),
    ] {
        assert!(text.contains(&words), "no {words:?}: {text}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure_of_the_tool() {
    for to in [">&-", ">/dev/full"] {
        let script = format!("{EBPF_TEST} --json {to}");
        let failed = output(Command::new("sh").args(["-c", &script]));
        assert_eq!(failed.status.code(), Some(70), "{to}: {}", stderr(&failed));
        assert!(
            stderr(&failed).starts_with("ebpf_test: "),
            "{}",
            stderr(&failed)
        );
    }
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = |name: &str, value: &str| {
        let mut command = Command::new(EBPF_TEST);
        stdout(&output(command.env(name, value).stderr(Stdio::null()))).contains('\u{1b}')
    };
    assert!(!coloured("NO_COLOR", "1"));
    assert!(!coloured("NOTHING", "1"), "a pipe");
    assert!(coloured("CLICOLOR_FORCE", "1"));
}

#[test]
#[cfg(not(feature = "ebpf"))]
fn built_without_ebpf_it_says_so() {
    let refused = unprivileged(&["--json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let report: Value = serde_json::from_str(&stdout(&refused)).expect("one object");
    assert_eq!(report["stages"][0]["finding"]["id"], "built-without-ebpf");
}

#[test]
#[cfg(feature = "ebpf")]
fn debug_says_on_stderr_what_is_tried() {
    let text = stderr(&unprivileged(&["--debug"]));
    assert!(
        text.contains("stage") && text.contains("create map="),
        "{text}"
    );
}
