//! Watching what runs already: exactly, and without harm.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::need_root;
use crate::running::{Done, Watching, wait_until_reading};
use crate::support::processes::state;
use crate::support::wait::{wait_for, wait_until};
use crate::support::{
    Scratch, counts, denet, load, output, preempts_programs, records, skipped_runs, stderr, summary,
};

/// A program with threads and children that waits for a byte.
pub struct Gated(pub Child);

impl Gated {
    /// Returns once all of them sleep in `read(2)`.
    pub fn start(calls: u32, threads: u32, children: u32) -> Self {
        let numbers = [calls, threads, children].map(|number| number.to_string());
        let gated = Self::waiting(Command::new(load()).arg("gated").args(numbers));
        wait_until_reading(gated.0.id());
        gated
    }

    /// A process whose leader has ended; once it gets a byte all of it ends, with 9.
    pub fn leaderless(file: &Path) -> Self {
        let mut command = Command::new(load());
        command.arg("leaderless").arg(file).stdin(Stdio::piped());
        let leaderless = Self(command.spawn().expect("it starts"));
        let pid = leaderless.0.id();
        wait_until("its leader has ended", || state(pid) == Some('Z'));
        leaderless
    }

    /// Any program that says when it is ready.
    pub fn waiting(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a word");
        assert_eq!(line, "ready\n");
        Self(child)
    }

    pub fn go(&mut self) {
        let mut stdin = self.0.stdin.take().expect("piped");
        stdin.write_all(b"x").expect("it waits");
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn exits(records: &[Value]) -> Vec<&Value> {
    records
        .iter()
        .filter(|record| record["kind"] == "exit")
        .collect()
}

/// Nothing was lost. From Linux 7.0 on the kernel skips programs on a CPU where somebody is preempted
/// within bpf(2), as one who attaches may be: then denet has to say so, and nothing more is claimed.
pub fn is_complete(summary: &Value) -> bool {
    let quality = &summary["ebpf"]["quality"];
    let skips = quality["skipped_runs"].as_u64() > Some(0);
    let preempts = preempts_programs();
    assert_eq!(quality["complete"], !(preempts && skips), "{quality}");
    !(preempts && skips)
}

#[test]
fn existing_threads_and_children_are_followed_from_the_moment_of_attaching() {
    need_root();
    let mut target = Gated::start(2000, 3, 2);
    let pid = target.0.id().to_string();
    let watching = Watching::start(&[], &[&pid]);
    target.go();
    let Done {
        output: done,
        records,
        ..
    } = watching.end();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let summary = summary(&done);
    if !is_complete(&summary) {
        return;
    }
    // The leader, three threads, two children.
    assert_eq!(counts(&summary)["getppid"], 6 * 2000, "{summary}");
    // Two children and three threads sat in read, and so did the leader.
    assert_eq!(
        summary["ebpf"]["in_progress_at_attach"]["read"], 6,
        "{summary}"
    );
    let waiting = summary["ebpf"]["in_progress"].as_array().expect("a list");
    let reads_a_pipe = |it: &&Value| it["name"] == "read" && it["object"]["kind"] == "pipe";
    assert_eq!(waiting.iter().filter(reads_a_pipe).count(), 6, "{summary}");
    assert_eq!(summary["ebpf"]["in_progress_unseen"], 0, "{summary}");
    let mut codes: Vec<_> = exits(&records)
        .iter()
        .map(|exit| exit["exit_code"].as_i64())
        .collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(1), Some(7)], "{records:?}");
    assert_eq!(summary["exit"]["exit_code"], 7, "{summary}");
    assert_eq!(target.0.wait().expect("it ended").code(), Some(7));
}

/// Whether a process has begun to exit (`PF_EXITING`), and waits in that.
fn waits_in_its_exit(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let mut fields = fields.split(' ');
    let is_waiting = matches!(fields.next(), Some("S" | "D"));
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u32>().ok());
    is_waiting && flags.is_some_and(|flags| flags & 0x4 != 0)
}

