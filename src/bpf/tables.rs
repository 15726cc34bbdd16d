//! The maps that hold the counts, as user space reads and seeds them.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use aya::maps::{HashMap, Map, MapData, RingBuf};

use zerocopy::FromBytes as _;

use super::abi::{
    Control, EXIT_WAITING, Freed, Plain, RECORD_KINDS, RECORD_LOOK, RECORD_USAGE, SpillKey, Task,
};
use super::calibrate::KernelTask;
use super::kernel::KernelError;
use super::object::Maps;
use crate::sys::mapping::Mapping;

const BPF_NOEXIST: u64 = 1;

/// What one map costs the kernel.
#[derive(Clone, Debug)]
pub(crate) struct MapMemory {
    pub(crate) name: String,
    /// `None` where the kernel does not say.
    pub(crate) bytes: Option<u64>,
}

/// All maps of the syscall profile.
pub(crate) struct Tables {
    slots: Mapping<Task>,
    claims: HashMap<MapData, u32, u64>,
    wanted: HashMap<MapData, u32, u32>,
    overflow: HashMap<MapData, u64, Plain<Task>>,
    spill: HashMap<MapData, Plain<SpillKey>, u64>,
    ended: RingBuf<MapData>,
    control: Mapping<Control>,
    // Name and descriptor of every map, for the account of memory.
    descriptors: Vec<(String, RawFd)>,
    // Used by the kernel side alone, or by who listens to a stream; kept for their account of memory.
    others: Maps,
    _mapped: [MapData; 2],
}

