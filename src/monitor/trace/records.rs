//! Events as JSON lines.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::line::{Happening, Signal};
use crate::decode::arguments::{Argument, Decoded, Detail, Outcome};
use crate::decode::names::signals;
use crate::decode::value::{Value, text_json};

/// Where and when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Nanoseconds since 1970.
    pub(crate) unix_ns: u64,
    /// The process.
    pub(crate) pid: u32,
    /// The task.
    pub(crate) tid: u32,
}

/// A record of kind `call`: `args` in the order of the text, each with its name, the register as
/// `value`, and its meaning as `decoded`. For a descriptor, `value` is its number and `decoded` what it
/// refers to, null if not known. `result` is a number, null if the call failed or never returned;
/// `result_name` is its meaning, if it is more than a number. `unfinished` is true if the call never returned
/// or had not returned when the trace ended; then there is neither result nor duration. `seq` is the number of
/// the event within its thread. `private` is true if the arguments are omitted because the process belongs to
/// another user.
// Written field by field: building a map for each of a million calls per second takes longer than all the rest.
#[derive(Serialize)]
pub(crate) struct CallRecord<'a> {
    kind: &'static str,
    ts_ns: u64,
    pid: u32,
    tid: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    abi: Option<&'static str>,
    #[serde(serialize_with = "arguments")]
    args: &'a [Argument],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private: bool,
    result: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_name: Option<Json>,
    errno: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    duration_ns: Option<u64>,
    unfinished: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    in_progress_at_attach: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

/// The record of a call.
pub(crate) fn call(
    at: At,
    decoded: &Decoded,
    duration_ns: Option<u64>,
    seq: Option<u64>,
) -> CallRecord<'_> {
    CallRecord {
        kind: "call",
        ts_ns: at.unix_ns,
        pid: at.pid,
        tid: at.tid,
        name: &decoded.name,
        abi: decoded.foreign_abi,
        args: &decoded.arguments,
        private: decoded.detail == Detail::Private,
        result: decoded.outcome.json(),
        result_name: decoded.outcome.name_json(),
        errno: decoded.outcome.errno(),
        note: decoded.outcome.note(),
        duration_ns,
        unfinished: matches!(decoded.outcome, Outcome::None | Outcome::Never),
        in_progress_at_attach: false,
        seq,
    }
}

/// A record of kind `in_progress`: a call that had begun when its thread was followed. Its record of kind `call`
/// follows.
pub(crate) fn in_progress(at: At, decoded: &Decoded) -> CallRecord<'_> {
    CallRecord {
        kind: "in_progress",
        in_progress_at_attach: true,
        ..call(at, decoded, None, None)
    }
}

impl CallRecord<'_> {
    /// It had begun when its thread was followed: `ts_ns` is when that was.
    pub(crate) fn began_earlier(self) -> Self {
        Self {
            in_progress_at_attach: true,
            ..self
        }
    }
}

fn arguments<S: Serializer>(arguments: &[Argument], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(arguments.iter().map(argument))
}

/// If nothing is known about it, only its value.
#[derive(Serialize)]
struct ArgumentRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    value: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<Json>,
}

fn argument(argument: &Argument) -> ArgumentRecord {
    let (value, decoded) = match &argument.value {
        _ if argument.name.is_empty() => (argument.raw.into(), None),
        fd @ Value::Fd { number, .. } => ((*number).into(), Some(fd.meaning_json().into())),
        Value::Word(word) if word == "AT_FDCWD" => {
            (libc::AT_FDCWD.into(), Some(word.to_string().into()))
        }
        value => (argument.raw.into(), Some(value.json())),
    };
    ArgumentRecord {
        name: Some(argument.name).filter(|name| !name.is_empty()),
        value,
        decoded,
    }
}

fn start(kind: &str, at: At) -> Json {
    json!({"kind": kind, "ts_ns": at.unix_ns, "pid": at.pid, "tid": at.tid})
}

