//! What another process is doing, read from /proc: events to wait for instead of lengths of time.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::wait::{wait_for, wait_until};

/// The letter of its state; none once it has been waited for.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, parentheses too.
    stat.rsplit(") ").next()?.chars().next()
}

/// Whether or not its parent has waited for it.
pub fn has_ended(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

/// Ended, and waited for by its parent.
pub fn is_gone(pid: u32) -> bool {
    state(pid).is_none()
}

pub fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Blocked in this system call, under this name.
pub fn blocks_in(pid: u32, name: &str, call: libc::c_long) -> bool {
    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let number = call.to_string();
    state(pid) == Some('S')
        && read("comm").trim_end() == name
        && read("syscall").split(' ').next() == Some(&number)
}

/// Whether a signal was sent to it that is still pending.
pub fn has_pending_signal(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut sets = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:")
            .or(line.strip_prefix("ShdPnd:"))
    });
    sets.any(|set| set.trim().chars().any(|digit| digit != '0'))
}

/// Asleep, with every signal handled that was sent so far.
pub fn is_at_rest(pid: u32) -> bool {
    !has_pending_signal(pid) && state(pid) == Some('S')
}

/// The process id that a script writes into a file, once it is there.
pub fn pid_in(file: &Path) -> u32 {
    wait_for("a process id is written", || {
        let text = fs::read_to_string(file).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

/// Killed when the test ends, however it does.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that lives as long as this does: it reads a pipe that stays empty.
pub struct Blocked(Killed);

impl Blocked {
    pub fn start() -> Self {
        let child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        let blocked = Self(Killed(child));
        let pid = blocked.id();
        wait_until("cat reads", || blocks_in(pid, "cat", libc::SYS_read));
        blocked
    }

    pub fn id(&self) -> u32 {
        self.0.0.id()
    }

    pub fn is_alive(&self) -> bool {
        !has_ended(self.id())
    }
}
