//! The Rust mirror of `ebpf/exec.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::abi::Event;

/// First word of an [`Exec`].
pub const RECORD_EXEC: u64 = 1;
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
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct ExecBy {
    /// Real user.
    pub uid: u32,
    /// The thread's name before.
    pub comm: [u8; 16],
}

/// `struct denet_exec_counts`: how often.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct ExecCounts {
    /// A program was executed.
    pub succeeded: u64,
    /// None was.
    pub failed: u64,
}
