//! What denet samples, beside what the sampled programs measured of themselves.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::need_root;
use crate::support::{Scratch, denet, executable, in_guest, load, output, records, stderr, stdout};

/// Runs a load with these options; its records, and the numbers that it told.
fn sampled(options: &[&str], mode: &[&str]) -> (Vec<Value>, Vec<u64>) {
    let scratch = Scratch::new();
    let told = scratch.path("told");
    let mut command = denet(options);
    command
        .args(["--json", "run", "--"])
        .arg(load())
        .args(mode)
        .arg(&told);
    let done = output(&mut command);
    assert!(stderr(&done).is_empty(), "{}", stderr(&done));
    (records(&stdout(&done)), numbers(&told))
}

fn numbers(told: &Path) -> Vec<u64> {
    let told = std::fs::read_to_string(told).unwrap_or_default();
    told.lines().filter_map(|line| line.parse().ok()).collect()
}

fn trees(records: &[Value]) -> Vec<&Value> {
    records
        .iter()
        .filter(|record| record["kind"] == "tree")
        .collect()
}

/// A sample from the middle: in the first something may not have begun yet, in the last it may have ended.
fn in_between(records: &[Value]) -> &Value {
    let all = trees(records);
    all.get(all.len() / 2).expect("a sample")
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["kind"] == kind)
        .collect()
}

fn close(seen: f64, known: f64, within: f64) -> bool {
    (seen - known).abs() <= known * within
}

/// CPU time of the summary within two percent of what the load measured of itself, and so for what the
/// samples add up to.
fn cpu_is_right(mode: &str, what: &str) {
    need_root();
    // Emulated guests take several times as long for everything around.
    let ms = if in_guest() { "2000" } else { "5000" };
    let mode = &[mode, ms, what];
    let (records, told) = sampled(&["--max-interval", "100"], mode);
    let known = told.iter().sum::<u64>() as f64 / 1e9;
    let summary = records.last().expect("a summary");
    let seen = summary["cpu_secs"].as_f64().expect("a number");
    // Beside what the loads saw of themselves there are their starts and ends.
    let within = if in_guest() { 0.06 } else { 0.02 };
    assert!(close(seen, known, within), "{mode:?}: {seen} of {known}");
    let mut before = records[0]["t0_ms"].as_u64().expect("a time");
    let mut sampled = 0.0;
    for tree in trees(&records) {
        let at = tree["ts_ms"].as_u64().expect("a time");
        let usage = tree["aggregated"]["cpu_usage"].as_f64().expect("a number");
        sampled += usage / 100.0 * (at - before) as f64 / 1e3;
        before = at;
    }
    // The last, incomplete interval has no sample.
    assert!(
        close(sampled, known, 2.0 * within),
        "{mode:?}: samples {sampled} of {known}"
    );
}

#[test]
fn a_busy_core() {
    cpu_is_right("spin", "100");
}

#[test]
fn two_busy_cores_in_threads_and_in_children() {
    cpu_is_right("threads", "2");
    cpu_is_right("children", "2");
}

#[test]
fn half_of_a_core() {
    cpu_is_right("spin", "50");
}

#[test]
fn children_that_nobody_waits_for_are_not_lost() {
    need_root();
    let (records, told) = sampled(&["--max-interval", "100"], &["forgotten", "1500", "2"]);
    let known = told.iter().sum::<u64>() as f64 / 1e9;
    let summary = records.last().expect("a summary");
    let seen = summary["cpu_secs"].as_f64().expect("a number");
    // What came after the last sample nobody tells, and the record says so.
    assert_eq!(summary["quality"]["processes_disowned"], 2, "{summary}");
    assert_eq!(summary["usage_complete"], false, "{summary}");
    assert!(
        seen <= known * 1.02 && seen >= known - 0.25,
        "{seen} of {known}"
    );
}

#[test]
fn the_process_alone_is_not_its_children() {
    need_root();
    let (records, told) = sampled(&["--exclude-children"], &["children", "800", "2"]);
    let known = told.iter().sum::<u64>() as f64 / 1e9;
    let summary = records.last().expect("a summary");
    let seen = summary["cpu_secs"].as_f64().expect("a number");
    assert!(
        seen > 0.0 && seen < 0.1 && known > 0.5,
        "{seen} beside {known}"
    );
    assert!(trees(&records).is_empty());
    let samples = of_kind(&records, "sample");
    assert!(
        samples.len() > 3 && samples[0]["command"].is_string(),
        "{samples:?}"
    );
    assert_eq!(summary["max_processes"], 1, "{summary}");
}

