//! The followed threads, and what the descriptors of their processes refer to.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use crate::bpf::abi::{Event, FILES_SHARED, Fork, Task};
use crate::decode::call::Call;
use crate::decode::descriptors::Descriptors;
use crate::decode::descriptors::calls::splits;
use crate::sys::account;

/// `O_CLOEXEC`, as `/proc/PID/fdinfo` writes it.
const CLOSE_ON_EXEC: u32 = libc::O_CLOEXEC as u32;

/// Live threads, their processes, and what these have open.
#[derive(Default)]
pub(super) struct Followed {
    threads: HashMap<u32, Thread>,
    members: HashMap<u32, u32>,
    descriptors: Descriptors,
    // When the descriptors of a process were read, CLOCK_MONOTONIC.
    read_ns: HashMap<u32, u64>,
}

#[derive(Clone, Copy)]
struct Thread {
    tgid: u32,
    // Records that the eBPF program sent for it, with lost ones.
    events: u64,
    // The same without calls that are sent only for their effect on descriptors.
    reported: u64,
}

impl Followed {
    /// Adds followed tasks; some may be known already.
    pub(super) fn add(&mut self, live: &[Task]) {
        for task in live {
            let is_new = !self.members.contains_key(&task.tgid);
            self.meet(task.tid, task.tgid);
            if is_new {
                self.read_descriptors(task.tgid);
            }
        }
    }

    /// Adds a thread, unless it is known.
    pub(super) fn meet(&mut self, tid: u32, tgid: u32) {
        if self
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.tgid == tgid)
        {
            return;
        }
        self.ended(tid);
        let thread = Thread {
            tgid,
            events: 0,
            reported: 0,
        };
        self.threads.insert(tid, thread);
        *self.members.entry(tgid).or_default() += 1;
    }

    /// The number of an event among the reported ones of its thread, from 1 on; a gap in the numbers shows how many
    /// were lost. An event that is not reported gets the number of the previous one.
    pub(super) fn number(&mut self, event: &Event, is_reported: bool) -> u64 {
        self.meet(event.tid, event.tgid);
        let Some(thread) = self.threads.get_mut(&event.tid) else {
            return 0;
        };
        let lost = event.seq.saturating_sub(thread.events + 1);
        thread.events = event.seq;
        thread.reported += lost + u64::from(is_reported);
        thread.reported
    }

    /// A thread or process began.
    pub(super) fn forked(&mut self, fork: &Fork) {
        let (parent, child) = (fork.head.tgid, fork.child_tgid);
        let was_read_since = self
            .read_ns
            .get(&child)
            .is_some_and(|read_ns| fork.child_start_ns < *read_ns);
        self.number(&fork.head, false);
        if child == fork.child_tid && !was_read_since {
            // The exit of an earlier process was lost, and its id is reused.
            self.forget(child);
            self.descriptors
                .started(parent, child, fork.files == FILES_SHARED);
        }
        self.meet(fork.child_tid, child);
    }

    /// A thread ended; returns whether it was known.
    pub(super) fn ended(&mut self, tid: u32) -> bool {
        let thread = self.threads.remove(&tid);
        if let Some(thread) = thread {
            self.leave(thread.tgid);
        }
        thread.is_some()
    }

    /// After `execve` the thread is the only one of its process, and has the id of the process.
    pub(super) fn executed(&mut self, tid: u32, tgid: u32) {
        if tid == tgid {
            return;
        }
        self.meet(tgid, tgid);
        if let Some(thread) = self.threads.get(&tid).copied() {
            self.threads.insert(tgid, thread);
            self.ended(tid);
        }
    }

    fn leave(&mut self, process: u32) {
        let Some(members) = self.members.get_mut(&process) else {
            return;
        };
        *members -= 1;
        if *members == 0 {
            self.members.remove(&process);
            self.forget(process);
        }
    }

    /// Discards what is known about the descriptors of a process.
    pub(super) fn forget(&mut self, process: u32) {
        self.descriptors.ended(process);
        self.read_ns.remove(&process);
    }

    /// The descriptors as of the beginning of a call, to be changed as of its end.
    pub(super) fn descriptors(&mut self, start_ns: u64, end_ns: u64) -> &mut Descriptors {
        self.descriptors.during(start_ns, end_ns);
        &mut self.descriptors
    }

    /// Since when the descriptors of a thread are known that was in this call before.
    pub(super) fn known_since(&self, event: &Event) -> u64 {
        let read_ns = self.read_ns.get(&event.tgid).copied();
        read_ns.unwrap_or_default().max(event.start_ns)
    }

    /// To be called after a call was decoded: descriptors may have stopped being shared.
    pub(super) fn called(&mut self, process: u32, call: &Call<'_>) {
        let has_others = self
            .members
            .get(&process)
            .is_some_and(|members| *members > 1);
        if has_others && splits(call) {
            self.descriptors.split(process);
        }
    }

    /// Reads the descriptors of a process, as far as possible.
    fn read_descriptors(&mut self, process: u32) {
        let folder = format!("/proc/{process}");
        let cwd = fs::read_link(format!("{folder}/cwd"));
        let mut open = Vec::new();
        let entries = fs::read_dir(format!("{folder}/fd")).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
            let (Some(fd), Ok(link)) = (number, fs::read_link(entry.path())) else {
                continue;
            };
            let info = fs::read_to_string(format!("{folder}/fdinfo/{fd}"));
            open.push((fd, link, info.is_ok_and(|info| closes_on_exec(&info))));
        }
        // They are not valid for calls that began before.
        let now_ns = account::monotonic_ns();
        self.descriptors.during(now_ns, now_ns);
        if let Ok(cwd) = cwd {
            self.descriptors
                .seed_cwd(process, cwd.as_os_str().as_bytes());
        }
        for (fd, link, closes) in open {
            let link = link.as_os_str().as_bytes();
            self.descriptors.seed(process, fd, link, closes);
        }
        self.read_ns.insert(process, now_ns);
    }
}

