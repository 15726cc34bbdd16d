//! Arguments of calls on processes.

use super::super::call::When;
use super::super::names::{process as names, signals};
use super::super::value::Value;
use super::reader::{Bytes, Reader};
use super::time;

pub(super) fn argv(reader: &Reader<'_>, at: usize) -> Value {
    let Some((list, more)) = reader.strings(at) else {
        return reader.address(at);
    };
    let shown = list.len().min(reader.view.shown);
    let words = list[..shown].iter().map(|word| reader.text(word, true));
    Value::List(words.collect(), more || shown < list.len())
}

/// Of the environment strace tells how much there is: it is long, and holds secrets.
pub(super) fn envp(reader: &Reader<'_>, at: usize) -> Value {
    let Some((list, more)) = reader.strings(at) else {
        return reader.address(at);
    };
    let (count, plus) = (list.len(), if more { "+" } else { "" });
    let vars = if count == 1 && !more { "var" } else { "vars" };
    reader.address(at).noted(format!("{count}{plus} {vars}"))
}

/// Flags, and in the low byte the signal of the end.
pub(super) fn clone_flags(bits: u64) -> Value {
    let signal = bits & 0xff;
    let (mut words, rest) = match bits & !0xff {
        0 => (Vec::new(), 0),
        flags => names::CLONE.split(flags),
    };
    if rest != 0 {
        words.push(format!("{rest:#x}").into());
    }
    if signal != 0 {
        words.push(signals::name(signal));
    }
    if words.is_empty() {
        return Value::UInt(0);
    }
    Value::word(words.join("|"))
}

pub(super) fn clone_tid(reader: &Reader<'_>, at: usize, flags: u64) -> Option<Value> {
    if reader.word(0) & flags == 0 {
        return None;
    }
    let told = reader.bytes(at, When::Exit).and_then(|bytes| bytes.i32(0));
    Some(told.map_or_else(
        || reader.address(at),
        |tid| Value::List(vec![Value::Int(tid)], false),
    ))
}

/// `None` unless one of these flags is set.
pub(super) fn clone_pointer(reader: &Reader<'_>, at: usize, flags: u64) -> Option<Value> {
    (reader.word(0) & flags != 0).then(|| reader.address(at))
}

pub(super) fn clone_args(bytes: Bytes<'_>) -> Option<Value> {
    let number = |index: usize| bytes.u64(index * 8);
    let flags = number(0)?;
    let is_set = |flag: i32| flags & u64::from(flag as u32) != 0;
    let mut told = vec![("flags".into(), names::CLONE3.flags(flags))];
    if is_set(libc::CLONE_PIDFD) {
        told.push(("pidfd".into(), Value::Address(number(1)?)));
    }
    if is_set(libc::CLONE_CHILD_SETTID) || is_set(libc::CLONE_CHILD_CLEARTID) {
        told.push(("child_tid".into(), Value::Address(number(2)?)));
    }
    if is_set(libc::CLONE_PARENT_SETTID) {
        told.push(("parent_tid".into(), Value::Address(number(3)?)));
    }
    told.push(("exit_signal".into(), Value::word(signals::name(number(4)?))));
    told.push(("stack".into(), Value::Address(number(5)?)));
    told.push(("stack_size".into(), Value::Hex(number(6)?)));
    if is_set(libc::CLONE_SETTLS) {
        told.push(("tls".into(), Value::Address(number(7)?)));
    }
    if let (Some(ids @ 1..), Some(count)) = (number(8), number(9)) {
        told.push(("set_tid".into(), Value::Address(ids)));
        told.push(("set_tid_size".into(), Value::UInt(count)));
    }
    if let (true, Some(cgroup)) = (flags & 0x2_0000_0000 != 0, number(10)) {
        told.push(("cgroup".into(), Value::UInt(cgroup)));
    }
    Some(Value::Struct(told))
}

pub(super) fn futex_op(bits: u64) -> Value {
    const PRIVATE: u64 = 128;
    const REALTIME: u64 = 256;
    let bits = u64::from(bits as u32);
    let Some(name) = names::FUTEX.name(bits & !(PRIVATE | REALTIME)) else {
        return names::FUTEX.constant(bits);
    };
    let private = if bits & PRIVATE != 0 { "_PRIVATE" } else { "" };
    let clock = if bits & REALTIME != 0 {
        "|FUTEX_CLOCK_REALTIME"
    } else {
        ""
    };
    Value::word(format!("{name}{private}{clock}"))
}

