//! Network interfaces over route netlink: listed, raised, given an XDP program.
//!
//! Only the kernel of the calling thread's network namespace is heard: the socket is connected to it.
//! Nothing is waited for longer than a second; but as with `ip link`, the kernel itself answers
//! only once it has its lock of all interfaces.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `LOOPBACK_IFINDEX` (include/net/flow.h): what `lo` is in every network namespace.
pub const LOOPBACK: u32 = 1;

/// For one answer, after which nothing more is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a list is begun again because interfaces came or went meanwhile.
const TRIES: u32 = 8;

/// A dump comes in pieces of 32 KiB at most (`netlink_recvmsg`, net/netlink/af_netlink.c).
const DATAGRAM_BYTES: usize = 64 << 10;

/// Bytes of `struct nlmsghdr`, `struct nlattr` and `struct ifinfomsg`.
const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
pub(crate) const INTERFACE_HEADER: usize = 16;

/// include/uapi/linux/if_link.h; the last ones nested in the first.
pub(crate) const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;

/// Marks in an attribute's type (include/uapi/linux/netlink.h).
const NESTED: u16 = 1 << 15;
const TYPE: u16 = 0x3fff;

/// What one request and all of its answers carry.
const SEQUENCE: u32 = 1;

/// Every interface: its `struct ifinfomsg` with the attributes that follow, as `parse` reads them.
///
/// # Errors
/// EAFNOSUPPORT or EPERM where netlink is forbidden; `TimedOut`; `Interrupted` where the interfaces
/// change all the time; `InvalidData` where `parse` makes nothing of one.
pub(crate) fn interfaces<T>(parse: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
    let mut tries = 1;
    loop {
        match list(&parse) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn list<T>(parse: &impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
    let route = Route::open()?;
    let everything = [0; INTERFACE_HEADER];
    route.send(libc::RTM_GETLINK, libc::NLM_F_DUMP, &everything)?;
    let mut found = Vec::new();
    let mut datagram = vec![0; DATAGRAM_BYTES];
    while !take(route.receive(&mut datagram)?, parse, &mut found)? {}
    Ok(found)
}

/// Brings an interface up.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN in the network namespace, ENODEV for no interface (`rtnl_setlink`).
pub fn raise(interface: u32) -> io::Result<()> {
    let up = libc::IFF_UP as u32;
    change(&message_body(interface, up, &[]))
}

/// Puts an XDP program on an interface, where it stays until it is replaced or the interface is gone.
/// `flags` are `XDP_FLAGS_`, the mode among them.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN in the network namespace, EBUSY or EEXIST where another program is,
/// EOPNOTSUPP for a mode that the driver lacks (`dev_xdp_attach`, net/core/dev.c).
pub fn attach_xdp(interface: u32, program: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
    let mut nested = attribute(IFLA_XDP_FD, &program.as_raw_fd().to_ne_bytes());
    nested.extend(attribute(IFLA_XDP_FLAGS, &flags.to_ne_bytes()));
    let xdp = attribute(IFLA_XDP | NESTED, &nested);
    change(&message_body(interface, 0, &xdp))
}

fn change(body: &[u8]) -> io::Result<()> {
    let route = Route::open()?;
    route.send(libc::RTM_SETLINK, libc::NLM_F_ACK, body)?;
    let mut datagram = vec![0; DATAGRAM_BYTES];
    while !take(
        route.receive(&mut datagram)?,
        &|_| Some(()),
        &mut Vec::new(),
    )? {}
    Ok(())
}

/// A `struct ifinfomsg` that sets these flags, and attributes.
fn message_body(interface: u32, flags: u32, attributes: &[u8]) -> Vec<u8> {
    let words = [0, interface, flags, flags];
    let header = words.iter().flat_map(|word| word.to_ne_bytes());
    header.chain(attributes.iter().copied()).collect()
}

/// The value must have a multiple of four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let bytes = (ATTRIBUTE_HEADER + value.len()) as u16;
    let header = [bytes, kind].into_iter().flat_map(u16::to_ne_bytes);
    header.chain(value.iter().copied()).collect()
}

/// A connection to the kernel.
struct Route(OwnedFd);

impl Route {
    fn open() -> io::Result<Self> {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        // Without a protocol it is NETLINK_ROUTE, which is 0.
        let socket = net::socket_with(family, SocketType::RAW, flags, None)?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        // Port 0 is the kernel.
        net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    fn send(&self, kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let mut message = Vec::with_capacity(MESSAGE_HEADER + body.len());
        message.extend(((MESSAGE_HEADER + body.len()) as u32).to_ne_bytes());
        message.extend([kind, flags].into_iter().flat_map(u16::to_ne_bytes));
        message.extend([SEQUENCE, 0].into_iter().flat_map(u32::to_ne_bytes));
        message.extend(body);
        net::send(&self.0, &message, SendFlags::empty())?;
        Ok(())
    }

    /// The next datagram; one of a length that does not fit is an error.
    fn receive<'a>(&self, datagram: &'a mut [u8]) -> io::Result<&'a [u8]> {
        loop {
            // With MSG_TRUNC the answer is the whole length.
            match net::recv(&self.0, &mut *datagram, RecvFlags::TRUNC) {
                Ok((_, bytes)) => return datagram.get(..bytes).ok_or_else(malformed),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed netlink message")
}

/// One message of the kernel's.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// Takes the interfaces out of a datagram; whether that was the last one.
fn take<T>(
    datagram: &[u8],
    parse: &impl Fn(&[u8]) -> Option<T>,
    found: &mut Vec<T>,
) -> io::Result<bool> {
    for message in messages(datagram).ok_or_else(malformed)? {
        if message.sequence != SEQUENCE {
            continue;
        }
        if i32::from(message.flags) & libc::NLM_F_DUMP_INTR != 0 {
            let why = "interfaces changed while they were listed";
            return Err(io::Error::new(io::ErrorKind::Interrupted, why));
        }
        match i32::from(message.kind) {
            libc::NLMSG_DONE | libc::NLMSG_ERROR => return answer(message.body).map(|()| true),
            _ if message.kind == libc::RTM_NEWLINK => {
                found.push(parse(message.body).ok_or_else(malformed)?);
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Both ends begin with an errno, negative, or 0.
fn answer(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).ok_or_else(malformed)?.cast_signed() {
        0.. => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
    }
}

/// `None` where a length leads out of the bytes.
fn messages(mut bytes: &[u8]) -> Option<Vec<Message<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0)? as usize;
        all.push(Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            body: bytes.get(MESSAGE_HEADER..length)?,
        });
        bytes = behind(bytes, length);
    }
    Some(all)
}

/// Type and value of each attribute; `None` where a length leads out of the bytes.
pub(crate) fn attributes(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE;
        all.push((kind, bytes.get(ATTRIBUTE_HEADER..length)?));
        bytes = behind(bytes, length);
    }
    Some(all)
}

/// What follows: everything begins at a multiple of four.
fn behind(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let (half, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u16::from_ne_bytes(*half))
}

#[cfg(test)]
mod tests;