#[test]
fn daemons_stay_in_sight() {
    need_root();
    let (records, told) = sampled(&["--max-interval", "100"], &["daemon", "1000"]);
    let known = told.iter().sum::<u64>() as f64 / 1e9;
    let summary = records.last().expect("a summary");
    let seen = summary["cpu_secs"].as_f64().expect("a number");
    // The command and who started the daemon worked a little as well.
    assert!(seen >= known && seen < known + 0.1, "{seen} of {known}");
    let exits = of_kind(&records, "exit");
    // denet waited for the daemon and for the command; who lived between two samples nobody saw.
    let known = exits.iter().filter(|exit| exit["exit_code"] == 0).count();
    assert_eq!(known, 2, "{exits:?}");
}

#[test]
fn daemons_are_accounted_for_without_samples() {
    need_root();
    for options in [&["--no-polling"][..], &["--enable-ebpf", "--no-polling"]] {
        let (records, told) = sampled(options, &["daemon", "500"]);
        let known = told.iter().sum::<u64>() as f64 / 1e9;
        let summary = records.last().expect("a summary");
        let seen = summary["cpu_secs"].as_f64().expect("a number");
        // Neither lost nor counted twice.
        assert!(
            seen >= known && seen < 1.5 * known,
            "{options:?} {seen} of {known}"
        );
        assert_eq!(summary["usage_complete"], true, "{options:?} {summary}");
    }
}

#[test]
fn daemons_are_accounted_for_in_a_pid_namespace() {
    need_root();
    let scratch = Scratch::new();
    let told = scratch.path("told");
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", crate::support::DENET])
        .args(["--no-polling", "--json", "run", "--"])
        .arg(load())
        .args(["daemon", "500"])
        .arg(&told);
    let done = output(&mut command);
    assert!(stderr(&done).is_empty(), "{}", stderr(&done));
    let known = numbers(&told).iter().sum::<u64>() as f64 / 1e9;
    let records = records(&stdout(&done));
    let seen = records.last().expect("a summary")["cpu_secs"].as_f64();
    assert!(
        seen >= Some(known) && seen < Some(1.5 * known),
        "{seen:?} of {known}"
    );
}

#[test]
fn memory_is_what_the_kernel_says() {
    need_root();
    let scratch = Scratch::new();
    let (told, out) = (scratch.path("told"), scratch.path("out"));
    let mut command = denet(["--quiet", "--max-interval", "100", "--out"]);
    command
        .arg(&out)
        .arg("run")
        .arg("--")
        .arg(load())
        .args(["grow", "64", "1200"])
        .arg(&told);
    let mut child = command.stderr(Stdio::null()).spawn().expect("denet starts");
    let mut seen = None;
    for _ in 0..400 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let Some(pid) = numbers(&told).first().copied() else {
            continue;
        };
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it lives");
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|field| field.parse().ok())
            .expect("a number");
        // Samples of when it had grown, and did not change any more.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let text = std::fs::read_to_string(&out).expect("records");
        let last = records(&text)
            .into_iter()
            .rev()
            .find(|record| record["kind"] == "tree");
        seen = last.map(|tree| (tree["parent"]["metrics"]["mem_rss_kb"].as_u64(), pages * 4));
        break;
    }
    let status = std::process::Child::wait(&mut child).expect("it ends");
    assert!(status.success());
    let (sampled, known) = seen.expect("a sample while it was large");
    assert_eq!(sampled, Some(known));
    let all = records(&std::fs::read_to_string(&out).expect("records"));
    let peak = all.last().expect("a summary")["peak_mem_rss_kb"].as_u64();
    assert!(peak >= Some(known.max(64 << 10)), "{peak:?} {known}");
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
    let (records, told) = sampled(
        &["--threads", "--max-interval", "100"],
        &["threads", "1500", "2"],
    );
    let tree = trees(&records)[5];
    let threads = tree["parent"]["threads"].as_array().expect("a list");
    assert_eq!(threads.len(), 3, "{tree}");
    let spinners: Vec<_> = threads
        .iter()
        .filter(|thread| thread["name"] == "spin(ner) \n")
        .collect();
    assert_eq!(spinners.len(), 2, "{tree}");
    let summary = records.last().expect("a summary");
    let of_threads: f64 = summary["processes"][0]["threads"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|thread| thread["cpu_secs"].as_f64())
        .sum();
    // Up to the last sample.
    let known = told[0] as f64 / 1e9;
    assert!(
        of_threads <= known * 1.01 && of_threads > known - 0.5,
        "{of_threads} of {known}"
    );
}