#[test]
fn a_live_target_of_which_nothing_is_followed_is_an_error() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("exits");
    let mut command = Command::new(load());
    command.arg("exits-for-long").arg(&file);
    let mut target = Gated(command.stdin(Stdio::piped()).spawn().expect("it starts"));
    let pid = wait_for("a process exits", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.strip_prefix("exits ")?
            .strip_suffix('\n')?
            .parse()
            .ok()
    });
    wait_until("it waits for its children", || waits_in_its_exit(pid));
    for verb in [&["attach"][..], &["trace", "-p"]] {
        let done = output(denet(["--enable-ebpf"]).args(verb).arg(pid.to_string()));
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(3), "{verb:?}: {text}");
        assert!(text.contains("[not-followed]"), "{text}");
        assert!(text.contains("is exiting"), "{text}");
        assert!(!text.contains("complete"), "{text}");
    }
    target.go();
    assert_eq!(target.0.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_process_alone() {
    need_root();
    let mut target = Gated::start(500, 2, 3);
    let pid = target.0.id().to_string();
    let watching = Watching::start(&["--exclude-children"], &[&pid]);
    target.go();
    let Done {
        output: done,
        records,
        ..
    } = watching.end();
    let summary = summary(&done);
    if !is_complete(&summary) {
        return;
    }
    assert_eq!(counts(&summary)["getppid"], 3 * 500, "{summary}");
    assert!(
        records.iter().all(|record| record["kind"] != "tree"),
        "{records:?}"
    );
    assert_eq!(exits(&records).len(), 1, "{records:?}");
}

#[test]
fn a_storm_of_forks_is_neither_lost_nor_doubled() {
    need_root();
    for _ in 0..3 {
        let scratch = Scratch::new();
        let until = scratch.path("until");
        let mut storm = Gated::waiting(Command::new(load()).args(["storm", "10"]).arg(&until));
        let watching = Watching::start(&[], &[&storm.0.id().to_string()]);
        watching.wait_for("many forks", |records| {
            (exits(records).len() >= 500).then_some(())
        });
        std::fs::File::create(&until).expect("room");
        let Done {
            output: done,
            records,
            ..
        } = watching.end();
        assert!(storm.0.wait().expect("it ends").success());
        let summary = summary(&done);
        if !is_complete(&summary) {
            continue;
        }
        let followed = counts(&summary);
        // Each child that was followed from its birth made its calls; at most one lived already.
        let children = exits(&records).len() as u64 - 1;
        let calls = followed["getppid"];
        assert!(
            calls <= children * 10 && calls >= (children - 1) * 10,
            "{calls} of {children}"
        );
        assert!(
            followed["wait4"] >= children - 1 && followed["wait4"] <= children + 1,
            "{followed:?}"
        );
        assert_eq!(
            summary["ebpf"]["processes"].as_array().map(Vec::len),
            Some(children as usize + 1)
        );
    }
}

#[test]
fn again_and_again_and_by_two_at_once() {
    need_root();
    let mut target = Gated::start(300, 1, 1);
    let pid = target.0.id().to_string();
    for _ in 0..3 {
        let done = Watching::start(&["--duration", "0.1"], &[&pid])
            .end()
            .output;
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    }
    let (one, other) = (Watching::start(&[], &[&pid]), Watching::start(&[], &[&pid]));
    target.go();
    for watching in [one, other] {
        let summary = summary(&watching.end().output);
        if !is_complete(&summary) {
            continue;
        }
        assert_eq!(counts(&summary)["getppid"], 3 * 300, "{summary}");
    }
}

#[test]
fn ctrl_c_and_kill_leave_the_target_unharmed() {
    need_root();
    let mut target = Gated::start(10, 1, 1);
    let pid = target.0.id().to_string();
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
        let watching = Watching::start(&[], &[&pid]);
        watching.wait_for_later_sample();
        watching.signal(signal);
        let Done {
            output: done,
            records,
            ..
        } = watching.end();
        assert_eq!(done.status.code(), code, "{}", stderr(&done));
        let last = records.last().expect("a record");
        assert_eq!(last["kind"] == "summary", code.is_some(), "{last}");
    }
    target.go();
    assert_eq!(target.0.wait().expect("it ends").code(), Some(7));
}

/// In guests only: elsewhere the first process belongs to the machine, and denet does not attach to it.
#[test]
fn the_whole_machine_but_denet() {
    need_root();
    let watching = Watching::start(&[], &["--all"]);
    let own = watching.id();
    let later = output(Command::new(load()).args(["swarm", "20"]));
    assert!(later.status.success());
    watching.signal(Signal::SIGINT);
    let Done {
        output: done,
        records,
        ..
    } = watching.end();
    let summary = summary(&done);
    let seen = |pid: u32| {
        let processes = summary["ebpf"]["processes"].as_array().expect("a list");
        processes.iter().any(|process| process["pid"] == pid)
    };
    assert!(seen(std::process::id()) && !seen(own), "{summary}");
    assert!(exits(&records).len() >= 21, "{records:?}");
}

/// A cgroup of version 2, gone in the end.
pub struct Group {
    folder: PathBuf,
    // Where this machine has no such hierarchy, one is mounted.
    mounted: Option<PathBuf>,
    _scratch: Scratch,
}

