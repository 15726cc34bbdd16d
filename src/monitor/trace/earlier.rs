//! Calls that had begun when their threads were followed.

use std::collections::HashMap;

use crate::bpf::abi::{CALL_BEFORE, Event, Task};
use crate::decode::call::Call;
use crate::process::in_call::InCall;
use crate::sys::account;

/// When a call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// While its thread was followed.
    Now,
    /// Earlier, and it was not shown while it was in progress.
    Earlier,
    /// Earlier, and it was shown.
    Shown,
}

/// Such a call as it was found in progress.
pub(super) struct Known {
    tid: u32,
    tgid: u32,
    pub(super) call: InCall,
    pub(super) is_shown: bool,
}

/// Those that have not returned, by when their threads began.
#[derive(Default)]
pub(super) struct Earlier(HashMap<u64, Known>);

impl Earlier {
    pub(super) fn insert(&mut self, task: &Task, call: &InCall, is_shown: bool) {
        let known = Known {
            tid: task.tid,
            tgid: task.tgid,
            call: call.clone(),
            is_shown,
        };
        self.0.insert(task.start_ns, known);
    }

    /// That of a thread that reports a call: the next one that it reports is that call's return, or a later one.
    pub(super) fn take(&mut self, head: &Event) -> Option<Known> {
        if self.0.is_empty() {
            return None;
        }
        let known = self.0.remove(&head.thread_start_ns)?;
        // One that executes a program from another thread has its process's id when that returns.
        let is_it = known.tid == head.tid || head.tid == head.tgid;
        (is_it && known.tgid == head.tgid).then_some(known)
    }

    /// Those that go on, with the head of a record.
    pub(super) fn unfinished(&mut self, live: &[Task]) -> Vec<(Event, Known)> {
        let now_ns = account::monotonic_ns();
        let goes_on = live.iter().filter(|task| task.call & CALL_BEFORE != 0);
        let unfinished = goes_on.filter_map(|task| {
            let head = Event {
                kind: 0,
                seq: 0,
                thread_start_ns: task.start_ns,
                start_ns: task.call & !CALL_BEFORE,
                end_ns: now_ns,
                tid: task.tid,
                tgid: task.tgid,
            };
            Some((head, self.0.remove(&task.start_ns)?))
        });
        unfinished.collect()
    }
}

/// The return to a process that was just forked: it has not called anything.
pub(super) fn is_new_process(call: &Call<'_>) -> bool {
    let forks = ["clone", "clone3", "fork", "vfork"];
    call.result == Some(0) && forks.contains(&call.name().as_str())
}
