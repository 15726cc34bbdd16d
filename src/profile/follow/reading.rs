//! What was counted and told so far, and at the end.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::model::{Estimate, Losses, Snapshot};
use super::super::{Counts, EndedProcess, tally};
use super::freed::{FreedProcess, FreedUsage};
use super::took::{self, Took};
use super::{Cost, Follower, Listening, SETTLED};
use crate::backends::loader::Hook;
use crate::bpf::abi::Task;
use crate::bpf::calibrate::KernelTask;
use crate::bpf::tables::Record;
use crate::bpf::{KernelError, kernel};
use crate::process::accounts::Identity;
use crate::sys::account;

/// How often and after which pauses is looked again: for a record that is just being written, which takes the
/// kernel microseconds, unless its CPU is taken away; for a moment in which nobody else is on the core.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_micros(500);

/// Records that are taken in before somebody is told that they were.
const AT_ONCE: usize = 4096;
/// Signals and the end of the time wait no longer than this for records.
const LONGEST_DRAIN: Duration = Duration::from_millis(50);

/// Whose records were taken in: of each kernel stack who ended there last, by its start.
#[derive(Debug, Default)]
pub(super) struct Drained(HashMap<u64, u64>);

impl Drained {
    fn insert(&mut self, regs: u64, start_ns: u64) {
        self.0.insert(regs, start_ns);
    }

    /// Its slot may not be cleared yet, or its stack be somebody else's already, who has ended as well.
    fn has(&self, regs: u64, start_ns: u64) -> bool {
        self.0.get(&regs).is_some_and(|last| *last >= start_ns)
    }
}

/// A ring buffer is, as long as a record was begun that nobody has taken.
fn is_readable(ring: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(ring, PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|readable| readable > 0)
}

impl Follower {
    /// Processes that ended since last asked.
    pub(crate) fn take_ended(&mut self) -> Vec<EndedProcess> {
        self.tally.take_ended()
    }

    /// What tasks used that the kernel freed since last asked, by process.
    pub(crate) fn take_freed(&mut self) -> Vec<FreedProcess> {
        self.usage
            .as_mut()
            .map(FreedUsage::take)
            .unwrap_or_default()
    }

    /// Whether the kernel reports what tasks used.
    pub(crate) fn reports_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Processes of which tasks have ended, but are not freed yet, and how many tasks: most are zombies.
    pub(crate) fn unfreed(&self) -> HashMap<Identity, u32> {
        let usage = self.usage.as_ref();
        usage
            .map(|usage| usage.unfreed().clone())
            .unwrap_or_default()
    }

    /// Whether all tasks were followed, and all records of what they used have arrived or will.
    pub(crate) fn knows_all_usage(&self) -> bool {
        let skipped = self.usage.as_ref().and_then(FreedUsage::skipped);
        let lost = self.tables.control().usages_lost;
        tracing::debug!(lost, ?skipped, "reports of what tasks used");
        let followed = self.losses().is_ok_and(|losses| losses.none());
        followed && lost == 0 && skipped == Some(0)
    }

    /// Followed processes that live, each once.
    pub(crate) fn live_processes(&self) -> Vec<Identity> {
        let mut live = Vec::new();
        self.tables
            .each_live_process(|tgid, start_ns| live.push((tgid, start_ns)));
        live.sort_unstable();
        live.dedup();
        live
    }

