//! A call that a thread is in: what, with what, and which object it is about.

use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;

use super::model::Object;
use super::sockets::Sockets;
use super::stat::Stat;
use crate::decode::call::{Call, Capture, Piece, PieceData, What, When};
use crate::decode::quote::escaped;
use crate::decode::syscalls::Abi;
use crate::decode::table::{Entry, Kind};
use crate::sys::blocked::{Memory, Waiting};

/// Most bytes of one piece of memory, as in `ebpf/trace.h`.
const PIECE_BYTES: usize = 1024;
/// Most strings of a list, and most bytes of one of them.
const STRINGS: usize = 32;
const STRING_BYTES: usize = 64;

/// What a thread was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It ran, or was stopped: it may be in a call, or in none.
    NotWaiting,
    /// It is in no call.
    Outside,
    InCall(InCall),
}

/// A call that a thread is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InCall {
    pub(crate) abi: Abi,
    pub(crate) nr: i32,
    pub(crate) args: [u64; 6],
    memory: Vec<(u8, Captured)>,
}

/// What was read for an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Captured {
    Fault,
    Bytes { data: Vec<u8>, whole: bool },
    Strings { list: Vec<Vec<u8>>, more: bool },
}

impl InCall {
    /// What was captured of memory, as of the beginning of the call.
    pub(crate) fn pieces(&self) -> Vec<Piece<'_>> {
        let piece = self.memory.iter().map(|(arg, captured)| Piece {
            arg: *arg,
            when: When::Enter,
            data: captured.lend(),
        });
        piece.collect()
    }

    /// The call, which has not returned.
    pub(crate) fn call<'a>(&self, pieces: &'a [Piece<'a>]) -> Call<'a> {
        Call {
            abi: self.abi,
            nr: self.nr,
            args: self.args,
            result: None,
            pieces,
        }
    }

    /// What the call is about: the first descriptor, else a path, a futex, a process that is waited for.
    pub(crate) fn object(&self, tgid: u32, tid: u32, sockets: &mut Sockets) -> Option<Object> {
        let entry = Entry::of(self.abi, self.nr)?;
        let mut arguments = entry.arguments.iter().zip(self.args);
        if let Some((_, fd)) = arguments
            .clone()
            .find(|((_, kind), _)| matches!(kind, Kind::Fd))
        {
            return descriptor(tgid, tid, fd as i32, sockets);
        }
        if entry.name == "futex" {
            let name = format!("{:#x}", self.args[0]);
            return Some(Object {
                kind: "futex",
                name,
            });
        }
        if let Some(polled) = self.polled(entry) {
            let objects = polled.filter_map(|fd| descriptor(tgid, tid, fd, sockets));
            return together(objects.collect());
        }
        let path = self.memory.iter().find_map(|(arg, captured)| {
            let is_path = matches!(entry.arguments.get(usize::from(*arg))?.1, Kind::Path);
            match captured {
                Captured::Bytes { data, .. } if is_path => Some(escaped(data, b"")),
                _ => None,
            }
        });
        if let Some(name) = path {
            return Some(Object { kind: "path", name });
        }
        let (_, pid) = arguments.find(|((_, kind), _)| matches!(kind, Kind::Pid))?;
        (pid as i32 > 0).then(|| Object {
            kind: "process",
            name: (pid as i32).to_string(),
        })
    }
}

impl InCall {
    /// Descriptors of the `struct pollfd` of `poll` and `ppoll`, if it has such.
    fn polled(&self, entry: &Entry) -> Option<impl Iterator<Item = i32>> {
        let data = self.memory.iter().find_map(|(arg, captured)| {
            let kind = entry.arguments.get(usize::from(*arg))?.1;
            match captured {
                Captured::Bytes { data, .. } if matches!(kind, Kind::Pollfds(_)) => Some(data),
                _ => None,
            }
        })?;
        let fds = data
            .chunks_exact(8)
            .map(|one| [one[0], one[1], one[2], one[3]]);
        Some(fds.map(i32::from_ne_bytes).filter(|fd| *fd >= 0))
    }
}

/// One object for all.
fn together(mut objects: Vec<Object>) -> Option<Object> {
    const NAMED: usize = 3;
    if objects.len() <= 1 {
        return objects.pop();
    }
    let names = objects.iter().take(NAMED).map(|it| it.name.as_str());
    let mut name = names.collect::<Vec<_>>().join(", ");
    if objects.len() > NAMED {
        name += &format!(" and {} more", objects.len() - NAMED);
    }
    Some(Object {
        kind: "descriptors",
        name,
    })
}

impl Captured {
    fn lend(&self) -> PieceData<'_> {
        match self {
            Self::Fault => PieceData::Fault,
            Self::Bytes { data, whole } => PieceData::Bytes {
                data,
                whole: *whole,
            },
            Self::Strings { list, more } => PieceData::Strings {
                list: list.iter().map(Vec::as_slice).collect(),
                more: *more,
            },
        }
    }
}

