//! Every count equals strace's, or where strace cannot tell, what the program is known to do.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::need_root;
use crate::running::Watching;
use crate::support::processes::has_ended;
use crate::support::wait::{wait_for, wait_until};
use crate::support::{
    Counts, Scratch, counts, denet, output, skipped_runs, static_workload, stderr, summary,
    without_skipped_runs, workload,
};

const ALL: [&str; 6] = ["--enable-ebpf", "--json", "--top", "0", "--wait-all", "run"];

fn profile(program: &Path, arguments: &[&str]) -> Value {
    profiled(|| output(denet(ALL).arg("--").arg(program).args(arguments)))
}

fn profiled(run: impl Fn() -> Output) -> Value {
    let (output, summary) = without_skipped_runs(
        || {
            let output = run();
            let summary = summary(&output);
            (output, summary)
        },
        |(_, summary)| skipped_runs(summary),
    );
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        stderr(&output)
    );
    assert_eq!(
        summary["ebpf"]["quality"]["complete"], true,
        "{}",
        summary["ebpf"]["quality"]
    );
    summary
}

/// What `strace -f -c` counts. It leaves out calls that never return.
fn traced(run: impl Fn(&mut Command) -> Output) -> Counts {
    let scratch = Scratch::new();
    let table = scratch.path("counts");
    let mut strace = Command::new("strace");
    let status = run(strace.args(["-f", "-c", "-o"]).arg(&table)).status;
    assert!(status.success(), "{strace:?}: {status}");
    let text = std::fs::read_to_string(&table).expect("strace wrote its table");
    let (mut counts, mut abi) = (Counts::new(), "");
    for line in text.lines() {
        if line.contains("32 bit mode") {
            abi = ":i386";
        }
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [share, _, _, calls, .., name] = fields.as_slice()
            && share.parse::<f64>().is_ok()
            && *name != "total"
        {
            counts.insert(
                format!("{name}{abi}"),
                calls.parse().expect("a number of calls"),
            );
        }
    }
    assert!(!counts.is_empty(), "{text}");
    counts
}

/// Compares, and returns the summary for more.
fn same_as_strace(program: &Path, arguments: &[&str], exceptions: &[&str]) -> Value {
    need_root();
    let summary = profile(program, arguments);
    let traced = traced(|strace| output(strace.arg(program).args(arguments)));
    assert_same(&summary, traced, exceptions);
    summary
}

fn assert_same(summary: &Value, traced: Counts, exceptions: &[&str]) {
    let known = |name: &String| {
        !["exit", "exit_group"]
            .iter()
            .chain(exceptions)
            .any(|one| one == name)
    };
    let keep = |counts: Counts| {
        counts
            .into_iter()
            .filter(|(name, _)| known(name))
            .collect::<Counts>()
    };
    assert_eq!(keep(counts(summary)), keep(traced), "denet, strace");
}

fn processes(summary: &Value) -> usize {
    summary["ebpf"]["processes"].as_array().map_or(0, Vec::len)
}

#[test]
fn one_process() {
    let summary = same_as_strace(workload(), &["single"], &[]);
    let counts = counts(&summary);
    assert_eq!(
        (counts["getppid"], counts["getuid"], counts["execve"]),
        (1000, 100, 1)
    );
    assert_eq!(counts["exit_group"], 1, "denet counts what never returns");
}

#[test]
fn a_static_program() {
    same_as_strace(static_workload(), &["single"], &[]);
}

#[test]
fn short_lived_children() {
    let summary = same_as_strace(workload(), &["children", "2000"], &[]);
    assert_eq!(processes(&summary), 2001);
    assert_eq!(counts(&summary)["getppid"], 6000);
}

#[test]
fn a_fork_tree_four_deep() {
    let summary = same_as_strace(workload(), &["tree", "4"], &[]);
    assert_eq!(processes(&summary), 1 + 3 + 9 + 27 + 81);
    assert_eq!(counts(&summary)["getppid"], 5 + 3 * 4 + 9 * 3 + 27 * 2 + 81);
}

