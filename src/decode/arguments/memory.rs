//! Arguments of calls on memory, and of System V IPC.

use super::super::call::When;
use super::super::names::{Names, files, ipc};
use super::super::value::Value;
use super::files::list;
use super::reader::{Bytes, Reader};

/// Where the size of huge pages stands in flags: its logarithm, in six bits.
const HUGE_SHIFT: u64 = 26;
const HUGE_MASK: u64 = 63;

fn without_huge(bits: u64) -> u64 {
    bits & !(HUGE_MASK << HUGE_SHIFT)
}

fn with_huge(words: String, rest: u64, bits: u64, shift: &str) -> Value {
    let mut all = if words.is_empty() {
        Vec::new()
    } else {
        vec![words]
    };
    if rest != 0 {
        all.push(format!("{rest:#x}"));
    }
    let size = bits >> HUGE_SHIFT & HUGE_MASK;
    if size != 0 {
        all.push(format!("{size}<<{shift}"));
    }
    if all.is_empty() {
        Value::UInt(0)
    } else {
        Value::word(all.join("|"))
    }
}

pub(super) fn memfd_flags(bits: u64) -> Value {
    let (words, rest) = files::MEMFD.split(without_huge(bits));
    with_huge(words.join("|"), rest, bits, "MFD_HUGE_SHIFT")
}

/// `None` unless these flags of `mremap` use it.
pub(super) fn new_address(reader: &Reader<'_>, at: usize, flags: u64) -> Option<Value> {
    let used = flags & (libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP) as u64 != 0;
    used.then(|| reader.address(at))
}

pub(super) fn ipc_key(key: u64) -> Value {
    match key {
        0 => Value::word("IPC_PRIVATE"),
        key => Value::Hex(key),
    }
}

pub(super) fn shm_flags(bits: u64) -> Value {
    let huge = bits >> HUGE_SHIFT & HUGE_MASK;
    ipc_flags(&ipc::SHMGET, without_huge(bits), huge)
}

pub(super) fn sembufs(reader: &Reader<'_>, at: usize, count: u64) -> Value {
    list(reader, at, When::Enter, 6, count, sembuf)
}

pub(super) fn map_flags(bits: u64) -> Value {
    let kind = bits & 0xf;
    let first = files::MAP_TYPE.constant(kind).to_string();
    let (flags, rest) = match without_huge(bits & !0xf) {
        0 => (Vec::new(), 0),
        flags => files::MAP.split(flags),
    };
    let words = std::iter::once(first).chain(flags.into_iter().map(String::from));
    let words = words.collect::<Vec<_>>().join("|");
    with_huge(words, rest, bits, "MAP_HUGE_SHIFT")
}

pub(super) fn ipc_flags(names: &Names, bits: u64, huge: u64) -> Value {
    let (flags, rest) = match bits & !0o777 {
        0 => (Vec::new(), 0),
        flags => names.split(flags),
    };
    let mut words: Vec<_> = flags.into_iter().map(String::from).collect();
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    if huge != 0 {
        words.push(format!("{huge}<<SHM_HUGE_SHIFT"));
    }
    words.push(Value::Octal(bits & 0o777).to_string());
    Value::word(words.join("|"))
}

fn sembuf(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::Struct(vec![
        ("sem_num".into(), Value::UInt(bytes.u16(0)?)),
        ("sem_op".into(), Value::Int(i64::from(bytes.u16(2)? as i16))),
        ("sem_flg".into(), ipc::SEMOP.flags(bytes.u16(4)?)),
    ]))
}
