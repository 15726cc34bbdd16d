//! The Rust mirror of `ebpf/abi.h`, as far as all programs share it; what one monitor adds is in its own folder.
//! `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

/// Counters in a task's own table.
pub const CELLS: usize = 64;
/// Bits of a cell that hold its key; the count is above them.
pub const CELL_KEY_BITS: u32 = 10;
/// Syscall numbers from here on have no cell and go to the spill map.
pub const CELL_NR_LIMIT: u32 = 512;
/// Set in a cell's key when the call came through the 32-bit entry.
pub const CELL_COMPAT: u32 = CELL_NR_LIMIT;
/// `exit_status` is known.
pub const EXIT_KNOWN: u32 = 1;
/// `exit_status` is that of the whole process, even if this is not its first thread.
pub const EXIT_OF_GROUP: u32 = 2;
/// No thread of the process is left.
pub const EXIT_LAST: u32 = 4;
/// The user may not trace it, so its memory is not read.
pub const EXIT_PRIVATE: u32 = 16;
/// It is denet's own stopped child, which executes the command: the arguments that it passes are the user's.
pub const EXIT_WAITING: u32 = 32;
/// In [`Task::call`]: the task may be in a call that began before it was followed.
pub const CALL_BEFORE: u64 = 1 << 63;
/// Bytes of a `task_struct` that a sample holds.
pub const SAMPLE_BYTES: usize = 8192;
/// Number of samples.
pub const SAMPLES: usize = 3;
/// First argument that makes the sampling program take a sample.
pub const SAMPLE_COOKIE: u64 = 0x64_656e_6574;

/// `struct denet_task`: a followed task and its calls.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Task {
    /// Its identity while it lives: the kernel address of its `pt_regs`; 0 in a free slot.
    pub regs: u64,
    /// Thread id in denet's pid namespace.
    pub tid: u32,
    /// Thread-group id (the process) in denet's pid namespace.
    pub tgid: u32,
    /// `CLOCK_MONOTONIC` when the task was created.
    pub start_ns: u64,
    /// `start_ns` of the task that began the process: with `tgid`, the identity of the process.
    pub process_start_ns: u64,
    /// `CLOCK_MONOTONIC` when the task ended, 0 while it lives.
    pub end_ns: u64,
    /// Its wait status, after it has ended.
    pub exit_status: u32,
    /// What is known about its exit: [`EXIT_KNOWN`] and so on; 0 if the kernel has no BTF, or if not requested.
    pub exit_flags: u32,
    /// Its name, NUL-padded.
    pub comm: [u8; 16],
    /// Number of records that a stream sent for it, with lost ones.
    pub events: u64,
    /// `CLOCK_MONOTONIC` when the call in progress began, for a stream; or [`CALL_BEFORE`] and when following began;
    /// else 0.
    pub call: u64,
    /// For a slot: how many followed tasks that hash to it are kept in the map instead.
    pub displaced: u64,
    /// `count << CELL_KEY_BITS | key`; 0 is a free cell.
    pub cells: [u64; CELLS],
}

/// `struct denet_spill_key`: the process and the syscall of a count.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
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

/// `struct denet_control`: counters of the eBPF programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
pub struct Control {
    /// Tasks followed so far.
    pub tasks_started: u64,
    /// Followed tasks that ended.
    pub tasks_ended: u64,
    /// Calls that were seen, but cannot be shown.
    pub lost_calls: u64,
    /// Tasks for which there was no memory: their calls are included in `lost_calls`.
    pub tasks_without_memory: u64,
    /// Insertions that the full spill map refused.
    pub spill_full: u64,
    /// Ended tasks for which there was no room in the ring buffer: their calls are included in `lost_calls`.
    pub records_lost: u64,
    /// Children that could not be identified or remembered, and are not followed.
    pub tasks_unfollowed: u64,
    /// Of the followed tasks, those that were already running.
    pub tasks_walked: u64,
    /// Set by user space: wake it whenever a task ends.
    pub wake_on_exit: u64,
    /// Records of a stream for which there was no room in the ring buffer, or which were never made.
    pub events_lost: u64,
    /// Calls for whose beginning there was no memory: they are included in `events_lost`.
    pub calls_unmatched: u64,
    /// Entries that a stream's programs could not add, because a map was full.
    pub tables_full: u64,
    /// Tasks that were freed and whose usage was reported.
    pub usages_reported: u64,
    /// Ended tasks whose usage will not be reported.
    pub usages_lost: u64,
}

