//! Socket addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::names::network as names;
use super::super::value::Value;
use super::reader::Bytes;

/// A socket address as strace writes it.
pub(super) fn value(bytes: Bytes<'_>) -> Value {
    let Some(family) = bytes.u16(0) else {
        return Value::Text {
            bytes: bytes.data.to_vec(),
            cut: !bytes.whole,
        };
    };
    let mut told = vec![("sa_family".into(), names::FAMILY.constant(family))];
    let rest = match family as i32 {
        libc::AF_UNIX => Some(unix(bytes)),
        libc::AF_INET => inet(bytes),
        libc::AF_INET6 => inet6(bytes),
        libc::AF_NETLINK => netlink(bytes),
        libc::AF_PACKET => packet(bytes),
        libc::AF_UNSPEC if bytes.data.len() == 2 => Some(Vec::new()),
        _ => None,
    };
    told.extend(
        rest.unwrap_or_else(|| vec![("sa_data", raw(bytes))])
            .into_iter()
            .map(|(name, value)| (name.into(), value)),
    );
    Value::Struct(told)
}

type Fields = Vec<(&'static str, Value)>;

fn raw(bytes: Bytes<'_>) -> Value {
    Value::Text {
        bytes: bytes.data[2..].to_vec(),
        cut: !bytes.whole,
    }
}

/// A path, or an abstract name behind `@`.
fn unix(bytes: Bytes<'_>) -> Fields {
    let name = &bytes.data[2..];
    let value = match name {
        [] => return Vec::new(),
        [0, abstracted @ ..] => {
            let text = Value::Text {
                bytes: abstracted.to_vec(),
                cut: !bytes.whole,
            };
            Value::word(format!("@{text}"))
        }
        name => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Value::Text {
                bytes: path.to_vec(),
                cut: !bytes.whole && path.len() == name.len(),
            }
        }
    };
    vec![("sun_path", value)]
}

fn port(bytes: Bytes<'_>) -> Option<Value> {
    let port = u16::from_be(bytes.u16(2)? as u16);
    Some(Value::Macro("htons", vec![Value::UInt(port.into())]))
}

fn inet(bytes: Bytes<'_>) -> Option<Fields> {
    let octets: [u8; 4] = bytes.data.get(4..8)?.try_into().ok()?;
    let text = Ipv4Addr::from(octets).to_string().into_bytes();
    let address = Value::Macro(
        "inet_addr",
        vec![Value::Text {
            bytes: text,
            cut: false,
        }],
    );
    Some(vec![("sin_port", port(bytes)?), ("sin_addr", address)])
}

fn inet6(bytes: Bytes<'_>) -> Option<Fields> {
    let octets: [u8; 16] = bytes.data.get(8..24)?.try_into().ok()?;
    let text = Ipv6Addr::from(octets).to_string().into_bytes();
    let flow = Value::Macro(
        "htonl",
        vec![Value::UInt(u32::from_be(bytes.u32(4)? as u32).into())],
    );
    let address = [
        Value::word("AF_INET6"),
        Value::Text {
            bytes: text,
            cut: false,
        },
        Value::word("&sin6_addr"),
    ];
    let scope = bytes.u32(24)?;
    Some(vec![
        ("sin6_port", port(bytes)?),
        ("sin6_flowinfo", flow),
        ("", Value::Macro("inet_pton", address.into())),
        ("sin6_scope_id", Value::UInt(scope)),
    ])
}

fn netlink(bytes: Bytes<'_>) -> Option<Fields> {
    // As C's `%#08x`, which writes no 0x before nothing.
    let groups = match bytes.u32(8)? {
        0 => "00000000".to_owned(),
        groups => format!("{groups:#08x}"),
    };
    Some(vec![
        ("nl_pid", Value::Int(bytes.i32(4)?)),
        ("nl_groups", Value::word(groups)),
    ])
}

fn packet(bytes: Bytes<'_>) -> Option<Fields> {
    let protocol = u64::from(u16::from_be(bytes.u16(2)? as u16));
    Some(vec![
        (
            "sll_protocol",
            Value::Macro("htons", vec![names::ETHERNET.constant(protocol)]),
        ),
        ("sll_ifindex", Value::Int(bytes.i32(4)?)),
        ("sll_hatype", Value::Hex(bytes.u16(8)?)),
        ("sll_pkttype", Value::Hex(u64::from(*bytes.data.get(10)?))),
        ("sll_halen", Value::UInt(u64::from(*bytes.data.get(11)?))),
    ])
}

/// For people: `127.0.0.1:80`, `[::1]:80`, a path, `@name`; `None` of what has no address.
pub(in crate::decode) fn short(data: &[u8]) -> Option<Vec<u8>> {
    let bytes = Bytes {
        data,
        whole: true,
        word: 8,
    };
    let port = || Some(u16::from_be(bytes.u16(2)? as u16));
    match bytes.u16(0)? as i32 {
        libc::AF_INET => {
            let octets: [u8; 4] = data.get(4..8)?.try_into().ok()?;
            Some(format!("{}:{}", Ipv4Addr::from(octets), port()?).into_bytes())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = data.get(8..24)?.try_into().ok()?;
            Some(format!("[{}]:{}", Ipv6Addr::from(octets), port()?).into_bytes())
        }
        libc::AF_UNIX => match data.get(2..)? {
            [] => None,
            [0, name @ ..] => Some([b"@", name].concat()),
            path => Some(path.split(|byte| *byte == 0).next()?.to_vec()),
        },
        _ => None,
    }
}
