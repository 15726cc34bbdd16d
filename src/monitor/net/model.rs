//! Sockets and the traffic through them. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::monitor::exec::model::name;
use crate::monitor::net::abi::{
    NetControl, NetEndpoint, NetError, NetKey, NetLocal, OTHERS, PRIVATE, SEVERAL,
};

/// The sums of the eBPF program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// By process, socket and remote end.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What is missing in the sums.
    pub(crate) control: NetControl,
}

impl Seen {
    /// How often the sums lack something, or may contain too much. What found no room is among the losses as well.
    pub(super) fn missing(&self) -> Vec<(u64, &'static str, &'static str)> {
        vec![
            (
                self.control.lengths_unknown,
                "length not known",
                "lengths not known",
            ),
            (self.control.unread_calls, "call not read", "calls not read"),
        ]
    }
}

/// Address families whose addresses are decoded (`include/linux/socket.h`).
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// One end of a socket, as the kernel represents it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// There is no address, or it is not known.
    None,
    /// IPv4 or IPv6, and a port.
    Ip(IpAddr, u16),
    /// A Unix socket with a name in the file system.
    Path(Vec<u8>),
    /// A Unix socket with an abstract name, without the leading NUL.
    Abstract(Vec<u8>),
    /// The messages of one call went to, or came from, more than one address.
    Several,
    /// Not read: the process belongs to another user.
    Private,
    /// All others of the process: there was no room for separate rows.
    Others,
}

impl Address {
    fn of(family: u16, port: u16, bytes: &[u8]) -> Self {
        match (family, bytes.len()) {
            (AF_INET | AF_INET6, 4) => {
                let four: [u8; 4] = bytes.try_into().unwrap_or_default();
                Self::Ip(Ipv4Addr::from(four).into(), port)
            }
            (AF_INET | AF_INET6, 16) => {
                let sixteen: [u8; 16] = bytes.try_into().unwrap_or_default();
                Self::Ip(Ipv6Addr::from(sixteen).into(), port)
            }
            (AF_UNIX, 1..) => match bytes.split_first() {
                Some((0, name)) => Self::Abstract(name.to_vec()),
                _ => Self::Path(bytes.to_vec()),
            },
            _ => Self::None,
        }
    }

    pub(super) fn remote(key: &NetKey) -> Self {
        if key.flags & PRIVATE != 0 {
            return Self::Private;
        }
        if key.flags & SEVERAL != 0 {
            return Self::Several;
        }
        if key.flags & OTHERS != 0 {
            return Self::Others;
        }
        let used = usize::from(key.bytes).min(key.address.len());
        Self::of(key.family, key.port, &key.address[..used])
    }

    pub(super) fn local(family: u16, local: &NetLocal) -> Self {
        let used = usize::from(local.bytes).min(local.address.len());
        Self::of(family, local.port, &local.address[..used])
    }
}

/// The type of a socket, by the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketType {
    /// `AF_`; 0 if the descriptor was no socket.
    pub(crate) family: u16,
    /// `SOCK_`
    pub(crate) kind: u16,
    /// `IPPROTO_` for internet sockets; for others it has other meanings.
    pub(crate) protocol: u16,
}

impl SocketType {
    /// Once connected, the remote end never changes: `SOCK_STREAM`, `SOCK_SEQPACKET`.
    fn is_connected(self) -> bool {
        matches!(self.kind, 1 | 5)
    }
}

/// An operation on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    /// Bytes are received.
    Receive,
    /// Bytes are sent.
    Send,
    /// The socket is connected.
    Connect,
    /// A connection is accepted.
    Accept,
    /// `shutdown`
    Shutdown,
    /// The descriptor is closed.
    Close,
    /// The late result of a connect that continued after its call had returned.
    ConnectLater,
    /// The same, but the socket was closed before there was a result.
    GivenUp,
}

impl Operation {
    /// Numbered as in `ebpf/net.h`.
    const ALL: [Self; 8] = [
        Self::Receive,
        Self::Send,
        Self::Connect,
        Self::Accept,
        Self::Shutdown,
        Self::Close,
        Self::ConnectLater,
        Self::GivenUp,
    ];