/// The last three arguments of `futex`: a time or a number, an address, a number or a mask.
pub(super) fn futex_argument(reader: &Reader<'_>, at: usize) -> Option<Value> {
    let op = reader.int(1) & 0x7f;
    let (wait, wake, wake_op, lock, requeue) = (
        matches!(op, 0 | 9 | 11),
        matches!(op, 1 | 7 | 8 | 10),
        op == 5,
        matches!(op, 6 | 13),
        matches!(op, 3 | 4 | 12),
    );
    let timeout = || {
        let bytes = reader.bytes(3, When::Enter);
        let wide = reader.call.name() == "futex_time64";
        let bytes = bytes.map(|bytes| {
            if wide {
                Bytes { word: 8, ..bytes }
            } else {
                bytes
            }
        });
        bytes
            .and_then(time::nanoseconds)
            .unwrap_or_else(|| reader.address(3))
    };
    let mask = |at| match reader.word(at) as u32 {
        u32::MAX => Value::word("FUTEX_BITSET_MATCH_ANY"),
        bits => Value::Hex(bits.into()),
    };
    let number = |at| Value::UInt(u64::from(reader.word(at) as u32));
    match at {
        2 => (!matches!(op, 6 | 7 | 8 | 13)).then(|| number(2)),
        3 if wait || lock => Some(timeout()),
        3 if requeue || wake_op => Some(number(3)),
        4 if requeue || wake_op || op == 11 => Some(reader.address(4)),
        5 if op == 9 => Some(mask(5)),
        5 if op == 10 => Some(mask(5)),
        5 if op == 3 => None,
        5 if requeue => Some(number(5)),
        5 if wake_op => Some(second_operation(reader.word(5))),
        _ if wait || wake || lock || requeue || wake_op || matches!(op, 7 | 8) => None,
        3 | 4 => Some(reader.address(at)),
        _ => Some(Value::Hex(u64::from(reader.word(at) as u32))),
    }
}

/// What `FUTEX_WAKE_OP` does to the second word, and with what it compares what was there.
fn second_operation(bits: u64) -> Value {
    let shift = if bits >> 31 & 1 == 1 {
        "FUTEX_OP_OPARG_SHIFT<<28|"
    } else {
        ""
    };
    let does = names::FUTEX_DOES.constant(bits >> 28 & 7);
    let compares = names::FUTEX_COMPARES.constant(bits >> 24 & 0xf);
    let [with, against] = [12, 0].map(|from| Value::Hex(bits >> from & 0xfff));
    Value::word(format!(
        "{shift}{does}<<28|{with}<<12|{compares}<<24|{against}"
    ))
}

/// How many arguments behind it an option of `prctl` takes; all four of an unknown one.
fn prctl_takes(option: i32) -> usize {
    match option {
        libc::PR_GET_DUMPABLE
        | libc::PR_GET_KEEPCAPS
        | libc::PR_GET_SECCOMP
        | libc::PR_GET_TIMERSLACK
        | libc::PR_GET_TIMING
        | libc::PR_GET_SECUREBITS => 0,
        libc::PR_SET_NAME
        | libc::PR_GET_NAME
        | libc::PR_SET_PDEATHSIG
        | libc::PR_GET_PDEATHSIG
        | libc::PR_SET_DUMPABLE
        | libc::PR_SET_KEEPCAPS
        | libc::PR_CAPBSET_READ
        | libc::PR_CAPBSET_DROP
        | libc::PR_SET_TIMERSLACK
        | libc::PR_SET_TIMING
        | libc::PR_SET_CHILD_SUBREAPER
        | libc::PR_GET_CHILD_SUBREAPER
        | libc::PR_SET_SECUREBITS
        | libc::PR_GET_TID_ADDRESS => 1,
        _ => 4,
    }
}

pub(super) fn prctl_argument(reader: &Reader<'_>, at: usize) -> Option<Value> {
    let option = reader.int(0);
    if at > prctl_takes(option) {
        return None;
    }
    let raw = reader.word(at);
    Some(match (option, at) {
        (libc::PR_SET_NAME, 1) => reader.string(at, When::Enter),
        (
            libc::PR_GET_NAME
            | libc::PR_GET_PDEATHSIG
            | libc::PR_GET_CHILD_SUBREAPER
            | libc::PR_GET_TID_ADDRESS,
            1,
        ) => reader.address(at),
        (libc::PR_SET_DUMPABLE, 1) => names::DUMPABLE.constant(raw),
        (libc::PR_CAPBSET_READ | libc::PR_CAPBSET_DROP, 1) => names::CAPABILITY.constant(raw),
        (libc::PR_SET_PDEATHSIG, 1) => Value::word(signals::name(raw)),
        (libc::PR_SET_TIMERSLACK | libc::PR_SET_CHILD_SUBREAPER, 1) => Value::UInt(raw),
        (libc::PR_SET_NO_NEW_PRIVS, 1) => Value::UInt(raw),
        _ => Value::Hex(raw),
    })
}

/// Bits of processors, as strace writes them: `[0 1 2]`.
pub(super) fn cpu_set(bytes: Bytes<'_>) -> Option<Value> {
    let is_set = |cpu: &usize| {
        bytes
            .data
            .get(cpu / 8)
            .is_some_and(|byte| byte >> (cpu % 8) & 1 == 1)
    };
    let members = (0..bytes.data.len() * 8).filter(is_set);
    Some(Value::Set(
        members.map(|cpu| cpu.to_string().into()).collect(),
        false,
    ))
}

