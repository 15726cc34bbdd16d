//! In a pid namespace (a container): ids are those that the programs have for themselves there, and the doctor agrees with
//! the verbs.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;

use crate::attached::Group;
use crate::broken::is_locked_down;
use crate::need_root;
use crate::support::processes::Blocked;
use crate::support::{
    DENET, EBPF_DIAG, Scratch, output, records, stderr, stdout, summary, workload,
};

/// In a new pid namespace with its own /proc, `DEPTH` deep: a shell with this script, and the arguments from `$0` on.
fn inside(depth: usize, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]);
    for _ in 1..depth {
        command.args(["unshare", "--pid", "--fork", "--mount-proc"]);
    }
    command.args(["sh", "-c", script]).args(arguments);
    command
}

/// Runs a verb of denet on the workload `ids`, which makes its calls once denet is attached.
const ATTACHED: &str = r#"
folder=$1 workload=$2; shift 2
mkfifo "$folder/go"
"$workload" ids <"$folder/go" >"$folder/ids" &
target=$!
exec 3>"$folder/go"
until [ -s "$folder/ids" ]; do :; done
"$0" --quiet --out "$folder/records" "$@" "$target" 3>&- &
denet=$!
until [ -s "$folder/records" ] || ! kill -0 "$denet" 2>/dev/null; do :; done
echo >&3
wait "$denet"
"#;

/// What the workload printed: process and thread id, by task.
type Ids = BTreeMap<String, (u64, u64)>;

fn printed(text: &str) -> Ids {
    let task = |line: &str| {
        let mut words = line.split(' ');
        let task = words.next()?.to_owned();
        Some((
            task,
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        ))
    };
    let ids: Ids = text.lines().filter_map(task).collect();
    let tasks: Vec<_> = ids.keys().map(String::as_str).collect();
    assert_eq!(
        tasks,
        ["after", "before", "child", "main", "thread"],
        "{text}"
    );
    ids
}

fn attached(depth: usize, verb: &[&str]) -> (Ids, Vec<Value>) {
    let scratch = Scratch::new();
    let folder = scratch.0.to_str().expect("ASCII").to_owned();
    let program = workload().to_str().expect("ASCII");
    let arguments = [&[DENET, &folder, program], verb].concat();
    let done = output(&mut inside(depth, ATTACHED, &arguments));
    assert!(done.status.success(), "{verb:?} {}", stderr(&done));
    let read = |name| std::fs::read_to_string(scratch.path(name)).expect("written");
    (printed(&read("ids")), records(&read("records")))
}

/// Process ids, and how often each called getppid(2).
fn counted(summary: &Value) -> Vec<(u64, u64)> {
    let processes = summary["ebpf"]["processes"].as_array().expect("processes");
    let of = |process: &Value| {
        let calls = process["top_syscalls"].as_array().expect("calls").iter();
        let found = calls.filter(|call| call["name"] == "getppid");
        let count = found.filter_map(|call| call["count"].as_u64()).sum();
        (process["pid"].as_u64().expect("an id"), count)
    };
    let mut counted: Vec<_> = processes.iter().map(of).collect();
    counted.sort_unstable();
    counted
}

fn ids_of(records: &[Value], wanted: impl Fn(&Value) -> bool) -> Vec<(u64, u64)> {
    let id = |record: &Value, name: &str| record[name].as_u64().expect("an id");
    let found = records.iter().filter(|record| wanted(record));
    found.map(|it| (id(it, "pid"), id(it, "tid"))).collect()
}

fn assert_counted(ids: &Ids, summary: &Value) {
    let (main, child) = (ids["main"].0, ids["child"].0);
    assert_eq!(counted(summary), [(main, 6), (child, 3)], "{ids:?}");
    assert_eq!(summary["ebpf"]["quality"]["complete"], true, "{summary}");
}

