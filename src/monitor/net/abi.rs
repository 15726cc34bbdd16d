//! The Rust mirror of `ebpf/net.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::abi::Event;

/// First word of something that happened to a socket.
pub const RECORD_SOCKET: u64 = 3;
/// Syscall numbers of each entry in the table of what they do.
pub const NUMBERS: u32 = 512;
/// Kinds of what is done that are calls.
pub const KINDS: usize = 6;
/// Bytes of an address: room for the path of a Unix socket, and one more.
pub const ADDRESS_BYTES: usize = 112;
/// Bytes of the local address that each record of a call has.
pub const SHORT_BYTES: usize = 16;
/// All of a process for which there was no room.
pub const OTHERS: u16 = 2;
/// The user may not trace the process: no address is reported.
pub const PRIVATE: u16 = 4;
/// The messages of one call went to, or came from, more than one address.
pub const SEVERAL: u16 = 1;

/// `struct denet_net_key`: whose traffic, through which socket, with whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes)]
pub struct NetKey {
    /// With `tgid`, the process.
    pub process_start_ns: u64,
    /// Inode number of the socket; 0: the descriptor was none.
    pub inode: u64,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// `AF_`
    pub family: u16,
    /// The remote port.
    pub port: u16,
    /// Bytes of `address` that are in use; 0: there is none, or nobody knows.
    pub bytes: u16,
    /// [`SEVERAL`], [`OTHERS`], [`PRIVATE`]
    pub flags: u16,
    /// Padding.
    pub _pad: u32,
    /// The remote address; of Unix sockets `sun_path` without the NUL of a path.
    pub address: [u8; ADDRESS_BYTES],
}

impl NetKey {
    /// Of all for which there was no room, of the same process.
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

/// `struct denet_net_local`: this end.
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

/// `struct denet_net_endpoint`: what came and went.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetEndpoint {
    /// `CLOCK_MONOTONIC`
    pub first_ns: u64,
    /// `CLOCK_MONOTONIC`
    pub last_ns: u64,
    /// Received.
    pub bytes_in: u64,
    /// Sent.
    pub bytes_out: u64,
    /// By kind: received, sent, connected, accepted, shut down, closed.
    pub calls: [u64; KINDS],
    /// Calls that failed, and connections that did later.
    pub errors: u64,
    /// Calls that received without taking anything.
    pub looks: u64,
    /// Connections made.
    pub connected: u64,
    /// How long that took, together.
    pub connect_ns: u64,
    /// And at most.
    pub connect_max_ns: u64,
    /// Times that accept made this socket.
    pub accepted: u64,
    /// Inode number of a Unix socket's peer.
    pub peer_inode: u64,
    /// This end.
    pub local: NetLocal,
    /// Name of the thread that was seen first.
    pub comm: [u8; 16],
}

/// `struct denet_net_error`: which error of what.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetError {
    /// Where.
    pub key: NetKey,
    /// What was done.
    pub kind: u32,
    /// The errno.
    pub error: u32,
}

/// `struct denet_net_event`: a call, or the late end of a connect.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct NetEvent {
    /// Whose and when; `seq` is 0 where it is not a call.
    pub head: Event,
    /// What the call returned.
    pub result: i64,
    /// Moved.
    pub bytes: u64,
    /// What was done.
    pub kind: u32,
    /// The descriptor.
    pub fd: i32,
    /// The syscall's number.
    pub nr: i32,
    /// 1: of the 32-bit entry.
    pub compat: u32,
    /// Inode number of a Unix socket's peer.
    pub peer_inode: u64,
    /// Name of the thread.
    pub comm: [u8; 16],
    /// With whom.
    pub key: NetKey,
    /// This end; a record ends early where its address is no longer than [`SHORT_BYTES`].
    pub local: NetLocal,
}

/// `struct denet_net_control`: what the kernel side keeps account of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct NetControl {
    /// Calls on sockets.
    pub begun: u64,
    /// Of these, those that returned.
    pub ended: u64,
    /// Connects that went on when their call had returned.
    pub connects_left: u64,
    /// Of these, those whose outcome was seen.
    pub connects_settled: u64,
    /// Bytes that were moved, with no room left to say by whom.
    pub untracked_bytes: u64,
    /// Messages that are longer than the program's memory for them, by nobody knows how much.
    pub lengths_unknown: u64,
    /// Calls that found no room while they lasted: what they did is not known.
    pub untracked_calls: u64,
    /// Calls of the 32-bit entry whose arguments were not in memory.
    pub unread_calls: u64,
}
