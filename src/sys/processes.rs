//! Other processes, as the kernel tells of them without `/proc`: their CPU clocks, and their end.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// CPU time of a process in nanoseconds: of all its threads, those that ended included, up to now.
///
/// `clock_gettime(2)` on the process' own clock (`clock_getcpuclockid(3)`): anybody may read it, and
/// it is as exact as the scheduler itself, where `/proc/PID/stat` counts hundredths of a second.
///
/// # Errors
/// EINVAL if there is no such process.
pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    // CPUCLOCK_SCHED (include/linux/posix-timers.h), of the whole process.
    const SCHED: libc::clockid_t = 2;
    let clock = (!(pid as libc::clockid_t) << 3) | SCHED;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a live place for the answer.
    match unsafe { libc::clock_gettime(clock, &mut time) } {
        0 => Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor that stands for a process, whoever gets its id later; readable once it has ended.
///
/// # Errors
/// What `pidfd_open(2)` answers: ESRCH if there is no such process, EINVAL if it is a thread.
pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid as i32).ok_or(Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether the kernel would let this process trace that one (`ptrace_may_access`,
/// PTRACE_MODE_READ_REALCREDS): `get_robust_list(2)` checks exactly that, and changes nothing.
///
/// # Errors
/// ESRCH if there is no such process.
pub(crate) fn may_trace(pid: u32) -> io::Result<bool> {
    let mut head: usize = 0;
    let mut length: usize = 0;
    // SAFETY: live places for both answers.
    let asked = unsafe {
        libc::syscall(
            libc::SYS_get_robust_list,
            pid as libc::pid_t,
            &raw mut head,
            &raw mut length,
        )
    };
    match asked {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EPERM) => Ok(false),
            error => Err(error),
        },
    }
}

/// Whether there is such a thread, whosever it is; one that has ended may still be there.
pub(crate) fn thread_exists(tgid: u32, tid: u32) -> bool {
    let (tgid, tid) = (tgid as libc::pid_t, tid as libc::pid_t);
    // SAFETY: signal 0 is sent to nobody; the kernel only looks.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Hundredths of a second, as a rule: the unit of times in `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let ticks = ticks.and_then(|ticks| u64::try_from(ticks).ok());
    ticks.unwrap_or(100).max(1)
}

/// Lets this process open as many files as its hard limit allows; returns how many that are.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 0;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_process_runs_with_its_work_and_ends_with_it() {
        let own = std::process::id();
        let before = cpu_ns(own).unwrap();
        // Each read uses CPU time.
        assert!((0..1_000_000).any(|_| cpu_ns(own).unwrap() > before));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(cpu_ns(pid).is_err());
        assert!(pidfd(pid).is_err());
    }
}
