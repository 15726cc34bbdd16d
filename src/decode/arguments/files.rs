//! Arguments of calls on files and descriptors.

use super::super::call::When;
use super::super::names::{Names, files, ioctls, signals};
use super::super::table::EPOLL_EVENT;
use super::super::value::Value;
use super::reader::{Bytes, Reader};

pub(super) fn statx_flags(bits: u64) -> Value {
    let sync = match bits & files::STATX_SYNC_MASK {
        0 => Value::word("AT_STATX_SYNC_AS_STAT"),
        sync => files::STATX_SYNC.flags(sync),
    };
    match bits & !files::STATX_SYNC_MASK {
        0 => sync,
        flags => Value::Joined(vec![sync, files::AT.flags(flags)], "|"),
    }
}

/// `None` unless these flags make a file.
pub(super) fn open_mode(mode: u64, flags: u64) -> Option<Value> {
    let makes = flags & files::MAKES_A_FILE != 0;
    makes.then(|| Value::Octal(u64::from(mode as u16)))
}

/// An array whose items are told one by one.
pub(super) fn list(
    reader: &Reader<'_>,
    at: usize,
    when: When,
    size: usize,
    count: u64,
    item: impl Fn(Bytes<'_>) -> Option<Value>,
) -> Value {
    if count == 0 && reader.word(at) != 0 && reader.view.detail == super::Detail::Full {
        return Value::List(Vec::new(), false);
    }
    let Some(bytes) = reader.bytes(at, when) else {
        return reader.address(at);
    };
    let values: Vec<_> = bytes.items(size).map_while(item).collect();
    if values.is_empty() {
        return reader.address(at);
    }
    let shown = values.len().min(reader.view.shown);
    let more = (shown as u64) < count;
    Value::List(values.into_iter().take(shown).collect(), more)
}

/// The access mode and the flags.
pub(super) fn open_flags(bits: u64) -> Value {
    let mut words = files::ACCESS.split(bits & 3).0;
    if bits & 3 == 0 {
        words = vec!["O_RDONLY".into()];
    }
    let (flags, rest) = files::OPEN.split(bits & !3);
    if bits & !3 != 0 {
        words.extend(flags);
    }
    if rest != 0 {
        words.push(format!("{rest:#x}").into());
    }
    Value::word(words.join("|"))
}

pub(super) fn fields<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::Struct(
        fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
    )
}

pub(super) fn fd_pair(reader: &Reader<'_>, at: usize) -> Value {
    reader.decoded(at, When::Exit, |bytes| {
        let both = [bytes.i32(0)?, bytes.i32(4)?];
        Some(Value::List(
            both.map(|fd| reader.new_fd(fd as i32)).into(),
            false,
        ))
    })
}

pub(super) fn iovecs(reader: &Reader<'_>, at: usize, count: u64) -> Value {
    let size = 2 * reader.word_size();
    list(reader, at, When::Enter, size, count, iovec)
}

fn iovec(bytes: Bytes<'_>) -> Option<Value> {
    Some(fields([
        ("iov_base", Value::Address(bytes.word(0, 0)?)),
        ("iov_len", Value::UInt(bytes.word(0, 1)?)),
    ]))
}

pub(super) fn pollfds(reader: &Reader<'_>, at: usize, count: u64) -> Value {
    let item = |item: Bytes<'_>| pollfd(reader, item);
    list(reader, at, When::Enter, 8, count, item)
}

fn pollfd(reader: &Reader<'_>, bytes: Bytes<'_>) -> Option<Value> {
    let fd = bytes.i32(0)?;
    if fd < 0 {
        return Some(fields([("fd", Value::Int(fd))]));
    }
    Some(fields([
        ("fd", reader.fd(fd as i32)),
        ("events", files::POLL.flags(bytes.u16(4)?)),
    ]))
}

