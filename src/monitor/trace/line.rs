//! Events as lines in the format of strace.

use std::fmt::Write as _;

use crate::decode::arguments::{Argument, Decoded, Detail, Outcome};
use crate::decode::names::signals;
use crate::decode::quote::escaped;

/// The column of the result for short calls, as in strace.
const RESULT_COLUMN: usize = 40;

/// The columns in front of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The thread id, if more than one thread is traced.
    pub(crate) tid: Option<u32>,
    /// The time of day.
    pub(crate) time: Option<String>,
}

/// How long a call lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    Ns(u64),
    /// It is not known when it began: its thread was not followed then.
    Longer,
}

impl Prefix {
    fn write(&self) -> String {
        let mut out = String::new();
        if let Some(tid) = self.tid {
            let _ = write!(out, "[pid {tid:5}] ");
        }
        if let Some(time) = &self.time {
            let _ = write!(out, "{time} ");
        }
        out
    }
}

/// A complete call: `name(arguments) = result <seconds>`.
pub(crate) fn call(prefix: &Prefix, decoded: &Decoded, took: Option<Took>) -> String {
    let has_arguments = !matches!(decoded.detail, Detail::None | Detail::Private);
    if decoded.outcome == Outcome::None && has_arguments {
        return ended(unfinished(prefix, decoded), decoded, took);
    }
    let start = format!("{}{}(", prefix.write(), decoded.name);
    let arguments = match decoded.detail {
        Detail::None => "...".to_owned(),
        Detail::Private => "<private>".to_owned(),
        _ => joined(decoded, &decoded.arguments),
    };
    ended(start + &arguments, decoded, took)
}

/// The first part of a call that another thread's event interrupts.
pub(crate) fn unfinished(prefix: &Prefix, entered: &Decoded) -> String {
    begun(prefix, entered) + " <unfinished ...>"
}

/// The first part of a call that had begun when its thread was followed.
pub(crate) fn in_progress(prefix: &Prefix, entered: &Decoded) -> String {
    let begun = begun(prefix, entered);
    match entered.detail {
        Detail::None => begun + "... <in progress>",
        _ if begun.ends_with(['(', ' ']) => begun + "<in progress>",
        _ => begun + " <in progress>",
    }
}

fn begun(prefix: &Prefix, entered: &Decoded) -> String {
    let (known, rest) = entered.arguments.split_at(known_at_enter(entered));
    let mut line = format!(
        "{}{}({}",
        prefix.write(),
        entered.name,
        joined(entered, known)
    );
    if !known.is_empty() && !rest.is_empty() {
        line.push_str(", ");
    }
    line
}

/// The rest of a call that [`unfinished`] began.
pub(crate) fn resumed(prefix: &Prefix, decoded: &Decoded, took: Option<Took>) -> String {
    let rest = &decoded.arguments[known_at_enter(decoded)..];
    let start = format!("{}<... {} resumed>", prefix.write(), decoded.name);
    ended(start + &joined(decoded, rest), decoded, took)
}

fn ended(mut line: String, decoded: &Decoded, took: Option<Took>) -> String {
    if let Some(abi) = decoded.foreign_abi {
        let _ = write!(line, " /* {abi} */");
    }
    line.push(')');
    line = format!(
        "{line:<width$} = {}",
        decoded.outcome,
        width = RESULT_COLUMN - 1
    );
    match took {
        Some(Took::Ns(ns)) => {
            let (secs, micros) = (ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
            let _ = write!(line, " <{secs}.{micros:06}>");
        }
        Some(Took::Longer) => line.push_str(" <began earlier>"),
        None => {}
    }
    line
}

/// How many arguments are known before the call returns: those before the first output argument.
fn known_at_enter(decoded: &Decoded) -> usize {
    let answer = decoded
        .arguments
        .iter()
        .position(|argument| argument.answer);
    answer.unwrap_or(decoded.arguments.len())
}

fn joined(decoded: &Decoded, arguments: &[Argument]) -> String {
    let named = decoded.detail == Detail::Names || decoded.name == "clone";
    let one = |argument: &Argument| match (named, argument.name) {
        (false, _) | (true, "") => argument.value.to_string(),
        (true, name) => format!("{name}={}", argument.value),
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Events other than calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A process or thread began.
    Started {
        pid: u32,
        /// Its name; empty if not known.
        comm: Vec<u8>,
    },
    /// Another program runs in the process.
    Executed {
        /// The path, as the caller passed it; `None` if it could not be read.
        path: Option<Vec<u8>>,
        /// The thread that executed, if it was not the first one; it has the id of the process from now on.
        former: Option<u32>,
    },
    /// It exited.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        signal: i32,
        /// It dumped core.
        core: bool,
    },
    /// A signal was delivered.
    Signal(Signal),
}

/// A signal as it was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) signal: i32,
    /// Its `si_code`.
    pub(crate) code: Option<i32>,
    /// Process id of the sender.
    pub(crate) pid: Option<i32>,
    /// Real user of the sender.
    pub(crate) uid: Option<u32>,
    /// The child's exit status or signal, for `SIGCHLD`.
    pub(crate) status: Option<i32>,
    /// The address, for faults.
    pub(crate) address: Option<u64>,
}

