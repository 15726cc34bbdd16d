//! Time, processes and what they cost, as the kernel accounts for them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use rustix::thread::{MembarrierCommand, membarrier};

use super::clock;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// What ended processes used, as `getrusage(2)` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub(crate) user: Duration,
    /// CPU time in the kernel.
    pub(crate) system: Duration,
    /// Peak resident memory of the largest process, in KiB.
    pub max_rss_kb: u64,
    /// Page faults served without I/O.
    pub(crate) minor_faults: u64,
    /// Page faults that waited for I/O.
    pub(crate) major_faults: u64,
    /// 512-byte blocks read from storage.
    pub(crate) blocks_in: u64,
    /// 512-byte blocks written to storage.
    pub(crate) blocks_out: u64,
}

impl Usage {
    /// Adds what another process used; memory is that of the larger one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.user += other.user;
        self.system += other.system;
        self.max_rss_kb = self.max_rss_kb.max(other.max_rss_kb);
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.blocks_in += other.blocks_in;
        self.blocks_out += other.blocks_out;
    }

    /// CPU time altogether.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

/// A child that ended, with what it and its waited-for descendants used.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which child.
    pub pid: Pid,
    pub(crate) exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// What came of looking for ended children.
#[derive(Debug)]
pub enum Reaped {
    /// One ended.
    Child(Ended),
    /// Children live, none has ended.
    NoneYet,
    /// There are no children.
    NoChildren,
}

/// A child that has ended and was not waited for, which it still is not.
pub(crate) fn next_ended() -> Option<Pid> {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags).ok()?.pid()
}

/// Whether this child was stopped since last asked, or has continued: true while it is stopped. `None` if neither.
pub(crate) fn stopped_or_continued(child: Pid) -> Option<bool> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(child), flags).ok()? {
        WaitStatus::Stopped(..) => Some(true),
        WaitStatus::Continued(_) => Some(false),
        _ => None,
    }
}

/// Whether this child has ended.
pub(crate) fn has_ended(child: Pid) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(child), flags).is_ok_and(|status| status.pid().is_some())
}

/// Takes one ended child from the kernel, without waiting.
///
/// # Errors
/// What `wait4(2)` answers, ECHILD excepted.
pub fn reap() -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid place for the answer.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values.
    let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
    match pid {
        0 => Ok(Reaped::NoneYet),
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Reaped::NoChildren),
            error => Err(error),
        },
        pid => Ok(Reaped::Child(Ended {
            pid: Pid::from_raw(pid),
            exit: exit_of(status),
            usage: usage_of(&usage),
        })),
    }
}

/// Of a wait status.
pub(crate) fn exit_of(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// CPU time that this process used so far, also for what it executed before.
pub fn own_cpu() -> Duration {
    // It cannot fail with RUSAGE_SELF.
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(Duration::ZERO, |usage| usage_of(usage.as_ref()).cpu())
}

/// What children of this process used that ended and were waited for, theirs included.
pub fn usage_of_children() -> Usage {
    // It cannot fail with RUSAGE_CHILDREN.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN);
    usage.map_or_else(|_| Usage::default(), |usage| usage_of(usage.as_ref()))
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.max(0) as u64)
            + Duration::from_micros(time.tv_usec.max(0) as u64)
    };
    let count = |count: libc::c_long| count.max(0) as u64;
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_rss_kb: count(usage.ru_maxrss),
        minor_faults: count(usage.ru_minflt),
        major_faults: count(usage.ru_majflt),
        blocks_in: count(usage.ru_inblock),
        blocks_out: count(usage.ru_oublock),
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, as the kernel itself and so the eBPF side counts, in any time namespace.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a live place; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let here = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    (here - clock::added().monotonic_ns) as u64
}

/// A system call that does next to nothing.
pub fn trivial_syscall() {
    // SAFETY: takes no argument, cannot fail. Straight to the kernel, past any cache of libc's.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Bursts of such calls that are timed together.
pub(crate) const BURSTS: usize = 8;

/// Nanoseconds of one such call, now, in each of some bursts: other work on the machine only adds.
pub(crate) fn syscall_ns() -> [f64; BURSTS] {
    const CALLS: u32 = 250;
    let burst = |_| {
        let start = monotonic_ns();
        (0..CALLS).for_each(|_| trivial_syscall());
        (monotonic_ns() - start) as f64 / f64::from(CALLS)
    };
    std::array::from_fn(burst)
}

/// Orphaned descendants become children of this process, until it ends.
///
/// # Errors
/// What `prctl(2)` answers.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Waits until whatever ran in the kernel on any CPU when this was called is through.
///
/// # Errors
/// Where the kernel has no `membarrier(2)`.
pub(crate) fn kernel_barrier() -> io::Result<()> {
    // It is a synchronize_rcu(), which waits for running eBPF programs too.
    Ok(membarrier(MembarrierCommand::Global)?)
}

/// Device and inode of this process' pid namespace, as `bpf_get_ns_current_pid_tgid` wants them.
///
/// # Errors
/// What `stat(2)` answers for `/proc/self/ns/pid`.
pub(crate) fn pid_namespace() -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata("/proc/self/ns/pid")?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether this process is in the initial pid namespace, whose ids `task_struct` contains.
pub(crate) fn in_initial_pid_namespace() -> bool {
    // PROC_PID_INIT_INO (include/linux/proc_ns.h)
    const INITIAL: &str = "pid:[4026531836]";
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == INITIAL)
}

/// Name of a live process; `None` once it is gone.
pub(crate) fn command_of(pid: u32) -> Option<Vec<u8>> {
    let mut name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    if name.ends_with(b"\n") {
        name.pop();
    }
    Some(name)
}