/// What a thread is in. `shown` is how much is read of buffers; `None` reads no memory but the instruction that made
/// the call.
///
/// # Errors
/// As [`Waiting::of`]; Unsupported if it is not known through which entry the call came.
pub(crate) fn find(tgid: u32, tid: u32, shown: Option<usize>) -> io::Result<Found> {
    let waiting = Waiting::of(tgid, tid)?;
    let (nr, args, ip) = match waiting {
        Waiting::Not => return Ok(Found::NotWaiting),
        Waiting::Elsewhere => return Ok(Found::Outside),
        Waiting::InCall { nr, args, ip } => (nr, args, ip),
    };
    let memory = Memory::open(tgid, tid)?;
    let abi = abi(&memory, tgid, ip).ok_or(io::ErrorKind::Unsupported)?;
    let captures = match (shown, Entry::of(abi, nr)) {
        (Some(_), Some(entry)) => entry.captures(abi),
        _ => Vec::new(),
    };
    let read = |address, to: &mut [u8]| memory.read(address, to);
    let captured = capture(&captures, abi, &args, shown.unwrap_or_default(), &read);
    // A stop ends a call, which begins again when the thread continues.
    if is_stopped(tgid, tid) || Waiting::of(tgid, tid)? != waiting {
        return Ok(Found::NotWaiting);
    }
    Ok(Found::InCall(InCall {
        abi,
        nr,
        args,
        memory: captured,
    }))
}

fn is_stopped(tgid: u32, tid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{tgid}/task/{tid}/stat"));
    let stat = stat.ok().and_then(|bytes| Stat::parse(&bytes));
    stat.is_some_and(|stat| matches!(stat.state, 'T' | 't'))
}

/// Through which entry a call came: on x86 the instruction shows it (the vDSO of 32-bit programs continues behind an
/// `int 0x80` after `sysenter` and `syscall` too), elsewhere the program's file.
fn abi(memory: &Memory, tgid: u32, ip: u64) -> Option<Abi> {
    const INT_80: [u8; 2] = [0xcd, 0x80];
    const ELFCLASS32: u8 = 1;
    if !cfg!(target_arch = "x86_64") {
        let mut head = [0; 5];
        let mut file = std::fs::File::open(format!("/proc/{tgid}/exe")).ok()?;
        file.read_exact(&mut head).ok()?;
        return Some(match head[4] == ELFCLASS32 {
            true => Abi::Compat,
            false => Abi::Native,
        });
    }
    let mut instruction = [0; 2];
    match memory.read(ip.checked_sub(2)?, &mut instruction) {
        2 if instruction == INT_80 => Some(Abi::Compat),
        2 => Some(Abi::Native),
        // Beyond what a 32-bit program can reach.
        _ => (ip > u64::from(u32::MAX)).then_some(Abi::Native),
    }
}

/// Reads what a call points to at its beginning, as `ebpf/trace_pieces.h` does.
fn capture(
    captures: &[Capture],
    abi: Abi,
    args: &[u64; 6],
    shown: usize,
    read: &dyn Fn(u64, &mut [u8]) -> usize,
) -> Vec<(u8, Captured)> {
    let mut captured = Vec::new();
    for capture in captures.iter().filter(|it| it.when == When::Enter) {
        let address = args[usize::from(capture.arg)];
        if address == 0 {
            continue;
        }
        let most = match capture.is_buffer {
            true => shown,
            false => PIECE_BYTES,
        };
        let data = match capture.what {
            What::String => string(address, PIECE_BYTES, read),
            What::Strings => strings(address, abi, read),
            What::Bytes(bytes) => bytes_at(address, usize::from(bytes), most, read),
            What::BytesByArg { arg, unit } => {
                let bytes = args[usize::from(arg)].saturating_mul(unit.into());
                let most = most / usize::from(unit) * usize::from(unit);
                bytes_at(address, bytes.try_into().unwrap_or(usize::MAX), most, read)
            }
            // Known only when the call returns.
            What::BytesByResult { .. } | What::BytesByIntAt { .. } => continue,
        };
        captured.push((capture.arg, data));
    }
    captured
}

fn bytes_at(
    address: u64,
    bytes: usize,
    most: usize,
    read: &dyn Fn(u64, &mut [u8]) -> usize,
) -> Captured {
    let mut data = vec![0; bytes.min(most)];
    match read(address, &mut data) == data.len() {
        true => Captured::Bytes {
            data,
            whole: bytes <= most,
        },
        false => Captured::Fault,
    }
}