#[test]
fn run_shows_the_ids_that_programs_have() {
    need_root();
    for depth in [1, 2] {
        let script = r#"echo | "$0" --enable-ebpf --json --top 0 run -- "$1" ids"#;
        let program = workload().to_str().expect("ASCII");
        let done = output(&mut inside(depth, script, &[DENET, program]));
        assert!(done.status.success(), "{}", stderr(&done));
        let ids = printed(&stdout(&done));
        assert_counted(&ids, &summary(&done));
        let exits = records(&stdout(&done));
        let exits = exits.iter().filter(|record| record["kind"] == "exit");
        let pids: Vec<_> = exits.filter_map(|exit| exit["pid"].as_u64()).collect();
        assert_eq!(pids, [ids["child"].0, ids["main"].0], "depth {depth}");
    }
}

#[test]
fn attach_shows_the_ids_that_programs_have() {
    need_root();
    for depth in [1, 2] {
        let verb = ["--enable-ebpf", "--threads", "--top", "0", "attach"];
        let (ids, records) = attached(depth, &verb);
        assert_counted(&ids, records.last().expect("a summary"));
    }
}

#[test]
fn trace_shows_the_ids_that_programs_have() {
    need_root();
    let (ids, records) = attached(2, &["trace", "--pid"]);
    let calls = ids_of(&records, |record| record["name"] == "getppid");
    let expected: Vec<_> = ["main", "thread", "after"]
        .iter()
        .flat_map(|task| [ids[*task]; 3])
        .collect();
    assert_eq!(calls, expected);
    let executed = ids_of(&records, |record| record["name"] == "execve");
    assert_eq!(executed, [ids["before"]]);
}

#[test]
fn monitors_show_the_ids_that_programs_have() {
    need_root();
    let (ids, records) = attached(2, &["monitor", "exec", "--pid"]);
    let executed = |record: &Value| record["kind"] == "exec";
    assert_eq!(ids_of(&records, executed), [ids["before"]]);
    let found = records.iter().find(|record| executed(record));
    assert_eq!(found.expect("one")["ppid"], ids["main"].0);

    // Sockets are not read there: tests/privileged/monitors.rs.
    if is_locked_down() {
        return;
    }
    let (ids, records) = attached(1, &["monitor", "net", "--events", "--pid"]);
    let sent = ids_of(&records, |record| record["kind"] == "socket");
    assert_eq!(sent, [ids["child"]], "{records:?}");
}

#[test]
fn a_process_in_a_namespace_within_has_the_id_that_it_has_here() {
    need_root();
    let script =
        r#""$0" --enable-ebpf --json run -- unshare --pid --fork grep NSpid /proc/self/status"#;
    let done = output(&mut inside(1, script, &[DENET]));
    assert!(done.status.success(), "{}", stderr(&done));
    let text = stdout(&done);
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let ids: Vec<u64> = line
        .expect("a line")
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect();
    assert_eq!(ids[1..], [1]);
    let summary = summary(&done);
    let processes = summary["ebpf"]["processes"].as_array().expect("processes");
    let found = processes.iter().find(|it| it["command"] == "grep");
    assert_eq!(found.expect("grep")["pid"], ids[0], "{summary}");
}

