//! `denet monitor exec`: each execution, once, as it was.

use std::process::Command;

use serde_json::Value;

use crate::attached::{Gated, Group};
use crate::broken::is_locked_down;
use crate::least::{as_nobody, installed};
use crate::need_root;
use crate::streams::{recorded, targets};
use crate::support::{
    Scratch, denet, in_guest, load, output, records, stderr, stdout, without_skipped_runs, workload,
};

fn monitor(arguments: &[&str]) -> Command {
    let mut command = denet(["--json", "monitor", "exec"]);
    command.args(arguments);
    command
}

/// What a command executed, and the summary; nothing was lost.
fn watch(command: &mut Command) -> (Vec<Value>, Value) {
    whole(|| {
        let done = output(command);
        assert!(done.status.success(), "{}", stderr(&done));
        stdout(&done)
    })
}

/// What denet recorded; nothing was lost.
fn whole(mut watched: impl FnMut() -> String) -> (Vec<Value>, Value) {
    let mut records = without_skipped_runs(
        || records(&watched()),
        |records| records.last()?["lost"]["skipped_runs"].as_u64(),
    );
    let summary = records.pop().expect("a summary");
    assert_eq!(summary["kind"], "summary", "{summary}");
    assert_eq!(summary["complete"], true, "{summary}");
    assert_eq!(records[0]["kind"], "metadata");
    assert_eq!(records[0]["monitor"], "exec");
    records.remove(0);
    (records, summary)
}

/// The last argument of each that succeeded, or failed.
fn last_arguments(records: &[Value], failed: bool) -> Vec<u64> {
    let mut last: Vec<_> = records
        .iter()
        .filter(|record| record["errno"].is_null() != failed)
        .filter_map(|record| record["argv"].as_array()?.last()?.as_str()?.parse().ok())
        .collect();
    last.sort_unstable();
    last
}

/// All of them, and those of them that first tried what is not there.
fn executed(records: &[Value], n: u64) {
    let all: Vec<u64> = (0..n).collect();
    let third: Vec<u64> = (0..n).filter(|i| i % 10 == 3).collect();
    assert_eq!(last_arguments(records, false), all);
    assert_eq!(last_arguments(records, true), third);
    for record in records {
        assert!(record["ppid"].as_u64() > Some(0), "{record}");
        match record["errno"].as_str() {
            None => assert_ne!(record["path"], "/nonexistent"),
            Some(errno) => {
                assert_eq!((errno, &record["path"]), ("ENOENT", &"/nonexistent".into()));
            }
        }
    }
}

fn many() -> u64 {
    if in_guest() { 300 } else { 10_000 }
}

#[test]
fn bytes_that_are_not_utf8_are_exact() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    need_root();
    let scratch = Scratch::new();
    let program = scratch.0.join(OsStr::from_bytes(b"\xff"));
    std::os::unix::fs::symlink("/bin/true", &program).expect("our own folder");
    let arguments = [OsStr::from_bytes(b"\xfe"), OsStr::new("plain")];
    let mut command = monitor(&["--"]);
    let (executed, _) = watch(command.arg(&program).args(arguments));
    let exec = executed.first().expect("an execution");
    let exact = &exec["argv_bytes_b64"];
    assert!(exec["path_bytes_b64"].is_string() && exact[0].is_string());
    assert_eq!([&exact[1], &exact[2]], [&"/g==".into(), &Value::Null]);
    assert_eq!(exec["command_after_bytes_b64"], "/w==");
    assert_eq!(exec.get("command_bytes_b64"), None);
    let mut traced = denet(["--json", "trace", "--"]);
    let traced = records(&stdout(&output(traced.arg(&program).args(arguments))));
    let first = traced.iter().find(|record| record["name"] == "execve");
    let words = &first.expect("a call")["args"][1]["decoded"];
    assert_eq!(words[1]["escaped_bytes_b64"], "/g==", "{words}");
    let mut counted = denet(["--json", "--enable-ebpf", "run", "--"]);
    let counted = records(&stdout(&output(counted.arg(&program).args(arguments))));
    let summary = counted.last().expect("a summary");
    assert_eq!(summary["ebpf"]["processes"][0]["command_bytes_b64"], "/w==");
}

#[test]
fn no_list_of_arguments_is_an_empty_one() {
    need_root();
    let (records, summary) = watch(
        denet(["--json", "monitor", "exec", "--"])
            .args([workload().as_os_str(), "argless".as_ref()]),
    );
    let [_, refused] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(refused["path"], "/nonexistent");
    assert_eq!(refused["argv"], Value::Array(Vec::new()), "{refused}");
    assert_eq!(summary["unreadable"], 0, "{summary}");
}

