//! Arguments of calls on sockets.

use super::super::call::When;
use super::super::names::network as names;
use super::super::value::Value;
use super::reader::{Bytes, Reader};
use super::{Detail, sockaddr};

/// The type of a socket in the low bits; flags above.
const TYPE_MASK: u64 = 0xf;

pub(super) fn socket_type(bits: u64) -> Value {
    let Some(kind) = names::TYPE.name(bits & TYPE_MASK) else {
        return names::TYPE_FLAGS.flags(bits);
    };
    let mut words = vec![kind.to_owned()];
    let (flags, rest) = match bits & !TYPE_MASK {
        0 => (Vec::new(), 0),
        flags => names::TYPE_FLAGS.split(flags),
    };
    words.extend(flags.into_iter().map(String::from));
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    Value::word(words.join("|"))
}

pub(super) fn protocol(domain: i32, protocol: u64) -> Value {
    match domain {
        libc::AF_INET | libc::AF_INET6 => names::IP_PROTOCOL.constant(protocol),
        libc::AF_NETLINK => names::NETLINK.constant(protocol),
        libc::AF_BLUETOOTH => names::BLUETOOTH.constant(protocol),
        libc::AF_CAN => names::CAN.constant(protocol),
        libc::AF_PACKET => {
            let number = u64::from((protocol as u16).swap_bytes());
            Value::Macro("htons", vec![names::ETHERNET.constant(number)])
        }
        _ => Value::UInt(protocol),
    }
}

fn told_address(bytes: Bytes<'_>, length: u64) -> Value {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let data = &bytes.data[..bytes.data.len().min(length)];
    sockaddr::value(Bytes { data, ..bytes })
}

pub(super) fn sockaddr_in(reader: &Reader<'_>, at: usize, length: u64) -> Value {
    reader.decoded(at, When::Enter, |bytes| Some(told_address(bytes, length)))
}

/// The kernel writes no more than there is room for, and says how long the address is.
pub(super) fn sockaddr_out(reader: &Reader<'_>, at: usize, len: usize) -> Value {
    let length = |when| reader.bytes(len, when).and_then(|len| len.u32(0));
    match (
        reader.bytes(at, When::Exit),
        length(When::Enter),
        length(When::Exit),
    ) {
        (Some(bytes), Some(room), Some(length)) => told_address(bytes, length.min(room)),
        (Some(bytes), None, Some(length)) => told_address(bytes, length),
        _ => reader.address(at),
    }
}

pub(super) fn socklen(reader: &Reader<'_>, at: usize) -> Value {
    let number = |when| reader.bytes(at, when)?.i32(0).map(Value::Int);
    let told = match (number(When::Enter), number(When::Exit)) {
        (Some(before), Some(after)) if before != after => {
            Value::Changed(before.into(), after.into())
        }
        (_, Some(after)) => after,
        (Some(before), None) => before,
        (None, None) => return reader.address(at),
    };
    Value::List(vec![told], false)
}

pub(super) fn option_name(level: i32, option: u64) -> Value {
    let known = match level {
        libc::SOL_SOCKET => &names::SOCKET_OPTION,
        libc::SOL_TCP => &names::TCP_OPTION,
        libc::SOL_IP => &names::IP_OPTION,
        libc::SOL_IPV6 => &names::IPV6_OPTION,
        libc::SOL_NETLINK => &names::NETLINK_OPTION,
        libc::SOL_PACKET => &names::PACKET_OPTION,
        _ => return Value::UInt(option),
    };
    known.constant(option)
}

pub(super) fn option_in(reader: &Reader<'_>, at: usize, length: u64) -> Value {
    option_value(reader, at, When::Enter, Some(length))
}

/// Its length is where the argument `length` points at.
pub(super) fn option_out(reader: &Reader<'_>, at: usize, length: usize) -> Value {
    let length = reader.bytes(length, When::Exit).and_then(|it| it.u32(0));
    option_value(reader, at, When::Exit, length)
}

fn option_value(reader: &Reader<'_>, at: usize, when: When, length: Option<u64>) -> Value {
    let Some(bytes) = reader.bytes(at, when) else {
        return reader.address(at);
    };
    let (level, option) = (reader.int(1), reader.int(2));
    match (level, option, length) {
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE, _) | (libc::SOL_TCP, libc::TCP_CONGESTION, _) => {
            Some(reader.text(bytes.until_nul(), bytes.whole))
        }
        (libc::SOL_SOCKET, libc::SO_LINGER, Some(8..)) => linger(bytes),
        (libc::SOL_SOCKET, libc::SO_PEERCRED, Some(12..)) => credentials(bytes),
        (_, _, Some(4)) => bytes
            .i32(0)
            .map(|number| Value::List(vec![Value::Int(number)], false)),
        _ => Some(reader.text(bytes.data, bytes.whole))
            .filter(|_| reader.view.detail == Detail::Full),
    }
    .unwrap_or_else(|| reader.address(at))
}

fn linger(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::Struct(vec![
        ("l_onoff".into(), Value::Int(bytes.i32(0)?)),
        ("l_linger".into(), Value::Int(bytes.i32(4)?)),
    ]))
}

fn credentials(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::Struct(vec![
        ("pid".into(), Value::Int(bytes.i32(0)?)),
        ("uid".into(), Value::UInt(bytes.u32(4)?)),
        ("gid".into(), Value::UInt(bytes.u32(8)?)),
    ]))
}

/// Where the name, the parts and the control data are, and how much there is of each: what they
/// point at was not captured.
pub(super) fn msghdr(reader: &Reader<'_>, at: usize, when: When) -> Value {
    let told = |bytes: Bytes<'_>| {
        let controls = bytes.word(0, 5)?;
        let mut told = vec![
            ("msg_name".into(), Value::Address(bytes.word(0, 0)?)),
            ("msg_namelen".into(), Value::UInt(bytes.u32(bytes.word)?)),
            ("msg_iov".into(), Value::Address(bytes.word(0, 2)?)),
            ("msg_iovlen".into(), Value::UInt(bytes.word(0, 3)?)),
        ];
        if controls != 0 {
            told.push(("msg_control".into(), Value::Address(bytes.word(0, 4)?)));
        }
        told.push(("msg_controllen".into(), Value::UInt(controls)));
        told.push((
            "msg_flags".into(),
            names::MSG.flags(bytes.u32(6 * bytes.word)?),
        ));
        Some(Value::Struct(told))
    };
    reader
        .bytes(at, when)
        .and_then(told)
        .unwrap_or_else(|| reader.address(at))
}
