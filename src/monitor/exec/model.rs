//! An execution, decoded from its record. Pure.

use std::mem::offset_of;
use std::time::Duration;

use super::abi::{self, Exec};
use crate::bpf::abi::front_of;

/// A call of `execve` or `execveat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    /// `CLOCK_MONOTONIC` when the call began.
    pub(crate) start_ns: u64,
    /// Its duration.
    pub(crate) took: Duration,
    /// Number of the event within its thread, from 1 on.
    pub(crate) seq: u64,
    /// Ids of the process, and of the thread that called, in denet's pid namespace.
    pub(crate) pid: u32,
    /// See `pid`. After a successful call the thread has the id of the process.
    pub(crate) tid: u32,
    /// The parent's process id; 0 if the kernel has no types.
    pub(crate) ppid: u32,
    /// Real user.
    pub(crate) uid: u32,
    /// Real group.
    pub(crate) gid: u32,
    /// Inode number of the cgroup (version 2); 0 if there is none.
    pub(crate) cgroup: u64,
    /// The thread's name before and after the call.
    pub(crate) command: [Vec<u8>; 2],
    pub(crate) path: Path,
    /// The descriptor of `execveat` to which the path is relative.
    pub(crate) dirfd: Option<i32>,
    /// The arguments.
    pub(crate) args: Vec<Vec<u8>>,
    /// There are more arguments, or the last one is longer.
    pub(crate) args_cut: bool,
    /// Not all arguments could be read.
    pub(crate) args_fault: bool,
    /// Length of all arguments with their NULs, if the kernel reports it.
    pub(crate) args_bytes: Option<u64>,
    /// The errno of a call that failed.
    pub(crate) errno: Option<i32>,
    /// Not everything was read: the process belongs to another user.
    pub(crate) private: bool,
    /// Called through the 32-bit entry.
    pub(crate) compat: bool,
}

/// How many calls a user made with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    /// Real user.
    pub(crate) uid: u32,
    /// The thread's name before.
    pub(crate) command: Vec<u8>,
    /// Calls that succeeded.
    pub(crate) succeeded: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
}

/// The path of a call, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// As the caller passed it.
    Given(Vec<u8>),
    /// The path is longer than this.
    Cut(Vec<u8>),
    /// The caller's path could not be read; this is the path that the kernel used.
    Kernels(Vec<u8>),
    /// It could not be read; its address.
    Fault(u64),
    /// Not read: the process belongs to another user.
    Private,
}

impl Execution {
    /// Decodes a record of the ring buffer; `None` if it is malformed.
    pub(crate) fn of(record: &[u8]) -> Option<Self> {
        let raw: Exec = front_of(record, offset_of!(Exec, data))?;
        let has = |flag| raw.flags & flag != 0;
        let used = record.len() - offset_of!(Exec, data);
        let path_len = (raw.path_len as usize).min(used);
        let args_len = (raw.args_len as usize).min(used - path_len);
        let (path, rest) = raw.data.split_at(path_len);
        let path = path.to_vec();
        let path = if has(abi::EXEC_PRIVATE) && path.is_empty() {
            Path::Private
        } else if has(abi::EXEC_PATH_FAULT) {
            Path::Fault(raw.path_address)
        } else if has(abi::EXEC_PATH_CUT) {
            Path::Cut(path)
        } else if has(abi::EXEC_PATH_KERNELS) {
            Path::Kernels(path)
        } else {
            Path::Given(path)
        };
        Some(Self {
            start_ns: raw.head.start_ns,
            took: Duration::from_nanos(raw.head.end_ns.saturating_sub(raw.head.start_ns)),
            seq: raw.head.seq,
            pid: raw.head.tgid,
            tid: raw.head.tid,
            ppid: raw.ppid,
            uid: raw.uid,
            gid: raw.gid,
            cgroup: raw.cgroup,
            command: [name(&raw.comm_before), name(&raw.comm_after)],
            path,
            dirfd: has(abi::EXEC_AT).then_some(raw.dirfd),
            args: strings(&rest[..args_len]),
            args_cut: has(abi::EXEC_ARGS_CUT),
            args_fault: has(abi::EXEC_ARGS_FAULT) && !has(abi::EXEC_PRIVATE),
            args_bytes: Some(raw.args_bytes).filter(|bytes| *bytes != 0),
            errno: (raw.result < 0).then_some(-raw.result),
            private: has(abi::EXEC_PRIVATE),
            compat: has(abi::EXEC_COMPAT),
        })
    }
}

/// A name from the kernel, without trailing NULs.
pub(crate) fn name(comm: &[u8]) -> Vec<u8> {
    let end = comm.iter().position(|byte| *byte == 0);
    comm[..end.unwrap_or(comm.len())].to_vec()
}

/// Strings that each end with a NUL; the last one may be cut.
fn strings(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(flags: u32, path: &[u8], args: &[u8]) -> Vec<u8> {
        let head = offset_of!(Exec, data);
        let mut record = vec![0; head];
        let mut set = |at: usize, value: u32| {
            record[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        };
        set(offset_of!(Exec, flags), flags);
        set(offset_of!(Exec, path_len), path.len() as u32);
        set(offset_of!(Exec, args_len), args.len() as u32);
        set(offset_of!(Exec, result), -2_i32 as u32);
        [&record, path, args].concat()
    }

    #[test]
    fn a_record_is_as_long_as_what_is_in_it() {
        let read = Execution::of(&record(0, b"/bin/ls", b"ls\0\0-l\0")).unwrap();
        assert_eq!(read.path, Path::Given(b"/bin/ls".to_vec()));
        assert_eq!(read.args, [b"ls".to_vec(), vec![], b"-l".to_vec()]);
        assert_eq!((read.errno, read.dirfd), (Some(2), None));
        let read = Execution::of(&record(abi::EXEC_PATH_FAULT | abi::EXEC_AT, b"", b"")).unwrap();
        assert_eq!(read.path, Path::Fault(0));
        assert_eq!((read.args.len(), read.dirfd), (0, Some(0)));
    }

    #[test]
    fn private_executions_have_neither_path_nor_arguments() {
        let flags = abi::EXEC_PRIVATE | abi::EXEC_PATH_FAULT | abi::EXEC_ARGS_FAULT;
        let read = Execution::of(&record(flags, b"", b"")).unwrap();
        assert_eq!((read.path, read.private), (Path::Private, true));
        // A path that the user's own program passed.
        let flags = abi::EXEC_PRIVATE | abi::EXEC_ARGS_FAULT;
        let read = Execution::of(&record(flags, b"/bin/su", b"")).unwrap();
        assert_eq!(
            (read.path, read.private),
            (Path::Given(b"/bin/su".to_vec()), true)
        );
        assert!(!read.args_fault);
    }

    #[test]
    fn lengths_that_lie_do_no_harm() {
        let mut record = record(0, b"/bin/ls", b"ls\0");
        for at in [offset_of!(Exec, path_len), offset_of!(Exec, args_len)] {
            record[at..at + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
            assert!(Execution::of(&record).is_some());
        }
        assert!(Execution::of(&record[..offset_of!(Exec, data) - 1]).is_none());
    }
}
