//! Calls that had begun when following did.
//!
//! The eBPF side marks each running task that it enters, and removes the mark at the task's next entry to a call or
//! return from one. What `/proc` shows of a thread before its mark is found unchanged is therefore the call that began
//! earlier. If such a call returns, the stream reports it, so each is reported once, whether `/proc` showed it or not.

use super::super::model::{BegunCall, InProgress};
use super::{Follower, Listening};
use crate::backends::stream::Earlier;
use crate::bpf::KernelError;
use crate::bpf::abi::{CALL_BEFORE, EXIT_PRIVATE, Task};
use crate::decode::syscalls::Call;
use crate::process::in_call::{self, Found, InCall};
use crate::process::sockets::Sockets;
use crate::process::stat::Stat;

/// What is known of such calls.
#[derive(Default)]
pub(super) struct Begun {
    /// Threads that may be in one: they ran, were stopped, or may not be examined.
    pending: Vec<Pending>,
    found: InProgress,
    sockets: Sockets,
    /// How much of memory is read for them, as in [`in_call::find`].
    shown: Option<usize>,
}

struct Pending {
    task: Task,
    /// CPU time outside the kernel when it was first examined.
    user_ticks: Option<u64>,
}

impl Begun {
    /// For a stream: what it reports of them; none for counting, which names the object of each.
    pub(super) fn new(earlier: Option<Earlier>) -> Self {
        let shown = match earlier {
            None => Some(0),
            Some(Earlier::Registers) => None,
            Some(Earlier::Memory(shown)) => Some(shown),
        };
        Self {
            shown,
            ..Self::default()
        }
    }
}

impl Follower {
    /// Finds the calls in progress of all threads that were entered by a walk.
    pub(super) fn look_at_calls(&mut self) -> Result<(), KernelError> {
        let is_counted = self.stream.is_none();
        let pending = &mut self.begun.pending;
        self.tables.each_live(|task| {
            if is_counted || task.call & CALL_BEFORE != 0 {
                pending.push(Pending {
                    task: *task,
                    user_ticks: stat_of(task).map(|stat| stat.ticks.user),
                });
            }
        })?;
        self.look_again();
        Ok(())
    }

    /// The same for the threads that were not waiting before.
    pub(super) fn look_again(&mut self) {
        for pending in std::mem::take(&mut self.begun.pending) {
            let task = &pending.task;
            let found = match task.exit_flags & EXIT_PRIVATE {
                0 => in_call::find(task.tgid, task.tid, self.begun.shown),
                _ => Err(std::io::ErrorKind::PermissionDenied.into()),
            };
            if !(self.tables.again(task)).is_some_and(|now| has_not_called(task, &now)) {
                continue;
            }
            match (found, &mut self.stream) {
                (Ok(Found::Outside), _) => {}
                (Ok(Found::InCall(call)), Some(Listening { consumer, .. })) => {
                    consumer.in_progress(task, &call);
                }
                (Ok(Found::InCall(call)), None) => {
                    let call = described(task, &call, &mut self.begun.sockets);
                    self.begun.found.calls.push(call);
                }
                (Ok(Found::NotWaiting) | Err(_), Some(_)) => self.begun.pending.push(pending),
                (Ok(Found::NotWaiting), None) => {}
                (Err(error), None) => {
                    tracing::debug!(task.tid, %error, "its call is not known");
                    self.begun.found.unseen += 1;
                }
            }
        }
    }

    /// Threads that may still be in a call that began earlier and was not shown.
    pub(super) fn unseen_calls(&mut self) -> u64 {
        self.look_again();
        let pending = self.begun.pending.iter();
        pending.filter(|it| may_be_in_call(it)).count() as u64
    }

    /// Calls that had begun when following did: they are not counted.
    pub(crate) fn in_progress(&self) -> &InProgress {
        &self.begun.found
    }
}

/// A thread that has not entered a call or returned from one since; its memory is still the user's to read.
fn has_not_called(before: &Task, now: &Task) -> bool {
    now.call == before.call
        && now.cells.iter().all(|cell| *cell == 0)
        && (now.exit_flags ^ before.exit_flags) & EXIT_PRIVATE == 0
}

fn stat_of(task: &Task) -> Option<Stat> {
    let stat = std::fs::read(format!("/proc/{}/task/{}/stat", task.tgid, task.tid));
    Stat::parse(&stat.ok()?)
}

/// Not if it is stopped (a stop ends a call), or has run outside the kernel since: its call would have been seen to
/// return before that.
fn may_be_in_call(pending: &Pending) -> bool {
    stat_of(&pending.task).is_none_or(|now| {
        let is_stopped = matches!(now.state, 'T' | 't');
        let has_run_outside = pending.user_ticks.is_some_and(|then| now.ticks.user > then);
        !is_stopped && !has_run_outside
    })
}

fn described(task: &Task, call: &InCall, sockets: &mut Sockets) -> BegunCall {
    let (abi, nr) = (call.abi, call.nr);
    let comm = std::fs::read(format!("/proc/{}/task/{}/comm", task.tgid, task.tid));
    let comm = comm.unwrap_or_default();
    BegunCall {
        pid: task.tgid,
        tid: task.tid,
        command: String::from_utf8_lossy(comm.trim_ascii_end()).into_owned(),
        name: Call { abi, nr }.describe().0,
        object: call.object(task.tgid, task.tid, sockets),
    }
}
