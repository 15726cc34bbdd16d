//! `denet monitor exec`, `denet monitor net` and `denet trace` without root: two capabilities are all they
//! take, and each refusal says what is missing.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::access::Waiting;
use crate::broken::{alone, is_locked_down};
use crate::least::{NOBODY, as_nobody, installed, raise_memlock};
use crate::need_root;
use crate::support::{DENET, EBPF_DIAG, Scratch, denet, output, records, stderr, stdout, workload};

/// Each monitor, of a command, and of a process that runs already. No socket is read where nothing of the
/// kernel's memory may be.
fn each(running: &Waiting) -> Vec<Vec<String>> {
    let own = running.pid();
    let all: [&[&str]; 6] = [
        &["monitor", "exec", "--", "echo", "ran"],
        &["monitor", "net", "--", "echo", "ran"],
        &["trace", "--", "echo", "ran"],
        &["--duration", "0.3", "monitor", "exec", "--pid", &own],
        &["--duration", "0.3", "monitor", "net", "--pid", &own],
        &["--duration", "0.3", "trace", "--pid", &own],
    ];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let works = |arguments: &&[&str]| !(arguments.contains(&"net") && is_locked_down());
    all.into_iter().filter(works).map(words).collect()
}

#[test]
fn sockets_are_not_read_in_lockdown() {
    need_root();
    if !is_locked_down() {
        return;
    }
    let arguments = ["monitor", "net", "--", "echo", "ran"];
    assert_refused(&output(&mut denet(arguments)), "lockdown", &arguments);
}

#[test]
fn doctor_and_monitors_name_the_same_backend() {
    need_root();
    let done = output(Command::new(EBPF_DIAG).arg("--json"));
    let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    let goals = report["goals"].as_array().expect("a list");
    let monitors: [(&str, &[&str]); 3] = [
        ("exec-monitor", &["monitor", "exec"]),
        ("network-monitor", &["monitor", "net"]),
        ("syscall-trace", &["trace"]),
    ];
    for (id, words) in monitors {
        let goal = goals.iter().find(|goal| goal["id"] == id).expect("a goal");
        let Some(via) = goal["via"].as_str() else {
            assert!(is_locked_down(), "{goal}");
            continue;
        };
        let done = output(denet(["--json"]).args(words).args(["--", "true"]));
        let metadata = &records(&stdout(&done))[0];
        assert_eq!(metadata["ebpf"]["backend"]["syscalls"], via, "{metadata}");
    }
}

fn starts_a_command(arguments: &[String]) -> bool {
    arguments.iter().any(|word| word == "echo")
}

/// With this finding, before anything was watched or run.
fn assert_refused(output: &Output, id: &str, what: &[impl std::fmt::Debug]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(3), "{what:?}: {text}");
    assert!(
        text.contains(&format!("[{id}]")),
        "{what:?}: not {id}: {text}"
    );
    assert_eq!(stdout(output), "", "{what:?}: {text}");
}

fn summary_of(output: &Output) -> Value {
    let text = stdout(output);
    let last = records(&text).pop().unwrap_or_default();
    assert_eq!(last["kind"], "summary", "{}", stderr(output));
    last
}

#[test]
fn two_capabilities_are_enough_for_each() {
    need_root();
    let running = Waiting::start(NOBODY);
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    for arguments in each(&running) {
        let done = output(as_nobody(&binary).arg("--json").args(&arguments));
        assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
        let summary = summary_of(&done);
        assert_eq!(summary["unreadable"], 0, "{arguments:?}");
        let told = records(&stdout(&done));
        // echo has no socket.
        let kind = match arguments[1].as_str() {
            "exec" => "exec",
            "--" => "call",
            _ => "metadata",
        };
        let saw = told.iter().any(|record| record["kind"] == kind);
        assert!(saw, "{arguments:?}: {told:?}");
    }
}

#[test]
fn what_is_missing_is_named_and_the_fix_mends_it() {
    need_root();
    let running = Waiting::start(NOBODY);
    let cases = [
        (None, "file-capabilities-missing"),
        (Some("cap_bpf=ep"), "file-capabilities-partial"),
        (Some("cap_perfmon=ep"), "file-capabilities-partial"),
        (
            Some("cap_bpf,cap_net_admin=ep"),
            "file-capabilities-partial",
        ),
        (
            Some("cap_bpf,cap_perfmon=p"),
            "file-capabilities-not-effective",
        ),
    ];
    for (held, id) in cases {
        for arguments in each(&running) {
            let scratch = Scratch::new();
            let binary = installed(&scratch, held);
            let refused = output(as_nobody(&binary).args(&arguments));
            assert_refused(&refused, id, &arguments);
            let text = stderr(&refused);
            let fix = text
                .lines()
                .find_map(|line| line.split_once("sudo setcap "));
            let (_, fix) = fix.unwrap_or_else(|| unreachable!("no command in {text}"));
            let mended = output(Command::new("sh").args(["-c", &format!("setcap {fix}")]));
            assert!(mended.status.success(), "{fix}: {}", stderr(&mended));
            let done = output(as_nobody(&binary).args(&arguments));
            assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
        }
    }
}