#[test]
fn all_processes_are_those_of_the_namespace() {
    need_root();
    // denet's parent belongs to the namespace; the process that waits for the namespace does not.
    let script = r#"
"$0" --enable-ebpf --json attach --all >"$1/records" &
denet=$!
until [ -s "$1/records" ]; do :; done
/bin/true
kill -TERM "$denet"
wait "$denet"
cat "$1/records""#;
    let scratch = Scratch::new();
    let folder = scratch.0.to_str().expect("ASCII");
    let done = output(&mut inside(1, script, &[DENET, folder]));
    let text = stdout(&done);
    let records = records(&text);
    let metadata = &records[0];
    assert_eq!(
        metadata["attached"], "all processes of this pid namespace",
        "{metadata}"
    );
    let summary = summary(&done);
    let processes = summary["ebpf"]["processes"].as_array().expect("processes");
    let mut names: Vec<_> = processes
        .iter()
        .filter_map(|it| it["command"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["sh", "true"], "{summary}");
}

#[test]
fn members_of_a_cgroup_outside_the_namespace_are_reported() {
    need_root();
    let script = r#"
echo $$ >"$2/cgroup.procs"
"$0" --enable-ebpf --quiet --out "$1/records" attach --cgroup "$2" &
denet=$!
until [ -s "$1/records" ]; do :; done
/bin/true
kill -TERM "$denet"
wait "$denet"
cat "$1/records""#;
    let scratch = Scratch::new();
    let folder = scratch.0.to_str().expect("ASCII");
    let (group, outsider) = (Group::new(), Blocked::start());
    group.join(outsider.id());
    let cgroup = group.folder();
    let done = output(&mut inside(1, script, &[DENET, folder, &cgroup]));
    let records = records(&stdout(&done));
    let title = format!("cgroup {cgroup}, without 1 process outside this pid namespace");
    assert_eq!(records[0]["attached"], title, "{}", stderr(&done));
    let summary = records.last().expect("a summary");
    let processes = summary["ebpf"]["processes"].as_array().expect("processes");
    assert!(
        processes.iter().any(|it| it["command"] == "true"),
        "{summary}"
    );
    assert!(processes.iter().all(|it| it["pid"] != 0), "{summary}");
}

#[test]
fn without_types_of_the_kernel_no_wrong_id_is_shown() {
    need_root();
    // Without types nothing is followed there.
    if is_locked_down() {
        return;
    }
    let script = r#"echo | "$0" --btf /none --enable-ebpf --json --top 0 run -- "$1" ids"#;
    let program = workload().to_str().expect("ASCII");
    let done = output(&mut inside(1, script, &[DENET, program]));
    let summary = summary(&done);
    let processes = summary["ebpf"]["processes"].as_array().expect("processes");
    assert_eq!(processes.len(), 2, "{summary}");
    assert!(
        processes.iter().all(|it| it.get("pid").is_none()),
        "{summary}"
    );
    let script = r#""$0" --btf /none trace -- true"#;
    let refused = output(&mut inside(1, script, &[DENET]));
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        stderr(&refused).contains("[kernel-without-btf]"),
        "{}",
        stderr(&refused)
    );
}

/// The goals of the doctor, with the verbs that need them.
const GOALS: [(&str, &[&str]); 4] = [
    ("syscall-profiling", &["--enable-ebpf", "attach"]),
    ("exec-monitor", &["monitor", "exec", "--pid"]),
    ("network-monitor", &["monitor", "net", "--pid"]),
    ("syscall-trace", &["trace", "--pid"]),
];

fn status_of(report: &Output, goal: &str) -> String {
    let report: Value = serde_json::from_str(&stdout(report)).expect("a report");
    let goals = report["goals"].as_array().expect("goals").clone();
    let found = goals.iter().find(|it| it["id"] == goal).expect("the goal");
    found["status"].as_str().expect("a status").to_owned()
}

#[test]
fn the_doctor_agrees_with_the_verbs() {
    need_root();
    let own = output(&mut inside(1, r#""$0" --json"#, &[EBPF_DIAG]));
    for (goal, verb) in GOALS {
        match status_of(&own, goal).as_str() {
            "blocked" => {
                assert!(is_locked_down(), "{goal} {}", stdout(&own));
                let script = r#""$0" "$@" $$"#;
                let refused = output(&mut inside(1, script, &[&[DENET], verb].concat()));
                assert_eq!(refused.status.code(), Some(3), "{verb:?}");
            }
            _ => {
                attached(1, verb);
            }
        }
    }
}

#[test]
fn the_proc_of_another_namespace_is_refused_as_the_doctor_says() {
    need_root();
    let foreign = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", program]);
        command
    };
    let report = output(foreign(EBPF_DIAG).arg("--json"));
    let refused = |verb: &[&str]| {
        let done = output(foreign(DENET).args(verb));
        assert_eq!(done.status.code(), Some(3), "{verb:?}");
        assert!(
            stderr(&done).contains("[proc-namespace]"),
            "{}",
            stderr(&done)
        );
    };
    for (goal, verb) in GOALS {
        assert_eq!(status_of(&report, goal), "blocked");
        refused(&[verb, &["2"]].concat());
    }
    refused(&["--enable-ebpf", "run", "--", "true"]);
    // Its samples would be those of another process.
    refused(&["run", "--", "true"]);
    // The fix.
    let fixed = output(foreign("unshare").args(["--mount-proc", DENET, "run", "--", "true"]));
    assert!(fixed.status.success(), "{}", stderr(&fixed));
}