/// Which descriptors are ready and for what.
pub(super) fn ready(reader: &Reader<'_>, bytes: Bytes<'_>) -> String {
    let one = |item: Bytes<'_>| {
        let (fd, events) = (item.i32(0)?, item.u16(6)?);
        (fd >= 0 && events != 0).then(|| {
            fields([
                ("fd", reader.fd(fd as i32)),
                ("revents", files::POLL.flags(events)),
            ])
        })
    };
    Value::List(bytes.items(8).filter_map(one).collect(), false).to_string()
}

/// An address where the operation takes no event.
pub(super) fn epoll_given(reader: &Reader<'_>, at: usize, operation: i32) -> Value {
    match operation {
        libc::EPOLL_CTL_DEL => reader.address(at),
        _ => reader.decoded(at, When::Enter, epoll_event),
    }
}

pub(super) fn epoll_events(reader: &Reader<'_>, at: usize) -> Value {
    match reader.call.result {
        Some(count @ 0..) => {
            let size = EPOLL_EVENT.into();
            list(reader, at, When::Exit, size, count as u64, epoll_event)
        }
        _ => reader.address(at),
    }
}

fn epoll_event(bytes: Bytes<'_>) -> Option<Value> {
    let data = bytes.u64(usize::from(EPOLL_EVENT) - 8)?;
    let halves = fields([
        ("u32", Value::UInt(u64::from(data as u32))),
        ("u64", Value::UInt(data)),
    ]);
    Some(fields([
        ("events", files::EPOLL.flags(bytes.u32(0)?)),
        ("data", halves),
    ]))
}

pub(super) fn offset(reader: &Reader<'_>, at: usize) -> Value {
    let number = |when| {
        reader
            .bytes(at, when)?
            .i64(0)
            .map(|number| Value::List(vec![Value::Int(number)], false))
    };
    match (number(When::Enter), number(When::Exit)) {
        (Some(before), Some(after)) if before != after => {
            Value::Changed(before.into(), after.into())
        }
        (Some(before), _) => before,
        _ => reader.address(at),
    }
}

pub(super) fn open_how(bytes: Bytes<'_>) -> Option<Value> {
    let (flags, mode) = (bytes.u64(0)?, bytes.u64(8)?);
    let mut told = vec![("flags".into(), open_flags(flags))];
    if flags & files::MAKES_A_FILE != 0 || mode != 0 {
        told.push(("mode".into(), Value::Octal(mode)));
    }
    told.push(("resolve".into(), files::RESOLVE.flags(bytes.u64(16)?)));
    Some(Value::Struct(told))
}

/// By name, else by the parts that `_IOC` makes a number of.
pub(super) fn request(number: u64) -> Value {
    if let Some(name) = ioctls::IOCTL.name(number) {
        return Value::word(name);
    }
    const WAYS: Names = Names {
        known: &[
            (0, "_IOC_NONE"),
            (1, "_IOC_WRITE"),
            (2, "_IOC_READ"),
            (3, "_IOC_READ|_IOC_WRITE"),
        ],
        unknown: "",
    };
    let parts = [
        WAYS.constant(number >> 30),
        Value::Hex(number >> 8 & 0xff),
        Value::Hex(number & 0xff),
        Value::Hex(number >> 16 & 0x3fff),
    ];
    Value::Macro("_IOC", parts.into())
}

