//! Reads a call: each argument by its kind, the result by what the call returns.

mod date;
mod files;
mod inode;
mod memory;
mod network;
mod process;
pub(super) mod reader;
mod result;
mod signals;
pub(super) mod sockaddr;
mod time;

use super::call::{Call, When};
use super::descriptors::Descriptors;
use super::table::{Entry, Kind};
use super::value::Value;
use reader::Reader;
pub use result::Outcome;

/// How much of the arguments is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// Registers, each with its argument's name; memory as addresses.
    Names,
    /// All.
    Full,
    /// Nothing: the process is not the user's.
    Private,
}

/// How a call is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// How much is told.
    pub detail: Detail,
    /// Bytes of buffers and strings that are shown, paths apart: strace's `-s`, 32.
    pub shown: usize,
    /// The process, for its descriptors.
    pub pid: u32,
    /// What descriptors are, as before the call.
    pub descriptors: Option<&'a Descriptors>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, empty where the call's arguments are not known.
    pub name: &'static str,
    /// The register.
    pub raw: u64,
    /// What it says.
    pub value: Value,
    /// Known only when the call returns.
    pub answer: bool,
}

/// A call that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Name of the call, `syscall_9999` where no table has it.
    pub name: String,
    /// `i386` and the like, where the call did not come through the machine's own entry.
    pub foreign_abi: Option<&'static str>,
    /// In order; empty for [`Detail::None`] and [`Detail::Private`].
    pub arguments: Vec<Argument>,
    /// What was asked for.
    pub detail: Detail,
    /// What came of it.
    pub outcome: Outcome,
}

/// Reads a call.
pub fn decode(call: &Call<'_>, view: &View<'_>) -> Decoded {
    let entry = Entry::of(call.abi, call.nr);
    let reader = Reader { call, view, entry };
    let arguments = match (view.detail, entry) {
        (Detail::None | Detail::Private, _) => Vec::new(),
        (_, Some(entry)) => known(&reader, entry),
        (_, None) => call.args.map(unknown).into(),
    };
    Decoded {
        name: call.name(),
        foreign_abi: crate::decode::syscalls::Call {
            abi: call.abi,
            nr: call.nr,
        }
        .foreign_abi(),
        arguments,
        detail: view.detail,
        outcome: result::outcome(&reader),
    }
}

/// Reads a call of a process and takes note of what it did to its descriptors. Those that it made
/// are named by what they are now, all others by what they were.
pub fn decode_and_follow(call: &Call<'_>, view: &View<'_>, followed: &mut Descriptors) -> Decoded {
    let view = View {
        descriptors: Some(followed),
        ..*view
    };
    let mut decoded = decode(call, &view);
    let pid = view.pid;
    followed.apply(pid, call);
    followed.after();
    decoded.name_new(&|fd| followed.name(pid, fd));
    decoded
}

impl Decoded {
    /// Names the descriptors that the call made.
    pub fn name_new(&mut self, name: &dyn Fn(i32) -> Option<Vec<u8>>) {
        for argument in &mut self.arguments {
            argument.value.name_new(name);
        }
        self.outcome.name_new(name);
    }
}

fn known(reader: &Reader<'_>, entry: &'static Entry) -> Vec<Argument> {
    let mut arguments = Vec::new();
    for (at, (name, kind)) in entry.arguments.iter().enumerate() {
        let Some(value) = value(reader, at, *kind) else {
            continue;
        };
        let (raw, answer) = (reader.call.args[at], kind.is_answer());
        arguments.push(Argument {
            name,
            raw,
            value,
            answer,
        });
    }
    if entry.name == "clone" {
        in_the_order_of_strace(&mut arguments);
    }
    arguments
}

/// strace tells the stack before the flags, and the thread's storage before the id.
fn in_the_order_of_strace(arguments: &mut [Argument]) {
    arguments.sort_by_key(|argument| match argument.name {
        "child_stack" => 0,
        "flags" => 1,
        "parent_tid" => 2,
        "tls" => 3,
        _ => 4,
    });
}

fn unknown(raw: u64) -> Argument {
    Argument {
        name: "",
        raw,
        value: Value::Hex(raw),
        answer: false,
    }
}

/// What an argument says; `None` where the call has no such argument, as `open` no mode.
fn value(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<Value> {
    let raw = reader.call.args[at];
    let (int, uint) = (i64::from(raw as i32), u64::from(raw as u32));
    Some(match kind {
        Kind::IntWith(flags, mask) if reader.word(flags.into()) & mask == 0 => return None,
        Kind::IntWith(..) => Value::Int(int),
        Kind::Skip => return None,
        Kind::Int | Kind::Pid => Value::Int(int),
        Kind::Long | Kind::Offset => Value::Int(reader.long(at)),
        Kind::UInt => Value::UInt(uint),
        Kind::Size => Value::UInt(reader.word(at)),
        Kind::Hex => Value::Hex(reader.word(at)),
        Kind::HexInt => Value::Hex(uint),
        Kind::Pointer | Kind::Timezone | Kind::PointerOut => reader.address(at),
        Kind::AttributesOut if reader.word(at + 1) == 0 => reader.address(at),
        Kind::Fd | Kind::NoFd => reader.fd(raw as i32),
        Kind::DirFd => reader.dir_fd(raw as i32),
        Kind::Id if raw as u32 == u32::MAX => Value::Int(-1),
        Kind::Id => Value::UInt(uint),
        Kind::Flags(names) => names.flags(uint),
        Kind::WideFlags(names) => names.flags(reader.word(at)),
        Kind::Enum(names) => names.constant(uint),
        Kind::Path => reader.path(at),
        Kind::String => reader.string(at, When::Enter),
        Kind::StringOut => reader.string(at, When::Exit),
        Kind::BufferIn(len) => reader.buffer_in(at, len.into()),
        Kind::BufferOut | Kind::AttributesOut => reader.buffer_out(at),
        Kind::RandomOut => match reader.buffer_out(at) {
            Value::Text { bytes, cut } => Value::Bytes { bytes, cut },
            other => other,
        },
        kind => {
            let parts = [
                files::value,
                inode::value,
                memory::value,
                network::value,
                process::value,
                signals::value,
                time::value,
            ];
            return parts
                .into_iter()
                .find_map(|part| part(reader, at, kind))
                .unwrap_or_else(|| Some(reader.address(at)));
        }
    })
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
