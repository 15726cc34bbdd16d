//! What makes kernels differ: what each of them has and lacks, and which backend denet uses there.
//!
//! Run by `tests/run kernels`, in its guests alone: natively `tests/run` leaves this module out.
#![expect(
    clippy::print_stdout,
    reason = "rows of the break-it matrix are for people to read"
)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use crate::support::{
    DENET, EBPF_DIAG, Scratch, counts, denet, output, records, stderr, stdout, summary, workload,
};
use serde_json::Value;

/// What is expected of a column of the matrix.
struct Expected {
    column: &'static str,
    /// Linux 5.11.
    task_storage: bool,
    /// Maps are charged to RLIMIT_MEMLOCK (before 5.11).
    charges_memlock: bool,
    /// `/sys/kernel/security/lockdown`.
    lockdown: &'static str,
    /// How calls are counted, or the finding that says why they are not.
    counting: Result<&'static str, &'static str>,
    /// How tasks are followed.
    following: &'static str,
    /// Findings that say why no better backend was used.
    why_not: &'static [&'static str],
}

const RAW: &str = "raw_tp/sched_process_{fork,exec,exit}";
const TYPED: &str = "tp_btf/sched_process_{fork,exec,exit}";
const EXPECTED: [Expected; 7] = [
    Expected {
        column: "5.10",
        task_storage: false,
        charges_memlock: true,
        lockdown: "none",
        counting: Ok("raw_tp/sys_enter, table per task, current task by probe_read"),
        following: RAW,
        why_not: &["kernel-too-old", "kernel-too-old"],
    },
    Expected {
        column: "6.1",
        task_storage: true,
        charges_memlock: false,
        lockdown: "none",
        counting: Ok("raw_tp/sys_enter, table per task, current task by BTF"),
        following: RAW,
        why_not: &["kernel-too-old"],
    },
    Expected {
        column: "6.12",
        task_storage: true,
        charges_memlock: false,
        lockdown: "none",
        counting: Ok("raw_tp/sys_enter, table per task, kept task pointer"),
        following: RAW,
        why_not: &[],
    },
    Expected {
        column: "sid",
        task_storage: true,
        charges_memlock: false,
        lockdown: "none",
        counting: Ok("tp/raw_syscalls/sys_enter, table per task, current task by BTF"),
        following: "tp/sched/sched_process_{fork,exec,exit}",
        why_not: &[],
    },
    Expected {
        column: "sid+lockdown",
        task_storage: true,
        charges_memlock: false,
        lockdown: "confidentiality",
        counting: Ok("raw_tp/sys_enter, table per task, kept task pointer"),
        following: TYPED,
        why_not: &["lockdown", "lockdown"],
    },
    Expected {
        column: "6.12+lockdown",
        task_storage: true,
        charges_memlock: false,
        lockdown: "confidentiality",
        counting: Ok("raw_tp/sys_enter, table per task, kept task pointer"),
        following: TYPED,
        why_not: &["lockdown"],
    },
    Expected {
        column: "5.10+lockdown",
        task_storage: false,
        charges_memlock: true,
        lockdown: "confidentiality",
        counting: Err("lockdown"),
        following: TYPED,
        why_not: &[],
    },
];

fn expected() -> &'static Expected {
    let column = std::env::var("DENET_TEST_GUEST").expect("run by tests/run kernels");
    let row = EXPECTED.iter().find(|row| row.column == column);
    row.expect("a column that EXPECTED knows")
}

fn profile(options: &[&str]) -> Output {
    output(
        denet(["--enable-ebpf", "--json", "--top", "0"])
            .args(options)
            .arg("run")
            .arg(workload())
            .args(["children", "3"]),
    )
}

fn ids(why_not: &Value) -> Vec<&str> {
    let entries = why_not.as_array().expect("a list").iter();
    entries.filter_map(|entry| entry["id"].as_str()).collect()
}