#[test]
fn sixty_four_threads() {
    let summary = same_as_strace(workload(), &["threads", "64", "50"], &[]);
    assert_eq!(
        (processes(&summary), &summary["max_threads"]),
        (1, &65.into())
    );
    assert_eq!(counts(&summary)["getppid"], 64 * 50);
}

#[test]
fn exec_from_the_main_thread() {
    let summary = same_as_strace(workload(), &["exec"], &[]);
    assert_eq!(counts(&summary)["execve"], 2);
}

#[test]
fn exec_from_another_thread() {
    let summary = same_as_strace(workload(), &["exec-thread"], &[]);
    assert_eq!(processes(&summary), 1);
    // 20 in a thread that ended, 5 in the one that becomes the leader, 1000 after the exec.
    assert_eq!(counts(&summary)["getppid"], 1025);
}

#[test]
fn vfork_and_posix_spawn() {
    let summary = same_as_strace(workload(), &["spawn"], &[]);
    assert_eq!(processes(&summary), 3);
}

#[test]
fn signals_and_a_restarted_read() {
    let summary = same_as_strace(workload(), &["signals"], &[]);
    assert_eq!(counts(&summary)["rt_sigreturn"], 51);
}

#[test]
fn a_sleep_that_a_stop_interrupts() {
    need_root();
    // strace's own stops restart the sleep once more, so the program is its own oracle.
    let counts = counts(&profile(workload(), &["stopped"]));
    assert_eq!((counts["nanosleep"], counts["restart_syscall"]), (1, 1));
}

#[test]
fn calls_through_the_32_bit_entry() {
    let summary = same_as_strace(workload(), &["int80", "900"], &[]);
    let counts = counts(&summary);
    assert_eq!((counts["getpid:i386"], counts["writev"]), (900, 300));
}

#[test]
fn calls_that_seccomp_denies_are_not_entered() {
    // The one exception: strace sees them, the kernel's sys_enter does not. Nothing else shifts.
    let summary = same_as_strace(workload(), &["seccomp", "100"], &["getppid"]);
    let counts = counts(&summary);
    assert_eq!((counts.get("getppid"), counts["getpid"]), (None, 100));
}

#[test]
fn numbers_out_of_range() {
    need_root();
    // strace's summary leaves them out.
    let counts = counts(&profile(workload(), &["odd"]));
    for (name, count) in [
        ("9999", 7),
        ("-5", 6),
        ("511", 5),
        ("512", 4),
        ("2147483647", 3),
    ] {
        assert_eq!(counts[&format!("syscall_{name}")], count, "{name}");
    }
}

#[test]
fn more_kinds_of_calls_than_cells() {
    let summary = same_as_strace(workload(), &["many", "20"], &[]);
    assert!(counts(&summary).len() > 80);
}