/// `[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]`; an address where no child had ended.
pub(super) fn wait_status(reader: &Reader<'_>, at: usize) -> Value {
    match reader.call.result {
        Some(0) => reader.address(at),
        _ => reader.decoded(at, When::Exit, |bytes| Some(status(bytes.i32(0)? as i32))),
    }
}

fn status(status: i32) -> Value {
    let word = |text: String| Value::word(text);
    let signal = |number: i32| signals::name(number as u32 as u64);
    let mut told = if libc::WIFSIGNALED(status) {
        vec![
            word("WIFSIGNALED(s)".into()),
            word(format!("WTERMSIG(s) == {}", signal(libc::WTERMSIG(status)))),
        ]
    } else if libc::WIFSTOPPED(status) {
        vec![
            word("WIFSTOPPED(s)".into()),
            word(format!(
                "WSTOPSIG(s) == {}",
                signal(libc::WSTOPSIG(status) & 0x7f)
            )),
        ]
    } else if libc::WIFEXITED(status) {
        vec![
            word("WIFEXITED(s)".into()),
            word(format!("WEXITSTATUS(s) == {}", libc::WEXITSTATUS(status))),
        ]
    } else if libc::WIFCONTINUED(status) {
        vec![word("WIFCONTINUED(s)".into())]
    } else {
        return Value::List(vec![Value::Hex(u64::from(status as u32))], false);
    };
    if libc::WIFSIGNALED(status) && libc::WCOREDUMP(status) {
        told.push(word("WCOREDUMP(s)".into()));
    }
    let all = Value::Joined(told, " && ");
    Value::List(vec![Value::Struct(vec![("".into(), all)])], false)
}

pub(super) fn rusage(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::Struct(vec![
        ("ru_utime".into(), time::seconds(bytes, 0)?),
        ("ru_stime".into(), time::seconds(bytes, 2)?),
        ("".into(), Value::word("...")),
    ]))
}

pub(super) fn rlimit(bytes: Bytes<'_>) -> Option<Value> {
    let (current, most) = (bytes.word(0, 0)?, bytes.word(0, 1)?);
    Some(match bytes.word {
        8 => limits(current, most, u64::MAX, "RLIM64_INFINITY"),
        _ => limits(current, most, u64::from(u32::MAX), "RLIM_INFINITY"),
    })
}

pub(super) fn rlimit64(bytes: Bytes<'_>) -> Option<Value> {
    Some(limits(
        bytes.u64(0)?,
        bytes.u64(8)?,
        u64::MAX,
        "RLIM64_INFINITY",
    ))
}

fn limits(current: u64, most: u64, infinity: u64, infinite: &'static str) -> Value {
    let one = |limit: u64| match limit {
        limit if limit == infinity => Value::word(infinite),
        limit if limit > 1024 && limit.is_multiple_of(1024) => {
            Value::word(format!("{}*1024", limit / 1024))
        }
        limit => Value::UInt(limit),
    };
    Value::Struct(vec![
        ("rlim_cur".into(), one(current)),
        ("rlim_max".into(), one(most)),
    ])
}

/// The one number behind a pointer.
pub(super) fn int(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::List(vec![Value::Int(bytes.i32(0)?)], false))
}

pub(super) fn id(bytes: Bytes<'_>) -> Option<Value> {
    Some(Value::List(vec![Value::UInt(bytes.u32(0)?)], false))
}

pub(super) fn ids(bytes: Bytes<'_>) -> Option<Value> {
    let all = bytes.items(4).filter_map(|id| id.u32(0)).map(Value::UInt);
    Some(Value::List(all.collect(), !bytes.whole))
}

pub(super) fn utsname(bytes: Bytes<'_>) -> Option<Value> {
    const FIELD: usize = 65;
    let field = |index: usize| {
        let bytes = bytes.from(index * FIELD)?;
        let text = bytes
            .data
            .get(..FIELD)?
            .split(|byte| *byte == 0)
            .next()?
            .to_vec();
        Some(Value::Text {
            bytes: text,
            cut: false,
        })
    };
    Some(Value::Struct(vec![
        ("sysname".into(), field(0)?),
        ("nodename".into(), field(1)?),
        ("".into(), Value::word("...")),
    ]))
}

pub(super) fn sysinfo(bytes: Bytes<'_>) -> Option<Value> {
    let number = |at| bytes.u64(at).map(Value::UInt);
    let loads = [8, 16, 24].map(|at| bytes.u64(at).map(Value::UInt));
    Some(Value::Struct(vec![
        ("uptime".into(), Value::Int(bytes.i64(0)?)),
        (
            "loads".into(),
            Value::List(loads.into_iter().collect::<Option<_>>()?, false),
        ),
        ("totalram".into(), number(32)?),
        ("freeram".into(), number(40)?),
        ("sharedram".into(), number(48)?),
        ("bufferram".into(), number(56)?),
        ("totalswap".into(), number(64)?),
        ("freeswap".into(), number(72)?),
        ("procs".into(), Value::UInt(bytes.u16(80)?)),
        ("totalhigh".into(), number(88)?),
        ("freehigh".into(), number(96)?),
        ("mem_unit".into(), Value::UInt(bytes.u32(104)?)),
    ]))
}