fn closes_on_exec(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSE_ON_EXEC != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lasts_as_long_as_one_of_its_threads() {
        let mut followed = Followed::default();
        for tid in [10, 11, 11] {
            followed.meet(tid, 10);
        }
        followed.descriptors.seed(10, 1, b"/dev/null", false);
        assert!(followed.ended(10));
        assert!(followed.descriptors.name(10, 1).is_some());
        assert!(followed.ended(11) && !followed.ended(11));
        assert!(followed.descriptors.name(10, 1).is_none());
    }

    #[test]
    fn a_thread_that_executes_has_its_process_number() {
        let mut followed = Followed::default();
        followed.meet(10, 10);
        followed.meet(11, 10);
        followed.descriptors.seed(10, 1, b"/dev/null", false);
        followed.ended(10);
        followed.executed(11, 10);
        assert!(!followed.ended(11));
        assert!(followed.descriptors.name(10, 1).is_some());
    }

    #[test]
    fn numbers_have_gaps_where_something_was_lost() {
        let mut followed = Followed::default();
        let mut number = |seq, is_reported| {
            let event = Event {
                kind: 0,
                seq,
                thread_start_ns: 1,
                start_ns: 1,
                end_ns: 1,
                tid: 5,
                tgid: 5,
            };
            followed.number(&event, is_reported)
        };
        let numbers: Vec<_> = [(1, true), (2, false), (3, true), (6, true), (7, true)]
            .map(|(seq, is_reported)| number(seq, is_reported))
            .into();
        assert_eq!(numbers, [1, 1, 2, 5, 6]);
    }

    #[test]
    fn flags_of_descriptors_are_octal() {
        assert!(closes_on_exec("pos:\t0\nflags:\t02100002\nmnt_id:\t15\n"));
        assert!(!closes_on_exec("pos:\t0\nflags:\t0100002\nmnt_id:\t15\n"));
        assert!(!closes_on_exec("none"));
    }
}