impl Group {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let root = roots
            .iter()
            .find(|root| std::fs::exists(format!("{root}/cgroup.controllers")).unwrap_or(false));
        let scratch = Scratch::new();
        let mounted = root.is_none().then(|| {
            let at = scratch.path("cgroup2");
            std::fs::create_dir(&at).expect("room");
            let mut mount = Command::new("mount");
            mount.args(["-t", "cgroup2", "none"]).arg(&at);
            assert!(output(&mut mount).status.success());
            at
        });
        let root = root.map(PathBuf::from).or(mounted.clone());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("denet-test-{}-{number}", std::process::id());
        let folder = root.expect("one of both").join(name);
        std::fs::create_dir(&folder).expect("a cgroup");
        Self {
            folder,
            mounted,
            _scratch: scratch,
        }
    }

    pub fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    pub fn join(&self, pid: u32) {
        std::fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("it joins");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.folder);
        if let Some(mounted) = &self.mounted {
            let _ = Command::new("umount").arg(mounted).status();
        }
    }
}

#[test]
fn a_cgroup_and_who_joins_it() {
    need_root();
    let group = Group::new();
    let (mut first, mut second) = (Gated::start(400, 1, 0), Gated::start(700, 0, 0));
    group.join(first.0.id());
    let watching = Watching::start(&[], &["--cgroup", &group.folder()]);
    group.join(second.0.id());
    watching.wait_for_process(second.0.id());
    // A sample may show it before it is followed.
    watching.wait_for_later_sample();
    first.go();
    second.go();
    assert_eq!(first.0.wait().expect("it ends").code(), Some(7));
    assert_eq!(second.0.wait().expect("it ends").code(), Some(7));
    watching.signal(Signal::SIGINT);
    let summary = summary(&watching.end().output);
    let quality = &summary["ebpf"]["quality"];
    // What the second one called before it was followed is not known.
    assert_eq!(quality["unfollowed"], 1, "{summary}");
    assert_eq!(quality["complete"], false, "{summary}");
    assert_eq!(summary["usage_complete"], false, "{summary}");
    if skipped_runs(&summary) == Some(0) {
        assert_eq!(counts(&summary)["getppid"], 2 * 400 + 700, "{summary}");
    }
}

#[test]
fn how_a_process_ends_is_known_as_its_parent_knows_it() {
    need_root();
    let scratch = Scratch::new();
    let file = scratch.path("leader");
    let script = format!(
        "{} leaderless {}; sh -c 'kill -TERM $$'; exit 4",
        load().display(),
        file.display()
    );
    let mut watching = Watching::run(&["--enable-ebpf"], Command::new("sh").args(["-c", &script]));
    let leader = wait_for("the leader runs", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.trim().strip_prefix("leader ")?.parse().ok()
    });
    wait_until("the leader has ended", || state(leader) == Some('Z'));
    watching.go();
    let records = watching.end().records;
    let ended: Vec<_> = exits(&records)
        .iter()
        .map(|exit| (exit["exit_code"].as_i64(), exit["signal"].as_i64()))
        .collect();
    let expected = [(Some(9), None), (None, Some(15)), (Some(4), None)];
    assert_eq!(ended, expected, "{records:?}");
}

#[test]
fn two_file_capabilities_are_enough() {
    need_root();
    let scratch = Scratch::new();
    let program = crate::least::installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let own = scratch.path("load");
    crate::least::copy(load(), &own);
    let mut command = crate::least::as_nobody(&own);
    let mut target = Gated::waiting(command.args(["gated", "100", "0", "0"]));
    wait_until_reading(target.0.id());
    let pid = target.0.id().to_string();
    let out = scratch.path("records");
    std::fs::File::create(&out).expect("room");
    let status = Command::new("chmod")
        .arg("666")
        .arg(&out)
        .status()
        .expect("chmod");
    assert!(status.success());
    let mut command = crate::least::as_nobody(&program);
    command
        .args(["--enable-ebpf", "--quiet", "--out"])
        .arg(&out)
        .args(["attach", &pid]);
    let mut denet = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("denet starts");
    wait_until("denet is attached", || {
        std::fs::metadata(&out).is_ok_and(|file| file.len() > 0)
    });
    target.go();
    assert!(denet.wait().expect("it ends").success());
    let records = records(&std::fs::read_to_string(&out).expect("records"));
    let summary = records.last().expect("a summary");
    assert_eq!(counts(summary)["getppid"], 100, "{summary}");
    // Its user may read its I/O.
    assert!(summary["disk_read_bytes"].is_u64(), "{summary}");
}

#[test]
fn a_process_whose_leader_has_ended_is_a_process_still() {
    need_root();
    let scratch = Scratch::new();
    let mut target = Gated::leaderless(&scratch.path("leader"));
    let pid = target.0.id().to_string();
    let watching = Watching::start(&[], &[&pid]);
    // Each sample still lists it.
    for _ in 0..2 {
        watching.wait_for_later_sample();
    }
    target.go();
    let done = watching.end().output;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(summary(&done)["exit"]["exit_code"], 9, "{}", summary(&done));
    assert_eq!(target.0.wait().expect("it ended").code(), Some(9));
}
