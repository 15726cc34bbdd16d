//! A run in steps of one system call each, by ptrace.

use std::process::Child;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// Lets the parent trace: the process stops at its first instruction. Between fork and exec.
pub fn be_traced() -> std::io::Result<()> {
    // SAFETY: the request has no further arguments.
    match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Positions in a run, in syscall stops, independent of the machine's speed. By the thread that started it.
pub struct Steps {
    pid: i32,
    signal: i32,
}

impl Steps {
    /// Of a child that called `be_traced`.
    pub fn of(child: &Child) -> Self {
        let mut steps = Self {
            pid: child.id() as i32,
            signal: 0,
        };
        assert!(steps.has_stopped(), "at its first instruction");
        steps.signal = 0;
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        steps.request(libc::PTRACE_SETOPTIONS, options);
        steps
    }

    fn request(&self, request: libc::c_uint, data: i32) {
        // SAFETY: none of the requests used here reads or writes memory of this process.
        let done = unsafe { libc::ptrace(request, self.pid, 0, libc::c_long::from(data)) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Once it has stopped, or ended; a signal that stopped it is kept, to be delivered.
    fn has_stopped(&mut self) -> bool {
        let pid = Pid::from_raw(self.pid);
        let any = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        let next = waitid(Id::Pid(pid), any).expect("our child");
        if matches!(next, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            return false;
        }
        self.signal = match waitpid(pid, None).expect("our child") {
            WaitStatus::Stopped(_, signal) => signal as i32,
            _ => 0,
        };
        true
    }

    /// By so many stops, unless it ends before.
    pub fn advance(&mut self, stops: usize) {
        for _ in 0..stops {
            self.request(libc::PTRACE_SYSCALL, self.signal);
            if !self.has_stopped() {
                break;
            }
        }
    }

    pub fn release(self) {
        self.request(libc::PTRACE_DETACH, self.signal);
    }
}
