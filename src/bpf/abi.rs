//! The Rust mirror of `ebpf/abi.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

/// Counters in a task's own table.
pub const CELLS: usize = 64;
/// Bits of a cell that hold its key; the count stands above them.
pub const CELL_KEY_BITS: u32 = 10;
/// Syscall numbers from here on have no cell and go to the spill map.
pub const CELL_NR_LIMIT: u32 = 512;
/// Set in a cell's key when the call came through the 32-bit entry.
pub const CELL_COMPAT: u32 = CELL_NR_LIMIT;
/// `exit_status` is known.
pub const EXIT_KNOWN: u32 = 1;
/// It is that of the whole process, whichever thread this is.
pub const EXIT_OF_GROUP: u32 = 2;
/// No thread of the process is left.
pub const EXIT_LAST: u32 = 4;
/// Nobody who is followed is its parent.
pub const EXIT_ORPHAN: u32 = 8;
/// The user may not trace it, so its memory is not read.
pub const EXIT_PRIVATE: u32 = 16;
/// It is denet's own child, which waits to execute the command: the arguments that it passes are the user's.
pub const EXIT_WAITING: u32 = 32;
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
    /// Its wait status, once it ended.
    pub exit_status: u32,
    /// What of its end is known: [`EXIT_KNOWN`] and so on; 0 where the kernel has no BTF, or nobody asked.
    pub exit_flags: u32,
    /// Its name, NUL-padded.
    pub comm: [u8; 16],
    /// Told of by a stream, lost ones too.
    pub events: u64,
    /// `CLOCK_MONOTONIC` when the call began whose end a stream waits for, else 0.
    pub call: u64,
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
    /// Of the tasks followed, those that ran already.
    pub tasks_walked: u64,
    /// Set by user space: wake it at each end of a task.
    pub wake_on_exit: u64,
    /// Records of a stream that found no room in the ring buffer, or were never made.
    pub events_lost: u64,
    /// Calls for whose beginning there was no memory: they are among `events_lost`.
    pub calls_unmatched: u64,
    /// What a stream's programs did not add up, because a table was full.
    pub tables_full: u64,
}

/// First word of a record that says no more than "look".
pub const RECORD_LOOK: u64 = 0;
/// First word of an [`Exec`].
pub const RECORD_EXEC: u64 = 1;
/// First word of a call.
pub const RECORD_CALL: u64 = 2;
/// First word of something that happened to a socket.
pub const RECORD_SOCKET: u64 = 3;
/// First word of a [`Birth`].
pub const RECORD_BIRTH: u64 = 5;
/// Kinds are below; what is above is the identity of an ended [`Task`].
pub const RECORD_KINDS: u64 = 4096;

/// `struct denet_event`: what each record of a stream begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// `RECORD_`
    pub kind: u64,
    /// Of its thread, from 1 on: where there is a gap, records were lost.
    pub seq: u64,
    /// With `tid`, the identity of the thread.
    pub thread_start_ns: u64,
    /// `CLOCK_MONOTONIC` when the call began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Thread id in the initial pid namespace when the call began.
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
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// Of who begot it.
    pub head: Event,
    /// With `child_tid`, the identity of the thread.
    pub child_start_ns: u64,
    /// Thread id in the initial pid namespace.
    pub child_tid: u32,
    /// Its process.
    pub child_tgid: u32,
    /// `FILES_`; 0: it is not known what it has of descriptors.
    pub files: u32,
    /// Padding.
    pub _pad: u32,
    /// Of both.
    pub comm: [u8; 16],
}

