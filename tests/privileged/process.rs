//! What denet samples, beside what the sampled programs measured of themselves.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use denet::sys::processes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::attached::Gated;
use crate::need_root;
use crate::running::{
    Done, RUSAGE_NS, Watching, faults_of, own_faults, sleeps_in, wait_until_reading,
};
use crate::support::processes::is_gone;
use crate::support::wait::{wait_for, wait_until};
use crate::support::{Scratch, denet, executable, load, output, records, stderr, stdout};

/// A program of load.c under denet, and the numbers that it measured.
struct Loaded {
    watching: Watching,
    numbers: PathBuf,
    _scratch: Scratch,
}

impl Loaded {
    fn start(options: &[&str], mode: &[&str]) -> Self {
        let scratch = Scratch::new();
        let numbers = scratch.path("numbers");
        let mut command = Command::new(load());
        let watching = Watching::run(options, command.args(mode).arg(&numbers));
        Self {
            watching,
            numbers,
            _scratch: scratch,
        }
    }

    fn wait_for(&self, name: &str, count: usize) -> Vec<u64> {
        wait_for_numbers(&self.numbers, name, count)
    }

    /// With the CPU time that each process measured of itself, the last one's last.
    fn end(self) -> (Done, Vec<u64>) {
        let done = self.watching.end();
        let text = stderr(&done.output);
        assert!(text.is_empty(), "{text}");
        (done, numbers(&self.numbers, "cpu"))
    }
}

/// Those of this name.
fn numbers(file: &Path, name: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let named = lines.filter(|line| line.0 == name);
    named.filter_map(|line| line.1.parse().ok()).collect()
}

fn wait_for_numbers(file: &Path, name: &str, count: usize) -> Vec<u64> {
    wait_for(&format!("{count} times {name}"), || {
        Some(numbers(file, name)).filter(|numbers| numbers.len() >= count)
    })
}

fn trees(records: &[Value]) -> Vec<&Value> {
    of_kind(records, "tree")
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["kind"] == kind)
        .collect()
}

/// The CPU time of a summary lies between what the processes measured just inside and what was measured
/// just outside.
fn assert_between(inside_ns: u64, summary: &Value, outside_ns: u64) {
    let seen = summary["cpu_secs"].as_f64().expect("a number") * 1e9;
    assert!(
        seen + RUSAGE_NS as f64 >= inside_ns as f64 && seen <= outside_ns as f64,
        "{inside_ns} <= {seen} <= {outside_ns}: {summary}"
    );
}

/// CPU time of samples after the first one: no less, and no more. Times in records are whole milliseconds.
fn sampled_ns(samples: &[&Value]) -> (f64, f64) {
    let (mut least, mut most) = (0.0, 0.0);
    for pair in samples.windows(2) {
        let at = |sample: &Value| sample["ts_ms"].as_u64().expect("a time");
        let usage = pair[1]["aggregated"]["cpu_usage"].as_f64();
        let cores = usage.expect("a number") / 100.0;
        let ms = (at(pair[1]) - at(pair[0])) as f64;
        least += cores * (ms - 1.0).max(0.0) * 1e6;
        most += cores * (ms + 1.0) * 1e6;
    }
    (least, most)
}

/// The CPU time of the summary, and what the samples add up to, is what the program used. The work lies
/// between two samples.
fn cpu_is_right(shape: &str, count: &str) {
    need_root();
    let options = ["--interval", "200", "--max-interval", "200"];
    let mut loaded = Loaded::start(&options, &["cpu", "1000", count, shape]);
    let first = loaded.watching.wait_for("a sample", |records| {
        Some(trees(records).len()).filter(|samples| *samples > 0)
    });
    loaded.watching.go();
    loaded.wait_for("done", 1);
    loaded.watching.wait_for_later_sample();
    let (done, measured) = loaded.end();
    let inside_ns = measured.iter().sum();
    assert_between(inside_ns, done.summary(), done.children_ns);
    assert!(inside_ns >= 1_000_000_000, "{shape}: {inside_ns}");
    let (least, most) = sampled_ns(&trees(&done.records)[first - 1..]);
    // Of reaped children /proc/PID/stat has two fields, each truncated to a tick.
    let reaped = matches!(shape, "children" | "turns");
    let truncated = u64::from(reaped) * 2 * 1_000_000_000 / processes::ticks_per_second();
    assert!(
        most + truncated as f64 >= inside_ns as f64 && least <= done.children_ns as f64,
        "{shape}: the program {inside_ns}, samples {least} to {most}, all {}",
        done.children_ns
    );
}

