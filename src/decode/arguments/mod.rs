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
use reader::{Bytes, Reader};
pub(crate) use result::Outcome;

/// How much of the arguments is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
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
pub(crate) struct View<'a> {
    /// How much is told.
    pub(crate) detail: Detail,
    /// Bytes of buffers and strings that are shown, paths apart: strace's `-s`, 32.
    pub(crate) shown: usize,
    /// The process, for its descriptors.
    pub(crate) pid: u32,
    /// What descriptors are, as before the call.
    pub(crate) descriptors: Option<&'a Descriptors>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name, empty where the call's arguments are not known.
    pub(crate) name: &'static str,
    /// The register.
    pub(crate) raw: u64,
    pub(crate) value: Value,
    /// Known only when the call returns.
    pub(crate) answer: bool,
}

/// A call that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Name of the call, `syscall_9999` where no table has it.
    pub(crate) name: String,
    /// `i386` and the like, where the call did not come through the machine's own entry.
    pub(crate) foreign_abi: Option<&'static str>,
    /// In order; empty for [`Detail::None`] and [`Detail::Private`].
    pub(crate) arguments: Vec<Argument>,
    pub(crate) detail: Detail,
    pub(crate) outcome: Outcome,
}

/// Reads a call.
pub(crate) fn decode(call: &Call<'_>, view: &View<'_>) -> Decoded {
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
pub(crate) fn decode_and_follow(
    call: &Call<'_>,
    view: &View<'_>,
    followed: &mut Descriptors,
) -> Decoded {
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
    pub(crate) fn name_new(&mut self, name: &dyn Fn(i32) -> Option<Vec<u8>>) {
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
#[rustfmt::skip]
fn value(reader: &Reader<'_>, at: usize, kind: Kind) -> Option<Value> {
    use When::{Enter, Exit};
    let raw = reader.call.args[at];
    let (int, uint, word) = (i64::from(raw as i32), u64::from(raw as u32), reader.word(at));
    let other = |at: u8| reader.word(at.into());
    let read = |when, decode: fn(Bytes<'_>) -> Option<Value>| reader.decoded(at, when, decode);
    let time = |when, decode: fn(Bytes<'_>) -> Option<Value>| time::decoded(reader, at, when, decode);
    Some(match kind {
        Kind::Skip => return None,
        Kind::IntWith(flags, mask) => return (other(flags) & mask != 0).then_some(Value::Int(int)),
        Kind::Int | Kind::Pid => Value::Int(int),
        Kind::Offset => Value::Int(reader.long(at)),
        Kind::UInt => Value::UInt(uint),
        Kind::Size => Value::UInt(word),
        Kind::Hex => Value::Hex(word),
        Kind::HexInt => Value::Hex(uint),
        Kind::Pointer | Kind::Timezone | Kind::PointerOut => reader.address(at),
        Kind::Fd | Kind::NoFd => reader.fd(raw as i32),
        Kind::DirFd => reader.dir_fd(raw as i32),
        Kind::Id if raw as u32 == u32::MAX => Value::Int(-1),
        Kind::Id => Value::UInt(uint),
        Kind::Flags(names) => names.flags(uint),
        Kind::WideFlags(names) => names.flags(word),
        Kind::Enum(names) => names.constant(uint),
        Kind::Path => reader.path(at),
        Kind::String => reader.string(at, Enter),
        Kind::StringOut => reader.string(at, Exit),
        Kind::BufferIn(len) => reader.buffer_in(at, len.into()),
        Kind::AttributesOut if reader.word(at + 1) == 0 => reader.address(at),
        Kind::BufferOut | Kind::AttributesOut => reader.buffer_out(at),
        Kind::RandomOut => match reader.buffer_out(at) {
            Value::Text { bytes, cut } => Value::Bytes { bytes, cut },
            other => other,
        },
        Kind::IntOut | Kind::TimerIdOut | Kind::SchedParamOut => read(Exit, process::int),
        Kind::SchedParamIn => read(Enter, process::int),
        Kind::IdOut => read(Exit, process::id),
        Kind::IdsIn(_) => read(Enter, process::ids),
        Kind::IdsOut => read(Exit, process::ids),

        Kind::Mode => Value::Octal(u64::from(raw as u16)),
        Kind::StatxFlags => files::statx_flags(uint),
        Kind::OpenFlags => files::open_flags(uint),
        Kind::OpenMode(flags) => return files::open_mode(raw, other(flags)),
        Kind::OpenHow(_) => read(Enter, files::open_how),
        Kind::FdPair => files::fd_pair(reader, at),
        Kind::Iovecs(count) => files::iovecs(reader, at, other(count)),
        Kind::Pollfds(count) => files::pollfds(reader, at, other(count)),
        Kind::EpollEvent(op) => files::epoll_given(reader, at, reader.int(op.into())),
        Kind::EpollEvents => files::epoll_events(reader, at),
        Kind::OffsetInOut => files::offset(reader, at),
        Kind::Ioctl => files::request(uint),
        Kind::IoctlArgument => return files::ioctl_argument(reader, at),
        Kind::FcntlArgument => return files::fcntl_argument(reader, at),
        Kind::FdSet => files::fd_set(reader, at),
        Kind::FileMode => inode::file_mode(u64::from(raw as u16)),
        Kind::Device(mode) => return inode::device_of(raw, other(mode)),
        Kind::Dirents => inode::entries(reader, at),
        Kind::Stat => read(Exit, inode::stat),
        Kind::Statx => read(Exit, inode::statx),
        Kind::Statfs => read(Exit, inode::statfs),

        Kind::MapFlags => memory::map_flags(word),
        Kind::MemfdFlags => memory::memfd_flags(uint),
        Kind::NewAddress => return memory::new_address(reader, at, reader.word(3)),
        Kind::IpcKey => memory::ipc_key(uint),
        Kind::IpcFlags(names) => memory::ipc_flags(names, uint, 0),
        Kind::ShmFlags => memory::shm_flags(uint),
        Kind::Sembufs(count) => memory::sembufs(reader, at, other(count)),

        Kind::SocketType => network::socket_type(uint),
        Kind::Protocol(domain) => network::protocol(reader.int(domain.into()), uint),
        Kind::SockaddrIn(len) => network::sockaddr_in(reader, at, other(len)),
        Kind::SockaddrOut(len) => network::sockaddr_out(reader, at, len.into()),
        Kind::SocklenInOut => network::socklen(reader, at),
        Kind::SocketOption(level) => network::option_name(reader.int(level.into()), uint),
        Kind::OptionIn(len) => network::option_in(reader, at, other(len)),
        Kind::OptionOut(len) => network::option_out(reader, at, len.into()),
        Kind::MsghdrIn => network::msghdr(reader, at, Enter),
        Kind::MsghdrOut => network::msghdr(reader, at, Exit),

        Kind::Argv => process::argv(reader, at),
        Kind::Envp => process::envp(reader, at),
        Kind::CloneFlags => process::clone_flags(word),
        Kind::CloneTid(flags) => return process::clone_tid(reader, at, flags),
        Kind::ClonePointer(flags) => return process::clone_pointer(reader, at, flags),
        Kind::CloneArgs(_) => read(Enter, process::clone_args),
        Kind::FutexOp => process::futex_op(word),
        Kind::FutexArgument => return process::futex_argument(reader, at),
        Kind::PrctlArgument => return process::prctl_argument(reader, at),
        Kind::CpuSetIn(_) => read(Enter, process::cpu_set),
        Kind::CpuSetOut => read(Exit, process::cpu_set),
        Kind::WaitStatus => process::wait_status(reader, at),
        Kind::Rusage => read(Exit, process::rusage),
        Kind::RlimitIn => read(Enter, process::rlimit),
        Kind::RlimitOut => read(Exit, process::rlimit),
        Kind::Rlimit64In => read(Enter, process::rlimit64),
        Kind::Rlimit64Out => read(Exit, process::rlimit64),
        Kind::Utsname => read(Exit, process::utsname),
        Kind::Sysinfo => read(Exit, process::sysinfo),

        Kind::Signal => signals::signal(uint),
        Kind::SigsetIn => read(Enter, signals::sigset),
        Kind::SigsetOut => read(Exit, signals::sigset),
        Kind::SigactionIn => read(Enter, signals::sigaction),
        Kind::SigactionOut => read(Exit, signals::sigaction),
        Kind::SigstackIn => read(Enter, signals::sigstack),
        Kind::SigstackOut => read(Exit, signals::sigstack),
        Kind::Sigevent => read(Enter, signals::sigevent),
        Kind::SiginfoIn => read(Enter, signals::siginfo),
        Kind::SiginfoOut => read(Exit, signals::siginfo),

        Kind::TimespecIn => time(Enter, time::nanoseconds),
        Kind::TimespecOut => time(Exit, time::nanoseconds),
        Kind::Remaining => time::remaining(reader, at),
        Kind::TimespecPair => time(Enter, time::file_times),
        Kind::TimevalIn => time(Enter, time::microseconds),
        Kind::TimevalOut => time(Exit, time::microseconds),
        Kind::TimevalPair => time(Enter, time::file_times_microseconds),
        Kind::ItimervalIn => time(Enter, time::timer_microseconds),
        Kind::ItimervalOut => time(Exit, time::timer_microseconds),
        Kind::ItimerspecIn => time(Enter, time::timer_nanoseconds),
        Kind::ItimerspecOut => time(Exit, time::timer_nanoseconds),
        Kind::TimeOut => time(Exit, time::time_t),
    })
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