/// A record of an event that is no call: kind `start`, `exec`, `exit` or `signal`.
pub(crate) fn happening(at: At, what: &Happening) -> Json {
    match what {
        Happening::Started { pid, comm } => {
            let mut record = start("start", at);
            record["process"] = json!(pid);
            record["comm"] = if comm.is_empty() {
                Json::Null
            } else {
                text(comm)
            };
            record
        }
        Happening::Executed { path, former } => {
            let mut record = start("exec", at);
            record["path"] = path.as_deref().map_or_else(|| json!(null), text);
            if let Some(former) = former {
                record["former_tid"] = json!(former);
            }
            record
        }
        Happening::Exited { code } => {
            let mut record = start("exit", at);
            record["exit_code"] = json!(code);
            record
        }
        Happening::Killed { signal, core } => {
            let mut record = start("exit", at);
            record["signal"] = json!(signals::name(*signal as u32 as u64));
            record["core"] = json!(core);
            record
        }
        Happening::Signal(signal) => signal_record(at, signal),
    }
}

fn signal_record(at: At, signal: &Signal) -> Json {
    let mut record = start("signal", at);
    record["signal"] = json!(signals::name(signal.signal as u32 as u64));
    let (sender_pid, sender_uid) = signal.sender();
    let fields = [
        ("code", signal.code.map(|code| json!(code))),
        ("sender_pid", sender_pid.map(|pid| json!(pid))),
        ("sender_uid", sender_uid.map(|uid| json!(uid))),
        ("status", signal.status.map(|status| json!(status))),
        (
            "address",
            signal.address.map(|address| json!(format!("{address:#x}"))),
        ),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            record[name] = value;
        }
    }
    record
}

fn text(bytes: &[u8]) -> Json {
    text_json(bytes, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::arguments::Detail;

    fn record(value: Value, result: Value) -> Json {
        let (pid, tid, unix_ns) = (1, 2, 3);
        let argument = Argument {
            name: "fd",
            raw: u64::from(u32::MAX),
            value,
            answer: false,
        };
        let decoded = Decoded {
            name: "dup".to_owned(),
            foreign_abi: None,
            arguments: vec![argument],
            detail: Detail::Full,
            outcome: Outcome::Returned {
                value: result,
                note: None,
            },
        };
        let record = call(At { unix_ns, pid, tid }, &decoded, Some(4), None);
        serde_json::to_value(record).unwrap()
    }

    #[test]
    fn numbers_are_numbers_and_what_they_stand_for_is_beside_them() {
        let fd = |number, is: Option<&[u8]>| Value::Fd {
            number,
            is: is.map(<[u8]>::to_vec),
            new: false,
        };
        let known = record(fd(3, Some(b"/etc")), fd(4, Some(b"/etc")));
        assert_eq!(
            (&known["args"], &known["result"], &known["result_name"]),
            (
                &json!([{"name": "fd", "value": 3, "decoded": "/etc"}]),
                &json!(4),
                &json!("/etc")
            )
        );
        let unknown = record(fd(-1, None), Value::Int(-5000));
        assert_eq!(
            unknown["args"],
            json!([{"name": "fd", "value": -1, "decoded": null}])
        );
        assert_eq!(unknown["result"], json!(-5000));
        assert_eq!(unknown.get("result_name"), None);
        let others =
            [Value::Hex(4096), Value::Octal(0o22)].map(|value| record(Value::Int(0), value));
        assert_eq!(
            others.each_ref().map(|it| &it["result"]),
            [&json!(4096), &json!(18)]
        );
        assert_eq!(
            others.each_ref().map(|it| &it["result_name"]),
            [&json!("0x1000"), &json!("022")]
        );
    }

    #[test]
    fn a_start_without_a_name_says_so() {
        let (pid, tid, unix_ns) = (1, 2, 3);
        let started = |comm: &[u8]| {
            let comm = comm.to_vec();
            happening(At { unix_ns, pid, tid }, &Happening::Started { pid, comm })
        };
        assert_eq!(started(b"")["comm"], json!(null));
        assert_eq!(started(b"sh")["comm"], json!("sh"));
    }
}