/// A line for the first thread of a process in which another one executed a program, and took its id.
pub(crate) fn superseded(prefix: &Prefix, by: u32) -> String {
    format!("{}+++ superseded by execve in pid {by} +++", prefix.write())
}

/// A line for an event that is no call.
pub(crate) fn happening(prefix: &Prefix, what: &Happening) -> String {
    let start = prefix.write();
    match what {
        // Nothing more is known about a thread that has ended already.
        Happening::Started { pid, comm } if comm.is_empty() => {
            format!("{start}+++ started, pid {pid} +++")
        }
        Happening::Started { pid, comm } => {
            format!(
                "{start}+++ started, pid {pid} ({}) +++",
                escaped(comm, b"()")
            )
        }
        Happening::Executed { path: None, .. } => format!("{start}+++ executes +++"),
        Happening::Executed {
            path: Some(path), ..
        } => {
            format!("{start}+++ executes \"{}\" +++", escaped(path, b""))
        }
        Happening::Exited { code } => format!("{start}+++ exited with {code} +++"),
        Happening::Killed { signal, core } => {
            let core = if *core { " (core dumped)" } else { "" };
            format!(
                "{start}+++ killed by {}{core} +++",
                signals::name(*signal as u32 as u64)
            )
        }
        Happening::Signal(signal) => {
            let name = signals::name(signal.signal as u32 as u64);
            format!("{start}--- {name} {} ---", signal.info())
        }
    }
}

impl Signal {
    /// Process and user of the sender. A timer has neither: `siginfo_t` has the timer's number there.
    pub(super) fn sender(&self) -> (Option<i32>, Option<u32>) {
        if self.code == Some(libc::SI_TIMER) {
            return (None, None);
        }
        (self.pid, self.uid)
    }

    /// `{si_signo=SIGCHLD, si_code=CLD_EXITED, …}`, with the known fields.
    fn info(&self) -> String {
        let child = self.signal == libc::SIGCHLD;
        let mut fields = vec![format!(
            "si_signo={}",
            signals::name(self.signal as u32 as u64)
        )];
        let codes = match self.signal {
            libc::SIGCHLD => &signals::CHILD_CODE,
            libc::SIGSEGV => &signals::SEGV_CODE,
            _ => &signals::CODE,
        };
        if let Some(code) = self.code {
            let bits = u64::from(code as u32);
            let name = codes.name(bits).or_else(|| signals::CODE.name(bits));
            fields.push(name.map_or_else(
                || format!("si_code={code}"),
                |name| format!("si_code={name}"),
            ));
        }
        let (pid, uid) = self.sender();
        fields.extend(pid.map(|pid| format!("si_pid={pid}")));
        fields.extend(uid.map(|uid| format!("si_uid={uid}")));
        if let (true, Some(status)) = (child, self.status) {
            let exited = self.code == Some(libc::CLD_EXITED);
            let status = if exited {
                status.to_string().into()
            } else {
                signals::name(status as u32 as u64)
            };
            fields.push(format!("si_status={status}"));
        }
        fields.extend(self.address.map(|address| match address {
            0 => "si_addr=NULL".to_owned(),
            address => format!("si_addr={address:#x}"),
        }));
        format!("{{{}}}", fields.join(", "))
    }
}