    pub(super) fn of(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its name in the records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Shutdown => "shutdown",
            Self::Close => "close",
            Self::ConnectLater => "connect_later",
            Self::GivenUp => "connect_given_up",
        }
    }
}

/// The identity of a process: its id alone may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// Id in denet's pid namespace.
    pub(crate) pid: u32,
    /// `CLOCK_MONOTONIC` when it was created, or when denet first saw it.
    pub(crate) start_ns: u64,
}

/// What a process did through a socket with one remote end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) process: Process,
    /// Name of the first thread that used it.
    pub(crate) command: Vec<u8>,
    /// Inode number of the socket, as `/proc/net` and `ss` have it; 0: the descriptor was no socket.
    pub(crate) inode: u64,
    pub(crate) socket_type: SocketType,
    /// The local end.
    pub(crate) local: Address,
    /// The remote end.
    pub(crate) remote: Address,
    /// Inode number of a Unix socket's peer, 0 if not known.
    pub(crate) peer_inode: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Calls by operation, failed ones included.
    pub(crate) calls: [u64; 6],
    /// Of the receiving calls, those that removed nothing (`MSG_PEEK`, `MSG_ERRQUEUE`).
    pub(crate) looks: u64,
    /// Connections made, and how long connecting took.
    pub(crate) connects: Connects,
    /// `accept` returned this socket to the process.
    pub(crate) accepted: u64,
    /// Failures by operation and errno.
    pub(crate) errors: BTreeMap<(Operation, u32), u64>,
    /// Further failures, for which there was no room to note the errno.
    pub(crate) errors_unnamed: u64,
}

/// Connections that a process made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connects {
    pub(crate) made: u64,
    /// The total duration of connecting.
    pub(crate) took: Duration,
    /// The longest duration.
    pub(crate) longest: Duration,
}

impl Connects {
    fn add(&mut self, other: &Self) {
        self.made += other.made;
        self.took += other.took;
        self.longest = self.longest.max(other.longest);
    }
}

impl Endpoint {
    /// A row of the eBPF program's map.
    pub(crate) fn of(key: &NetKey, seen: &NetEndpoint) -> Self {
        Self {
            process: Process {
                pid: key.tgid,
                start_ns: key.process_start_ns,
            },
            command: name(&seen.comm),
            inode: key.inode,
            socket_type: SocketType {
                family: key.family,
                kind: seen.local.kind,
                protocol: seen.local.protocol,
            },
            local: Address::local(key.family, &seen.local),
            remote: Address::remote(key),
            peer_inode: seen.peer_inode,
            bytes_in: seen.bytes_in,
            bytes_out: seen.bytes_out,
            calls: seen.calls,
            looks: seen.looks,
            connects: Connects {
                made: seen.connected,
                took: Duration::from_nanos(seen.connect_ns),
                longest: Duration::from_nanos(seen.connect_max_ns),
            },
            accepted: seen.accepted,
            errors: BTreeMap::new(),
            errors_unnamed: seen.errors,
        }
    }

    fn name_error(&mut self, operation: Operation, error: u32, count: u64) {
        *self.errors.entry((operation, error)).or_default() += count;
        self.errors_unnamed = self.errors_unnamed.saturating_sub(count);
    }