/// Up to its NUL.
fn string(address: u64, most: usize, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Captured {
    let mut data = vec![0; most];
    let len = read(address, &mut data);
    data.truncate(len);
    match data.iter().position(|byte| *byte == 0) {
        Some(end) => {
            data.truncate(end);
            Captured::Bytes { data, whole: true }
        }
        None if len == most => Captured::Bytes { data, whole: false },
        None => Captured::Fault,
    }
}

fn strings(list: u64, abi: Abi, read: &dyn Fn(u64, &mut [u8]) -> usize) -> Captured {
    let size = match abi {
        Abi::Native => 8,
        Abi::Compat => 4,
    };
    let mut found = Vec::new();
    for at in 0..STRINGS as u64 {
        let mut pointer = [0; 8];
        let address = list.saturating_add(at * size as u64);
        if read(address, &mut pointer[..size]) != size {
            return Captured::Fault;
        }
        match u64::from_le_bytes(pointer) {
            0 => {
                let (list, more) = (found, false);
                return Captured::Strings { list, more };
            }
            pointer => match string(pointer, STRING_BYTES, read) {
                Captured::Bytes { data, .. } => found.push(data),
                _ => return Captured::Fault,
            },
        }
    }
    Captured::Strings {
        list: found,
        more: true,
    }
}

/// What a descriptor of a thread refers to.
fn descriptor(tgid: u32, tid: u32, fd: i32, sockets: &mut Sockets) -> Option<Object> {
    let place = format!("/proc/{tgid}/task/{tid}/fd/{fd}");
    let link = std::fs::read_link(&place).ok()?;
    let link = link.as_os_str().as_bytes();
    let kind = match std::fs::metadata(&place).map(|file| file.file_type()) {
        _ if link.starts_with(b"anon_inode:") => "anon_inode",
        Ok(kind) if kind.is_socket() => "socket",
        Ok(kind) if kind.is_fifo() => "pipe",
        Ok(kind) if kind.is_dir() => "directory",
        Ok(kind) if kind.is_char_device() || kind.is_block_device() => "device",
        _ => "file",
    };
    let name = sockets.name(tgid, link);
    Some(Object {
        kind,
        name: escaped(name.as_deref().map_or(link, str::as_bytes), b""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of which only this part is there.
    fn read_of(start: u64, bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> usize + '_ {
        move |address, to| {
            let from = address
                .checked_sub(start)
                .map_or(bytes.len(), |at| at as usize);
            let rest = bytes.get(from..).unwrap_or_default();
            let len = rest.len().min(to.len());
            to[..len].copy_from_slice(&rest[..len]);
            len
        }
    }

    fn one(what: What, is_buffer: bool, args: [u64; 6], memory: &[u8]) -> Vec<(u8, Captured)> {
        let (arg, when) = (1, When::Enter);
        let capture_one = Capture {
            arg,
            when,
            what,
            is_buffer,
        };
        let read = read_of(0x1000, memory);
        capture(&[capture_one], Abi::Native, &args, 4, &read)
    }

    #[test]
    fn what_a_call_points_to_at_its_beginning() {
        let args = [3, 0x1000, 2, 0, 0, 0];
        let bytes = |data: &[u8], whole| Captured::Bytes {
            data: data.to_vec(),
            whole,
        };
        let string = one(What::String, false, args, b"/tmp/f\0rest");
        assert_eq!(string, [(1, bytes(b"/tmp/f", true))]);
        let unended = one(What::String, false, args, b"/tmp/f");
        assert_eq!(unended, [(1, Captured::Fault)]);
        let by_arg = What::BytesByArg { arg: 2, unit: 1 };
        assert_eq!(
            one(by_arg, true, args, b"abcdef"),
            [(1, bytes(b"ab", true))]
        );
        let long = [3, 0x1000, 6, 0, 0, 0];
        assert_eq!(
            one(by_arg, true, long, b"abcdef"),
            [(1, bytes(b"abcd", false))]
        );
        assert_eq!(one(by_arg, false, long, b"abc"), [(1, Captured::Fault)]);
        let answer = What::BytesByResult { unit: 1 };
        assert_eq!(one(answer, true, args, b"abcdef"), []);
        assert_eq!(one(What::String, false, [0; 6], b""), []);
    }

    #[test]
    fn lists_of_strings_end_at_null() {
        let mut memory = Vec::new();
        for pointer in [0x1018_u64, 0x101b, 0] {
            memory.extend(pointer.to_le_bytes());
        }
        memory.extend(b"ls\0-l\0");
        let (list, more) = (vec![b"ls".to_vec(), b"-l".to_vec()], false);
        let found = one(What::Strings, false, [0, 0x1000, 0, 0, 0, 0], &memory);
        assert_eq!(found, [(1, Captured::Strings { list, more })]);
        let torn = one(What::Strings, false, [0, 0x1000, 0, 0, 0, 0], &memory[..8]);
        assert_eq!(torn, [(1, Captured::Fault)]);
    }
}