pub(super) fn ioctl_argument(reader: &Reader<'_>, at: usize) -> Option<Value> {
    let request = u64::from(reader.int(1) as u32);
    let name = ioctls::IOCTL.name(request).unwrap_or("");
    let int = |when| {
        reader
            .bytes(at, when)?
            .i32(0)
            .map(|number| Value::List(vec![Value::Int(number)], false))
    };
    let told = match name {
        "FIONCLEX" | "FIOCLEX" | "TIOCEXCL" | "TIOCNXCL" | "TIOCNOTTY" => return None,
        "FIONREAD" | "TIOCGPGRP" | "TIOCOUTQ" | "TIOCGSID" | "TIOCGPTN" | "BLKSSZGET" => {
            int(When::Exit)
        }
        "FIONBIO" | "TIOCSPGRP" | "TIOCSPTLCK" | "FIOASYNC" => int(When::Enter),
        "TCXONC" => Some(ioctls::FLOW.constant(reader.word(at))),
        "FICLONE" => Some(reader.fd(reader.int(at))),
        "TCFLSH" => Some(ioctls::FLUSH.constant(reader.word(at))),
        "TIOCGWINSZ" => reader.bytes(at, When::Exit).and_then(window),
        "TIOCSWINSZ" => reader.bytes(at, When::Enter).and_then(window),
        _ => None,
    };
    Some(told.unwrap_or_else(|| match name {
        "" | "TIOCSCTTY" | "TCSBRK" | "TIOCGPTPEER" => Value::Hex(reader.word(at)),
        _ => reader.address(at),
    }))
}

fn window(bytes: Bytes<'_>) -> Option<Value> {
    let number = |at| bytes.u16(at).map(Value::UInt);
    Some(fields([
        ("ws_row", number(0)?),
        ("ws_col", number(2)?),
        ("ws_xpixel", number(4)?),
        ("ws_ypixel", number(6)?),
    ]))
}

pub(super) fn fcntl_argument(reader: &Reader<'_>, at: usize) -> Option<Value> {
    let raw = u64::from(reader.word(at) as u32);
    Some(match reader.int(1) {
        libc::F_GETFD
        | libc::F_GETFL
        | libc::F_GETLEASE
        | libc::F_GETPIPE_SZ
        | libc::F_GET_SEALS
        | libc::F_GETOWN
        | 11 => return None,
        libc::F_SETFD => files::FD.flags(raw),
        libc::F_SETFL => open_flags(raw),
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_SETOWN | libc::F_SETPIPE_SZ => {
            Value::Int(i64::from(raw as i32))
        }
        libc::F_ADD_SEALS => files::SEALS.flags(raw),
        libc::F_SETLEASE => files::LOCKS.constant(raw),
        10 => Value::word(signals::name(raw)),
        15 | 16 => reader.address(at),
        libc::F_SETLK | libc::F_SETLKW | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => {
            lock(reader, at, When::Enter)
        }
        libc::F_GETLK | libc::F_OFD_GETLK => lock(reader, at, When::Exit),
        _ => Value::Hex(reader.word(at)),
    })
}

fn lock(reader: &Reader<'_>, at: usize, when: When) -> Value {
    let told = |bytes: Bytes<'_>| {
        let mut told = vec![
            ("l_type".into(), files::LOCKS.constant(bytes.u16(0)?)),
            ("l_whence".into(), files::SEEK.constant(bytes.u16(2)?)),
            ("l_start".into(), Value::Int(bytes.i64(8)?)),
            ("l_len".into(), Value::Int(bytes.i64(16)?)),
        ];
        if when == When::Exit {
            told.push(("l_pid".into(), Value::Int(bytes.i32(24)?)));
        }
        Some(Value::Struct(told))
    };
    let native = reader.word_size() == 8;
    let bytes = reader.bytes(at, when).filter(|_| native);
    bytes.and_then(told).unwrap_or_else(|| reader.address(at))
}

pub(super) fn fd_set(reader: &Reader<'_>, at: usize) -> Value {
    let Some(bytes) = reader.bytes(at, When::Enter) else {
        return reader.address(at);
    };
    let count = reader.int(0).clamp(0, 1024);
    let is_set = |fd: &i32| {
        bytes
            .data
            .get(*fd as usize / 8)
            .is_some_and(|byte| byte >> (fd % 8) & 1 == 1)
    };
    let members = (0..count)
        .filter(is_set)
        .map(|fd| reader.fd(fd).to_string().into());
    Value::Set(members.collect(), false)
}
