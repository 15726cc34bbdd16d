//! Hostile names that eBPF programs report are escaped in all output. The rest is in tests/cli/escapes.rs.

use std::fs;
use std::process::{Command, Stdio};

use crate::broken::is_locked_down;
use crate::need_root;
use crate::support::escapes::{HOSTILE, harmless, script, shown};
use crate::support::{Scratch, denet, output, talker};

/// Names of a thread, of a file that is executed, and of a missing one.
#[test]
fn names_reported_by_ebpf_programs_are_escaped() {
    need_root();
    let scratch = Scratch::new();
    let program = script(&scratch.0);
    let mut verbs: Vec<&[&str]> = vec![
        &["--enable-ebpf", "--top", "0", "run"],
        &["--enable-ebpf", "--threads", "--debug", "run"],
        &["trace"],
        &["trace", "--args", "names"],
        &["monitor", "exec"],
    ];
    if !is_locked_down() {
        verbs.extend([&["monitor", "net"][..], &["monitor", "net", "--events"]]);
    }
    for verb in verbs {
        for json in [&[][..], &["--json"]] {
            let mut command = denet(json);
            command.args(verb).arg("--").arg(&program);
            let text = shown(command.args(["missing", HOSTILE]));
            assert!(!text.contains("error:"), "{verb:?}: {text}");
        }
    }
}

#[test]
fn socket_names_are_escaped() {
    need_root();
    if is_locked_down() {
        return;
    }
    let scratch = Scratch::new();
    let program = scratch.path(HOSTILE);
    let copied = output(Command::new("cp").arg(talker()).arg(&program));
    assert!(copied.status.success());
    let mut command = denet(["monitor", "net", "--events", "--"]);
    command.arg(&program).arg("unix").current_dir(&scratch.0);
    // The program's own output is not denet's.
    let text = harmless(&output(command.stdout(Stdio::null())));
    for name in [r"evil\x1b[31m\n\xff", r"@hid\x1b[2Jden\x00x", r"\u{202e}"] {
        assert!(text.contains(name), "no {name}: {text}");
    }
}

#[test]
fn names_in_recordings_are_escaped() {
    need_root();
    let scratch = Scratch::new();
    let program = script(&scratch.0);
    let records = scratch.path("records");
    let mut verbs: Vec<&[&str]> = vec![&["--enable-ebpf", "run"], &["trace"], &["monitor", "exec"]];
    if !is_locked_down() {
        verbs.push(&["monitor", "net"]);
    }
    for verb in verbs {
        let mut command = denet(["--quiet", "--out"]);
        command.arg(&records).args(verb).arg("--").arg(&program);
        harmless(&output(command.arg("both")));
        let text = fs::read_to_string(&records).expect("written");
        assert!(text.contains(r"\u202e"), "{verb:?}: {text}");
        let odd = |c: char| c != '\n' && !denet::output::escape::is_harmless(c);
        assert!(!text.contains(odd), "{verb:?}: {text}");
    }
}