#[test]
fn a_busy_core() {
    cpu_is_right("alone", "1");
}

#[test]
fn two_busy_cores_in_threads_and_in_children() {
    cpu_is_right("threads", "2");
    cpu_is_right("children", "2");
}

/// Two processes that take turns: each sleeps while the other one works.
#[test]
fn half_of_a_core() {
    cpu_is_right("turns", "2");
}

#[test]
fn children_that_nobody_waits_for_are_not_lost() {
    need_root();
    let mut loaded = Loaded::start(&["--max-interval", "100"], &["unreaped", "300", "2"]);
    let children = loaded.wait_for("child", 2);
    let children: Vec<_> = children.iter().map(|pid| *pid as u32).collect();
    children.iter().for_each(|pid| wait_until_reading(*pid));
    // Up to here, and no further until they may end.
    let clocks = children.iter().map(|pid| processes::cpu_ns(*pid));
    let children_ns: u64 = clocks.map(|clock| clock.expect("it lives")).sum();
    assert!(children_ns >= 600_000_000, "{children_ns}");
    loaded.watching.wait_for_later_sample();
    loaded.watching.stop();
    loaded.watching.go();
    wait_until("the children are gone", || {
        children.iter().all(|pid| is_gone(*pid))
    });
    loaded.watching.signal(Signal::SIGCONT);
    loaded.watching.wait_for_later_sample();
    loaded.wait_for("cpu", 1);
    let (done, of_parent) = loaded.end();
    let summary = done.summary();
    // What they used after the last sample is not known, and the record shows that.
    assert_eq!(summary["quality"]["processes_disowned"], 2, "{summary}");
    assert_eq!(summary["usage_complete"], false, "{summary}");
    // denet waited for their parent alone.
    let outside_ns = children_ns + done.children_ns;
    assert_between(children_ns + of_parent[0], summary, outside_ns);
}

#[test]
fn the_process_alone_is_not_its_children() {
    need_root();
    let options = ["--exclude-children"];
    let mut loaded = Loaded::start(&options, &["cpu", "300", "2", "children"]);
    loaded.watching.go();
    loaded.wait_for("done", 1);
    loaded.watching.wait_for_later_sample();
    let (done, measured) = loaded.end();
    let (of_parent, of_children) = measured.split_last().expect("three");
    let children_ns: u64 = of_children.iter().sum();
    assert!(children_ns >= 600_000_000, "{children_ns}");
    let summary = done.summary();
    assert_between(*of_parent, summary, done.children_ns - children_ns);
    assert!(trees(&done.records).is_empty());
    let samples = of_kind(&done.records, "sample");
    assert!(samples[0]["command"].is_string(), "{samples:?}");
    assert_eq!(summary["max_processes"], 1, "{summary}");
}

#[test]
fn daemons_stay_in_sight() {
    need_root();
    let mut loaded = Loaded::start(&["--max-interval", "100"], &["daemon", "300"]);
    let daemon = loaded.wait_for("daemon", 1)[0];
    loaded.watching.go();
    loaded.wait_for("cpu", 3);
    loaded.watching.wait_for("the daemon's end", |records| {
        of_kind(records, "exit")
            .iter()
            .find(|exit| exit["pid"] == daemon)
            .map(|_| ())
    });
    let (done, measured) = loaded.end();
    let summary = done.summary();
    assert_between(measured.iter().sum(), summary, done.children_ns);
    // denet waited for the daemon and for the command.
    for pid in [&daemon.into(), &done.records[0]["pid"]] {
        let exits = of_kind(&done.records, "exit").into_iter();
        let codes: Vec<_> = exits
            .filter(|exit| exit["pid"] == *pid)
            .map(|exit| exit["exit_code"].as_i64())
            .collect();
        assert_eq!(codes, [Some(0)], "{:?}", done.records);
    }
}

#[test]
fn daemons_are_accounted_for_without_samples() {
    need_root();
    for options in [&["--no-polling"][..], &["--enable-ebpf", "--no-polling"]] {
        let mut loaded = Loaded::start(options, &["daemon", "300"]);
        loaded.wait_for("daemon", 1);
        loaded.watching.go();
        loaded.wait_for("cpu", 3);
        let (done, measured) = loaded.end();
        let summary = done.summary();
        // Neither lost nor counted twice.
        assert_between(measured.iter().sum(), summary, done.children_ns);
        assert_eq!(summary["usage_complete"], true, "{options:?} {summary}");
    }
}