#[test]
fn what_is_around_a_process_is_named() {
    need_root();
    let running = Waiting::start(NOBODY);
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let binary = binary.to_str().expect("UTF-8");
    let program = workload().to_str().expect("UTF-8");
    let nobody = NOBODY.to_string();
    let user = [
        "setpriv",
        "--reuid",
        &nobody,
        "--regid",
        &nobody,
        "--clear-groups",
    ];
    let no_new_privs = [&user[..], &["setpriv", "--no-new-privs", binary]].concat();
    let around: [(&str, &[&str]); 4] = [
        ("no-new-privs", &no_new_privs),
        (
            "bounding-set",
            &[
                "setpriv",
                "--bounding-set=-bpf,-perfmon,-sys_admin",
                "--inh-caps=-all",
                DENET,
            ],
        ),
        (
            "user-namespace",
            &["unshare", "--user", "--map-root-user", DENET],
        ),
        ("seccomp", &[program, "deny-bpf", "1", DENET]),
    ];
    for (id, around) in around {
        for arguments in each(&running) {
            let refused = output(Command::new(around[0]).args(&around[1..]).args(&arguments));
            assert_refused(&refused, id, &arguments);
        }
    }
}

/// In a mount namespace of its own; what else is to be done there first.
fn within_mounts(first: &str, rest: &[&str]) -> Output {
    let script = format!("mount --make-rprivate / && {first} && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).args(rest);
    output(command.env_remove("RUST_LOG"))
}

const UMOUNT_TRACEFS: &str = "while at=$(sed -n 's/^[^ ]* \\([^ ]*\\) tracefs .*/\\1/p' /proc/mounts | tail -n 1) && \
                              [ -n \"$at\" ]; do umount \"$at\" || break; done";

/// Perf events of tracepoints, where they are asked for, take their ids in tracefs.
#[test]
fn tracepoints_without_root_take_a_readable_tracefs() {
    need_root();
    // Linux 6.12 crashes when a tracefs that was mounted there goes away.
    if is_locked_down() {
        return;
    }
    raise_memlock();
    let _alone = alone();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let nobody = NOBODY.to_string();
    let mounted = |mode: &str| {
        format!("{{ {UMOUNT_TRACEFS}; }} && mount -t tracefs -o {mode} tracefs /sys/kernel/tracing")
    };
    let absent = format!("{{ {UMOUNT_TRACEFS}; }}");
    for (first, id) in [
        (absent, "tracefs-not-mounted"),
        (mounted("gid=0,mode=0700"), "tracefs-unreadable"),
    ] {
        for monitor in [["monitor", "exec"], ["monitor", "net"]] {
            let mut rest = vec![
                "setpriv",
                "--reuid",
                &nobody,
                "--regid",
                &nobody,
                "--clear-groups",
            ];
            rest.push(binary.to_str().expect("UTF-8"));
            rest.extend(monitor);
            rest.extend(["--hook", "tracepoint", "--", "echo", "ran"]);
            assert_refused(&within_mounts(&first, &rest), id, &rest);
        }
    }
}

#[test]
fn kprobes_that_are_asked_for_and_not_there() {
    need_root();
    if Path::new("/sys/bus/event_source/devices/kprobe").exists() || is_locked_down() {
        return;
    }
    let done = output(&mut denet([
        "monitor", "exec", "--hook", "kprobe", "--", "echo", "ran",
    ]));
    assert_refused(&done, "kernel-without-kprobes", &["--hook", "kprobe"]);
}

/// Commands are watched without the kernel's types; sockets, and who runs already, are known by them.
#[test]
fn without_or_with_broken_types() {
    need_root();
    if is_locked_down() {
        // All goes by them there.
        return;
    }
    let running = Waiting::start(NOBODY);
    let scratch = Scratch::new();
    let broken = scratch.path("broken");
    std::fs::write(&broken, b"\x9f\xeb\x01\x00garbage").expect("our own folder");
    let absent = scratch.path("absent");
    for (btf, id) in [
        (&absent, "kernel-without-btf"),
        (&broken, "kernel-btf-malformed"),
    ] {
        let btf = btf.to_str().expect("UTF-8");
        for arguments in each(&running) {
            let done = output(denet(["--btf", btf]).args(&arguments));
            // Where they are laid out is guessed first then, and a guess may be in doubt.
            let in_doubt = stderr(&done).contains("layout of task_struct");
            if in_doubt && !starts_a_command(&arguments) && id == "kernel-btf-malformed" {
                assert_refused(&done, "kernel-refused", &arguments);
            } else if starts_a_command(&arguments) && arguments[1] != "net" {
                assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
            } else {
                assert_refused(&done, id, &arguments);
            }
        }
    }
}
