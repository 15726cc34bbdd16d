//! The descriptors of one table.

use std::collections::BTreeMap;

use super::super::names::network as names;

/// What a descriptor refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refers {
    /// A path, or a word as `/proc/PID/fd` has it: `pipe:[123]`, `anon_inode:[eventpoll]`.
    Named(Vec<u8>),
    /// A socket that was seen to be made.
    Socket(Socket),
}

/// A socket: its protocol and its ends, where those are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Socket {
    /// `TCP`, `UDPv6`, `UNIX-STREAM` and the like.
    pub(crate) protocol: String,
    /// Its own address.
    pub(crate) local: Option<Vec<u8>>,
    /// That of the other end.
    pub(crate) peer: Option<Vec<u8>>,
}

impl Refers {
    pub(super) fn from_link(link: &[u8]) -> Self {
        Self::Named(link.to_vec())
    }

    pub(super) fn word(word: &str) -> Self {
        Self::Named(word.as_bytes().to_vec())
    }

    pub(super) fn name(&self) -> Vec<u8> {
        match self {
            Self::Named(name) => name.clone(),
            Self::Socket(socket) => socket.name(),
        }
    }
}

impl Socket {
    /// By the arguments of `socket`; `socket` where denet has no name for it.
    pub(super) fn new(domain: i32, kind: i32, protocol: i32) -> Self {
        let kind = kind & 0xf;
        let six = if domain == libc::AF_INET6 { "v6" } else { "" };
        let inet = |name: &str| format!("{name}{six}");
        let named = |start: &str| {
            let kind = names::TYPE
                .name(kind as u64)
                .map_or("", |name| &name["SOCK_".len()..]);
            format!("{start}-{kind}").trim_end_matches('-').to_owned()
        };
        let protocol = match (domain, kind, protocol) {
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => {
                inet("TCP")
            }
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => {
                inet("UDP")
            }
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_RAW, _) => inet("RAW"),
            (libc::AF_INET | libc::AF_INET6, ..) => inet("IP"),
            (libc::AF_UNIX, ..) => named("UNIX"),
            (libc::AF_NETLINK, ..) => "NETLINK".to_owned(),
            (libc::AF_PACKET, ..) => "PACKET".to_owned(),
            _ => "socket".to_owned(),
        };
        let (local, peer) = (None, None);
        Self {
            protocol,
            local,
            peer,
        }
    }

    fn name(&self) -> Vec<u8> {
        let mut name = self.protocol.clone().into_bytes();
        let ends: &[&[u8]] = match (&self.local, &self.peer) {
            (None, None) => &[],
            (Some(local), None) => &[b" ", local],
            (None, Some(peer)) => &[b" ", peer],
            (Some(local), Some(peer)) => &[b" ", local, b"->", peer],
        };
        name.extend(ends.concat());
        name
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    open: BTreeMap<i32, Open>,
    /// Of the call that is taken note of.
    pub(crate) now_ns: u64,
}

#[derive(Clone, Debug)]
struct Open {
    refers: Refers,
    close_on_exec: bool,
    /// Who called before may have meant what was there then.
    since_ns: u64,
}

impl Table {
    pub(crate) fn get(&self, fd: i32) -> Option<&Refers> {
        self.open.get(&fd).map(|open| &open.refers)
    }

    /// What it referred to at that time, unless it has changed since.
    pub(crate) fn at(&self, fd: i32, time_ns: u64) -> Option<&Refers> {
        let open = self.open.get(&fd)?;
        (open.since_ns <= time_ns).then_some(&open.refers)
    }

    pub(crate) fn set(&mut self, fd: i32, refers: Refers, close_on_exec: bool) {
        let open = Open {
            refers,
            close_on_exec,
            since_ns: self.now_ns,
        };
        self.open.insert(fd, open);
    }

    pub(crate) fn socket(&mut self, fd: i32) -> Option<&mut Socket> {
        match &mut self.open.get_mut(&fd)?.refers {
            Refers::Socket(socket) => Some(socket),
            Refers::Named(_) => None,
        }
    }

    pub(crate) fn close_on_exec(&mut self, fd: i32, close: bool) {
        if let Some(open) = self.open.get_mut(&fd) {
            open.close_on_exec = close;
        }
    }

    /// The other then refers to the same; what it referred to is unknown if this is.
    pub(crate) fn duplicate(&mut self, fd: i32, other: i32, close_on_exec: bool) {
        match self.get(fd).cloned() {
            Some(refers) => self.set(other, refers, close_on_exec),
            None => self.close(other),
        }
    }

    pub(crate) fn close(&mut self, fd: i32) {
        self.open.remove(&fd);
    }

    pub(crate) fn range(&self, first: i32, last: i32) -> Vec<i32> {
        let within = self.open.keys().filter(|fd| (first..=last).contains(*fd));
        within.copied().collect()
    }

    pub(crate) fn exec(&mut self) {
        self.open.retain(|_, open| !open.close_on_exec);
    }
}
