//! Events as JSON lines.

use serde_json::{Value as Json, json};

use super::decode::{Argument, Decoded, Outcome};
use super::line::{Happening, Signal};
use super::names::signals;
use super::quote::escaped;
use super::value::{Value, plain};

/// Where and when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
    /// The process.
    pub pid: u32,
    /// The task.
    pub tid: u32,
}

/// A record of kind `call`: `args` in the order of the text, each with its name, the register as
/// `value`, and what it says as `decoded`. Of a descriptor `value` is its number and `decoded` what it
/// refers to, null where that is not known. `result` is a number, null where the call failed or
/// never returned; `result_name` says what it stands for, where it is more than a number. `unfinished` is true where the call never returned or had not when the
/// trace ended; then there is neither result nor duration.
pub fn call(at: At, decoded: &Decoded, duration_ns: Option<u64>) -> Json {
    let arguments: Vec<_> = decoded.arguments.iter().map(argument).collect();
    let mut record = start("call", at);
    record["name"] = json!(decoded.name);
    if let Some(abi) = decoded.foreign_abi {
        record["abi"] = json!(abi);
    }
    record["args"] = json!(arguments);
    record["result"] = decoded.outcome.json();
    if let Some(name) = decoded.outcome.name_json() {
        record["result_name"] = name;
    }
    record["errno"] = json!(decoded.outcome.errno());
    if let Some(note) = decoded.outcome.note() {
        record["note"] = json!(note);
    }
    record["duration_ns"] = json!(duration_ns);
    record["unfinished"] = json!(matches!(decoded.outcome, Outcome::None | Outcome::Never));
    record
}

fn start(kind: &str, at: At) -> Json {
    json!({"kind": kind, "ts_ns": at.unix_ns, "pid": at.pid, "tid": at.tid})
}

fn argument(argument: &Argument) -> Json {
    if argument.name.is_empty() {
        return json!({"value": argument.raw});
    }
    match &argument.value {
        fd @ Value::Fd { number, .. } => {
            json!({"name": argument.name, "value": number, "decoded": fd.meaning_json()})
        }
        Value::Word(word) if word == "AT_FDCWD" => {
            json!({"name": argument.name, "value": libc::AT_FDCWD, "decoded": word})
        }
        value => json!({"name": argument.name, "value": argument.raw, "decoded": value.json()}),
    }
}

/// A record of what is no call: kind `start`, `exec`, `exit` or `signal`.
pub fn happening(at: At, what: &Happening) -> Json {
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
    let told = [
        ("code", signal.code.map(|code| json!(code))),
        ("sender_pid", sender_pid.map(|pid| json!(pid))),
        ("sender_uid", sender_uid.map(|uid| json!(uid))),
        ("status", signal.status.map(|status| json!(status))),
        (
            "address",
            signal.address.map(|address| json!(format!("{address:#x}"))),
        ),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            record[name] = value;
        }
    }
    record
}

fn text(bytes: &[u8]) -> Json {
    match plain(bytes) {
        Some(text) => json!(text),
        None => json!({"escaped": escaped(bytes, b"")}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::decode::Detail;

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
        call(At { unix_ns, pid, tid }, &decoded, Some(4))
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
