//! Converts records of the ring buffer into calls that can be decoded.

use std::mem::offset_of;

use crate::bpf::abi;
use crate::decode::call::{Call, Piece, PieceData, When};
use crate::decode::syscalls::{Abi, Table};
use crate::monitor::trace::abi::{
    CALL_COMPAT, CALL_UNFINISHED, PIECE_CUT, PIECE_FAULT, PIECE_LIST, PieceHead, RawCall,
};

/// The record, which may end within its pieces; `None` if it is malformed.
pub(super) fn raw(record: &[u8]) -> Option<RawCall> {
    abi::front_of(record, offset_of!(RawCall, data))
}

/// The pieces of memory that were captured, in the order of capture. A piece that could not be read at first and was
/// captured again when the call returned appears once.
pub(super) fn pieces(raw: &RawCall) -> Vec<Piece<'_>> {
    let used = (raw.used as usize).min(raw.data.len());
    let mut rest = &raw.data[..used];
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    while let Some((head, behind)) = rest.split_at_checked(size_of::<PieceHead>()) {
        let Some(head) = abi::front_of::<PieceHead>(head, head.len()) else {
            break;
        };
        let len = (head.len as usize).min(behind.len());
        let data = piece(&behind[..len], head.flags);
        let fault_before = |piece: &Piece<'_>| {
            piece.arg == head.arg && piece.when == When::Enter && piece.data == PieceData::Fault
        };
        match pieces.iter_mut().find(|piece| fault_before(piece)) {
            Some(piece) if head.at_exit == 1 => piece.data = as_given(raw, data),
            _ => pieces.push(Piece {
                arg: head.arg,
                when: if head.at_exit == 1 {
                    When::Exit
                } else {
                    When::Enter
                },
                data,
            }),
        }
        rest = &behind[len.next_multiple_of(8).min(behind.len())..];
    }
    pieces
}

/// The same, with what had been read of its memory while the call was in progress: that is how it was before the call
/// changed it.
pub(super) fn with_earlier<'a>(
    mut pieces: Vec<Piece<'a>>,
    known: Vec<Piece<'a>>,
) -> Vec<Piece<'a>> {
    for known in known.into_iter().filter(|it| it.data != PieceData::Fault) {
        let is_same = |it: &&mut Piece<'a>| it.arg == known.arg && it.when == When::Enter;
        match pieces.iter_mut().find(is_same) {
            Some(piece) => piece.data = known.data,
            None => pieces.push(known),
        }
    }
    pieces
}

/// The kernel's own name for a file that is executed by descriptor begins with `/dev/fd/`
/// (`alloc_bprm` in `fs/exec.c`), followed by the caller's path.
fn as_given<'a>(raw: &RawCall, data: PieceData<'a>) -> PieceData<'a> {
    let name = Table::of(abi_of(raw)).lookup(raw.nr).map(|(name, _)| name);
    let PieceData::Bytes { data: path, whole } = data else {
        return data;
    };
    if name != Some("execveat") {
        return data;
    }
    let prefix = format!("/dev/fd/{}", raw.args[0] as i32);
    let rest = path.strip_prefix(prefix.as_bytes()).unwrap_or(path);
    let data = match rest {
        [b'/', rest @ ..] if rest.len() < path.len() - 1 => rest,
        rest => rest,
    };
    PieceData::Bytes { data, whole }
}

fn abi_of(raw: &RawCall) -> Abi {
    if raw.flags & CALL_COMPAT == 0 {
        Abi::Native
    } else {
        Abi::Compat
    }
}

fn piece(bytes: &[u8], flags: u8) -> PieceData<'_> {
    let has = |flag| flags & flag != 0;
    let string = |bytes| <[u8]>::strip_suffix(bytes, b"\0").unwrap_or(bytes);
    if has(PIECE_FAULT) {
        return PieceData::Fault;
    }
    if has(PIECE_LIST) {
        let list = bytes.split_inclusive(|byte| *byte == 0).map(string);
        return PieceData::Strings {
            list: list.collect(),
            more: has(PIECE_CUT),
        };
    }
    PieceData::Bytes {
        data: bytes,
        whole: !has(PIECE_CUT),
    }
}

/// The call of a record.
pub(super) fn call<'a>(raw: &RawCall, pieces: &'a [Piece<'a>]) -> Call<'a> {
    let has = |flag| raw.flags & flag != 0;
    Call {
        abi: abi_of(raw),
        nr: raw.nr,
        args: raw.args,
        result: (!has(CALL_UNFINISHED)).then_some(raw.result),
        pieces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(raw: &mut RawCall, arg: u8, at_exit: u8, flags: u8, bytes: &[u8]) {
        let at = raw.used as usize;
        let len = (bytes.len() as u32).to_ne_bytes();
        raw.data[at..at + 4].copy_from_slice(&[arg, at_exit, flags, 0]);
        raw.data[at + 4..at + 8].copy_from_slice(&len);
        raw.data[at + 8..at + 8 + bytes.len()].copy_from_slice(bytes);
        raw.used += 8 + bytes.len().next_multiple_of(8) as u32;
    }

    fn empty() -> RawCall {
        raw(&[0; offset_of!(RawCall, data)]).unwrap()
    }

    #[test]
    fn what_was_not_in_memory_at_first_is_what_was_read_later() {
        let mut raw = empty();
        put(&mut raw, 1, 0, PIECE_FAULT, b"");
        put(&mut raw, 0, 0, PIECE_LIST | PIECE_CUT, b"ls\0\0-l\0");
        put(&mut raw, 1, 1, 0, b"/etc");
        let pieces = pieces(&raw);
        let data: Vec<_> = pieces.iter().map(|piece| piece.data.clone()).collect();
        assert_eq!(
            data,
            [
                PieceData::Bytes {
                    data: b"/etc",
                    whole: true
                },
                PieceData::Strings {
                    list: vec![b"ls", b"", b"-l"],
                    more: true
                },
            ]
        );
    }

    #[test]
    fn what_was_read_while_the_call_was_in_progress_is_how_it_was_before() {
        let mut raw = empty();
        put(&mut raw, 1, 0, 0, b"after");
        put(&mut raw, 1, 1, 0, b"after");
        let known = |arg, data| Piece {
            arg,
            when: When::Enter,
            data,
        };
        let bytes = |data| PieceData::Bytes { data, whole: true };
        let earlier = vec![known(1, bytes(b"before")), known(2, PieceData::Fault)];
        let merged = with_earlier(pieces(&raw), earlier);
        let data: Vec<_> = merged.into_iter().map(|piece| piece.data).collect();
        assert_eq!(data, [bytes(b"before"), bytes(b"after")]);
    }

    #[test]
    fn lengths_that_lie_do_no_harm() {
        let mut raw = empty();
        put(&mut raw, 1, 0, 0, b"/etc");
        raw.data[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(pieces(&raw).len(), 1);
        raw.used = u32::MAX;
        assert!(!pieces(&raw).is_empty());
        raw.used = 3;
        assert!(pieces(&raw).is_empty());
    }
}