#[test]
fn none_of_thousands_is_missed() {
    need_root();
    let n = many();
    let mut command = monitor(&["--"]);
    command.arg(load()).args(["executes", &n.to_string()]);
    let (mut records, summary) = watch(&mut command);
    // The command's own.
    let first = records.remove(0);
    assert_eq!(first["argv"][1], "executes");
    assert_eq!(first["command"], "denet");
    executed(&records, n);
    assert_eq!(summary["succeeded"], n + 1);
    assert_eq!(summary["failed"], n / 10);
    let by = summary["by"].as_array().expect("a list");
    // denet's gate once, and the command itself.
    assert_eq!((by.len(), &by[0]["succeeded"]), (2, &n.into()));
}

#[test]
fn odd_ones_are_told_as_they_are() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("page");
    let mut command = monitor(&["--"]);
    command.arg(load()).arg("executes-oddly").arg(&file);
    let (records, _) = watch(&mut command);
    let [
        _,
        large,
        absent,
        bad_path,
        bad_argument,
        hostile,
        at,
        thread,
        unread,
    ] = records.as_slice()
    else {
        unreachable!("{} records: {records:?}", records.len());
    };
    assert_eq!(large["argv_truncated"], true);
    assert_eq!(large["argv_bytes"], 254 * 8192 + 5 + 8);
    assert_eq!(large["argv"][1], "nothing");
    assert_eq!(
        (&absent["errno"], &absent["argv_truncated"]),
        (&"ENOENT".into(), &true.into())
    );
    assert!(absent["argv"][0].as_str().map(str::len) > Some(4000));
    assert_eq!(
        (&bad_path["errno"], &bad_path["path"]),
        (&"EFAULT".into(), &Value::Null)
    );
    assert_eq!(bad_path["path_address"], "0x10");
    assert_eq!(bad_argument["errno"], "EFAULT");
    assert_eq!(bad_argument["argv_unreadable"], true);
    assert_eq!(hostile["argv"][0], "\u{1b}[31mred");
    assert_eq!(hostile["argv"][2], "a\nb");
    assert_eq!(hostile["argv"][4], "");
    assert_eq!((&at["path"], &at["argv"][0]), (&"exe".into(), &"at".into()));
    assert!(at["dirfd"].as_i64() > Some(2));
    assert_ne!(thread["tid"], thread["pid"]);
    assert_eq!(thread["argv"][0], "in-thread");
    if is_locked_down() {
        // The kernel's own copy may not be read there.
        assert_eq!(unread["path"], Value::Null);
        assert!(unread["path_address"].is_string(), "{unread}");
    } else {
        assert_eq!(unread["path"], "/proc/self/exe");
    }
}

#[test]
fn text_has_nothing_that_a_terminal_obeys() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("page");
    let mut command = denet(["monitor", "exec", "--"]);
    command.arg(load()).arg("executes-oddly").arg(&file);
    let done = output(&mut command);
    let text = stderr(&done);
    assert!(text.contains(r"$'a\nb' $'\xff' ''"), "{text}");
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert!(text.contains("complete: nothing was lost"), "{text}");
}

#[test]
fn every_hook_tells_the_same() {
    need_root();
    let has_kprobes = std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists();
    // Under lockdown tracefs is empty, and functions of the kernel are closed.
    let hooks: &[&str] = if is_locked_down() {
        &["raw_tp"]
    } else {
        &["raw_tp", "tracepoint", "kprobe"]
    };
    for hook in hooks.iter().copied() {
        let mut command = monitor(&["--hook", hook, "--"]);
        command.arg(load()).args(["executes", "40"]);
        if hook == "kprobe" && !has_kprobes {
            let done = output(&mut command);
            assert_eq!(done.status.code(), Some(3));
            assert!(
                stderr(&done).contains("kernel-without-kprobes"),
                "{}",
                stderr(&done)
            );
            continue;
        }
        let (mut records, _) = watch(&mut command);
        records.remove(0);
        executed(&records, 40);
    }
}

#[test]
fn a_process_that_runs_a_cgroup_and_in_guests_the_whole_machine() {
    need_root();
    let group = Group::new();
    for kind in targets() {
        let mut pid = 0;
        let (records, _) = whole(|| {
            let mut target = Gated::waiting(Command::new(load()).args(["executes-later", "20"]));
            pid = target.0.id();
            recorded(&["monitor", "exec"], kind, &group, pid, || target.go())
        });
        let its: Vec<_> = records
            .into_iter()
            .filter(|record| record["ppid"] == pid)
            .collect();
        executed(&its, 20);
    }
}

#[test]
fn of_one_user_alone_and_without_root() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let done = output(as_nobody(&binary).args(["--json", "monitor", "exec", "--", "/bin/true"]));
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let mine = records(&stdout(&done));
    assert_eq!(mine[1]["kind"], "exec", "{mine:?}");
    assert_ne!(mine[1]["uid"], 0);
    let mut command = monitor(&["--uid", "12345", "--"]);
    command.arg(load()).args(["executes", "3"]);
    let (records, _) = watch(&mut command);
    assert_eq!(records, Vec::<Value>::new());
}
