//! Watching what runs already: exactly, and without harm.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::need_root;
use crate::support::wait::wait_until;
use crate::support::{
    Scratch, counts, denet, in_guest, load, output, preempts_programs, records, stderr, stdout,
    summary,
};

/// A program with threads and children that waits for a byte.
pub struct Gated(pub Child);

impl Gated {
    pub fn start(calls: u32, threads: u32, children: u32) -> Self {
        let numbers = [calls, threads, children].map(|number| number.to_string());
        Self::waiting(Command::new(load()).arg("gated").args(numbers))
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

/// denet attached to a process, told that it is by its first record.
pub struct Watching {
    pub denet: Child,
    out: PathBuf,
    _scratch: Scratch,
}

impl Watching {
    pub fn start(options: &[&str], whom: &[&str]) -> Self {
        let scratch = Scratch::new();
        let out = scratch.path("records");
        let mut command = denet(["--enable-ebpf", "--quiet", "--top", "0", "--out"]);
        command.arg(&out).args(options).arg("attach").args(whom);
        let denet = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("denet starts");
        let mut watching = Self {
            denet,
            out,
            _scratch: scratch,
        };
        wait_until("denet is attached", || {
            let ended = watching.denet.try_wait().expect("ours");
            ended.is_some() || !watching.text().is_empty()
        });
        if watching.text().is_empty() {
            let (done, _) = watching.end();
            unreachable!("denet ended: {}", stderr(&done));
        }
        watching
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    pub fn end(mut self) -> (Output, Vec<Value>) {
        let status = self.denet.wait().expect("it ends");
        let mut text = String::new();
        let stderr = self.denet.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut BufReader::new(stderr), &mut text).expect("text");
        let done = Output {
            status,
            stdout: self.text().into_bytes(),
            stderr: text.into_bytes(),
        };
        let records = records(&stdout(&done));
        (done, records)
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
    let (done, records) = watching.end();
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
    let mut codes: Vec<_> = exits(&records)
        .iter()
        .map(|exit| exit["exit_code"].as_i64())
        .collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(1), Some(7)], "{records:?}");
    assert_eq!(summary["exit"]["exit_code"], 7, "{summary}");
    assert_eq!(target.0.wait().expect("it ended").code(), Some(7));
}

#[test]
fn the_process_alone() {
    need_root();
    let mut target = Gated::start(500, 2, 3);
    let pid = target.0.id().to_string();
    let watching = Watching::start(&["--exclude-children"], &[&pid]);
    target.go();
    let (done, records) = watching.end();
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
        let told = scratch.path("told");
        let mut storm = Command::new(load())
            .args(["storm", if in_guest() { "8000" } else { "3000" }, "10"])
            .arg(&told)
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(300));
        let watching = Watching::start(&[], &[&storm.id().to_string()]);
        let (done, records) = watching.end();
        assert!(storm.wait().expect("it ends").success());
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
        let (done, _) = Watching::start(&["--duration", "0.1"], &[&pid]).end();
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    }
    let (one, other) = (Watching::start(&[], &[&pid]), Watching::start(&[], &[&pid]));
    target.go();
    for watching in [one, other] {
        let summary = summary(&watching.end().0);
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
        std::thread::sleep(Duration::from_millis(50));
        kill(Pid::from_raw(watching.denet.id() as i32), signal).expect("it lives");
        let (done, records) = watching.end();
        assert_eq!(done.status.code(), code, "{}", stderr(&done));
        let last = records.last().expect("a record");
        assert_eq!(last["kind"] == "summary", code.is_some(), "{last}");
    }
    target.go();
    assert_eq!(target.0.wait().expect("it ends").code(), Some(7));
}

#[test]
fn the_whole_machine_but_denet() {
    need_root();
    let watching = Watching::start(&["--duration", "1.5"], &["--all"]);
    let own = watching.denet.id();
    let later = output(Command::new(load()).args(["swarm", "20"]));
    assert!(later.status.success());
    let (done, records) = watching.end();
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
    let watching = Watching::start(&["--duration", "2"], &["--cgroup", &group.folder()]);
    group.join(second.0.id());
    // It is seen with the next sample.
    std::thread::sleep(Duration::from_millis(700));
    first.go();
    second.go();
    assert_eq!(first.0.wait().expect("it ends").code(), Some(7));
    assert_eq!(second.0.wait().expect("it ends").code(), Some(7));
    let (done, _) = watching.end();
    let summary = summary(&done);
    if is_complete(&summary) {
        assert_eq!(counts(&summary)["getppid"], 2 * 400 + 700, "{summary}");
    }
}

#[test]
fn how_a_process_ends_is_known_as_its_parent_knows_it() {
    need_root();
    let script = format!(
        "{} leaderless 50; sh -c 'kill -TERM $$'; exit 4",
        load().display()
    );
    let done = output(&mut denet([
        "--enable-ebpf",
        "--json",
        "run",
        "sh",
        "-c",
        &script,
    ]));
    let records = records(&stdout(&done));
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
    let mut target = Gated::start(100, 0, 0);
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
    // It is root's: its I/O is nobody else's business.
    assert!(summary.get("disk_read_bytes").is_none(), "{summary}");
}

#[test]
fn a_process_whose_leader_has_ended_is_a_process_still() {
    need_root();
    let mut target = Command::new(load())
        .args(["leaderless", "3000"])
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    let pid = target.id().to_string();
    let done = output(&mut denet(["--enable-ebpf", "--json", "attach", &pid]));
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let records = records(&stdout(&done));
    let samples = records.iter().filter(|record| record["kind"] == "tree");
    assert!(samples.clone().count() > 3, "{records:?}");
    assert_eq!(summary(&done)["exit"]["exit_code"], 9, "{}", summary(&done));
    assert_eq!(target.wait().expect("it ended").code(), Some(9));
}