/// `struct denet_usage`: what a task used.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct TaskUsage {
    /// CPU time by the scheduler's clock.
    pub cpu_ns: u64,
    /// CPU time in user mode, on most kernels by ticks: only its proportion to `system_ns` is meaningful.
    pub user_ns: u64,
    /// CPU time in the kernel, likewise.
    pub system_ns: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults with I/O.
    pub major_faults: u64,
    /// Bytes that calls returned.
    pub read_by_calls: u64,
    /// Bytes that calls accepted.
    pub written_by_calls: u64,
    /// Bytes read from storage.
    pub read_from_storage: u64,
    /// Bytes written to storage.
    pub written_to_storage: u64,
}

/// `struct denet_freed`: what a followed task used until the kernel freed it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Freed {
    /// [`RECORD_USAGE`]
    pub kind: u64,
    /// See [`Task::process_start_ns`].
    pub process_start_ns: u64,
    /// Thread id.
    pub tid: u32,
    /// Its process.
    pub tgid: u32,
    /// What it used since it was followed.
    pub used: TaskUsage,
    /// What it had used when it was found running; 0 for one that was followed from its start.
    pub before: TaskUsage,
}

/// First word of a record that only wakes denet.
pub const RECORD_LOOK: u64 = 0;
/// First word of a [`Fork`].
pub const RECORD_BIRTH: u64 = 5;
/// First word of a [`Freed`].
pub const RECORD_USAGE: u64 = 6;
/// First words below this are kinds of records; others are the identity of an ended [`Task`].
pub const RECORD_KINDS: u64 = 4096;

/// `struct denet_event`: the head of each record of a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Event {
    /// `RECORD_`
    pub kind: u64,
    /// Number of the record within its thread, from 1 on: a gap shows lost records.
    pub seq: u64,
    /// With `tid`, the identity of the thread.
    pub thread_start_ns: u64,
    /// `CLOCK_MONOTONIC` when the call began.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC` when it ended.
    pub end_ns: u64,
    /// Thread id in denet's pid namespace when the call began.
    pub tid: u32,
    /// Its process.
    pub tgid: u32,
}

/// The child has a copy of its parent's descriptors.
pub const FILES_COPIED: u32 = 1;
/// The child uses its parent's descriptors.
pub const FILES_SHARED: u32 = 2;

/// `struct denet_birth`: a thread or process begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Fork {
    /// The thread that forked.
    pub head: Event,
    /// With `child_tid`, the identity of the thread.
    pub child_start_ns: u64,
    /// Thread id of the child in denet's pid namespace.
    pub child_tid: u32,
    /// Its process.
    pub child_tgid: u32,
    /// `FILES_`; 0: it is not known whether descriptors are shared.
    pub files: u32,
    /// Padding.
    pub _pad: u32,
    /// Thread name of both.
    pub comm: [u8; 16],
}

/// `struct denet_sample`: a task as the kernel sees it.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes)]
pub struct Sample {
    /// `bpf_get_current_pid_tgid()`: tgid above, tid below; 0 if no sample was taken.
    pub pid_tgid: u64,
    /// Address of its `pt_regs`, as `sys_exit` received it; 0 if it was not seen there.
    pub regs: u64,
    /// How many namespaces contain its pid namespace, where that was requested.
    pub pid_level: u64,
    /// The first bytes of its `task_struct`.
    pub task: [u8; SAMPLE_BYTES],
}

impl Sample {
    /// No sample was taken.
    pub const NONE: Self = Self {
        pid_tgid: 0,
        regs: 0,
        pid_level: 0,
        task: [0; SAMPLE_BYTES],
    };
}

/// `struct denet_smoke`: the task whose calls the smoke test counts, and their number.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Smoke {
    /// `bpf_get_current_pid_tgid()`: tgid above, tid below, in the initial pid namespace; 0 until known.
    pub caller: u64,
    /// Calls of the one syscall by that task.
    pub calls: u64,
}

/// A plain structure from as many bytes as there are; the rest is zero. `None` if not even
/// `at_least` bytes are there, or if there are more than its size.
pub(crate) fn front_of<T: FromBytes + IntoBytes>(bytes: &[u8], at_least: usize) -> Option<T> {
    if !(at_least..=size_of::<T>()).contains(&bytes.len()) {
        return None;
    }
    let mut whole = T::new_zeroed();
    whole.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    Some(whole)
}

/// A plain structure in one of aya's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Plain<T>(pub(crate) T);

// SAFETY: it has no padding and is valid for every bit pattern: IntoBytes and FromBytes are derived only then.
unsafe impl<T: FromBytes + IntoBytes + Copy + 'static> aya::Pod for Plain<T> {}

impl Task {
    /// Reads a record of the ring buffer, which holds only the cells that are in use.
    ///
    /// `None` if it is shorter or longer than a task can be.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        front_of(bytes, std::mem::offset_of!(Self, cells))
    }
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
