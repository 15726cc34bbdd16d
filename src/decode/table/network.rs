//! Calls on sockets.

use super::kind::Kind::*;
use super::kind::Returns::{Fd as NewFd, Int as Number};
use super::{Entry, entry};
use crate::decode::names::network as names;

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("socket", &[("domain", Enum(&names::FAMILY)), ("type", SocketType), ("protocol", Protocol(0))], NewFd),
    entry("socketpair", &[("domain", Enum(&names::FAMILY)), ("type", SocketType), ("protocol", Protocol(0)), ("sv", FdPair)], Number),
    entry("bind", &[("sockfd", Fd), ("addr", SockaddrIn(2)), ("addrlen", Int)], Number),
    entry("connect", &[("sockfd", Fd), ("addr", SockaddrIn(2)), ("addrlen", Int)], Number),
    entry("listen", &[("sockfd", Fd), ("backlog", Int)], Number),
    entry("accept", &[("sockfd", Fd), ("addr", SockaddrOut(2)), ("addrlen", SocklenInOut)], NewFd),
    entry("accept4", &[("sockfd", Fd), ("addr", SockaddrOut(2)), ("addrlen", SocklenInOut), ("flags", Flags(&names::TYPE_FLAGS))], NewFd),
    entry("getsockname", &[("sockfd", Fd), ("addr", SockaddrOut(2)), ("addrlen", SocklenInOut)], Number),
    entry("getpeername", &[("sockfd", Fd), ("addr", SockaddrOut(2)), ("addrlen", SocklenInOut)], Number),
    entry("sendto", &[("sockfd", Fd), ("buf", BufferIn(2)), ("len", Size), ("flags", Flags(&names::MSG)), ("dest_addr", SockaddrIn(5)), ("addrlen", UInt)], Number),
    entry("recvfrom", &[("sockfd", Fd), ("buf", BufferOut), ("size", Size), ("flags", Flags(&names::MSG)), ("src_addr", SockaddrOut(5)), ("addrlen", SocklenInOut)], Number),
    entry("sendmsg", &[("sockfd", Fd), ("msg", MsghdrIn), ("flags", Flags(&names::MSG))], Number),
    entry("recvmsg", &[("sockfd", Fd), ("msg", MsghdrOut), ("flags", Flags(&names::MSG))], Number),
    entry("sendmmsg", &[("sockfd", Fd), ("msgvec", Pointer), ("vlen", UInt), ("flags", Flags(&names::MSG))], Number),
    entry("recvmmsg", &[("sockfd", Fd), ("msgvec", Pointer), ("vlen", UInt), ("flags", Flags(&names::MSG)), ("timeout", TimespecIn)], Number),
    entry("shutdown", &[("sockfd", Fd), ("how", Enum(&names::SHUTDOWN))], Number),
    entry("getsockopt", &[("sockfd", Fd), ("level", Enum(&names::LEVEL)), ("optname", SocketOption(1)), ("optval", OptionOut(4)), ("optlen", SocklenInOut)], Number),
    entry("setsockopt", &[("sockfd", Fd), ("level", Enum(&names::LEVEL)), ("optname", SocketOption(1)), ("optval", OptionIn(4)), ("optlen", Int)], Number),
];
