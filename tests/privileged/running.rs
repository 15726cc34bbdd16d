//! A running denet: its records are read meanwhile, and what its command used is measured from outside.
#![expect(unsafe_code, reason = "no safe crate here wraps wait4(2)")]

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use denet::sys::processes;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::processes::is_stopped;
use crate::support::wait::{wait_for, wait_until};
use crate::support::{Scratch, denet, records, stderr, stdout};

/// A running denet that writes its records into a file; its command may be waiting for stdin.
pub struct Watching {
    denet: Option<Child>,
    scratch: Scratch,
}

/// The result of a run.
pub struct Done {
    pub output: Output,
    pub records: Vec<Value>,
    /// CPU time of the children that denet waited for, an upper bound: what `wait4(2)` reports of denet and
    /// these, less what denet itself had used when it had ended.
    pub children_ns: u64,
}

impl Watching {
    /// denet attached to a process, which its first record shows.
    pub fn start(options: &[&str], target: &[&str]) -> Self {
        let scratch = Scratch::new();
        let mut command = denet(["--enable-ebpf", "--quiet", "--top", "0", "--out"]);
        command.arg(scratch.path("records")).args(options);
        let watching = Self::spawn(command.arg("attach").args(target), scratch);
        watching.wait_for("denet is attached", |records| records.first().map(|_| ()));
        watching
    }

    /// denet with a command; its stdin is ours.
    pub fn run(options: &[&str], command: &mut Command) -> Self {
        let scratch = Scratch::new();
        let mut denet = denet(["--quiet", "--out"]);
        denet.arg(scratch.path("records")).args(options);
        denet.args(["run", "--"]).arg(command.get_program());
        denet.args(command.get_args()).stdin(Stdio::piped());
        Self::spawn(&mut denet, scratch)
    }

    /// A command that becomes denet, and writes its records into `records` there.
    pub fn spawn(command: &mut Command, scratch: Scratch) -> Self {
        let errors = std::fs::File::create(scratch.path("stderr")).expect("room");
        let child = command.stdout(Stdio::null()).stderr(errors).spawn();
        Self {
            denet: Some(child.expect("denet starts")),
            scratch,
        }
    }

    fn child(&mut self) -> &mut Child {
        self.denet.as_mut().expect("not yet waited for")
    }

    /// Process id of denet.
    pub fn id(&self) -> u32 {
        self.denet.as_ref().expect("not yet waited for").id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id() as i32), signal).expect("denet runs");
    }

    /// denet does nothing until SIGCONT.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        wait_until("denet is stopped", || is_stopped(self.id()));
    }

    /// Writes one byte to the command's stdin.
    pub fn go(&mut self) {
        use std::io::Write as _;
        let stdin = self.child().stdin.as_mut().expect("piped");
        stdin.write_all(b"x").expect("it is read");
    }

    /// The end of stdin.
    pub fn close(&mut self) {
        drop(self.child().stdin.take());
    }

    /// The records up to now.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.scratch.path("records")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        records(whole)
    }

    /// Something in the records, once it is there.
    pub fn wait_for<T>(&self, what: &str, mut found: impl FnMut(&[Value]) -> Option<T>) -> T {
        let pid = Pid::from_raw(self.id() as i32);
        wait_for(what, || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let ended = waitid(Id::Pid(pid), flags).expect("ours").pid().is_some();
            let found = found(&self.records());
            assert!(found.is_some() || !ended, "{what}: {}", self.errors());
            found
        })
    }

    /// Returns once a sample was recorded that was begun after this call: that is the second one, for the
    /// first may have been under way.
    pub fn wait_for_later_sample(&self) {
        let samples = |records: &[Value]| {
            let kinds = records.iter().map(|record| &record["kind"]);
            kinds
                .filter(|kind| *kind == "tree" || *kind == "sample")
                .count()
        };
        let before = samples(&self.records());
        self.wait_for("two more samples", |records| {
            (samples(records) >= before + 2).then_some(())
        });
    }

    /// Returns once a sample shows this process.
    pub fn wait_for_process(&self, pid: u32) {
        self.wait_for("the process is seen", |records| {
            let mut members = records
                .iter()
                .filter_map(|record| record["children"].as_array());
            let seen = members.any(|members| members.iter().any(|member| member["pid"] == pid));
            seen.then_some(())
        });
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.scratch.path("stderr")).unwrap_or_default()
    }

    /// Waits for the end, after which no stdin is open.
    pub fn end(mut self) -> Done {
        self.close();
        let pid = self.id();
        // It is there until it is waited for.
        waitid(
            Id::Pid(Pid::from_raw(pid as i32)),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        )
        .expect("ours");
        let own_ns = processes::cpu_ns(pid).expect("it is still there");
        let (status, usage) = wait4(pid);
        let ns =
            |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
        let all_ns = ns(usage.ru_utime) + ns(usage.ru_stime);
        self.denet = None;
        let text = std::fs::read_to_string(self.scratch.path("records")).unwrap_or_default();
        let output = Output {
            status,
            stdout: text.into_bytes(),
            stderr: self.errors().into_bytes(),
        };
        Done {
            records: records(&stdout(&output)),
            output,
            children_ns: all_ns.saturating_sub(own_ns) + RUSAGE_NS,
        }
    }
}

impl Done {
    /// The last record.
    pub fn summary(&self) -> &Value {
        let last = self.records.last();
        let last = last.filter(|record| record["kind"] == "summary");
        last.unwrap_or_else(|| unreachable!("no summary: {}", stderr(&self.output)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(mut denet) = self.denet.take() {
            let _ = denet.kill();
            let _ = denet.wait();
        }
    }
}

/// `struct rusage` has two times, each truncated to a microsecond.
pub const RUSAGE_NS: u64 = 2000;

/// Status of an ended child, and what it used with its own children.
fn wait4(pid: u32) -> (ExitStatus, libc::rusage) {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid place for the answer.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values.
    let waited = unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) };
    assert_eq!(waited, pid as i32);
    (ExitStatus::from_raw(status), usage)
}

/// Runs a command to its end; returns its page faults without I/O.
pub fn faults_of(command: &mut Command) -> u64 {
    let (status, usage) = wait4(command.spawn().expect("it starts").id());
    assert!(status.success(), "{status}");
    usage.ru_minflt as u64
}

/// Page faults without I/O of this thread.
pub fn own_faults() -> u64 {
    // SAFETY: an all-zero rusage is a valid place for the answer.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a live place; RUSAGE_THREAD cannot fail with it.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    usage.ru_minflt as u64
}

/// The system call that a process sleeps in, and its first arguments; `None` while it runs.
pub fn sleeps_in(pid: u32) -> Option<(i64, Vec<u64>)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let argument = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    Some((number, words.map_while(argument).collect()))
}

/// Returns once a process sleeps in `read(2)`.
pub fn wait_until_reading(pid: u32) {
    wait_until("it waits for its stdin", || {
        sleeps_in(pid).is_some_and(|(number, _)| number == libc::SYS_read)
    });
}
