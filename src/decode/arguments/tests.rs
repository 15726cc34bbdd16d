//! Calls as strace tells them.

use super::*;
use crate::decode::call::{Piece, PieceData};
use crate::decode::syscalls::{Abi, Table};
use crate::monitor::trace::line;

fn number(name: &str) -> i32 {
    let mut all = Table::of(Abi::Native).entries();
    all.find(|(_, known, _)| *known == name).unwrap().0
}

fn full() -> View<'static> {
    View {
        detail: Detail::Full,
        shown: 32,
        pid: 1,
        descriptors: None,
    }
}

fn bytes<'a>(arg: u8, when: When, data: &'a [u8]) -> Piece<'a> {
    Piece {
        arg,
        when,
        data: PieceData::Bytes { data, whole: true },
    }
}

fn tell(
    name: &str,
    args: [u64; 6],
    result: Option<i64>,
    pieces: &[Piece<'_>],
    view: &View<'_>,
) -> String {
    let call = Call {
        abi: Abi::Native,
        nr: number(name),
        args,
        result,
        pieces,
    };
    let text = line::call(&line::Prefix::default(), &decode(&call, view), None);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const AT_FDCWD: u64 = -100_i32 as u32 as u64;

#[test]
fn an_open_that_succeeds_and_one_that_fails() {
    let args = [AT_FDCWD, 0x7ffd_1000, libc::O_CLOEXEC as u64, 0, 0, 0];
    let pieces = [bytes(1, When::Enter, b"/etc/passwd")];
    let told = |result, pieces: &[Piece<'_>]| tell("openat", args, Some(result), pieces, &full());
    assert_eq!(
        told(3, &pieces),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#
    );
    assert_eq!(
        told(-2, &pieces),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)"#
    );
    let fault = [Piece {
        arg: 1,
        when: When::Enter,
        data: PieceData::Fault,
    }];
    assert_eq!(
        told(-14, &fault),
        "openat(AT_FDCWD, 0x7ffd1000, O_RDONLY|O_CLOEXEC) = -1 EFAULT (Bad address)"
    );
}

#[test]
fn a_read_tells_what_it_brought_and_no_more_than_is_shown() {
    let text = |result, data: &[u8]| {
        let args = [3, 0x1000, 4096, 0, 0, 0];
        tell(
            "read",
            args,
            Some(result),
            &[bytes(1, When::Exit, data)],
            &full(),
        )
    };
    assert_eq!(text(2, b"a\x1b"), r#"read(3, "a\33", 4096) = 2"#);
    assert_eq!(text(0, b""), r#"read(3, "", 4096) = 0"#);
    assert_eq!(
        text(-9, b"old"),
        "read(3, 0x1000, 4096) = -1 EBADF (Bad file descriptor)"
    );
    let long = [b'x'; 40];
    assert_eq!(
        text(40, &long),
        format!("read(3, \"{}\"..., 4096) = 40", "x".repeat(32))
    );
    assert_eq!(
        text(-512, b""),
        "read(3, 0x1000, 4096) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"
    );
}

#[test]
fn less_detail_tells_less() {
    let args = [AT_FDCWD, 0x7ffd_1000, 0, 0, 0, 0];
    let pieces = [bytes(1, When::Enter, b"/")];
    let told = |detail| tell("openat", args, Some(3), &pieces, &View { detail, ..full() });
    assert_eq!(told(Detail::None), "openat(...) = 3");
    assert_eq!(told(Detail::Private), "openat(<private>) = 3");
    // It returns whatever the program had in that register.
    let view = View {
        detail: Detail::Private,
        ..full()
    };
    let returned = tell("rt_sigreturn", [0; 6], Some(0x5345), &[], &view);
    assert_eq!(returned, "rt_sigreturn(<private>) = <private>");
    assert_eq!(
        told(Detail::Names),
        "openat(dirfd=AT_FDCWD, pathname=0x7ffd1000, flags=O_RDONLY) = 3"
    );
}

#[test]
fn a_call_in_two_parts() {
    let decoded = |result| {
        let pieces = [bytes(1, When::Exit, b"abc")];
        let args = [3, 0x1000, 10, 0, 0, 0];
        decode(
            &Call {
                abi: Abi::Native,
                nr: number("read"),
                args,
                result,
                pieces: &pieces,
            },
            &full(),
        )
    };
    let prefix = line::Prefix {
        tid: Some(42),
        time: Some("01:01:01.000001".to_owned()),
    };
    assert_eq!(
        line::unfinished(&prefix, &decoded(None)),
        "[pid    42] 01:01:01.000001 read(3,  <unfinished ...>"
    );
    assert_eq!(
        line::resumed(&prefix, &decoded(Some(3)), Some(line::Took::Ns(12_345))),
        "[pid    42] 01:01:01.000001 <... read resumed>\"abc\", 10) = 3 <0.000012>"
    );
    assert_eq!(
        line::in_progress(&line::Prefix::default(), &decoded(None)),
        "read(3, <in progress>"
    );
    let earlier = line::call(&prefix, &decoded(Some(3)), Some(line::Took::Longer));
    assert!(earlier.ends_with(" = 3 <began earlier>"), "{earlier}");
    let never = line::call(&line::Prefix::default(), &decoded(None), None);
    assert_eq!(never, "read(3,  <unfinished ...>)              = ?");
}

#[test]
fn an_unknown_number_is_told_by_its_registers() {
    let call = Call {
        abi: Abi::Native,
        nr: 9999,
        args: [1, 2, 3, 4, 5, 0xffff_ffff_ffff_ffff],
        result: Some(-38),
        pieces: &[],
    };
    assert_eq!(
        line::call(&line::Prefix::default(), &decode(&call, &full()), None),
        "syscall_9999(0x1, 0x2, 0x3, 0x4, 0x5, 0xffffffffffffffff) = -1 ENOSYS (Function not implemented)"
    );
}

#[test]
fn addresses_of_netlink() {
    let bind = |groups: u32| {
        let address = [&[16, 0, 0, 0, 0, 0, 0, 0][..], &groups.to_ne_bytes()].concat();
        let pieces = [bytes(1, When::Enter, &address)];
        tell("bind", [3, 0x1000, 12, 0, 0, 0], Some(0), &pieces, &full())
    };
    let told =
        |groups| format!("bind(3, {{sa_family=AF_NETLINK, nl_pid=0, nl_groups={groups}}}, 12) = 0");
    assert_eq!([0, 1].map(bind), ["00000000", "0x000001"].map(told));
}

#[test]
fn a_long_path_of_a_socket_is_cut_where_it_was_captured() {
    let connect = |data: &[u8]| {
        let data = PieceData::Bytes { data, whole: false };
        let (arg, when) = (1, When::Enter);
        let pieces = [Piece { arg, when, data }];
        tell(
            "connect",
            [3, 0x1000, 110, 0, 0, 0],
            Some(0),
            &pieces,
            &full(),
        )
    };
    let told = |path| format!("connect(3, {{sa_family=AF_UNIX, sun_path={path}}}, 110) = 0");
    assert_eq!(connect(b"\x01\0/run/x"), told(r#""/run/x"..."#));
    assert_eq!(connect(b"\x01\0/run/x\0\0"), told(r#""/run/x""#));
    assert_eq!(connect(b"\x01\0\0x"), told(r#"@"x"..."#));
}

#[test]
fn how_timers_tell() {
    let create = |event: &[i32]| {
        let event: Vec<u8> = event.iter().flat_map(|it| it.to_ne_bytes()).collect();
        let pieces = [bytes(1, When::Enter, &event), bytes(2, When::Exit, &[0; 4])];
        let told = tell(
            "timer_create",
            [0, 0x1000, 0x2000, 0, 0, 0],
            Some(0),
            &pieces,
            &full(),
        );
        told.replace("timer_create(CLOCK_REALTIME, ", "")
            .replace(", [0]) = 0", "")
    };
    assert_eq!(
        create(&[0, 0, 14, 0, 0, 0, 0, 0]),
        "{sigev_signo=SIGALRM, sigev_notify=SIGEV_SIGNAL}"
    );
    assert_eq!(
        create(&[5, 0, 34, 4, 77, 0, 0, 0]),
        "{sigev_value={sival_int=5, sival_ptr=0x5}, sigev_signo=SIGRT_2, \
         sigev_notify=SIGEV_THREAD_ID, sigev_notify_thread_id=77}"
    );
}

#[test]
fn directories_by_their_entries_and_modes_with_all_their_bits() {
    let entry = |length: u16| {
        let mut entry = vec![0; length.into()];
        entry[16..18].copy_from_slice(&length.to_ne_bytes());
        entry
    };
    let two = [entry(24), entry(32)].concat();
    let told = |data: &[u8], result| {
        let pieces = [bytes(1, When::Exit, data)];
        tell(
            "getdents64",
            [3, 0x1000, 32768, 0, 0, 0],
            Some(result),
            &pieces,
            &full(),
        )
    };
    assert_eq!(
        told(&two, 56),
        "getdents64(3, 0x1000 /* 2 entries */, 32768) = 56"
    );
    assert_eq!(
        told(&[], 0),
        "getdents64(3, 0x1000 /* 0 entries */, 32768) = 0"
    );
    for (data, result) in [(&two[..32], 56), (&two[..], 57), (&[0; 56], 56)] {
        assert_eq!(
            told(data, result),
            format!("getdents64(3, 0x1000, 32768) = {result}")
        );
    }
    let mknod = [0x1000, 0o106_755, 0, 0, 0, 0];
    let pieces = [bytes(0, When::Enter, b"x")];
    assert_eq!(
        tell("mknod", mknod, Some(0), &pieces, &full()),
        r#"mknod("x", S_IFREG|S_ISUID|S_ISGID|0755) = 0"#
    );
}
