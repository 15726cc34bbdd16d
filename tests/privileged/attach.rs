//! What goes on while denet attaches: births, deaths and executions that race with its walk.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::attached::{Gated, exits, is_complete};
use crate::need_root;
use crate::running::{Done, Watching};
use crate::support::{
    Scratch, counts, denet, load, output, records, skipped_runs, stderr, stdout, summary, workload,
};

/// The workload in one of its modes, once it has said that it is ready.
fn waiting(arguments: &[&str]) -> Gated {
    Gated::waiting(Command::new(workload()).args(arguments))
}

/// What wait(2) said of each child, by its id.
///
/// Sorted, and no map: of thousands of processes two may have had the same id.
fn told(file: &Path) -> Vec<(u64, i32)> {
    let text = std::fs::read_to_string(file).expect("told");
    let line = |line: &str| {
        let (pid, status) = line.split_once(' ')?;
        Some((pid.parse().ok()?, status.parse().ok()?))
    };
    let mut told: Vec<_> = text.lines().filter_map(line).collect();
    told.sort_unstable();
    told
}

/// The same as exit records say it.
fn recorded(records: &[Value], but: u32) -> Vec<(u64, i32)> {
    let status = |exit: &Value| match (exit["exit_code"].as_i64(), exit["signal"].as_i64()) {
        (Some(code), None) => code << 8,
        (None, Some(signal)) => signal,
        other => unreachable!("{other:?} in {exit}"),
    };
    let mut ends: Vec<_> = exits(records)
        .iter()
        .map(|exit| (exit["pid"].as_u64().expect("a process"), exit))
        .filter(|(pid, _)| *pid != u64::from(but))
        .map(|(pid, exit)| (pid, status(exit) as i32))
        .collect();
    ends.sort_unstable();
    ends
}

#[test]
fn who_is_begotten_by_somebody_who_ends_is_found() {
    need_root();
    for round in 0..8 {
        let mut target = waiting(&["relay", "6", "50"]);
        let pid = target.0.id().to_string();
        let watching = Watching::start(&["--no-polling"], &[&pid]);
        target.go();
        assert!(target.0.wait().expect("it ends").success());
        let summary = summary(&watching.end().output);
        if is_complete(&summary) {
            assert_eq!(counts(&summary)["getpgrp"], 6 * 50, "{round}");
        }
    }
}

#[test]
fn who_executes_from_another_thread_meanwhile_stays_followed() {
    need_root();
    for round in 0..8 {
        let scratch = Scratch::new();
        let until = scratch.path("until");
        // Through its parent: what executes looks as if it had ended, for moments.
        let mut command = Command::new("sh");
        command.args(["-c", r#""$0" rethread "$1"; exit $?"#]);
        let mut target = Gated::waiting(command.arg(workload()).arg(&until));
        let pid = target.0.id().to_string();
        let watching = Watching::start(&["--no-polling"], &[&pid]);
        std::fs::File::create(&until).expect("room");
        let done = watching.end().output;
        assert!(target.0.wait().expect("it ends").success());
        let summary = summary(&done);
        if !is_complete(&summary) {
            continue;
        }
        assert_eq!(counts(&summary)["getpgrp"], 1000, "{round}");
    }
}

#[test]
fn more_tasks_than_slots() {
    need_root();
    let mut target = Gated::start(200, 40, 60);
    let pid = target.0.id().to_string();
    // 101 tasks, 64 slots: many are displaced.
    let watching = Watching::start(&["--max-tasks", "64"], &[&pid]);
    target.go();
    let summary = summary(&watching.end().output);
    if !is_complete(&summary) {
        return;
    }
    assert_eq!(counts(&summary)["getppid"], 101 * 200);
    assert_eq!(summary["still_running"], serde_json::json!([]));
}

#[test]
fn each_way_to_end_is_known_as_wait_tells_it() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("told");
    let mut target = waiting(&["endings", &file.display().to_string()]);
    let pid = target.0.id();
    let watching = Watching::start(&[], &[&pid.to_string()]);
    target.go();
    let Done {
        output: done,
        records,
        ..
    } = watching.end();
    let told = told(&file);
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(recorded(&records, pid), told, "{records:?}");
    let summary = summary(&done);
    // Of the one whose leader was gone before denet came.
    assert_eq!(counts(&summary)["getpgrp"], 10);
}

#[test]
fn threads_that_end_together_leave_the_status_that_wait_tells() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("told");
    let mut command = denet(["--enable-ebpf", "--json", "run", "--"]);
    command.arg(workload()).args(["duel", "1500"]).arg(&file);
    let done = output(&mut command);
    let records = records(&stdout(&done));
    let summary = summary(&done);
    if !is_complete(&summary) {
        return;
    }
    let told = told(&file);
    assert_eq!(told.len(), 1500);
    let root = records[0]["pid"].as_u64().expect("the command") as u32;
    let recorded = recorded(&records, root);
    assert_eq!(recorded.len(), 1500);
    let differ: Vec<_> = std::iter::zip(&told, &recorded)
        .filter(|(told, recorded)| told != recorded)
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// The next process gets this id, if nobody else is quicker.
fn start_as(pid: u32, mut start: impl FnMut() -> Gated) -> Option<Gated> {
    for _ in 0..50 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("root may");
        let started = start();
        if started.0.id() == pid {
            return Some(started);
        }
    }
    None
}