    /// Syscalls so far; nothing is detached.
    pub(crate) fn counts(&mut self) -> Result<Counts, KernelError> {
        let mut live = Vec::new();
        self.tables.each_live(|task| live.push(*task))?;
        // Asked after it was copied: else the copy may be of cells that move.
        let is_ending = |task: &Task| self.tables.is_ending(task);
        let (mut ending, mut live): (Vec<_>, Vec<_>) = live.into_iter().partition(is_ending);
        // In this order nobody who ends meanwhile is left out.
        self.drain_whole();
        for _ in 0..TRIES {
            // Who is gone has left its record, or found no room for it: then its calls are lost ones.
            ending.retain(|task| !self.has_drained(task) && self.tables.again(task).is_some());
            if ending.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
            self.drain();
        }
        self.drain_whole();
        live.append(&mut ending);
        live.retain(|task| !self.has_drained(task));
        let mut counts = Counts {
            by_call: self.tally.by_call().clone(),
            losses: self.losses()?,
            ..Counts::default()
        };
        for task in &live {
            let mut total = 0;
            for cell in task.cells.iter().filter(|cell| **cell != 0) {
                let (call, count) = tally::read_cell(*cell);
                *counts.by_call.entry(call).or_default() += count;
                total += count;
            }
            if self.has_own_ids {
                *counts.by_process.entry(task.tgid).or_default() += total;
                *counts.by_thread.entry(task.tid).or_default() += total;
            }
        }
        self.tables.each_spilled(|key, count| {
            let call = tally::spilled(key);
            *counts.by_call.entry(call).or_default() += count;
        })?;
        Ok(counts)
    }

    fn losses(&self) -> Result<Losses, KernelError> {
        let control = self.tables.control();
        let mut skipped_runs = 0;
        for Hook { program, .. } in &self.hooks {
            skipped_runs += kernel::recursion_misses(program.fd.as_fd()).map_err(|source| {
                KernelError::new(format!("BPF_OBJ_GET_INFO_BY_FD {}", program.name), source)
            })?;
        }
        Ok(Losses {
            calls: control.lost_calls,
            map_full: control.tasks_without_memory + control.spill_full + control.tables_full,
            records: control.records_lost,
            unfollowed: control.tasks_unfollowed + self.unfollowed,
            skipped_runs,
            events: control.events_lost,
            unseen: 0,
        })
    }

    /// Nanoseconds of a call that is counted.
    pub(super) fn counted_ns(
        &mut self,
        own: KernelTask,
    ) -> Result<[f64; account::BURSTS], KernelError> {
        self.enroll(own)?;
        let counted_ns = account::syscall_ns();
        self.dismiss(own)?;
        Ok(counted_ns)
    }

    /// Takes in what waits in the ring buffer. Who is told of calls faster than he can write them down
    /// must not wait for the last of them: a stream is left after a moment.
    pub(crate) fn drain(&mut self) {
        let start = Instant::now();
        while !self.drain_some() {
            if self.stream.is_some() && start.elapsed() > LONGEST_DRAIN {
                break;
            }
        }
    }

    /// Takes in all that was written before: a record that some CPU has begun to write holds up those behind
    /// it, and that CPU may be taken away. Whether that was all.
    pub(crate) fn drain_whole(&mut self) -> bool {
        for _ in 0..TRIES {
            while !self.drain_some() {}
            if !is_readable(self.tables.as_fd()) {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }

    /// Takes in a part of what waits. Whether that was all.
    fn drain_some(&mut self) -> bool {
        let (tally, drained, usage) = (&mut self.tally, &mut self.drained, &mut self.usage);
        let Some(Listening { consumer, .. }) = &mut self.stream else {
            return self.tables.drain(AT_ONCE, |record| match record {
                Record::Ended(task) => {
                    drained.insert(task.regs, task.start_ns);
                    tally.add(task);
                    if let Some(usage) = usage {
                        usage.ended(task);
                    }
                }
                Record::Freed(freed) => {
                    if let Some(usage) = usage {
                        usage.freed(freed);
                    }
                }
                Record::Event(_) => {}
            });
        };
        let all = self.tables.drain(AT_ONCE, |record| match record {
            Record::Ended(task) => consumer.ended(task),
            Record::Event(bytes) => consumer.record(bytes),
            // A stream does not ask for it.
            Record::Freed(_) => {}
        });
        consumer.drained();
        all
    }

    /// When whoever listens to a stream is to be told that an interval is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stream.as_ref().map(|listening| listening.next)
    }

    /// Whoever listened to a stream has gone.
    pub(crate) fn is_unread(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|listening| listening.consumer.is_unread())
    }

    /// Takes in what waits, and tells whoever listens to a stream where an interval is over.
    pub(crate) fn tick(&mut self) {
        self.drain();
        if self.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.look_again();
        let losses = self.losses();
        let Some(listening) = &mut self.stream else {
            return;
        };
        match losses {
            Ok(losses) => listening.consumer.tick(&losses),
            Err(error) => tracing::debug!(%error, "what was lost so far is not known"),
        }
        listening.next = Instant::now() + listening.interval;
    }

