//! Arguments of calls on signals.

use super::super::names::signals as names;
use super::super::value::Value;
use super::reader::Bytes;

pub(super) fn signal(number: u64) -> Value {
    Value::word(names::name(number))
}

pub(super) fn sigset(bytes: Bytes<'_>) -> Option<Value> {
    bytes.u64(0).map(names::set)
}

/// The kernel's own structure, not the C library's: handler, flags, restorer (not on every
/// machine), mask.
pub(super) fn sigaction(bytes: Bytes<'_>) -> Option<Value> {
    const HAS_RESTORER: bool = cfg!(not(target_arch = "aarch64"));
    let handler = match bytes.word(0, 0)? {
        0 => Value::word("SIG_DFL"),
        1 => Value::word("SIG_IGN"),
        address => Value::Address(address),
    };
    let flags = bytes.word(0, 1)?;
    let mask = (if HAS_RESTORER { 3 } else { 2 }) * bytes.word;
    let mut told = vec![
        ("sa_handler".into(), handler),
        ("sa_mask".into(), names::set(bytes.u64(mask)?)),
        ("sa_flags".into(), names::ACTION.flags(flags)),
    ];
    let restores = names::ACTION
        .number("SA_RESTORER")
        .is_some_and(|bit| flags & bit != 0);
    if HAS_RESTORER && restores {
        told.push(("sa_restorer".into(), Value::Address(bytes.word(0, 2)?)));
    }
    Some(Value::Struct(told))
}

pub(super) fn sigstack(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::Struct(vec![
        ("ss_sp".into(), Value::Address(bytes.word(0, 0)?)),
        (
            "ss_flags".into(),
            names::STACK.flags(bytes.u32(bytes.word)?),
        ),
        ("ss_size".into(), Value::UInt(bytes.word(0, 2)?)),
    ]))
}

pub(super) fn sigevent(bytes: Bytes<'_>) -> Option<Value> {
    const SIGNAL: u64 = 0;
    const THREAD: u64 = 2;
    const THREAD_ID: u64 = 4;
    let word = bytes.word;
    let (signal, notify) = (bytes.u32(word)?, bytes.u32(word + 4)?);
    let signals = [SIGNAL, THREAD, THREAD_ID].contains(&notify);
    let signo = if signals {
        Value::word(names::name(signal))
    } else {
        Value::UInt(signal)
    };
    let mut told = Vec::new();
    let pointer = bytes.word(0, 0)?;
    if pointer != 0 {
        let both = vec![
            ("sival_int".into(), Value::Int(bytes.i32(0)?)),
            ("sival_ptr".into(), Value::Address(pointer)),
        ];
        told.push(("sigev_value".into(), Value::Struct(both)));
    }
    told.push(("sigev_signo".into(), signo));
    told.push(("sigev_notify".into(), names::NOTIFY.constant(notify)));
    let rest = word + 8;
    if notify == THREAD_ID {
        let thread = Value::Int(bytes.i32(rest)?);
        told.push(("sigev_notify_thread_id".into(), thread));
    }
    if notify == THREAD {
        let function = Value::Address(bytes.word(rest, 0)?);
        let attributes = Value::Address(bytes.word(rest, 1)?);
        told.push(("sigev_notify_function".into(), function));
        told.push(("sigev_notify_attributes".into(), attributes));
    }
    Some(Value::Struct(told))
}

pub(super) fn siginfo(bytes: Bytes<'_>) -> Option<Value> {
    let (signal, code) = (bytes.u32(0)?, bytes.u32(8)?);
    if signal == 0 {
        return Some(Value::Struct(Vec::new()));
    }
    let child = signal == libc::SIGCHLD as u64;
    let codes = if child {
        &names::CHILD_CODE
    } else {
        &names::CODE
    };
    let name = codes.name(code).or_else(|| names::CODE.name(code));
    let mut told = vec![
        ("si_signo".into(), Value::word(names::name(signal))),
        ("si_code".into(), name.map_or(Value::Hex(code), Value::word)),
    ];
    if bytes.u32(4)? != 0 {
        told.insert(1, ("si_errno".into(), Value::UInt(bytes.u32(4)?)));
    }
    // The union of `siginfo_t` stands on a word of the ABI.
    let rest = if bytes.word == 8 { 16 } else { 12 };
    told.push(("si_pid".into(), Value::Int(bytes.i32(rest)?)));
    told.push(("si_uid".into(), Value::UInt(bytes.u32(rest + 4)?)));
    if child {
        let status = bytes.u32(rest + 8)?;
        let exited = code == libc::CLD_EXITED as u64;
        let status = if exited {
            Value::UInt(status)
        } else {
            Value::word(names::name(status))
        };
        told.push(("si_status".into(), status));
        let ticks = if bytes.word == 8 { 32 } else { 24 };
        told.push(("si_utime".into(), Value::Int(bytes.long(ticks, 0)?)));
        told.push(("si_stime".into(), Value::Int(bytes.long(ticks, 1)?)));
    }
    Some(Value::Struct(told))
}
