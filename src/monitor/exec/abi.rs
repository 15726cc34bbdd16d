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
/// The path is longer than the record can hold.
pub const EXEC_PATH_CUT: u32 = 8;
/// Not all arguments could be read.
pub const EXEC_ARGS_FAULT: u32 = 16;
/// There are more arguments than the record can hold.
pub const EXEC_ARGS_CUT: u32 = 32;
/// The path is as the kernel resolved it, not as the caller passed it.
pub const EXEC_PATH_KERNELS: u32 = 64;
/// Not everything was read: the user may not trace the task.
pub const EXEC_PRIVATE: u32 = 128;
/// Maximum length of a path.
pub const EXEC_PATH_BYTES: usize = 1024;
/// Maximum length of all arguments, without the end of the last.
pub const EXEC_ARGS_BYTES: usize = 8192;
/// Maximum length of one argument of a call that failed.
pub const EXEC_STRING_BYTES: usize = 4096;

/// `struct denet_exec`: a call of execve or execveat.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Exec {
    /// Which thread, and when.
    pub head: Event,
    /// Inode number of the cgroup (version 2).
    pub cgroup: u64,
    /// Address of the path.
    pub path_address: u64,
    /// Length of all arguments with their NULs, if known; may be more than the record holds.
    pub args_bytes: u64,
    /// 0, or the negative errno.
    pub result: i32,
    /// `EXEC_`
    pub flags: u32,
    /// Process id of the parent.
    pub ppid: u32,
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// The directory descriptor of `execveat`.
    pub dirfd: i32,
    /// Bytes of the path in `data`.
    pub path_len: u32,
    /// Bytes of arguments after the path, each with its NUL.
    pub args_len: u32,
    /// The thread's name when the call began.
    pub comm_before: [u8; 16],
    /// The name when the call ended.
    pub comm_after: [u8; 16],
    /// A record ends after the bytes that are used.
    pub data: [u8; EXEC_PATH_BYTES + EXEC_ARGS_BYTES + EXEC_STRING_BYTES],
}

/// `struct denet_exec_by`: the user and thread name that executed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct ExecBy {
    /// Real user.
    pub uid: u32,
    /// The thread's name before the call.
    pub comm: [u8; 16],
}

/// `struct denet_exec_counts`: how many calls.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct ExecCounts {
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
}