/// The 32-bit entry.
pub const EXEC_COMPAT: u32 = 1;
/// `execveat`
pub const EXEC_AT: u32 = 2;
/// The path could not be read.
pub const EXEC_PATH_FAULT: u32 = 4;
/// The path is longer than what is here.
pub const EXEC_PATH_CUT: u32 = 8;
/// Not all arguments could be read.
pub const EXEC_ARGS_FAULT: u32 = 16;
/// There are more arguments than what is here.
pub const EXEC_ARGS_CUT: u32 = 32;
/// The path is as the kernel resolved it, not as it was given.
pub const EXEC_PATH_KERNELS: u32 = 64;
/// Not everything was read: the user may not trace its task.
pub const EXEC_PRIVATE: u32 = 128;
/// Most bytes of a path.
pub const EXEC_PATH_BYTES: usize = 1024;
/// Most bytes of arguments, but for the end of the last.
pub const EXEC_ARGS_BYTES: usize = 8192;
/// Most bytes of one argument of a call that failed.
pub const EXEC_STRING_BYTES: usize = 4096;

/// `struct denet_exec`: a call of execve or execveat.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    /// Whose, and when.
    pub head: Event,
    /// Inode number of its cgroup of version 2.
    pub cgroup: u64,
    /// Where the path was.
    pub path_address: u64,
    /// Of all arguments with their NULs, where they are known; may be more than are here.
    pub args_bytes: u64,
    /// 0, or the errno below it.
    pub result: i32,
    /// `EXEC_`
    pub flags: u32,
    /// The parent's process.
    pub ppid: u32,
    /// Real user and group.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// Of execveat.
    pub dirfd: i32,
    /// Bytes of the path in `data`.
    pub path_len: u32,
    /// Bytes of arguments behind it, each with its NUL.
    pub args_len: u32,
    /// The thread's name when the call began.
    pub comm_before: [u8; 16],
    /// And when it ended.
    pub comm_after: [u8; 16],
    /// A record holds as much of it as is used.
    pub data: [u8; EXEC_PATH_BYTES + EXEC_ARGS_BYTES + EXEC_STRING_BYTES],
}

/// `struct denet_exec_by`: who executed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecBy {
    /// Real user.
    pub uid: u32,
    /// The thread's name before.
    pub comm: [u8; 16],
}

/// `struct denet_exec_counts`: how often.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecCounts {
    /// A program was executed.
    pub succeeded: u64,
    /// None was.
    pub failed: u64,
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

// SAFETY: repr(C), integers only, no padding (tests/contract/abi.rs), valid for every bit pattern.
unsafe impl aya::Pod for Task {}
// SAFETY: as above.
unsafe impl aya::Pod for SpillKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Control {}
// SAFETY: as above.
unsafe impl aya::Pod for Exec {}
// SAFETY: as above.
unsafe impl aya::Pod for Event {}
// SAFETY: as above.
unsafe impl aya::Pod for Birth {}
// SAFETY: as above.
unsafe impl aya::Pod for ExecBy {}
// SAFETY: as above.
unsafe impl aya::Pod for ExecCounts {}
// SAFETY: as above.
unsafe impl aya::Pod for Sample {}

/// The front of a plain structure, as far as there are bytes; the rest is zero. `None` if not even
/// `at_least` bytes are there, or more than it has.
pub(crate) fn front_of<T: aya::Pod>(bytes: &[u8], at_least: usize) -> Option<T> {
    if !(at_least..=size_of::<T>()).contains(&bytes.len()) {
        return None;
    }
    let mut whole = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: no longer than it is (checked), and every bit pattern is a valid one (Pod).
    unsafe {
        whole
            .as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Some(whole.assume_init())
    }
}

impl Task {
    /// Reads a record of the ring buffer, which holds only the cells that are in use.
    ///
    /// `None` if it is shorter or longer than a task can be.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        front_of(bytes, std::mem::offset_of!(Self, cells))
    }

    /// An all-zero task: a free slot.
    pub const FREE: Self = Self {
        regs: 0,
        tid: 0,
        tgid: 0,
        start_ns: 0,
        process_start_ns: 0,
        end_ns: 0,
        exit_status: 0,
        exit_flags: 0,
        comm: [0; 16],
        events: 0,
        call: 0,
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