#[test]
fn daemons_are_accounted_for_in_a_pid_namespace() {
    need_root();
    let scratch = Scratch::new();
    let (file, out) = (scratch.path("numbers"), scratch.path("records"));
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", crate::support::DENET])
        .args(["--no-polling", "--quiet", "--out"])
        .arg(&out)
        .args(["run", "--"])
        .arg(load())
        .args(["daemon", "300"])
        .arg(&file)
        .stdin(Stdio::piped());
    let mut watching = Watching::spawn(&mut command, scratch);
    wait_for_numbers(&file, "daemon", 1);
    watching.go();
    wait_for_numbers(&file, "cpu", 3);
    let measured = numbers(&file, "cpu");
    let done = watching.end();
    assert!(stderr(&done.output).is_empty(), "{}", stderr(&done.output));
    // denet is a child of unshare's, and part of what was waited for.
    assert_between(measured.iter().sum(), done.summary(), done.children_ns);
}

#[test]
fn memory_is_what_the_kernel_says() {
    need_root();
    let mut loaded = Loaded::start(&["--max-interval", "100"], &["grow", "64"]);
    let pid = loaded.wait_for("grown", 1)[0] as u32;
    wait_until_reading(pid);
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it lives");
    let pages = statm.split(' ').nth(1).map(str::parse::<u64>);
    let known_kb = pages.expect("a field").expect("a number") * processes::page_bytes() / 1024;
    loaded.watching.wait_for_later_sample();
    let resident_kb = |records: &[Value]| {
        let samples = trees(records);
        samples.last().expect("a sample")["parent"]["metrics"]["mem_rss_kb"].as_u64()
    };
    let sampled = resident_kb(&loaded.watching.records());
    assert_eq!(sampled, Some(known_kb));
    // The peak is not what was sampled last.
    loaded.watching.go();
    loaded.watching.wait_for("it has shrunk", |records| {
        (resident_kb(records) < Some(64 << 10)).then_some(())
    });
    let (done, _) = loaded.end();
    assert!(done.output.status.success());
    let peak = done.summary()["peak_mem_rss_kb"].as_u64();
    assert!(
        peak >= Some(known_kb.max(64 << 10)),
        "{peak:?} of {known_kb}"
    );
}

#[test]
fn bytes_are_what_was_written() {
    need_root();
    for options in [&["--interval", "20"][..], &["--no-polling"]] {
        let scratch = Scratch::new();
        let file = scratch.path("written");
        let mut command = denet(options);
        command
            .args(["--json", "run", "--"])
            .arg(load())
            .args(["write", "3000001", "3"])
            .arg(&file);
        let done = output(&mut command);
        let records = records(&stdout(&done));
        let summary = records.last().expect("a summary");
        assert_eq!(
            summary["syscall_write_bytes"],
            4 * 3_000_001,
            "{options:?} {summary}"
        );
        let length = std::fs::metadata(&file).expect("written").len();
        assert_eq!(length, 4 * 3_000_001);
        if options == ["--no-polling"] {
            assert_eq!(summary["sample_count"], 0);
            assert!(trees(&records).is_empty());
        }
    }
}

/// A denet that may do more than its user is none of whose business the kernel lets it look into, but its own
/// command's.
#[test]
fn bytes_are_what_was_written_beside_file_capabilities() {
    need_root();
    let scratch = Scratch::new();
    let program = scratch.path("load");
    executable(&program, &std::fs::read(load()).expect("built"));
    let own = scratch.path("own");
    std::fs::create_dir(&own).expect("room");
    std::os::unix::fs::chown(&own, Some(crate::least::NOBODY), None).expect("ours");
    let file = own.join("written");
    let binary = crate::least::installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let mut command = crate::least::as_nobody(&binary);
    command
        .args(["--enable-ebpf", "--json", "run", "--"])
        .arg(&program)
        .args(["write", "3000001", "0"])
        .arg(&file);
    let done = output(&mut command);
    let records = records(&stdout(&done));
    let summary = records
        .last()
        .unwrap_or_else(|| panic!("{}", stderr(&done)));
    assert_eq!(summary["syscall_write_bytes"], 3_000_001, "{summary}");
}