#[test]
fn a_name_like_no_other_and_a_user_like_no_other() {
    need_root();
    let done = output(
        denet(["--json", "--interval", "50", "run", "--"])
            .arg(load())
            .args(["odd", "300"]),
    );
    assert_eq!(done.status.code(), Some(5));
    let records = records(&stdout(&done));
    let last = in_between(&records);
    assert_eq!(last["parent"]["command"], "a) R 1 (b\n");
    assert_eq!(last["aggregated"]["process_count"], 1);
    assert_eq!(of_kind(&records, "exit")[0]["exit_code"], 5);
}

#[test]
fn a_child_that_is_not_waited_for_has_ended_all_the_same() {
    need_root();
    let (records, _) = sampled(&["--interval", "50"], &["zombie", "400"]);
    let between = in_between(&records);
    assert_eq!(between["aggregated"]["process_count"], 1, "{between}");
    let exits = of_kind(&records, "exit");
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
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(crate::support::DENET)
        .args(["--json", "--interval", "50", "run", "--"])
        .arg(&program)
        .args(["crowd", "1", "300"]);
    let done = output(&mut command);
    assert!(done.status.success(), "{}", stderr(&done));
    let records = records(&stdout(&done));
    let last = in_between(&records);
    let metrics = &last["parent"]["metrics"];
    assert!(metrics.get("disk_read_bytes").is_none(), "{last}");
    assert!(metrics["mem_rss_kb"].as_u64() > Some(0), "{last}");
    assert!(
        last["aggregated"].get("disk_read_bytes").is_none(),
        "{last}"
    );
    let summary = records.last().expect("a summary");
    assert_eq!(
        summary["quality"]["io_unread"]["why"], "permission denied",
        "{summary}"
    );
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
        let mut echo = [0; 2];
        let stdin = child.stdin.as_mut().expect("piped");
        stdin.write_all(b"x\n").expect("it reads");
        let stdout = child.stdout.as_mut().expect("piped");
        stdout.read_exact(&mut echo).expect("it has started");
        let moves = || {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it lives");
            let switches = status
                .lines()
                .filter(|line| line.contains("ctxt_switches") || line.starts_with("State:"));
            switches.map(str::to_owned).collect::<Vec<_>>()
        };
        let pause = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
        // What it takes to start, where others keep the CPUs busy: at the latest then it rests, for good.
        let has_started = || {
            let before = moves();
            pause(300);
            moves() == before && before[0].contains("sleeping")
        };
        assert!((0..60).any(|_| has_started()), "it never rests");
        let before = moves();
        pause(1500);
        assert_eq!(moves(), before);
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn a_hidden_process_is_said_to_be_hidden() {
    need_root();
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && sleep 5 & pid=$!; sleep 0.3; \
         setpriv --reuid 65534 --regid 65534 --clear-groups {} attach $pid; kill $pid",
        crate::support::DENET
    );
    let done = output(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    let text = stderr(&done);
    assert!(text.contains("hidepid"), "{text}");
}

#[test]
fn counters_follow_into_children_and_say_how_long_they_counted() {
    use denet::sys::counters::{Counter, Event};
    need_root();
    // Nanoseconds on a CPU: the kernel's own event, where there is no hardware to count.
    const TASK_CLOCK: u64 = 1;
    let own = nix::unistd::gettid().as_raw() as u32;
    let counter = Counter::open(Event::software(TASK_CLOCK), own, false).expect("root may");
    let before = counter.read().expect("it counts");
    let scratch = Scratch::new();
    let told = scratch.path("told");
    let done = output(Command::new(load()).args(["spin", "200", "100"]).arg(&told));
    assert!(done.status.success());
    let after = counter.read().expect("it counts");
    let seen = after
        .scaled()
        .zip(before.scaled())
        .map(|(after, before)| after - before);
    let known = numbers(&told)[0];
    assert!(
        seen.is_some_and(|seen| seen >= known && seen < known + 100_000_000),
        "{seen:?} {known}"
    );
    assert_eq!(after.running_ns, after.enabled_ns);
    assert!(!counter.user_only);
}
