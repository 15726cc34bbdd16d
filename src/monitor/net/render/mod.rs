//! Sockets and their traffic, as lines, tables and records.

mod table;

use std::time::Duration;

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::decode::errors;
use crate::monitor::net::abi::NetControl;
use crate::monitor::net::call::Call;
use crate::monitor::net::model::{
    self, Address, Connects, Endpoint, Operation, Seen, SocketType, Sum,
};
use crate::output::escape::escaped;
use crate::output::exact::put;
use crate::output::layout::shortened;
use crate::sys::epoch::TimeOfDay;

pub(crate) use table::table;

/// Terminals narrower than this get narrower columns.
const WIDE: usize = 110;

/// The header of the lines.
pub(crate) fn header(columns: usize) -> String {
    front(["TIME", "PID", "BY", "CALL", "RESULT"], columns) + "SOCKET\n"
}

/// The columns in front of the socket.
fn front([time, pid, by, call, result]: [&str; 5], columns: usize) -> String {
    if columns < WIDE {
        let by = shortened(by, 8);
        format!("{time:<15} {pid:>7} {by:<8} {call:<8} {result:<11} ")
    } else {
        format!("{time:<15}  {pid:>7}  {by:<16}  {call:<9}  {result:<12}  ")
    }
}

/// `AF_` of Unix sockets, IPv4 and IPv6.
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Errors of interrupted calls that are internal to the kernel: it restarts the call, or returns `EINTR`.
fn errno_name(errno: i32) -> String {
    errors::named(errno).map_or_else(|| format!("errno {errno}"), |(name, _)| name.to_owned())
}

/// Families by number (`include/linux/socket.h`).
const FAMILIES: [(u16, &str); 14] = [
    (AF_UNIX, "unix"),
    (AF_INET, "inet"),
    (AF_INET6, "inet6"),
    (15, "key"),
    (16, "netlink"),
    (17, "packet"),
    (21, "rds"),
    (29, "can"),
    (30, "tipc"),
    (31, "bluetooth"),
    (38, "alg"),
    (40, "vsock"),
    (43, "smc"),
    (44, "xdp"),
];

/// Types by number (`include/linux/net.h`).
const KINDS: [(u16, &str); 6] = [
    (1, "stream"),
    (2, "dgram"),
    (3, "raw"),
    (4, "rdm"),
    (5, "seqpacket"),
    (10, "packet"),
];

/// Protocols of internet sockets by number (`include/uapi/linux/in.h`).
const PROTOCOLS: [(u16, &str); 8] = [
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (58, "icmpv6"),
    (132, "sctp"),
    (136, "udplite"),
    (262, "mptcp"),
];