#[test]
fn lockdown_is_as_the_guest_was_booted() {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").expect("securityfs");
    let wanted = format!("[{}]", expected().lockdown);
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn the_best_backend_is_used_and_each_better_one_explained() {
    let run = profile(&["--debug"]);
    let text = stderr(&run);
    let counting = match expected().counting {
        Ok(backend) => backend,
        Err(finding) => {
            assert_eq!(run.status.code(), Some(3), "{text}");
            assert!(text.contains(&format!("[{finding}]")), "{text}");
            return;
        }
    };
    let metadata = records(&stdout(&run)).remove(0);
    let backend = &metadata["ebpf"]["backend"];
    assert_eq!(backend["syscalls"], counting, "{text}");
    assert_eq!(backend["follow"], expected().following, "{text}");
    let why_not = &metadata["ebpf"]["why_not"];
    assert_eq!(ids(why_not), expected().why_not, "{why_not}");
    for entry in why_not.as_array().expect("a list") {
        let evidence = entry["evidence"][0].as_str();
        assert!(
            evidence.is_some_and(|evidence| !evidence.is_empty()),
            "{entry}"
        );
        let backend = entry["backend"].as_str().expect("named");
        assert!(text.contains("not: "), "{text}");
        assert!(
            backend == RAW || text.contains(&format!("not: {backend}")),
            "{text}"
        );
    }
    assert_eq!(counts(&summary(&run))["getppid"], 9);
}

#[test]
fn the_doctor_says_what_the_profile_does() {
    let done = output(Command::new(EBPF_DIAG).arg("--json"));
    let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    let list = |name: &str| report[name].as_array().expect("a list").clone();
    let causes: Vec<_> = list("causes")
        .iter()
        .map(|it| it["id"].to_string())
        .collect();
    for contradiction in ["kernel-refused", "facts-contradicted", "kernel-without-bpf"] {
        let named = format!("{contradiction:?}");
        assert!(!causes.contains(&named), "{contradiction}: {report:#}");
    }
    let goal = &list("goals")[0];
    assert_eq!(goal["id"], "syscall-profiling");
    let confidential = expected().lockdown == "confidentiality";
    let new = expected().column.starts_with("sid");
    match expected().counting {
        // Perf events are not to be had there, and from 7.0 on raw tracepoints are preempted.
        Ok(_) if confidential && new => assert_eq!(goal["status"], "degraded", "{report:#}"),
        Ok(_) => assert_eq!(goal["status"], "ready", "{report:#}"),
        Err(finding) => {
            assert_eq!(goal["status"], "blocked", "{report:#}");
            assert_eq!(causes[0], format!("{finding:?}"), "{report:#}");
        }
    }
    let named = causes.contains(&"\"lockdown\"".to_owned());
    assert_eq!(named, confidential, "{report:#}");
    println!("row lockdown {}: {causes:?}", expected().lockdown);
}

#[test]
fn without_the_kernels_types_a_helper_reads_them() {
    let run = profile(&["--btf", "/nothing"]);
    let text = stderr(&run);
    if expected().lockdown == "confidentiality" {
        // Neither the helper nor the types: nothing is left.
        assert_eq!(run.status.code(), Some(3), "{text}");
        assert!(text.contains("[lockdown]"), "{text}");
        return;
    }
    let metadata = records(&stdout(&run)).remove(0);
    let ebpf = &metadata["ebpf"];
    let backend = "raw_tp/sys_enter, table per task, current task by probe_read";
    assert_eq!(ebpf["backend"]["syscalls"], backend, "{text}");
    let all = ids(&ebpf["why_not"]);
    assert!(all.len() >= 2, "{ebpf}");
    assert!(all.iter().all(|id| *id == "kernel-without-btf"), "{ebpf}");
    assert_eq!(counts(&summary(&run))["getppid"], 9);
}

#[test]
fn task_storage_came_with_5_11() {
    let probed = output(Command::new("bpftool").args(["feature", "probe", "kernel"]));
    let text = stdout(&probed);
    let line = text
        .lines()
        .find(|line| line.contains("map_type task_storage"));
    let line = line.unwrap_or_else(|| panic!("not probed: {text}{}", stderr(&probed)));
    let word = if expected().task_storage {
        "is available"
    } else {
        "is NOT available"
    };
    assert!(line.contains(word), "{line}");
}

#[test]
fn kprobes_fire() {
    if expected().lockdown == "confidentiality" {
        // tracefs is empty there, and Linux 6.12 crashes when it is unmounted.
        assert!(!fs::exists("/sys/kernel/tracing/kprobe_events").expect("to look"));
        return;
    }
    // Not by denet's own means: this says what the kernel can, whatever denet makes of it.
    let script = "mount -t tracefs none /sys/kernel/tracing && cd /sys/kernel/tracing && \
        echo p:denet_test/getppid __x64_sys_getppid >kprobe_events && \
        echo 1 >events/denet_test/getppid/enable && $WORKLOAD children 3 && \
        echo 0 >events/denet_test/getppid/enable && grep -c getppid: trace; echo >kprobe_events";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script])
        .env("WORKLOAD", workload());
    let run = output(&mut command);
    let text = stdout(&run);
    assert_eq!(text, "9\n", "{}", stderr(&run));
}

#[test]
fn locked_memory_is_limited_before_5_11() {
    let scratch = Scratch::new();
    let script = format!(
        "cp {} {}/denet && setcap cap_bpf,cap_perfmon=ep {1}/denet",
        DENET,
        scratch.0.display()
    );
    let installed = output(Command::new("sh").args(["-c", &script]));
    assert!(installed.status.success(), "{}", stderr(&installed));
    let run = |prepare: &str| {
        let script = format!(
            "prlimit --pid $$ --memlock=65536:65536; {prepare}; \
             exec setpriv --reuid 65534 --regid 65534 --clear-groups {}/denet --enable-ebpf run echo ran",
            scratch.0.display()
        );
        let mut command = Command::new("sh");
        output(command.args(["-c", &script]).process_group(0))
    };
    let low = run(":");
    let text = stderr(&low);
    if expected().counting.is_err() {
        assert_eq!(low.status.code(), Some(3), "{text}");
    } else if expected().charges_memlock {
        assert_eq!(low.status.code(), Some(3), "{text}");
        assert!(text.contains("[memlock]"), "{text}");
        let fix = "prlimit --pid $$ --memlock=unlimited:unlimited";
        assert!(text.contains(&format!("sudo {fix}")), "{text}");
        assert_eq!(stdout(&run(fix)), "ran\n", "the fix works");
    } else {
        assert_eq!(stdout(&low), "ran\n", "{text}");
    }
}
