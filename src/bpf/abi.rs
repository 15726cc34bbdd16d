//! The Rust mirror of `ebpf/abi.h`. `tests/contract.rs` compares every size and offset with clang's.

/// Counters in a task's own table.
pub const CELLS: usize = 64;
/// Bits of a cell that hold its key; the count stands above them.
pub const CELL_KEY_BITS: u32 = 10;
/// Syscall numbers from here on have no cell and go to the spill map.
pub const CELL_NR_LIMIT: u32 = 512;
/// Set in a cell's key when the call came through the 32-bit entry.
pub const CELL_COMPAT: u32 = CELL_NR_LIMIT;
/// Bytes of a `task_struct` that a sample holds.
pub const SAMPLE_BYTES: usize = 8192;
/// Samples that are taken.
pub const SAMPLES: usize = 3;
/// First argument that makes the sampling program take a sample.
pub const SAMPLE_COOKIE: u64 = 0x64_656e_6574;

/// `struct denet_task`: a followed task and what it called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its identity while it lives: the kernel address of its `pt_regs`; 0 in a free slot.
    pub regs: u64,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Thread-group id (the process) in the initial pid namespace.
    pub tgid: u32,
    /// `CLOCK_MONOTONIC` when the task was created.
    pub start_ns: u64,
    /// `start_ns` of the task that began the process: with `tgid`, the identity of the process.
    pub process_start_ns: u64,
    /// `CLOCK_MONOTONIC` when the task ended, 0 while it lives.
    pub end_ns: u64,
    /// Its name, NUL-padded.
    pub comm: [u8; 16],
    /// Of a slot: followed tasks that belong there and are kept elsewhere.
    pub displaced: u64,
    /// `count << CELL_KEY_BITS | key`; 0 is a free cell.
    pub cells: [u64; CELLS],
}

/// `struct denet_spill_key`: whose count it is, and of what.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SpillKey {
    /// See [`Task::process_start_ns`].
    pub process_start_ns: u64,
    /// See [`Task::tgid`].
    pub tgid: u32,
    /// Syscall number, any value at all.
    pub nr: i32,
    /// 1 when the call came through the 32-bit entry.
    pub compat: u32,
    /// Padding.
    pub _pad: u32,
}

/// `struct denet_control`: what the kernel side keeps account of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Tasks followed so far.
    pub tasks_started: u64,
    /// Followed tasks that ended.
    pub tasks_ended: u64,
    /// Calls that were seen and cannot be shown.
    pub lost_calls: u64,
    /// Tasks for which no memory was left: their calls are among `lost_calls`.
    pub tasks_without_memory: u64,
    /// Insertions that the full spill map refused.
    pub spill_full: u64,
    /// Ended tasks that found no room in the ring buffer: their calls are among `lost_calls`.
    pub records_lost: u64,
    /// Children that could not be identified or remembered, and are not followed.
    pub tasks_unfollowed: u64,
    /// Set by user space: wake it at each end of a task.
    pub wake_on_exit: u64,
}

/// `struct denet_sample`: a task as the kernel sees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sample {
    /// `bpf_get_current_pid_tgid()`: tgid above, tid below; 0 if no sample was taken.
    pub pid_tgid: u64,
    /// Where its `pt_regs` lie, as `sys_exit` was told; 0 if it was not seen there.
    pub regs: u64,
    /// The first bytes of its `task_struct`.
    pub task: [u8; SAMPLE_BYTES],
}

impl Sample {
    /// None was taken.
    pub(crate) const NONE: Self = Self {
        pid_tgid: 0,
        regs: 0,
        task: [0; SAMPLE_BYTES],
    };
}

/// `struct denet_smoke`: whose calls the smoke test counts, and how many there were.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Smoke {
    /// `bpf_get_current_pid_tgid()`: tgid above, tid below, in the initial pid namespace; 0 until learnt.
    pub caller: u64,
    /// Calls of the one syscall by that task.
    pub calls: u64,
}

// SAFETY: repr(C), integers only, no padding (tests/contract.rs), valid for every bit pattern.
unsafe impl aya::Pod for Task {}
// SAFETY: as above.
unsafe impl aya::Pod for SpillKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Control {}
// SAFETY: as above.
unsafe impl aya::Pod for Sample {}

impl Task {
    /// Reads a record of the ring buffer, which holds only the cells that are in use.
    ///
    /// `None` if it is shorter or longer than a task can be.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let lengths = std::mem::offset_of!(Self, cells)..=size_of::<Self>();
        if !lengths.contains(&bytes.len()) {
            return None;
        }
        let mut task = Self::FREE;
        // SAFETY: no longer than a task (checked), and every bit pattern is a valid one.
        unsafe {
            std::ptr::from_mut(&mut task)
                .cast::<u8>()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Some(task)
    }

    /// An all-zero task: a free slot.
    pub const FREE: Self = Self {
        regs: 0,
        tid: 0,
        tgid: 0,
        start_ns: 0,
        process_start_ns: 0,
        end_ns: 0,
        comm: [0; 16],
        displaced: 0,
        cells: [0; CELLS],
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_a_task_has_calls() {
        let header = std::mem::offset_of!(Task, cells);
        let mut record = vec![0; header + 8];
        record[header] = 0x27;
        record[8] = 7;
        let read = Task::from_bytes(&record);
        assert_eq!(
            read.map(|task| (task.tid, task.cells[0], task.cells[1])),
            Some((7, 0x27, 0))
        );
        assert!(Task::from_bytes(&record[..header - 8]).is_none());
        assert!(Task::from_bytes(&vec![0; size_of::<Task>() + 8]).is_none());
    }
}