    /// Calls of all operations.
    pub(crate) fn all_calls(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// All errors: calls that failed, and connections that failed later.
    pub(crate) fn all_errors(&self) -> u64 {
        let counted = |(operation, _): &&(Operation, u32)| *operation != Operation::GivenUp;
        let errors = self.errors.iter().filter(|(what, _)| counted(what));
        errors.map(|(_, count)| count).sum::<u64>() + self.errors_unnamed
    }

    /// Whether anything was received or sent, if only empty messages.
    fn has_moved(&self) -> bool {
        let calls = self.calls[Operation::Receive as usize] + self.calls[Operation::Send as usize];
        let moves = |(operation, _): &&(Operation, u32)| {
            matches!(operation, Operation::Receive | Operation::Send)
        };
        let failed = self.errors.iter().filter(|(what, _)| moves(what));
        calls > failed.map(|(_, count)| count).sum()
    }

    /// Adds another row of the same socket and process.
    fn absorb(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        for (sum, calls) in self.calls.iter_mut().zip(other.calls) {
            *sum += calls;
        }
        self.looks += other.looks;
        self.connects.add(&other.connects);
        self.accepted += other.accepted;
        for (what, count) in &other.errors {
            *self.errors.entry(*what).or_default() += count;
        }
        self.errors_unnamed += other.errors_unnamed;
        if self.local == Address::None {
            self.local.clone_from(&other.local);
        }
        if self.peer_inode == 0 {
            self.peer_inode = other.peer_inode;
        }
    }
}

/// The sums of the eBPF program, as one row for each process, socket and remote end.
///
/// Calls without a remote end (such as closing a socket that is no longer connected) are added to the row of the
/// only remote end that this socket had, if there is exactly one; but not messages, whose sender may be another one.
pub(crate) fn endpoints(
    seen: &[(NetKey, NetEndpoint)],
    errors: &[(NetError, u64)],
) -> Vec<Endpoint> {
    let mut rows: BTreeMap<_, _> = seen
        .iter()
        .map(|(key, it)| (*key, Endpoint::of(key, it)))
        .collect();
    for (error, count) in errors {
        // There may have been no room for the row, but room for the error.
        let has_row = rows.contains_key(&error.key);
        let key = if has_row {
            error.key
        } else {
            error.key.others()
        };
        if let (Some(row), Some(operation)) = (rows.get_mut(&key), operation_of(error)) {
            row.name_error(operation, error.error, *count);
        }
    }
    let mut by_socket: BTreeMap<(Process, u64), Vec<Endpoint>> = BTreeMap::new();
    for row in rows.into_values() {
        by_socket
            .entry((row.process, row.inode))
            .or_default()
            .push(row);
    }
    let mut all: Vec<_> = by_socket
        .into_iter()
        .flat_map(|((_, inode), rows)| if inode == 0 { rows } else { join(rows) })
        .collect();
    all.sort_by(|a, b| {
        let size = |it: &Endpoint| std::cmp::Reverse(it.bytes_in + it.bytes_out);
        (size(a), a.process, a.inode, &a.remote).cmp(&(size(b), b.process, b.inode, &b.remote))
    });
    all
}

fn operation_of(error: &NetError) -> Option<Operation> {
    match Operation::of(error.kind) {
        Some(Operation::ConnectLater) if error.error == 0 => Some(Operation::GivenUp),
        operation => operation,
    }
}

fn join(rows: Vec<Endpoint>) -> Vec<Endpoint> {
    let (without, mut with): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.remote == Address::None);
    match (with.as_mut_slice(), without.as_slice()) {
        ([only], [nameless]) if nameless.socket_type.is_connected() || !nameless.has_moved() => {
            only.absorb(nameless);
        }
        _ => with.extend(without),
    }
    with
}

/// The sums of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) process: Process,
    pub(crate) command: Vec<u8>,
    /// Number of rows: sockets and remote ends.
    pub(crate) endpoints: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Calls of all operations.
    pub(crate) calls: u64,
    /// Errors of all operations.
    pub(crate) errors: u64,
    /// Connections made.
    pub(crate) connects: Connects,
}

/// The sums by process, those with the most bytes first.
pub(crate) fn by_process(endpoints: &[Endpoint]) -> Vec<Sum> {
    let mut sums: BTreeMap<Process, Sum> = BTreeMap::new();
    for it in endpoints {
        let sum = sums.entry(it.process).or_insert_with(|| Sum {
            process: it.process,
            command: it.command.clone(),
            endpoints: 0,
            bytes_in: 0,
            bytes_out: 0,
            calls: 0,
            errors: 0,
            connects: Connects::default(),
        });
        sum.endpoints += 1;
        sum.bytes_in += it.bytes_in;
        sum.bytes_out += it.bytes_out;
        sum.calls += it.all_calls();
        sum.errors += it.all_errors();
        sum.connects.add(&it.connects);
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_by_key(|sum| (std::cmp::Reverse(sum.bytes_in + sum.bytes_out), sum.process));
    sums
}

#[cfg(test)]
mod tests;
