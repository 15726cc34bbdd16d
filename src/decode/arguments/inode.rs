//! What is known of files: kind, size, permissions, what is in a directory.

use super::super::call::When;
use super::super::names::files;
use super::super::value::Value;
use super::Detail;
use super::files::fields;
use super::reader::{Bytes, Reader};

/// How many there are, where all were captured: an address beside a number, as strace has it.
pub(super) fn entries(reader: &Reader<'_>, at: usize) -> Value {
    let address = reader.address(at);
    if reader.view.detail != Detail::Full {
        return address;
    }
    let count = match reader.call.result {
        Some(0) => Some(0),
        Some(length) => reader
            .bytes(at, When::Exit)
            .filter(|bytes| bytes.data.len() as i64 >= length)
            .and_then(count_entries),
        None => None,
    };
    match count {
        Some(count) => address.noted(format!("{count} entries")),
        None => address,
    }
}

/// Each says how long it is, behind its inode and offset. `None` if they do not add up.
fn count_entries(bytes: Bytes<'_>) -> Option<usize> {
    const LENGTH_AT: usize = 16;
    let mut rest = bytes;
    let mut count = 0;
    while !rest.data.is_empty() {
        let length = rest.u16(LENGTH_AT).filter(|length| *length > 0)?;
        rest = rest.from(length as usize)?;
        count += 1;
    }
    Some(count)
}

pub(super) fn file_mode(mode: u64) -> Value {
    let kind = mode & u64::from(libc::S_IFMT);
    let Some(name) = files::FILE_TYPE.name(kind) else {
        return Value::Octal(mode);
    };
    let special = files::SPECIAL_MODE.split(mode & 0o7000).0;
    let mut parts = vec![Value::word(name)];
    if mode & 0o7000 != 0 {
        parts.extend(special.into_iter().map(Value::Word));
    }
    parts.push(Value::Octal(mode & 0o777));
    Value::Joined(parts, "|")
}

/// `None` unless the mode is a device's.
pub(super) fn device_of(number: u64, mode: u64) -> Option<Value> {
    let devices = [libc::S_IFCHR, libc::S_IFBLK].map(u64::from);
    let is_device = devices.contains(&(mode & u64::from(libc::S_IFMT)));
    is_device.then(|| device(u64::from(number as u32)))
}

fn device(number: u64) -> Value {
    let numbers = [libc::major(number), libc::minor(number)];
    Value::Macro(
        "makedev",
        numbers.map(|part| Value::Hex(part.into())).into(),
    )
}

/// As strace tells it without `-v`: kind, size or device, and that there is more.
pub(super) fn stat(bytes: Bytes<'_>) -> Option<Value> {
    let x86 = cfg!(target_arch = "x86_64");
    let mode = bytes.u32(if x86 { 24 } else { 16 })?;
    let (rdev, size) = if x86 { (40, 48) } else { (32, 48) };
    let special = [libc::S_IFCHR, libc::S_IFBLK].contains(&(mode as u32 & libc::S_IFMT));
    let second = if special {
        ("st_rdev", device(bytes.u64(rdev)?))
    } else {
        ("st_size", Value::Int(bytes.i64(size)?))
    };
    Some(fields([
        ("st_mode", file_mode(mode)),
        second,
        ("", Value::word("...")),
    ]))
}

pub(super) fn statx(bytes: Bytes<'_>) -> Option<Value> {
    Some(fields([
        ("stx_mask", files::STATX.flags(bytes.u32(0)?)),
        ("stx_attributes", files::STATX_ATTR.flags(bytes.u64(8)?)),
        ("stx_mode", file_mode(bytes.u16(28)?)),
        ("stx_size", Value::UInt(bytes.u64(40)?)),
        ("", Value::word("...")),
    ]))
}

pub(super) fn statfs(bytes: Bytes<'_>) -> Option<Value> {
    let number = |at| bytes.u64(at).map(Value::UInt);
    let kind = bytes.u64(0)?;
    let id = [bytes.u32(56)?, bytes.u32(60)?].map(Value::Hex);
    Some(fields([
        (
            "f_type",
            files::FS_MAGIC
                .name(kind)
                .map_or(Value::Hex(kind), Value::word),
        ),
        ("f_bsize", number(8)?),
        ("f_blocks", number(16)?),
        ("f_bfree", number(24)?),
        ("f_bavail", number(32)?),
        ("f_files", number(40)?),
        ("f_ffree", number(48)?),
        ("f_fsid", fields([("val", Value::List(id.into(), false))])),
        ("f_namelen", number(64)?),
        ("f_frsize", number(72)?),
        ("f_flags", files::ST.flags(bytes.u64(80)?)),
    ]))
}
