//! The maps that hold the counts, as user space reads and seeds them.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use aya::maps::{HashMap, Map, MapData, RingBuf};

use super::abi::{Control, SpillKey, Task};
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
    claims: HashMap<MapData, u32, u32>,
    overflow: HashMap<MapData, u64, Task>,
    spill: HashMap<MapData, SpillKey, u64>,
    ended: RingBuf<MapData>,
    control: Mapping<Control>,
    // Name and descriptor of every map, for the account of memory.
    descriptors: Vec<(String, RawFd)>,
    // Mapped, or used by the kernel side alone; kept for their account of memory.
    _others: Vec<MapData>,
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
            _others: maps.into_values().chain([slot_map, control_map]).collect(),
        })
    }

    /// Follows a task that the kernel side did not see begin.
    ///
    /// Fails if its slot is taken: to be called while nothing, or only this, is followed.
    pub(crate) fn enroll(&mut self, task: KernelTask, now_ns: u64) -> Result<(), KernelError> {
        let slot = self.slot_of(task.regs);
        self.claims
            .insert(slot as u32, task.tid, BPF_NOEXIST)
            .map_err(|error| failed("denet_claims", io::Error::other(error)))?;
        let described = Task {
            regs: task.regs,
            tid: task.tid,
            tgid: task.tgid,
            start_ns: now_ns,
            process_start_ns: now_ns,
            ..Task::FREE
        };
        self.slots.write(slot, described);
        Ok(())
    }

    /// Forgets a task that [`Tables::enroll`] followed, and all its counts.
    pub(crate) fn dismiss(&mut self, task: KernelTask) -> Result<(), KernelError> {
        let slot = self.slot_of(task.regs);
        self.slots.write(slot, Task::FREE);
        self.claims
            .remove(&(slot as u32))
            .map_err(|error| failed("denet_claims", io::Error::other(error)))
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

    /// Sets the first count of tasks: those that user space enrolled.
    pub(crate) fn set_started(&self, tasks: u64) {
        self.control_word(std::mem::offset_of!(Control, tasks_started))
            .store(tasks, Ordering::SeqCst);
    }

    /// From now on the kernel wakes us at each end of a task.
    pub(crate) fn wake_on_exit(&self) {
        self.control_word(std::mem::offset_of!(Control, wake_on_exit))
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

    /// Hands over every ended task that waits in the ring buffer.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&Task)) {
        while let Some(record) = self.ended.next() {
            if let Some(task) = Task::from_bytes(&record) {
                each(&task);
            }
        }
    }

    /// Hands over every task that has not ended.
    pub(crate) fn each_live(&self, mut each: impl FnMut(&Task)) -> Result<(), KernelError> {
        for slot in 0..self.slots.len() {
            let task = self.slots.read(slot);
            if task.regs != 0 {
                each(&task);
            }
        }
        for entry in self.overflow.iter() {
            let (_, task) =
                entry.map_err(|error| failed("denet_overflow", io::Error::other(error)))?;
            each(&task);
        }
        Ok(())
    }

    /// Hands over every count that found no cell.
    pub(crate) fn each_spilled(
        &self,
        mut each: impl FnMut(SpillKey, u64),
    ) -> Result<(), KernelError> {
        for entry in self.spill.iter() {
            let (key, count) =
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

fn failed(map: &str, source: io::Error) -> KernelError {
    KernelError::new(map, source)
}

fn memlock(fdinfo: &str) -> Option<u64> {
    let line = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))?;
    line.trim().parse().ok()
}
