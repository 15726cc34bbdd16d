//! Tests of the sums by socket and process.

use super::*;
use crate::monitor::net::abi::ADDRESS_BYTES;

const ECONNREFUSED: u32 = 111;
const EAGAIN: u32 = 11;

fn key(inode: u64, port: u16) -> NetKey {
    let mut address = [0; ADDRESS_BYTES];
    address[..4].copy_from_slice(&[127, 0, 0, 1]);
    NetKey {
        process_start_ns: 1,
        inode,
        tgid: 7,
        family: AF_INET,
        port,
        bytes: if port == 0 { 0 } else { 4 },
        flags: 0,
        _pad: 0,
        address: if port == 0 {
            [0; ADDRESS_BYTES]
        } else {
            address
        },
    }
}

/// A row with this socket type, bytes received, and calls by operation.
fn seen(kind: u16, bytes_in: u64, calls: [u64; 6], errors: u64) -> NetEndpoint {
    NetEndpoint {
        first_ns: 0,
        last_ns: 0,
        bytes_in,
        bytes_out: 0,
        calls,
        errors,
        looks: 0,
        connected: 0,
        connect_ns: 0,
        connect_max_ns: 0,
        accepted: 0,
        peer_inode: 0,
        local: NetLocal {
            kind,
            protocol: 0,
            port: 0,
            bytes: 0,
            address: [0; ADDRESS_BYTES],
        },
        comm: [0; 16],
    }
}

fn error(key: NetKey, operation: Operation, error: u32) -> NetError {
    NetError {
        key,
        kind: operation as u32,
        error,
    }
}

const STREAM: u16 = 1;
const DGRAM: u16 = 2;
const RECEIVED: [u64; 6] = [1, 0, 0, 0, 0, 0];
const CLOSED: [u64; 6] = [0, 0, 0, 0, 0, 1];

#[test]
fn what_had_no_name_any_more_belongs_to_the_only_other_end() {
    for (kind, nameless, rows) in [
        (STREAM, seen(STREAM, 5, RECEIVED, 0), 1),
        (DGRAM, seen(DGRAM, 0, CLOSED, 0), 1),
        // The sender of this message, which may be empty, is not known.
        (DGRAM, seen(DGRAM, 5, RECEIVED, 0), 2),
        (DGRAM, seen(DGRAM, 0, RECEIVED, 0), 2),
    ] {
        let named = (key(9, 80), seen(kind, 10, RECEIVED, 0));
        let all = endpoints(&[named, (key(9, 0), nameless)], &[]);
        assert_eq!(all.len(), rows, "{kind} {nameless:?}");
        let sum: u64 = all.iter().map(|it| it.bytes_in).sum();
        assert_eq!(sum, 10 + nameless.bytes_in);
    }
    // A call that failed received nothing.
    let named = (key(9, 80), seen(DGRAM, 10, RECEIVED, 0));
    let failed = (key(9, 0), seen(DGRAM, 0, RECEIVED, 1));
    let errors = [(error(key(9, 0), Operation::Receive, EAGAIN), 1)];
    assert_eq!(endpoints(&[named, failed], &errors).len(), 1);
}

#[test]
fn two_other_ends_leave_what_had_no_name_to_itself() {
    let row = |port| (key(9, port), seen(DGRAM, 0, CLOSED, 0));
    assert_eq!(endpoints(&[row(80), row(81), row(0)], &[]).len(), 3);
}

#[test]
fn errors_without_a_row_or_a_name_are_counted() {
    let rest = (key(9, 80).others(), seen(0, 0, [0, 0, 3, 0, 0, 0], 3));
    let known = (error(key(9, 80), Operation::Connect, ECONNREFUSED), 2);
    let all = endpoints(&[rest], &[known]);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].remote, Address::Others);
    assert_eq!(all[0].errors[&(Operation::Connect, ECONNREFUSED)], 2);
    assert_eq!((all[0].errors_unnamed, all[0].all_errors()), (1, 3));
    // A connect that was given up is no error, although the program counts it as one.
    let row = (key(9, 80), seen(STREAM, 0, CLOSED, 1));
    let given_up = (error(key(9, 80), Operation::ConnectLater, 0), 1);
    let all = endpoints(&[row], &[given_up]);
    assert_eq!((all[0].errors_unnamed, all[0].all_errors()), (0, 0));
}

#[test]
fn addresses_are_what_their_bytes_say() {
    assert_eq!(
        Address::of(AF_INET6, 80, &[127, 0, 0, 1]),
        Address::Ip(IpAddr::from([127, 0, 0, 1]), 80)
    );
    assert_eq!(
        Address::of(AF_UNIX, 0, b"\0a\0b"),
        Address::Abstract(b"a\0b".to_vec())
    );
    assert_eq!(
        Address::of(AF_UNIX, 0, b"/run/a"),
        Address::Path(b"/run/a".to_vec())
    );
    assert_eq!(Address::of(AF_UNIX, 0, b""), Address::None);
    assert_eq!(Address::of(AF_INET, 80, &[1, 2]), Address::None);
    assert_eq!(Address::of(16, 80, &[1, 2, 3, 4]), Address::None);
}

#[test]
fn sums_that_lack_something_are_not_whole() {
    use crate::monitor::losses::Missing;
    let is_whole = |set: fn(&mut NetControl)| {
        let mut seen = Seen::default();
        set(&mut seen.control);
        let of_sums = &seen.missing();
        let missing = Missing {
            of_sums,
            ..Missing::default()
        };
        missing.none()
    };
    assert!(is_whole(|_| {}));
    assert!(!is_whole(|control| control.lengths_unknown = 1));
    assert!(!is_whole(|control| control.unread_calls = 1));
}