    fn has_drained(&self, task: &Task) -> bool {
        self.drained.has(task.regs, task.start_ns)
    }

    /// From now on, no call is counted and no new task followed; the ends of those that are followed are still
    /// reported. Returns what counting added to a syscall, in nanoseconds, if that is known.
    pub(crate) fn stop_counting(&mut self) -> Option<Estimate> {
        if let Some(cost) = self.stopped {
            return cost;
        }
        let cost = self.detach_measuring();
        self.stopped = Some(cost);
        cost
    }

    /// Detaches what counts; before and after, the cost is measured once more, as the machine is now.
    fn detach_measuring(&mut self) -> Option<Estimate> {
        let Some(Cost { own, start }) = self.cost else {
            self.detach_all_but_ends();
            return None;
        };
        // While tasks live the slot may be somebody's.
        let counted_ns = match self.live() {
            0 => self.counted_ns(own).ok(),
            _ => None,
        };
        self.detach_all_but_ends();
        let mut end = Took {
            bare_ns: account::syscall_ns(),
            counted_ns: counted_ns.unwrap_or(start.counted_ns),
        };
        let mut added_ns = took::added_ns(&[start, end]);
        for _ in 0..TRIES {
            if added_ns.is_some() {
                break;
            }
            // Whoever is on the core may go.
            std::thread::sleep(PAUSE);
            let bare_ns = account::syscall_ns();
            if took::fastest(&bare_ns) < took::fastest(&end.bare_ns) {
                end.bare_ns = bare_ns;
            }
            added_ns = took::added_ns(&[start, end]);
        }
        tracing::debug!(?start, ?end, "a call of denet's own");
        added_ns
    }

    /// Detaches and reads everything: nothing is attached or followed afterwards. Returns also what
    /// counting added to a syscall, in nanoseconds, where that could be told.
    pub(crate) fn finish(mut self) -> Result<(Snapshot, Option<Estimate>), KernelError> {
        let unseen = self.unseen_calls();
        let ns_per_syscall = self.stop_counting();
        self.detach();
        if self.live() > 0 {
            // Programs that began before the links closed may still run for the tasks that live.
            if let Err(error) = account::kernel_barrier() {
                tracing::debug!(%error, "no membarrier, waiting instead");
                std::thread::sleep(SETTLED);
            }
        }
        let is_whole = self.drain_whole();
        let mut losses = Losses {
            unseen,
            ..self.losses()?
        };
        if !is_whole {
            // How many records are behind the one that is never finished is not known.
            losses.records += 1;
        }
        let Self {
            tables,
            mut tally,
            stream,
            has_own_ids,
            ..
        } = self;
        if let Some(mut listening) = stream {
            let mut live = Vec::new();
            tables.each_live(|task| live.push(*task))?;
            listening.consumer.finish(&losses, &live);
            return Ok((tally.finish(losses), ns_per_syscall));
        }
        if tables.live() > 0 {
            tables.each_live(|task| tally.add(task))?;
        }
        tables.each_spilled(|key, count| tally.add_spilled(key, count))?;
        let mut snapshot = tally.finish(losses);
        if !has_own_ids {
            snapshot.processes.iter_mut().for_each(|it| it.pid = 0);
        }
        // A task that lives may have renamed itself since the kernel side last looked.
        for process in snapshot
            .processes
            .iter_mut()
            .filter(|process| process.running && has_own_ids)
        {
            if let Some(name) = account::command_of(process.pid) {
                process.command = name[..].into();
            }
        }
        Ok((snapshot, ns_per_syscall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_the_stack_before_has_ended_as_well() {
        let mut drained = Drained::default();
        drained.insert(1, 10);
        assert!(drained.has(1, 10) && !drained.has(1, 20));
        drained.insert(1, 20);
        assert!(drained.has(1, 10) && drained.has(1, 20));
        assert!(!drained.has(1, 30) && !drained.has(2, 10));
    }
}
