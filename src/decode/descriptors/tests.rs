//! Descriptors over the life of processes.

use super::*;
use crate::decode::call::{Piece, PieceData, When};
use crate::decode::syscalls::{self, Abi};

const CWD: u64 = -100_i32 as u32 as u64;

fn did(all: &mut Descriptors, name: &str, args: &[u64], result: i64, memory: &[(u8, When, &[u8])]) {
    let mut numbers = syscalls::Table::of(Abi::Native).entries();
    let nr = numbers.find(|(_, known, _)| *known == name).unwrap().0;
    let mut registers = [0; 6];
    registers[..args.len()].copy_from_slice(args);
    let piece = |(arg, when, data): &(u8, When, &'static [u8])| Piece {
        arg: *arg,
        when: *when,
        data: PieceData::Bytes { data, whole: true },
    };
    let memory: Vec<(u8, When, &'static [u8])> = memory
        .iter()
        .map(|(arg, when, data)| (*arg, *when, &*data.to_vec().leak()))
        .collect();
    let pieces: Vec<_> = memory.iter().map(piece).collect();
    all.apply(
        1,
        &Call {
            abi: Abi::Native,
            nr,
            args: registers,
            result: Some(result),
            pieces: &pieces,
        },
    );
}

fn name(all: &Descriptors, fd: i32) -> String {
    all.name(1, fd)
        .map_or_else(String::new, |name| String::from_utf8(name).unwrap())
}

#[test]
fn files_are_known_by_their_paths() {
    let mut all = Descriptors::default();
    let open = |all: &mut Descriptors, dir: u64, path: &[u8], fd| {
        did(all, "openat", &[dir, 1, 0], fd, &[(1, When::Enter, path)]);
    };
    open(&mut all, CWD, b"here", 3);
    assert_eq!(name(&all, 3), "here", "relative to what is not known");
    all.seed_cwd(1, b"/home");
    open(&mut all, CWD, b"./dir", 4);
    open(&mut all, 4, b"file", 5);
    open(&mut all, 99, b"file", 6);
    open(&mut all, CWD, b"/etc/passwd", 7);
    assert_eq!(
        [4, 5, 6, 7].map(|fd| name(&all, fd)),
        ["/home/dir", "/home/dir/file", "file", "/etc/passwd"]
    );
    let changed = [(0, When::Enter, &b"/srv\0"[..])];
    did(&mut all, "chdir", &[1], 0, &changed);
    open(&mut all, CWD, b"y\0", 9);
    assert_eq!(name(&all, 9), "/srv/y", "with the NUL or without");
    did(&mut all, "fchdir", &[4], 0, &[]);
    open(&mut all, CWD, b"x", 8);
    assert_eq!(name(&all, 8), "/home/dir/x");
    did(
        &mut all,
        "openat",
        &[CWD, 1, 0],
        -2,
        &[(1, When::Enter, b"/none")],
    );
    did(&mut all, "openat", &[CWD, 1, 0], 8, &[]);
    assert_eq!(
        name(&all, 8),
        "",
        "a path that could not be read is not known"
    );
}

#[test]
fn duplicates_and_closing() {
    let mut all = Descriptors::default();
    all.seed(1, 0, b"/dev/null", false);
    did(&mut all, "dup", &[0], 3, &[]);
    did(&mut all, "dup2", &[0, 4], 4, &[]);
    did(
        &mut all,
        "fcntl",
        &[0, libc::F_DUPFD_CLOEXEC as u64, 5],
        5,
        &[],
    );
    assert_eq!([3, 4, 5].map(|fd| name(&all, fd)), ["/dev/null"; 3]);
    did(&mut all, "dup2", &[77, 4], 4, &[]);
    assert_eq!(
        name(&all, 4),
        "",
        "what an unknown one refers to is unknown"
    );
    did(&mut all, "close", &[3], -4, &[]);
    assert_eq!(name(&all, 3), "", "closed though interrupted");
    did(&mut all, "execve", &[], 0, &[]);
    assert_eq!([name(&all, 0), name(&all, 5)], ["/dev/null", ""]);
    all.seed(1, 10, b"a", false);
    did(
        &mut all,
        "close_range",
        &[9, u64::from(u32::MAX), 0],
        0,
        &[],
    );
    assert_eq!(name(&all, 10), "");
}

#[test]
fn sockets_by_protocol_and_ends() {
    let mut all = Descriptors::default();
    let [inet, stream] = [libc::AF_INET, libc::SOCK_STREAM].map(|number| number as u64);
    did(&mut all, "socket", &[inet, stream, 0], 3, &[]);
    assert_eq!(name(&all, 3), "TCP");
    let address = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    did(
        &mut all,
        "connect",
        &[3, 1, 16],
        -115,
        &[(1, When::Enter, &address)],
    );
    assert_eq!(name(&all, 3), "TCP 127.0.0.1:80");
    did(
        &mut all,
        "socket",
        &[libc::AF_INET6 as u64, libc::SOCK_DGRAM as u64, 0],
        4,
        &[],
    );
    assert_eq!(name(&all, 4), "UDPv6");
    did(&mut all, "socket", &[inet, stream, 0], 5, &[]);
    did(
        &mut all,
        "bind",
        &[5, 1, 16],
        0,
        &[(1, When::Enter, &address)],
    );
    let peer = [2, 0, 0x1f, 0x90, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    did(
        &mut all,
        "accept4",
        &[5, 1, 2, 0],
        6,
        &[(1, When::Exit, &peer)],
    );
    assert_eq!(name(&all, 6), "TCP 127.0.0.1:80->10.0.0.2:8080");
    let pair = [7_i32.to_ne_bytes(), 8_i32.to_ne_bytes()].concat();
    did(
        &mut all,
        "socketpair",
        &[1, stream, 0, 1],
        0,
        &[(3, When::Exit, &pair)],
    );
    did(
        &mut all,
        "pipe2",
        &[1, 0],
        0,
        &[(0, When::Exit, &[9, 0, 0, 0, 10, 0, 0, 0])],
    );
    assert_eq!(
        [7, 8, 9, 10].map(|fd| name(&all, fd)),
        ["UNIX-STREAM", "UNIX-STREAM", "pipe", "pipe"]
    );
}

#[test]
fn children_have_copies_or_share() {
    let mut all = Descriptors::default();
    all.seed(1, 0, b"/dev/null", false);
    did(&mut all, "fork", &[], 2, &[]);
    did(&mut all, "clone", &[libc::CLONE_FILES as u64], 3, &[]);
    did(&mut all, "close", &[0], 0, &[]);
    assert_eq!(
        [1, 2, 3].map(|pid| all.name(pid, 0).is_some()),
        [false, true, false]
    );
    all.executed(3);
    all.seed(1, 5, b"new", false);
    assert_eq!(all.name(3, 5), None, "a new program shares no descriptors");
    for pid in [1, 2, 3] {
        all.ended(pid);
    }
    assert!(all.tables.is_empty() && all.processes.is_empty());
}