/// What waits in the ring buffer.
pub(crate) enum Record<'a> {
    /// A task has ended.
    Ended(&'a Task),
    /// A task was freed.
    Freed(&'a Freed),
    /// A stream tells of something; begins with an [`Event`](super::abi::Event).
    Event(&'a [u8]),
}

impl Tables {
    pub(crate) fn new(mut maps: Maps, slots: u32) -> Result<Self, KernelError> {
        let mut descriptors: Vec<_> = maps
            .iter()
            .map(|(name, map)| (name.clone(), map.fd().as_fd().as_raw_fd()))
            .collect();
        descriptors.sort();
        let mut take = |name: &str| {
            maps.remove(name)
                .ok_or_else(|| failed(name, io::Error::other("not in the embedded objects")))
        };
        let slot_map = take("denet_slots")?;
        let control_map = take("denet_control")?;
        let other = |error| failed("maps", io::Error::other(error));
        Ok(Self {
            slots: Mapping::new(slot_map.fd().as_fd(), slots as usize)
                .map_err(|error| failed("denet_slots", error))?,
            claims: Map::HashMap(take("denet_claims")?)
                .try_into()
                .map_err(other)?,
            wanted: Map::HashMap(take("denet_wanted")?)
                .try_into()
                .map_err(other)?,
            overflow: Map::HashMap(take("denet_overflow")?)
                .try_into()
                .map_err(other)?,
            spill: Map::HashMap(take("denet_spill")?)
                .try_into()
                .map_err(other)?,
            ended: Map::RingBuf(take("denet_ended")?)
                .try_into()
                .map_err(other)?,
            control: Mapping::new(control_map.fd().as_fd(), 1)
                .map_err(|error| failed("denet_control", error))?,
            descriptors,
            others: maps,
            _mapped: [slot_map, control_map],
        })
    }

    /// Follows a task that the kernel side did not see begin.
    ///
    /// Fails if its slot is taken: to be called while nothing, or only this, is followed.
    pub(crate) fn enroll(&mut self, task: KernelTask, now_ns: u64) -> Result<(), KernelError> {
        let slot = self.slot_of(task.regs);
        self.claims
            .insert(slot as u32, task.regs, BPF_NOEXIST)
            .map_err(|error| failed("denet_claims", io::Error::other(error)))?;
        let words = [
            (offset_of!(Task, tid), ids_word(task.tid, task.tgid)),
            (offset_of!(Task, start_ns), now_ns),
            (offset_of!(Task, process_start_ns), now_ns),
            // The upper half is exit_flags.
            (offset_of!(Task, exit_status), u64::from(EXIT_WAITING) << 32),
            // Last: from here on the memory is this task's.
            (offset_of!(Task, regs), task.regs),
        ];
        for (offset, value) in words {
            self.slot_word(slot, offset).store(value, Ordering::Release);
        }
        Ok(())
    }

    /// Forgets a task that [`Tables::enroll`] followed, and all its counts.
    pub(crate) fn dismiss(&mut self, task: KernelTask) -> Result<(), KernelError> {
        let slot = self.slot_of(task.regs);
        for offset in (0..size_of::<Task>()).step_by(size_of::<u64>()) {
            // That one belongs to the slot: others are found by it.
            if offset != offset_of!(Task, displaced) {
                self.slot_word(slot, offset).store(0, Ordering::Release);
            }
        }
        self.claims
            .remove(&(slot as u32))
            .map_err(|error| failed("denet_claims", io::Error::other(error)))
    }

    fn slot_word(&self, slot: usize, offset: usize) -> &AtomicU64 {
        self.slots.word(slot * size_of::<Task>() + offset)
    }

    /// As `slot_of` in `ebpf/common.h`.
    fn slot_of(&self, regs: u64) -> usize {
        let hash = ((regs >> 14) as u32).wrapping_mul(0x9e37_79b1);
        (hash >> slot_shift(self.slots.len() as u32)) as usize
    }

    /// The kernel's own account.
    pub(crate) fn control(&self) -> Control {
        self.control.read(0)
    }

    /// The entry of the same task as it is now; `None` once it is gone.
    pub(crate) fn again(&self, task: &Task) -> Option<Task> {
        let same = |now: &Task| now.regs == task.regs && now.start_ns == task.start_ns;
        let slot = self.slots.read(self.slot_of(task.regs));
        let elsewhere = || {
            self.overflow
                .get(&task.regs, 0)
                .ok()
                .map(|Plain(task)| task)
        };
        Some(slot).filter(same).or_else(elsewhere).filter(same)
    }

    /// The kernel tells of its end just now, or has: what was read of it before may be torn.
    pub(crate) fn is_ending(&self, task: &Task) -> bool {
        let slot = self.slot_of(task.regs);
        let word = |offset| self.slot_word(slot, offset).load(Ordering::Acquire);
        if word(offset_of!(Task, regs)) == task.regs {
            return word(offset_of!(Task, end_ns)) != 0;
        }
        self.again(task).is_none_or(|now| now.end_ns != 0)
    }

    /// Sets the first count of tasks: those that user space enrolled.
    pub(crate) fn set_started(&self, tasks: u64) {
        self.control_word(offset_of!(Control, tasks_started))
            .store(tasks, Ordering::SeqCst);
    }

    /// From now on the kernel wakes us at each end of a task.
    pub(crate) fn wake_on_exit(&self) {
        self.control_word(offset_of!(Control, wake_on_exit))
            .store(1, Ordering::SeqCst);
        // The kernel side adds to tasks_ended and then reads the flag; the reader of tasks_ended
        // that follows must not overtake this store, or both could miss each other.
        fence(Ordering::SeqCst);
    }

    fn control_word(&self, offset: usize) -> &AtomicU64 {
        self.control.word(offset)
    }

    /// Followed tasks that have not ended.
    pub(crate) fn live(&self) -> u64 {
        let control = self.control();
        control.tasks_started.saturating_sub(control.tasks_ended)
    }

    /// Hands over what waits in the ring buffer, up to that many records. Whether that was all.
    pub(crate) fn drain(&mut self, at_most: usize, mut each: impl FnMut(Record<'_>)) -> bool {
        for _ in 0..at_most {
            let Some(record) = self.ended.next() else {
                return true;
            };
            let kind = record.first_chunk().map(|word| u64::from_ne_bytes(*word));
            match kind {
                None | Some(RECORD_LOOK) => {}
                Some(RECORD_USAGE) => {
                    if let Ok(freed) = Freed::read_from_bytes(&record) {
                        each(Record::Freed(&freed));
                    }
                }
                Some(..RECORD_KINDS) => each(Record::Event(&record)),
                Some(_) => {
                    if let Some(task) = Task::from_bytes(&record) {
                        each(Record::Ended(&task));
                    }
                }
            }
        }
        false
    }

    /// A map that only the programs of a stream know.
    pub(crate) fn take(&mut self, name: &str) -> Option<MapData> {
        self.others.remove(name)
    }

    /// Lets the next walk over all tasks follow those of these processes.
    pub(crate) fn want(&mut self, tgids: &BTreeSet<u32>) -> Result<(), KernelError> {
        for tgid in tgids {
            self.wanted
                .insert(tgid, 1, 0)
                .map_err(|error| failed("denet_wanted", io::Error::other(error)))?;
        }
        Ok(())
    }

    /// Lets no walk do so any more: somebody else may get such an id.
    pub(crate) fn want_no_longer(&mut self, tgids: &BTreeSet<u32>) -> Result<(), KernelError> {
        for tgid in tgids {
            self.wanted
                .remove(tgid)
                .map_err(|error| failed("denet_wanted", io::Error::other(error)))?;
        }
        Ok(())
    }

    /// Forgets a task that was followed and has ended unseen, and all its counts.
    pub(crate) fn forget(&mut self, task: &Task) -> Result<(), KernelError> {
        let slot = self.slot_of(task.regs);
        let there = self.slots.read(slot);
        if there.regs == task.regs && there.start_ns == task.start_ns {
            let (tid, tgid, regs) = (task.tid, task.tgid, task.regs);
            self.dismiss(KernelTask { tid, tgid, regs })?;
        } else if self.overflow.remove(&task.regs).is_ok() {
            self.slot_word(slot, offset_of!(Task, displaced))
                .fetch_sub(1, Ordering::SeqCst);
        } else {
            return Ok(());
        }
        self.control_word(offset_of!(Control, tasks_ended))
            .fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// tgid and start of the process of each task that has not ended: a few words of each.
    pub(crate) fn each_live_process(&self, mut each: impl FnMut(u32, u64)) {
        let word = |slot, offset| self.slot_word(slot, offset).load(Ordering::Acquire);
        let regs = offset_of!(Task, regs);
        let ids = offset_of!(Task, tid);
        let started = offset_of!(Task, process_start_ns);
        for slot in 0..self.slots.len() {
            if word(slot, regs) != 0 {
                each((word(slot, ids) >> 32) as u32, word(slot, started));
            }
        }
        for (_, Plain(task)) in self.overflow.iter().flatten() {
            each(task.tgid, task.process_start_ns);
        }
    }

    /// Hands over every task that has not ended.
    pub(crate) fn each_live(&self, mut each: impl FnMut(&Task)) -> Result<(), KernelError> {
        let regs = offset_of!(Task, regs);
        for slot in 0..self.slots.len() {
            // Most are free, and a task is large.
            if self.slot_word(slot, regs).load(Ordering::Acquire) != 0 {
                let task = self.slots.read(slot);
                if task.regs != 0 {
                    each(&task);
                }
            }
        }
        // Where a key is deleted while it is asked what follows, the kernel begins again with the first.
        let mut seen = HashSet::new();
        for entry in self.overflow.iter() {
            let (_, Plain(task)) =
                entry.map_err(|error| failed("denet_overflow", io::Error::other(error)))?;
            if seen.insert((task.regs, task.start_ns)) {
                each(&task);
            }
        }
        Ok(())
    }

    /// Hands over every count that found no cell.
    pub(crate) fn each_spilled(
        &self,
        mut each: impl FnMut(SpillKey, u64),
    ) -> Result<(), KernelError> {
        for entry in self.spill.iter() {
            let (Plain(key), count) =
                entry.map_err(|error| failed("denet_spill", io::Error::other(error)))?;
            each(key, count);
        }
        Ok(())
    }

    /// What each map costs the kernel, from `/proc/self/fdinfo`.
    pub(crate) fn memory(&self) -> Vec<MapMemory> {
        let describe = |(name, fd): &(String, RawFd)| MapMemory {
            name: name.clone(),
            bytes: std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))
                .ok()
                .and_then(|text| memlock(&text)),
        };
        self.descriptors.iter().map(describe).collect()
    }
}

impl AsFd for Tables {
    /// Readable when the kernel woke us: ended tasks wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

/// What the programs are told of the number of slots, a power of two.
pub(crate) fn slot_shift(slots: u32) -> u32 {
    32 - slots.ilog2()
}

/// Both as they lie in one word of the mapping.
fn ids_word(tid: u32, tgid: u32) -> u64 {
    u64::from(tgid) << 32 | u64::from(tid)
}

fn failed(map: &str, source: io::Error) -> KernelError {
    KernelError::new(map, source)
}

fn memlock(fdinfo: &str) -> Option<u64> {
    let line = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))?;
    line.trim().parse().ok()
}