fn known(table: &[(u16, &'static str)], number: u16) -> Option<&'static str> {
    let found = table.iter().find(|(known, _)| *known == number);
    found.map(|(_, name)| *name)
}

/// The usual name: `tcp`, `unix dgram`.
fn socket_type(it: SocketType) -> String {
    if it.family == 0 {
        return "no socket".to_owned();
    }
    let number = |what: &str, number: u16| format!("{what} {number}");
    let kind = known(&KINDS, it.kind);
    let kind = kind.map_or_else(|| number("type", it.kind), ToOwned::to_owned);
    if [AF_INET, AF_INET6].contains(&it.family) {
        let protocol = known(&PROTOCOLS, it.protocol);
        let protocol = protocol.map_or_else(|| number("protocol", it.protocol), ToOwned::to_owned);
        return if it.kind == 3 {
            format!("raw {protocol}")
        } else {
            protocol
        };
    }
    let family = known(&FAMILIES, it.family);
    let family = family.map_or_else(|| number("family", it.family), ToOwned::to_owned);
    format!("{family} {kind}")
}

/// An address as `ss` writes it; names are escaped.
fn address(address: &Address) -> String {
    match address {
        Address::None => "-".to_owned(),
        Address::Several => "(several)".to_owned(),
        Address::Private => "<private>".to_owned(),
        Address::Others => "(others)".to_owned(),
        Address::Ip(ip, port) => std::net::SocketAddr::new(*ip, *port).to_string(),
        Address::Path(path) => escaped(path),
        Address::Abstract(name) => format!("@{}", escaped(name)),
    }
}

/// The remote end; for a Unix socket without a name, the inode number of the peer.
fn remote(remote: &Address, peer_inode: u64) -> String {
    match remote {
        Address::None if peer_inode != 0 => format!("(inode {peer_inode})"),
        other => address(other),
    }
}

/// A call, shortened to the width.
pub(crate) fn line(it: &Call, when: &TimeOfDay, columns: usize) -> String {
    let name = match it.operation {
        Operation::ConnectLater => "…connect".to_owned(),
        Operation::GivenUp => "…gave up".to_owned(),
        _ => it.syscall.describe().0,
    };
    let result = it.errno().map_or_else(|| it.result.to_string(), errno_name);
    let (when, pid, by) = (when.to_string(), it.pid.to_string(), escaped(&it.command));
    let front = front([&when, &pid, &by, &name, &result], columns);
    let direction = match it.operation {
        Operation::Receive | Operation::Accept => "<-",
        _ => "->",
    };
    let (local, remote) = (address(&it.local), remote(&it.remote, it.peer_inode));
    let what = socket_type(it.socket_type);
    let room = columns.saturating_sub(front.width()).max(20);
    // The remote end matters most to readers.
    let socket = [
        format!("fd {} {what} {local} {direction} {remote}", it.fd),
        format!("{what} {direction} {remote}"),
        format!("{direction} {remote}"),
    ];
    let fits = socket.iter().find(|text| text.width() <= room);
    let socket = shortened(fits.unwrap_or(&socket[2]), room);
    format!("{front}{socket}\n")
}

fn address_value(address: &Address) -> Value {
    let named = |name: &str, bytes: &[u8]| {
        let mut value = json!({});
        put(&mut value, name, bytes);
        value
    };
    match address {
        Address::None => Value::Null,
        Address::Several => json!({"several": true}),
        Address::Private => json!({"private": true}),
        Address::Others => json!({"others": true}),
        Address::Ip(ip, port) => json!({"address": ip.to_string(), "port": port}),
        Address::Path(path) => named("path", path),
        Address::Abstract(name) => named("abstract", name),
    }
}

/// Adds the socket type to a record, by name if there is one, else by number.
fn describe(record: &mut Value, it: SocketType) {
    let name = |table: &[(u16, &'static str)], number: u16| {
        known(table, number).map_or_else(|| Value::from(number), Value::from)
    };
    if it.family == 0 {
        record["family"] = Value::Null;
        return;
    }
    record["family"] = name(&FAMILIES, it.family);
    record["type"] = name(&KINDS, it.kind);
    record["protocol"] = if [AF_INET, AF_INET6].contains(&it.family) {
        name(&PROTOCOLS, it.protocol)
    } else {
        it.protocol.into()
    };
}

fn ends(record: &mut Value, local: &Address, remote: &Address, peer_inode: u64) {
    record["local"] = address_value(local);
    record["remote"] = address_value(remote);
    if peer_inode != 0 {
        record["peer_inode"] = peer_inode.into();
    }
}

/// A call as a record.
pub(crate) fn record(it: &Call, since_1970: Duration) -> Value {
    let mut record = json!({
        "kind": "socket",
        "ts_ms": since_1970.as_secs_f64() * 1e3,
        "seq": it.seq,
        "pid": it.pid,
        "tid": it.tid,
        "command": null,
        "what": it.operation.name(),
        "syscall": it.syscall.describe().0,
        "fd": it.fd,
        "inode": Some(it.inode).filter(|inode| *inode != 0),
    });
    put(&mut record, "command", &it.command[..]);
    describe(&mut record, it.socket_type);
    ends(&mut record, &it.local, &it.remote, it.peer_inode);
    record["bytes"] = it.bytes.into();
    record["result"] = it.result.into();
    record["errno"] = it.errno().map(errno_name).into();
    record["duration_us"] = (it.took.as_secs_f64() * 1e6).into();
    if let Some(abi) = it.syscall.foreign_abi() {
        record["abi"] = abi.into();
    }
    record
}

fn connects(it: &Connects) -> Value {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    if it.made == 0 {
        return json!({"made": 0});
    }
    json!({
        "made": it.made,
        "mean_us": micros(it.took) / it.made as f64,
        "max_us": micros(it.longest),
    })
}

/// A row of the sums as a record.
pub(crate) fn endpoint(it: &Endpoint) -> Value {
    let mut record = json!({
        "kind": "endpoint",
        "pid": it.process.pid,
        "command": null,
        "inode": Some(it.inode).filter(|inode| *inode != 0),
    });
    put(&mut record, "command", &it.command[..]);
    describe(&mut record, it.socket_type);
    ends(&mut record, &it.local, &it.remote, it.peer_inode);
    let operations = [
        Operation::Receive,
        Operation::Send,
        Operation::Connect,
        Operation::Accept,
        Operation::Shutdown,
        Operation::Close,
    ];
    let calls: Map<_, _> = operations
        .iter()
        .zip(it.calls)
        .map(|(operation, calls)| (operation.name().to_owned(), calls.into()))
        .collect();
    record["bytes_in"] = it.bytes_in.into();
    record["bytes_out"] = it.bytes_out.into();
    record["calls"] = calls.into();
    record["looks"] = it.looks.into();
    record["accepted"] = it.accepted.into();
    record["connects"] = connects(&it.connects);
    record["errors"] = errors(it);
    record
}

/// Errors by operation, then by errno.
fn errors(it: &Endpoint) -> Value {
    let mut errors = Map::new();
    for ((operation, errno), count) in &it.errors {
        if *operation == Operation::GivenUp {
            errors.insert(operation.name().to_owned(), (*count).into());
            continue;
        }
        let of = errors.entry(operation.name()).or_insert_with(|| json!({}));
        of[errno_name(i32::try_from(*errno).unwrap_or(i32::MAX))] = (*count).into();
    }
    if it.errors_unnamed > 0 {
        errors.insert("unknown".to_owned(), it.errors_unnamed.into());
    }
    errors.into()
}

fn process(sum: &Sum) -> Value {
    let mut record = json!({
        "pid": sum.process.pid,
        "command": null,
        "endpoints": sum.endpoints,
        "bytes_in": sum.bytes_in,
        "bytes_out": sum.bytes_out,
        "calls": sum.calls,
        "errors": sum.errors,
        "connects": connects(&sum.connects),
    });
    put(&mut record, "command", &sum.command[..]);
    record
}

/// The part of the summary about sockets; empty if the maps could not be read.
pub(crate) fn summary(seen: Option<&Seen>) -> Value {
    let Some(seen) = seen else {
        return json!({});
    };
    let processes = model::by_process(&seen.endpoints);
    let sum = |of: fn(&Sum) -> u64| processes.iter().map(of).sum::<u64>();
    json!({
        "endpoints": seen.endpoints.len(),
        "bytes_in": sum(|it| it.bytes_in),
        "bytes_out": sum(|it| it.bytes_out),
        "calls": sum(|it| it.calls),
        "errors": sum(|it| it.errors),
        "processes": processes.iter().map(process).collect::<Vec<_>>(),
        "calls_in_progress": in_progress(&seen.control),
        "connects_in_progress": connecting(&seen.control),
        "bytes_untracked": seen.control.untracked_bytes,
        "lengths_unknown": seen.control.lengths_unknown,
        "calls_untracked": seen.control.untracked_calls,
        "calls_unread": seen.control.unread_calls,
    })
}

fn in_progress(control: &NetControl) -> u64 {
    control.begun.saturating_sub(control.ended)
}

fn connecting(control: &NetControl) -> u64 {
    control
        .connects_left
        .saturating_sub(control.connects_settled)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::decode::syscalls::Abi;
    use crate::sys::epoch::time_of_day;

    fn sent(command: &[u8]) -> Call {
        let ip = |port| Address::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Call {
            start_ns: 0,
            took: Duration::ZERO,
            seq: Some(1),
            pid: 77,
            tid: 77,
            command: command.to_vec(),
            syscall: crate::decode::syscalls::Call {
                abi: Abi::Native,
                nr: 44,
            },
            operation: Operation::Send,
            fd: 3,
            inode: 9,
            socket_type: SocketType {
                family: AF_INET,
                kind: 1,
                protocol: 6,
            },
            local: ip(40_000),
            remote: ip(80),
            peer_inode: 0,
            bytes: 5,
            result: 5,
        }
    }

    #[test]
    fn lines_keep_to_the_terminal_and_keep_the_other_end() {
        let when = time_of_day(Duration::ZERO);
        for columns in [80, 109, 110, 120, 200] {
            for command in [b"curl".as_slice(), b"\x1b\x1b\x1b\x1b\x1b"] {
                let line = line(&sent(command), &when, columns);
                assert!(line.ends_with("-> 127.0.0.1:80\n"), "{line}");
                assert!(line.width() <= columns || command != b"curl", "{line}");
                assert!(!line.contains('\x1b'), "{line:?}");
            }
            let column = |text: &str, word: &str| text.find(word);
            let line = line(&sent(b"curl"), &when, columns);
            let header = header(columns);
            assert_eq!(column(&header, "BY"), column(&line, "curl"));
            assert_eq!(column(&header, "RESULT"), column(&line, "5  "));
        }
    }
}
