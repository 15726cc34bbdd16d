//! A call's registers and captured memory, as the parts of [`super`] ask for them.

use super::super::call::{Call, PieceData, When};
use super::super::table::Entry;
use super::super::value::Value;
use super::{Detail, View};
use crate::decode::syscalls::Abi;

pub(super) struct Reader<'a> {
    pub(crate) call: &'a Call<'a>,
    pub(crate) view: &'a View<'a>,
    pub(crate) entry: Option<&'static Entry>,
}

/// Captured bytes, read as the kernel's structures; `None` beyond their end.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) whole: bool,
    pub(crate) word: usize,
}

impl<'a> Bytes<'a> {
    fn number<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub(crate) fn u16(self, at: usize) -> Option<u64> {
        self.number(at).map(u16::from_ne_bytes).map(u64::from)
    }

    pub(crate) fn u32(self, at: usize) -> Option<u64> {
        self.number(at).map(u32::from_ne_bytes).map(u64::from)
    }

    pub(crate) fn i32(self, at: usize) -> Option<i64> {
        self.number(at).map(i32::from_ne_bytes).map(i64::from)
    }

    pub(crate) fn u64(self, at: usize) -> Option<u64> {
        self.number(at).map(u64::from_ne_bytes)
    }

    pub(crate) fn i64(self, at: usize) -> Option<i64> {
        self.number(at).map(i64::from_ne_bytes)
    }

    /// The `index`th word of the ABI from `at` on, unsigned.
    pub(crate) fn word(self, at: usize, index: usize) -> Option<u64> {
        let at = at + index * self.word;
        if self.word == 8 {
            self.u64(at)
        } else {
            self.u32(at)
        }
    }

    /// The same, signed.
    pub(crate) fn long(self, at: usize, index: usize) -> Option<i64> {
        let at = at + index * self.word;
        if self.word == 8 {
            self.i64(at)
        } else {
            self.i32(at)
        }
    }

    /// Items of a size that were captured whole.
    pub(crate) fn items(self, size: usize) -> impl Iterator<Item = Bytes<'a>> {
        let (whole, word) = (self.whole, self.word);
        self.data
            .chunks_exact(size)
            .map(move |data| Bytes { data, whole, word })
    }

    pub(crate) fn from(self, at: usize) -> Option<Bytes<'a>> {
        let data = self.data.get(at..)?;
        Some(Bytes { data, ..self })
    }

    /// Up to the first NUL.
    pub(crate) fn until_nul(self) -> &'a [u8] {
        let end = self.data.iter().position(|byte| *byte == 0);
        &self.data[..end.unwrap_or(self.data.len())]
    }
}

impl<'a> Reader<'a> {
    /// Bytes of a pointer of the ABI.
    pub(crate) fn word_size(&self) -> usize {
        if self.call.abi == Abi::Native { 8 } else { 4 }
    }

    /// A register, as wide as the ABI's words; zero where there is no such register.
    pub(crate) fn word(&self, at: usize) -> u64 {
        let raw = self.call.args.get(at).copied().unwrap_or(0);
        if self.word_size() == 8 {
            raw
        } else {
            u64::from(raw as u32)
        }
    }

    /// The same, signed.
    pub(crate) fn long(&self, at: usize) -> i64 {
        let raw = self.word(at);
        if self.word_size() == 8 {
            raw as i64
        } else {
            i64::from(raw as i32)
        }
    }

    pub(crate) fn int(&self, at: usize) -> i32 {
        self.word(at) as i32
    }

    pub(crate) fn address(&self, at: usize) -> Value {
        Value::Address(self.word(at))
    }

    fn data(&self, at: usize, when: When) -> Option<&'a PieceData<'a>> {
        if self.view.detail != Detail::Full || self.word(at) == 0 {
            return None;
        }
        let mut pieces = self.call.pieces.iter();
        let piece = pieces.find(|piece| usize::from(piece.arg) == at && piece.when == when)?;
        Some(&piece.data)
    }

    /// What was captured; `None` if nothing was, or it could not be read, or it is the answer of a
    /// call that failed.
    pub(crate) fn bytes(&self, at: usize, when: When) -> Option<Bytes<'a>> {
        if when == When::Exit && !self.call.succeeded() {
            return None;
        }
        self.captured(at, when)
    }

    /// The same, also of a call that failed.
    pub(crate) fn captured(&self, at: usize, when: When) -> Option<Bytes<'a>> {
        match self.data(at, when)? {
            PieceData::Bytes { data, whole } => Some(Bytes {
                data,
                whole: *whole,
                word: self.word_size(),
            }),
            _ => None,
        }
    }

    /// What was captured, as `decode` reads it; the address where there is nothing to read.
    pub(crate) fn decoded(
        &self,
        at: usize,
        when: When,
        decode: impl Fn(Bytes<'_>) -> Option<Value>,
    ) -> Value {
        let value = self.bytes(at, when).and_then(decode);
        value.unwrap_or_else(|| self.address(at))
    }

    /// The captured strings of an array, and whether there were more.
    pub(crate) fn strings(&self, at: usize) -> Option<(&'a [&'a [u8]], bool)> {
        match self.data(at, When::Enter)? {
            PieceData::Strings { list, more } => Some((list, *more)),
            _ => None,
        }
    }

    pub(crate) fn path(&self, at: usize) -> Value {
        let Some(bytes) = self.bytes(at, When::Enter) else {
            return self.address(at);
        };
        Value::Text {
            bytes: bytes.until_nul().to_vec(),
            cut: !bytes.whole,
        }
    }

    pub(crate) fn string(&self, at: usize, when: When) -> Value {
        match self.bytes(at, when) {
            Some(bytes) => self.text(bytes.until_nul(), bytes.whole),
            None => self.address(at),
        }
    }

    /// Bytes, cut at what is shown.
    pub(crate) fn text(&self, bytes: &[u8], whole: bool) -> Value {
        let shown = &bytes[..bytes.len().min(self.view.shown)];
        Value::Text {
            bytes: shown.to_vec(),
            cut: !whole || shown.len() < bytes.len(),
        }
    }

    pub(crate) fn buffer_in(&self, at: usize, len: usize) -> Value {
        match self.bytes(at, When::Enter) {
            Some(bytes) => self.text(
                bytes.data,
                bytes.whole && bytes.data.len() as u64 >= self.word(len),
            ),
            None if self.word(len) == 0
                && self.word(at) != 0
                && self.view.detail == Detail::Full =>
            {
                self.text(b"", true)
            }
            None => self.address(at),
        }
    }

    pub(crate) fn buffer_out(&self, at: usize) -> Value {
        match (self.bytes(at, When::Exit), self.call.result) {
            (Some(bytes), Some(result)) => {
                let whole = bytes.whole && bytes.data.len() as i64 >= result;
                self.text(bytes.data, whole)
            }
            (None, Some(0)) if self.word(at) != 0 && self.view.detail == Detail::Full => {
                self.text(b"", true)
            }
            _ => self.address(at),
        }
    }

    pub(crate) fn fd(&self, number: i32) -> Value {
        let name = self
            .view
            .descriptors
            .and_then(|known| known.name(self.view.pid, number));
        Value::Fd {
            number,
            is: name,
            new: false,
        }
    }

    pub(crate) fn new_fd(&self, number: i32) -> Value {
        Value::Fd {
            number,
            is: None,
            new: true,
        }
    }

    pub(crate) fn dir_fd(&self, number: i32) -> Value {
        if number == libc::AT_FDCWD {
            Value::word("AT_FDCWD")
        } else {
            self.fd(number)
        }
    }
}
