//! A call on a socket, decoded from its record. Pure.

use std::time::Duration;

use super::model::{Address, Operation, SocketType};
use crate::bpf::abi;
use crate::monitor::exec::model::name;
use crate::monitor::net::abi::{ADDRESS_BYTES, NetEvent, SHORT_BYTES};

/// A call on a socket, or the late result of a connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// `CLOCK_MONOTONIC` when the call began.
    pub(crate) start_ns: u64,
    /// Its duration.
    pub(crate) took: Duration,
    /// Number of the event within its thread, from 1 on; `None` if it is no call.
    pub(crate) seq: Option<u64>,
    /// Ids of the process and the thread in denet's pid namespace.
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// Name of the thread.
    pub(crate) command: Vec<u8>,
    /// Number of the syscall, and whether it came through the 32-bit entry.
    pub(crate) syscall: crate::decode::syscalls::Call,
    /// The operation.
    pub(crate) operation: Operation,
    /// The descriptor; after a successful `accept` the new one.
    pub(crate) fd: i32,
    /// Inode number of the socket.
    pub(crate) inode: u64,
    pub(crate) socket_type: SocketType,
    /// The local end.
    pub(crate) local: Address,
    /// The remote end.
    pub(crate) remote: Address,
    /// Inode number of a Unix socket's peer, 0 if not known.
    pub(crate) peer_inode: u64,
    /// Bytes received or sent.
    pub(crate) bytes: u64,
    /// What it returned, or the negative errno.
    pub(crate) result: i64,
}

impl Call {
    /// Decodes a record of the ring buffer; `None` if it is malformed.
    pub(crate) fn of(record: &[u8]) -> Option<Self> {
        let raw: NetEvent =
            abi::front_of(record, size_of::<NetEvent>() - ADDRESS_BYTES + SHORT_BYTES)?;
        let abi = if raw.compat != 0 {
            crate::decode::syscalls::Abi::Compat
        } else {
            crate::decode::syscalls::Abi::Native
        };
        Some(Self {
            start_ns: raw.head.start_ns,
            took: Duration::from_nanos(raw.head.end_ns.saturating_sub(raw.head.start_ns)),
            seq: Some(raw.head.seq).filter(|seq| *seq != 0),
            pid: raw.head.tgid,
            tid: raw.head.tid,
            command: name(&raw.comm),
            syscall: crate::decode::syscalls::Call { abi, nr: raw.nr },
            operation: Operation::of(raw.kind)?,
            fd: raw.fd,
            inode: raw.key.inode,
            socket_type: SocketType {
                family: raw.key.family,
                kind: raw.local.kind,
                protocol: raw.local.protocol,
            },
            local: Address::local(raw.key.family, &raw.local),
            remote: Address::remote(&raw.key),
            peer_inode: raw.peer_inode,
            bytes: raw.bytes,
            result: raw.result,
        })
    }

    /// The errno, if it failed.
    pub(crate) fn errno(&self) -> Option<i32> {
        (self.result < 0).then(|| i32::try_from(-self.result).unwrap_or(i32::MAX))
    }
}
