//! The Rust mirror of `ebpf/net.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::abi::Event;

/// First word of an [`NetEvent`].
pub const RECORD_SOCKET: u64 = 3;
/// Syscall numbers of each entry in the table of operations.
pub const NUMBERS: u32 = 512;
/// Number of operations that are calls.
pub const KINDS: usize = 6;
/// Size of an address: the path of a Unix socket and one byte more.
pub const ADDRESS_BYTES: usize = 112;
/// Bytes of the local address that every record of a call contains.
pub const SHORT_BYTES: usize = 16;
/// The sum of everything of a process for which there was no room.
pub const OTHERS: u16 = 2;
/// The user may not trace the process: no address is reported.
pub const PRIVATE: u16 = 4;
/// The messages of one call went to, or came from, more than one address.
pub const SEVERAL: u16 = 1;

/// `struct denet_net_key`: a process, a socket and the remote address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes)]
pub struct NetKey {
    /// With `tgid`, the process.
    pub process_start_ns: u64,
    /// Inode number of the socket; 0: the descriptor was no socket.
    pub inode: u64,
    /// Process id in denet's pid namespace.
    pub tgid: u32,
    /// `AF_`
    pub family: u16,
    /// The remote port.
    pub port: u16,
    /// Bytes of `address` that are in use; 0: there is no address, or it is not known.
    pub bytes: u16,
    /// [`SEVERAL`], [`OTHERS`], [`PRIVATE`]
    pub flags: u16,
    /// Padding.
    pub _pad: u32,
    /// The remote address; of Unix sockets `sun_path` without the NUL of a path.
    pub address: [u8; ADDRESS_BYTES],
}

impl NetKey {
    /// The key for everything of the same process for which there was no room.
    pub(crate) fn others(&self) -> Self {
        Self {
            process_start_ns: self.process_start_ns,
            inode: 0,
            tgid: self.tgid,
            family: 0,
            port: 0,
            bytes: 0,
            flags: OTHERS,
            _pad: 0,
            address: [0; ADDRESS_BYTES],
        }
    }
}

/// `struct denet_net_local`: the local end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct NetLocal {
    /// `SOCK_`
    pub kind: u16,
    /// `IPPROTO_`
    pub protocol: u16,
    /// The local port.
    pub port: u16,
    /// Bytes of `address` that are in use.
    pub bytes: u16,
    /// As in [`NetKey`].
    pub address: [u8; ADDRESS_BYTES],
}

/// `struct denet_net_endpoint`: the traffic and the calls of a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetEndpoint {
    /// `CLOCK_MONOTONIC` of the first call.
    pub first_ns: u64,
    /// `CLOCK_MONOTONIC` of the last call.
    pub last_ns: u64,
    /// Received.
    pub bytes_in: u64,
    /// Sent.
    pub bytes_out: u64,
    /// By operation: receive, send, connect, accept, shutdown, close.
    pub calls: [u64; KINDS],
    /// Calls that failed, and connections that failed later.
    pub errors: u64,
    /// Calls that received without removing anything (`MSG_PEEK`).
    pub looks: u64,
    /// Connections made.
    pub connected: u64,
    /// Their total duration.
    pub connect_ns: u64,
    /// The longest.
    pub connect_max_ns: u64,
    /// How often `accept` returned this socket.
    pub accepted: u64,
    /// Inode number of a Unix socket's peer.
    pub peer_inode: u64,
    /// The local end.
    pub local: NetLocal,
    /// Name of the first thread that used it.
    pub comm: [u8; 16],
}

/// `struct denet_net_error`: an error of an operation.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetError {
    /// Process, socket and remote address.
    pub key: NetKey,
    /// The operation.
    pub kind: u32,
    /// The errno.
    pub error: u32,
}

/// `struct denet_net_event`: a call, or the late result of a connect.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetEvent {
    /// Which thread, and when; `seq` is 0 if it is not a call.
    pub head: Event,
    /// What the call returned.
    pub result: i64,
    /// Bytes received or sent.
    pub bytes: u64,
    /// What was done.
    pub kind: u32,
    /// The descriptor.
    pub fd: i32,
    /// The syscall's number.
    pub nr: i32,
    /// 1: through the 32-bit entry.
    pub compat: u32,
    /// Inode number of a Unix socket's peer.
    pub peer_inode: u64,
    /// Name of the thread.
    pub comm: [u8; 16],
    /// Process, socket and remote address.
    pub key: NetKey,
    /// The local end; a record ends early if the address is no longer than [`SHORT_BYTES`].
    pub local: NetLocal,
}

/// `struct denet_net_control`: counters of the eBPF program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct NetControl {
    /// Calls on sockets.
    pub begun: u64,
    /// Of these, those that returned.
    pub ended: u64,
    /// Connects that continued after their call had returned.
    pub connects_left: u64,
    /// Of these, those whose result was seen.
    pub connects_settled: u64,
    /// Bytes that were received or sent, with no room left to note by which process.
    pub untracked_bytes: u64,
    /// Calls with messages longer than the caller's buffers, where it is not known by how much.
    pub lengths_unknown: u64,
    /// Calls for which there was no room while they lasted: their effect is not known.
    pub untracked_calls: u64,
    /// Calls through the 32-bit entry whose arguments could not be read.
    pub unread_calls: u64,
}