#[test]
fn every_process_however_short_with_ebpf() {
    need_root();
    let done = output(
        denet(["--enable-ebpf", "--json", "run", "--"])
            .arg(load())
            .args(["swarm", "20000"]),
    );
    let records = records(&stdout(&done));
    let summary = records.last().expect("a summary");
    if !crate::attached::is_complete(summary) {
        return;
    }
    let processes = summary["ebpf"]["processes"].as_array().expect("a list");
    assert_eq!(processes.len(), 20_001);
    let exits = of_kind(&records, "exit");
    assert_eq!(exits.len(), 20_001);
    assert!(
        exits.iter().all(|exit| exit["exit_code"] == 0),
        "{:?}",
        exits[0]
    );
}

#[test]
fn threads_have_names_and_cpu_time_of_their_own() {
    need_root();
    let options = ["--threads", "--max-interval", "100"];
    let mut loaded = Loaded::start(&options, &["cpu", "300", "2", "threads"]);
    loaded.watching.go();
    loaded.wait_for("done", 1);
    loaded.watching.wait_for_later_sample();
    let samples = loaded.watching.records();
    let tree = trees(&samples).pop().expect("a sample");
    let threads = tree["parent"]["threads"].as_array().expect("a list");
    assert_eq!(threads.len(), 3, "{tree}");
    let spinners: Vec<_> = threads
        .iter()
        .filter(|thread| thread["name"] == "spin(ner) \n")
        .collect();
    assert_eq!(spinners.len(), 2, "{tree}");
    let (done, measured) = loaded.end();
    let summary = done.summary();
    let of_threads: Vec<_> = summary["processes"][0]["threads"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|thread| thread["cpu_secs"].as_f64())
        .collect();
    // Each spinner worked for so long.
    let worked = of_threads.iter().filter(|secs| **secs >= 0.3).count();
    assert_eq!((of_threads.len(), worked), (3, 2), "{summary}");
    let sum_ns = of_threads.iter().sum::<f64>() * 1e9;
    assert!(
        sum_ns >= measured[0] as f64 && sum_ns <= done.children_ns as f64,
        "{} <= {sum_ns} <= {}",
        measured[0],
        done.children_ns
    );
}

#[test]
fn a_name_like_no_other_and_a_user_like_no_other() {
    need_root();
    let watching = Watching::run(&["--interval", "50"], Command::new(load()).arg("odd"));
    let tree = watching.wait_for("its name", |records| {
        let named = |tree: &&Value| tree["parent"]["command"] == "a) R 1 (b\n";
        trees(records).into_iter().find(named).cloned()
    });
    assert_eq!(tree["aggregated"]["process_count"], 1);
    let pid = tree["parent"]["pid"].as_i64().expect("an id") as i32;
    kill(Pid::from_raw(pid), Signal::SIGUSR1).expect("it lives");
    let done = watching.end();
    assert_eq!(done.output.status.code(), Some(5));
    assert_eq!(of_kind(&done.records, "exit")[0]["exit_code"], 5);
}

#[test]
fn a_child_that_is_not_waited_for_has_ended_all_the_same() {
    need_root();
    let watching = Watching::run(&["--interval", "50"], Command::new(load()).arg("zombie"));
    let tree = watching.wait_for("a sample after the child's end", |records| {
        let mut after = records
            .iter()
            .skip_while(|record| record["exit_code"] != 42);
        after.find(|record| record["kind"] == "tree").cloned()
    });
    assert_eq!(tree["aggregated"]["process_count"], 1, "{tree}");
    let done = watching.end();
    let exits = of_kind(&done.records, "exit");
    let codes: Vec<_> = exits
        .iter()
        .map(|exit| exit["exit_code"].as_i64())
        .collect();
    assert_eq!(codes, [Some(42), Some(0)], "{exits:?}");
}

