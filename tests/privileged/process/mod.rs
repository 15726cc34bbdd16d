//! What denet samples, compared with what the sampled programs measured of themselves.

mod cpu;
pub mod loaded;
mod stopped;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use denet::sys::page;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::attached::Gated;
use crate::need_root;
use crate::running::{Watching, faults_of, own_faults, sleeps_in, wait_until_reading};
use crate::support::wait::wait_until;
use crate::support::{Scratch, denet, executable, load, output, records, stderr, stdout};
use loaded::{Loaded, of_kind, trees};

#[test]
fn memory_is_what_the_kernel_says() {
    need_root();
    let mut loaded = Loaded::start(&["--max-interval", "100"], &["grow", "64"]);
    let pid = loaded.wait_for("grown", 1)[0] as u32;
    wait_until_reading(pid);
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it lives");
    let pages = statm.split(' ').nth(1).map(str::parse::<u64>);
    let known_kb =
        pages.expect("a field").expect("a number") * page::size().expect("a size") / 1024;
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

/// Of a tree, each page once: what the processes that share it have of it adds up.
#[test]
fn shared_memory_is_counted_once() {
    need_root();
    const MIB: u64 = 48;
    let mut loaded = Loaded::start(
        &["--max-interval", "100"],
        &["share", &MIB.to_string(), "8"],
    );
    let children = loaded.wait_for("shares", 8);
    let pids: Vec<_> = children.iter().map(|pid| *pid as u32).collect();
    pids.iter().for_each(|pid| wait_until_reading(*pid));
    let known_kb = |name: &str| {
        let root = loaded.watching.records()[0]["pid"].as_u64().expect("an id");
        let of = |pid: u32| {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = std::fs::read_to_string(path).expect("it lives");
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kb = line.expect("a line").trim().trim_end_matches(" kB");
            kb.parse::<u64>().expect("a number")
        };
        pids.iter().map(|pid| of(*pid)).sum::<u64>() + of(root as u32)
    };
    let (pss_kb, rss_kb) = (known_kb("Pss:"), known_kb("Rss:"));
    assert!(
        pss_kb >= MIB << 10 && rss_kb >= (9 * MIB) << 10,
        "{pss_kb} {rss_kb}"
    );
    // Pages of libraries are shared with whatever else runs.
    let is_near = |kb: &Value, known: u64| {
        let kb = kb.as_u64().expect("a size");
        kb.abs_diff(known) < known / 8
    };
    let shown = loaded.watching.wait_for("all nine were read", |records| {
        let read = |tree: &&Value| {
            let all = &tree["aggregated"];
            all["process_count"] == 9 && all["mem_pss_kb"].as_u64() > Some(MIB << 10)
        };
        trees(records).into_iter().rfind(read).cloned()
    });
    let all = &shown["aggregated"];
    assert!(is_near(&all["mem_pss_kb"], pss_kb), "{pss_kb}: {all}");
    assert!(is_near(&all["mem_rss_kb"], rss_kb), "{rss_kb}: {all}");
    let members = shown["children"].as_array().expect("a list");
    let parts = members.iter().chain([&shown["parent"]]);
    let parts = parts.map(|member| member["metrics"]["mem_pss_kb"].as_u64().expect("read"));
    assert_eq!(all["mem_pss_kb"], parts.sum::<u64>(), "{shown}");
    loaded.watching.close();
    let (done, _) = loaded.end();
    let summary = done.summary();
    assert!(
        is_near(&summary["peak_mem_pss_kb"], pss_kb),
        "{pss_kb}: {summary}"
    );
    assert!(
        summary["peak_mem_rss_kb"].as_u64() >= Some((9 * MIB) << 10),
        "{summary}"
    );
}

#[test]
fn a_command_that_ends_before_the_first_sample_has_its_own_name() {
    need_root();
    for options in [&[][..], &["--enable-ebpf"], &["--no-polling"]] {
        let done = output(denet(options).args(["--json", "run", "--", "true"]));
        let records = records(&stdout(&done));
        let summary = records.last().expect("a summary");
        assert_eq!(summary["processes"][0]["command"], "true", "{summary}");
        assert!(
            !stdout(&done).contains("\"command\":\"denet\""),
            "{options:?}"
        );
        // Read in no sample: then there is none, and the resident sets are left.
        assert!(summary.get("peak_mem_pss_kb").is_none(), "{summary}");
        assert!(summary["peak_mem_rss_kb"].as_u64() > Some(0), "{summary}");
        let report = stderr(&output(denet(options).args(["run", "--", "true"])));
        let words: Vec<_> = report.split_whitespace().collect();
        assert!(
            words.contains(&"RSS") && !words.contains(&"PSS"),
            "{report}"
        );
    }
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
    assert!(!tree.to_string().contains("mem_pss_kb"), "{tree}");
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
    // Not that of those that could be read.
    assert!(summary.get("peak_mem_pss_kb").is_none(), "{summary}");
    assert!(summary["peak_mem_rss_kb"].as_u64() > Some(0), "{summary}");
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
    const FAULTS: Event = Event { kind: 1, config: 5 };
    const PAGES: u64 = 5000;
    let own = nix::unistd::gettid().as_raw() as u32;
    let own_before = own_faults();
    let counter = Counter::open(FAULTS, own, false).expect("root may");
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