#[test]
fn a_stranger_with_the_id_of_a_former_member_is_not_followed() {
    need_root();
    let group = crate::attached::Group::new();
    let (mut first, mut later) = (Gated::start(30, 0, 0), Gated::start(70, 0, 0));
    let pid = first.0.id();
    group.join(pid);
    let watching = Watching::start(&[], &["--cgroup", &group.folder()]);
    first.go();
    assert_eq!(first.0.wait().expect("it ends").code(), Some(7));
    let mut stranger = start_as(pid, || Gated::start(1000, 0, 0)).expect("its id is free");
    group.join(later.0.id());
    // Seen with the next sample, and walked for.
    watching.wait_for_process(later.0.id());
    // A sample may show it before it is followed.
    watching.wait_for_later_sample();
    stranger.go();
    later.go();
    assert_eq!(stranger.0.wait().expect("it ends").code(), Some(7));
    assert_eq!(later.0.wait().expect("it ends").code(), Some(7));
    watching.signal(Signal::SIGINT);
    let summary = summary(&watching.end().output);
    // The member that joined later.
    assert_eq!(summary["ebpf"]["quality"]["unfollowed"], 1, "{summary}");
    if skipped_runs(&summary) == Some(0) {
        assert_eq!(counts(&summary)["getppid"], 30 + 70, "{summary}");
    }
}

/// In guests only, as all processes are attached to.
#[test]
fn a_hidden_process_is_not_taken_for_dead() {
    need_root();
    let scratch = Scratch::new();
    let program = crate::least::installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    crate::least::raise_memlock();
    let mut target = Gated::start(123_456, 1, 1);
    let out = scratch.path("records");
    std::fs::File::create(&out).expect("room");
    let opened = Command::new("chmod").arg("666").arg(&out).status();
    assert!(opened.expect("chmod").success());
    let script = format!(
        "{3} && mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid {0} --regid {0} --clear-groups \
         {1} --enable-ebpf --quiet --top 0 --out {2} attach --all",
        crate::least::NOBODY,
        program.display(),
        out.display(),
        crate::least::scope_any(&scratch.path("etc"))
    );
    let mut command = Command::new("unshare");
    let command = command.args(["--mount", "sh", "-c", &script]);
    let watching = Watching::spawn(command, scratch);
    // One check for exited processes before, one after.
    watching.wait_for_later_sample();
    target.go();
    assert_eq!(target.0.wait().expect("it ends").code(), Some(7));
    watching.wait_for_later_sample();
    watching.signal(Signal::SIGINT);
    let done = watching.end();
    assert_eq!(
        done.output.status.code(),
        Some(130),
        "{}",
        stderr(&done.output)
    );
    let summary = done.summary();
    let processes = summary["ebpf"]["processes"].as_array().expect("a list");
    let of_target = processes
        .iter()
        .find(|process| process["pid"] == target.0.id())
        .unwrap_or_else(|| unreachable!("{} is not among {processes:?}", target.0.id()));
    // Two threads; the child is a process of its own. What a kernel skipped that preempts programs is told.
    let skipped = crate::least::skipped(summary);
    assert!(
        of_target["total"].as_u64() >= Some(2 * 123_456 - skipped),
        "{skipped} {of_target}"
    );
}

#[test]
fn without_the_kernels_types_the_refusal_names_them() {
    need_root();
    let target = Gated::start(1, 0, 0);
    let pid = target.0.id().to_string();
    let refused = output(&mut denet([
        "--enable-ebpf",
        "--btf",
        "/nonexistent",
        "attach",
        &pid,
    ]));
    assert_eq!(refused.status.code(), Some(3));
    let why = stderr(&refused);
    assert!(why.contains("[kernel-without-btf]"), "{why}");
}

/// Two processes, one after the other, under one id; each ends in its own way.
const REUSES_AN_ID: &str = r#"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sh -c 'exit 3' & first=$!; wait $first
    echo $((first - 1)) >/proc/sys/kernel/ns_last_pid
    sh -c 'kill -TERM $$' & second=$!; wait $second
    [ $first = $second ] && echo $first >"$0" && exit 0
done
exit 1"#;

#[test]
fn a_reused_id_is_two_ends() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    let mut command = denet(["--enable-ebpf", "--json", "run", "sh", "-c"]);
    let done = output(command.arg(REUSES_AN_ID).arg(&file));
    assert!(done.status.success(), "no id was free twice");
    let pid = std::fs::read_to_string(&file).expect("told");
    let pid: u32 = pid.trim().parse().expect("an id");
    let records = records(&stdout(&done));
    let ends: Vec<_> = exits(&records)
        .iter()
        .filter(|exit| exit["pid"] == pid)
        .map(|exit| (exit["exit_code"].as_i64(), exit["signal"].as_i64()))
        .collect();
    assert_eq!(ends, [(Some(3), None), (None, Some(15))], "{records:?}");
}

#[test]
fn counts_never_go_back() {
    need_root();
    let scratch = Scratch::new();
    let until = scratch.path("until");
    let mut storm = Gated::waiting(Command::new(load()).args(["storm", "40"]).arg(&until));
    let options = ["--interval", "2", "--max-interval", "2"];
    let watching = Watching::start(&options, &[&storm.0.id().to_string()]);
    let totals_of = |records: &[Value]| -> Vec<_> {
        let totals = records.iter().map(|record| &record["aggregated"]["ebpf"]);
        totals
            .filter_map(|ebpf| ebpf["syscalls"]["total"].as_u64())
            .collect()
    };
    watching.wait_for("many samples", |records| {
        (totals_of(records).len() > 100).then_some(())
    });
    std::fs::File::create(&until).expect("room");
    let done = watching.end();
    assert!(storm.0.wait().expect("it ends").success());
    let totals = totals_of(&done.records);
    let back: Vec<_> = totals.windows(2).filter(|two| two[1] < two[0]).collect();
    assert!(back.is_empty(), "of {} samples: {back:?}", totals.len());
    let whole = done.summary()["ebpf"]["syscalls"]["total"].as_u64();
    assert!(totals.last().copied() <= whole);
}