#[test]
fn what_may_not_be_read_of_a_process_is_absent_and_told() {
    need_root();
    // An ordinary user's denet beside a set-user-id program: its I/O is nobody else's business.
    let scratch = Scratch::new();
    let program = scratch.path("privileged");
    executable(&program, &std::fs::read(load()).expect("built"));
    let set = Command::new("chmod")
        .arg("4755")
        .arg(&program)
        .status()
        .expect("chmod");
    assert!(set.success());
    let out = scratch.path("records");
    std::fs::File::create(&out).expect("room");
    std::os::unix::fs::chown(&out, Some(crate::least::NOBODY), None).expect("ours");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(crate::support::DENET)
        .args(["--quiet", "--interval", "50", "--out"])
        .arg(&out)
        .args(["run", "--"])
        .arg(&program)
        .args(["crowd", "1"])
        .stdin(Stdio::piped());
    let watching = Watching::spawn(&mut command, scratch);
    let tree = watching.wait_for("the program's child", |records| {
        let runs = |tree: &&Value| tree["children"][0]["command"] == "privileged";
        trees(records).into_iter().find(runs).cloned()
    });
    let metrics = &tree["parent"]["metrics"];
    assert!(metrics.get("disk_read_bytes").is_none(), "{tree}");
    assert!(metrics["mem_rss_kb"].as_u64() > Some(0), "{tree}");
    assert!(
        tree["aggregated"].get("disk_read_bytes").is_none(),
        "{tree}"
    );
    let done = watching.end();
    assert!(done.output.status.success(), "{}", stderr(&done.output));
    let summary = done.summary();
    assert_eq!(
        summary["quality"]["io_unread"]["why"], "permission denied",
        "{summary}"
    );
}

/// A process sleeps in poll(2) until one of its descriptors, of which none is a timer, is ready.
fn sleeps_without_an_end(pid: u32) -> bool {
    #[cfg(target_arch = "x86_64")]
    let endless = |number: i64, arguments: &[u64]| {
        number == libc::SYS_poll && arguments.get(2).is_some_and(|ms| *ms as i32 == -1)
    };
    #[cfg(not(target_arch = "x86_64"))]
    let endless = |number: i64, arguments: &[u64]| {
        number == libc::SYS_ppoll && arguments.get(2).is_some_and(|time| *time == 0)
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    let mut files = descriptors
        .flatten()
        .filter_map(|fd| fd.path().read_link().ok());
    let has_timer = files.any(|file| file.to_string_lossy().contains("timerfd"));
    let sleeps = sleeps_in(pid).is_some_and(|(number, arguments)| endless(number, &arguments));
    sleeps && !has_timer
}

#[test]
fn without_samples_nothing_runs_between_start_and_end() {
    need_root();
    for ebpf in [&[][..], &["--enable-ebpf"]] {
        let mut command = denet(ebpf);
        // It ends when its input does.
        command.args(["--no-polling", "run", "--", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("denet starts");
        let pid = child.id();
        let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
        let mut round_trip = || {
            let mut echo = [0; 2];
            let stdin = stdin.as_mut().expect("piped");
            stdin.write_all(b"x\n").expect("it reads");
            let stdout = stdout.as_mut().expect("piped");
            stdout.read_exact(&mut echo).expect("it writes");
        };
        // Then the command runs.
        round_trip();
        wait_until("denet sleeps until something happens", || {
            sleeps_without_an_end(pid)
        });
        let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
        assert_eq!(threads().count(), 1);
        let switches = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = switches();
        // What the command does, thousands of system calls, does not wake it.
        (0..2000).for_each(|_| round_trip());
        assert!(sleeps_without_an_end(pid));
        assert_eq!(switches(), before);
        drop(stdin);
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn a_hidden_process_is_said_to_be_hidden() {
    need_root();
    let hidden = Gated::start(0, 0, 0);
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups {} attach {}",
        crate::support::DENET,
        hidden.0.id()
    );
    let done = output(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    let text = stderr(&done);
    assert!(text.contains("hidepid"), "{text}");
}

#[test]
fn counters_follow_into_children_and_say_how_long_they_counted() {
    use denet::sys::counters::{Counter, Event};
    need_root();
    // Page faults without I/O: the kernel's own event, where there is no hardware to count.
    const FAULTS: u64 = 5;
    const PAGES: u64 = 5000;
    let own = nix::unistd::gettid().as_raw() as u32;
    let own_before = own_faults();
    let counter = Counter::open(Event::software(FAULTS), own, false).expect("root may");
    let before = counter.read().expect("it counts");
    let of_child = faults_of(Command::new(load()).args(["touch", &PAGES.to_string()]));
    let after = counter.read().expect("it counts");
    let seen = after
        .scaled()
        .zip(before.scaled())
        .map(|(after, before)| after - before);
    let most = of_child + own_faults() - own_before;
    assert!(
        seen >= Some(PAGES) && seen <= Some(most),
        "{PAGES} <= {seen:?} <= {most}"
    );
    assert!(after.enabled_ns > before.enabled_ns);
    assert_eq!(after.running_ns, after.enabled_ns);
    assert!(!counter.user_only);
}