/// Runs a program whose daemon lives on until the program has ended.
fn outlived(command: &mut Command) -> Output {
    let scratch = Scratch::new();
    let file = scratch.path("pid");
    command.arg(workload()).args(["daemonise", "0", "300"]);
    command.arg(&file).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let stdin = child.stdin.take();
    let pid = wait_for("the program runs", || {
        let pid = std::fs::read_to_string(&file).ok()?;
        pid.strip_suffix('\n')?.parse().ok()
    });
    wait_until("the program has ended", || has_ended(pid));
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_daemon_to_its_end() {
    need_root();
    let summary = profiled(|| outlived(denet(ALL).arg("--")));
    assert_same(&summary, traced(outlived), &[]);
    assert_eq!(counts(&summary)["getppid"], 600);
    assert_eq!(summary["still_running"], serde_json::json!([]));
}

#[test]
fn a_daemon_that_outlives_the_command_is_named() {
    need_root();
    let run = || {
        let mut command = Command::new(workload());
        let options = ["--enable-ebpf", "--top", "0"];
        let watching = Watching::run(&options, command.args(["daemonise", "0", "300"]));
        // Only then the daemon may end.
        watching.wait_for("the summary", |records| {
            records
                .iter()
                .find(|record| record["kind"] == "summary")
                .cloned()
        })
    };
    let summary = without_skipped_runs(run, skipped_runs);
    assert_eq!(
        summary["still_running"][0]["command"], "daemon",
        "{summary}"
    );
    assert_eq!(summary["ebpf"]["quality"]["complete"], true);
    // It was looked at in the end.
    assert_eq!(summary["usage_complete"], true);
    let overhead = &summary["ebpf"]["overhead"];
    // On a busy machine counting may not show; where it does, so does its share.
    assert_eq!(
        overhead["share_of_runtime"].is_f64(),
        overhead["ns_per_syscall"].is_f64(),
        "{overhead}"
    );
    counts(&summary);
}

/// A setting of the kernel, put back when the test ends, also by a panic.
struct Restored {
    setting: &'static Path,
    before: String,
}

impl Restored {
    fn of(setting: &'static Path) -> Self {
        let before = std::fs::read_to_string(setting).expect("a setting");
        Self { setting, before }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        let restored = std::fs::write(self.setting, &self.before);
        // A second panic would end the other tests as well.
        assert!(restored.is_ok() || std::thread::panicking(), "{restored:?}");
    }
}

#[test]
fn pids_above_65535() {
    need_root();
    let next = Path::new("/proc/sys/kernel/ns_last_pid");
    let limit = Path::new("/proc/sys/kernel/pid_max");
    let restored = Restored::of(limit);
    std::fs::write(limit, "4194304").expect("root may set pid_max");
    std::fs::write(next, "100000").expect("ns_last_pid can be set");
    let summary = profile(workload(), &["children", "20"]);
    drop(restored);
    let pids = summary["ebpf"]["processes"]
        .as_array()
        .expect("processes")
        .iter();
    assert!(
        pids.filter(|process| process["pid"].as_u64() > Some(65535))
            .count()
            >= 20,
        "{summary}"
    );
    assert_eq!(counts(&summary)["getppid"], 60);
}

#[test]
fn four_million_calls_from_sixteen_processes() {
    need_root();
    let counts = counts(&profile(workload(), &["hammer", "16", "250000"]));
    assert_eq!(counts["getppid"], 4_000_000);
}

#[test]
fn the_same_run_twice_counts_the_same() {
    need_root();
    let run = || counts(&profile(workload(), &["tree", "3"]));
    assert_eq!(run(), run());
}

#[test]
fn runs_side_by_side_do_not_mix() {
    need_root();
    let run = |calls: &'static str| {
        std::thread::spawn(move || {
            let arguments = ["hammer", "4", calls];
            let output = output(denet(ALL).arg("--").arg(workload()).args(arguments));
            assert!(output.status.success(), "{}", stderr(&output));
            summary(&output)
        })
    };
    let runs = [run("30000"), run("50000"), run("70000")].map(|run| run.join().expect("it ends"));
    for (summary, calls) in runs.iter().zip([120_000, 200_000, 280_000]) {
        let quality = &summary["ebpf"]["quality"];
        let seen = counts(summary)["getppid"];
        // Linux 7.0 and later skip programs at perf events on a CPU where somebody, here another
        // denet, is preempted within bpf(2).
        let skipped = quality["skipped_runs"].as_u64().expect("a count");
        let may_skip = std::env::var("DENET_TEST_GUEST").is_ok_and(|guest| guest == "sid");
        assert_eq!(quality["complete"], skipped == 0, "{quality}");
        assert!(skipped == 0 || may_skip, "{quality}");
        assert!(seen <= calls && seen + skipped >= calls, "{seen} {quality}");
    }
}

#[test]
fn many_live_processes() {
    need_root();
    // Far more than half of the slots: identities collide, and the rest goes to the overflow map.
    let summary = profile(workload(), &["live", "3000"]);
    assert_eq!(
        (counts(&summary)["getppid"], processes(&summary)),
        (6000, 3001)
    );
    assert!(
        summary["max_processes"].as_u64() == Some(3001),
        "{}",
        summary["max_processes"]
    );
}
