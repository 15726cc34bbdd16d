//! What an argument is, and what must be captured to tell it.

use super::super::call::{Capture, What, When};
use crate::decode::names::Names;

/// What an argument is. A number in it is the index of another argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `int`.
    Int,
    /// `unsigned int`.
    UInt,
    /// `unsigned long`, `size_t`.
    Size,
    /// `loff_t`.
    Offset,
    /// A number by its bits.
    Hex,
    /// A number by its bits, one word of the ABI.
    HexInt,
    /// A pointer that is not followed.
    Pointer,
    Fd,
    /// A descriptor of a directory, or `AT_FDCWD`.
    DirFd,
    /// A descriptor of `mmap`: -1 is none.
    NoFd,
    /// A process, thread or group; 0 and negative numbers have meanings.
    Pid,
    /// A user or a group; -1 leaves it.
    Id,
    Mode,
    /// Permissions and the kind of file.
    FileMode,
    /// `dev_t`, as `mknod` takes it: only where the mode in that argument is a device's.
    Device(u8),
    /// Flags in an `int`.
    Flags(&'static Names),
    /// Flags in a `long`.
    WideFlags(&'static Names),
    /// One of several, an `int`.
    Enum(&'static Names),
    /// Flags of `open`.
    OpenFlags,
    /// The mode of `open`: only where the flags in that argument make a file.
    OpenMode(u8),
    /// A signal.
    Signal,
    /// A path.
    Path,
    /// A string.
    String,
    /// Bytes, as many as that argument says.
    BufferIn(u8),
    /// Bytes, as many as the call returned.
    BufferOut,
    /// Extended attributes: as many bytes as the call returned, which with no room for them are none.
    AttributesOut,
    /// Bytes that are no text, as many as the call returned.
    RandomOut,
    /// Bytes behind a fixed distance, NUL-terminated: `getcwd`.
    StringOut,
    /// NULL-terminated array of strings.
    Argv,
    /// The same, of which the number is told.
    Envp,
    /// `iovec`s, as many as that argument says.
    Iovecs(u8),
    /// A socket address, as long as that argument says.
    SockaddrIn(u8),
    /// A socket address, as long as the number says that that argument points at.
    SockaddrOut(u8),
    /// Length of a socket address, given and returned.
    SocklenInOut,
    /// The domain of a socket is that argument, the type the next: the protocol.
    Protocol(u8),
    /// The type of a socket and two flags.
    SocketType,
    /// An option of a socket: its level is that argument.
    SocketOption(u8),
    /// The value of an option, given, as long as that argument says.
    OptionIn(u8),
    /// The value of an option, returned, as long as the number says that that argument points at.
    OptionOut(u8),
    /// `msghdr`.
    MsghdrIn,
    /// `msghdr`, its name filled.
    MsghdrOut,
    /// Two descriptors, made by the call.
    FdPair,
    /// `struct stat`.
    Stat,
    /// `struct statx`.
    Statx,
    /// `struct statfs`.
    Statfs,
    /// `struct timespec`.
    TimespecIn,
    /// `struct timespec`, returned.
    TimespecOut,
    /// `struct timespec`, what is left where the sleep was interrupted.
    Remaining,
    /// Two of them, with `UTIME_NOW` and `UTIME_OMIT`.
    TimespecPair,
    /// `struct timeval`.
    TimevalIn,
    /// `struct timeval`, returned.
    TimevalOut,
    /// Two of them.
    TimevalPair,
    /// `struct itimerval`.
    ItimervalIn,
    /// `struct itimerval`, returned.
    ItimervalOut,
    /// `struct itimerspec`.
    ItimerspecIn,
    /// `struct itimerspec`, returned.
    ItimerspecOut,
    /// `struct timezone`: obsolete, told as an address.
    Timezone,
    /// How a child ended.
    WaitStatus,
    /// `siginfo_t` of `waitid` and `rt_sigtimedwait`, returned.
    SiginfoOut,
    /// `siginfo_t`, given.
    SiginfoIn,
    /// `struct rusage`.
    Rusage,
    /// A mask of signals.
    SigsetIn,
    /// A mask of signals, returned.
    SigsetOut,
    /// `struct sigaction`.
    SigactionIn,
    /// `struct sigaction`, returned.
    SigactionOut,
    /// `stack_t`.
    SigstackIn,
    /// `stack_t`, returned.
    SigstackOut,
    /// `struct rlimit`, of words.
    RlimitIn,
    /// `struct rlimit`, of words, returned.
    RlimitOut,
    /// `struct rlimit64`.
    Rlimit64In,
    /// `struct rlimit64`, returned.
    Rlimit64Out,
    /// `struct epoll_event`, unless the operation in that argument takes none.
    EpollEvent(u8),
    /// Events, as many as the call returned.
    EpollEvents,
    /// `struct pollfd`, as many as that argument says; what came of them is part of the result.
    Pollfds(u8),
    /// `fd_set` of as many descriptors as argument 0 says.
    FdSet,
    /// `struct utsname`.
    Utsname,
    /// `struct sysinfo`.
    Sysinfo,
    /// An `int`, returned.
    IntOut,
    /// Ids, as many as that argument says.
    IdsIn(u8),
    /// Ids, as many as the call returned.
    IdsOut,
    /// An id, returned.
    IdOut,
    /// An offset, given and returned.
    OffsetInOut,
    /// `struct open_how`, as long as that argument says.
    OpenHow(u8),
    /// `struct clone_args`, as long as that argument says.
    CloneArgs(u8),
    /// Flags of `clone` and the signal of the end.
    CloneFlags,
    /// Thread id that `clone` writes, where that flag is set.
    CloneTid(u64),
    /// Flags of `mmap`.
    MapFlags,
    /// Flags of `memfd_create`.
    MemfdFlags,
    /// An argument of `mremap`: only with `MREMAP_FIXED`.
    NewAddress,
    /// A request of `ioctl`.
    Ioctl,
    /// The argument of an `ioctl`.
    IoctlArgument,
    /// The argument of `fcntl`.
    FcntlArgument,
    /// The operation of `futex`.
    FutexOp,
    /// An argument of `futex`, which depends on the operation.
    FutexArgument,
    /// An argument of `prctl`, which depends on the option.
    PrctlArgument,
    /// Processors, as many bytes as that argument says.
    CpuSetIn(u8),
    /// Processors, as many bytes as the call returned.
    CpuSetOut,
    /// `struct sched_param`.
    SchedParamIn,
    /// `struct sched_param`, returned.
    SchedParamOut,
    /// Directory entries.
    Dirents,
    /// Flags of `semget` and `msgget`: with permissions.
    IpcFlags(&'static Names),
    /// Flags of `shmget`: with permissions and the size of huge pages.
    ShmFlags,
    /// A key of System V IPC.
    IpcKey,
    /// Operations on semaphores, as many as that argument says.
    Sembufs(u8),
    /// `struct sigevent`.
    Sigevent,
    /// A user-supplied `double[3]` of the load, and the like: an address where it failed.
    PointerOut,
    /// Flags of `statx`: how fresh, and others.
    StatxFlags,
    /// An `int`, only with one of these flags in that argument.
    IntWith(u8, u64),
    /// The register of an argument that takes two in a 32-bit ABI: not told.
    Skip,
    /// `time_t`, returned.
    TimeOut,
    /// A timer, returned.
    TimerIdOut,
    /// A pointer that `clone` takes where one of these flags is set.
    ClonePointer(u64),
}

/// What a result that is no error means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Returns {
    /// A number.
    Int,
    /// A register of the program, whatever it contains.
    Register,
    /// An address.
    Hex,
    Octal,
    /// A descriptor that the call made.
    Fd,
    /// Nothing: the call does not return.
    Never,
    /// Depends on the command of `fcntl`.
    Fcntl,
    /// How many of the descriptors are ready; zero is a timeout.
    Ready,
    /// A signal that was taken.
    SignalNumber,
    /// One of several.
    Enum(&'static Names),
    /// Flags.
    Flags(&'static Names),
    /// Depends on the option of `prctl`.
    Prctl,
}

/// Bytes of `struct stat`: that of x86-64; arm64 has 128.
const STAT: u16 = 144;
/// Bytes of an `iovec` and the like that are shown.
const MSGHDR: u16 = 56;

impl Kind {
    /// Adds what must be read for an argument at this place; `word` is the size of a pointer.
    #[rustfmt::skip]
    pub(super) fn captures(self, arg: u8, word: u16, to: &mut Vec<Capture>) {
        use What::{BytesByArg, BytesByIntAt, BytesByResult, Bytes, Strings};
        use When::{Enter, Exit};
        let is_buffer = matches!(self, Self::BufferIn(_) | Self::BufferOut | Self::RandomOut | Self::AttributesOut);
        let mut add = |when, what| to.push(Capture { arg, when, what, is_buffer });
        match self {
            Self::Path | Self::String => add(Enter, What::String),
            Self::StringOut => add(Exit, What::String),
            Self::BufferIn(len) | Self::SockaddrIn(len) | Self::OptionIn(len) => add(Enter, BytesByArg { arg: len, unit: 1 }),
            Self::CpuSetIn(len) | Self::OpenHow(len) | Self::CloneArgs(len) => add(Enter, BytesByArg { arg: len, unit: 1 }),
            Self::BufferOut | Self::RandomOut | Self::AttributesOut | Self::CpuSetOut | Self::Dirents => add(Exit, BytesByResult { unit: 1 }),
            Self::Argv | Self::Envp => add(Enter, Strings),
            Self::Iovecs(count) => add(Enter, BytesByArg { arg: count, unit: 2 * word }),
            Self::SockaddrOut(len) | Self::OptionOut(len) => add(Exit, BytesByIntAt { arg: len }),
            Self::SocklenInOut => { add(Enter, Bytes(4)); add(Exit, Bytes(4)); }
            Self::MsghdrIn => add(Enter, Bytes(MSGHDR)),
            Self::MsghdrOut => add(Exit, Bytes(MSGHDR)),
            Self::FdPair => add(Exit, Bytes(8)),
            Self::Stat => add(Exit, Bytes(STAT)),
            Self::Statx => add(Exit, Bytes(0x100)),
            Self::Statfs => add(Exit, Bytes(120)),
            Self::TimespecIn | Self::TimevalIn => add(Enter, Bytes(16)),
            Self::TimespecOut | Self::TimevalOut | Self::Remaining => add(Exit, Bytes(16)),
            Self::TimespecPair | Self::TimevalPair | Self::ItimervalIn | Self::ItimerspecIn => add(Enter, Bytes(32)),
            Self::ItimervalOut | Self::ItimerspecOut => add(Exit, Bytes(32)),
            Self::TimeOut => add(Exit, Bytes(word)),
            Self::WaitStatus | Self::TimerIdOut | Self::IntOut | Self::IdOut | Self::SchedParamOut => add(Exit, Bytes(4)),
            Self::SchedParamIn => add(Enter, Bytes(4)),
            Self::SiginfoOut => add(Exit, Bytes(128)),
            Self::SiginfoIn => add(Enter, Bytes(128)),
            Self::Rusage => add(Exit, Bytes(18 * word)),
            Self::SigsetIn | Self::FdSet => add(Enter, Bytes(if matches!(self, Self::FdSet) { 128 } else { 8 })),
            Self::SigsetOut => add(Exit, Bytes(8)),
            Self::SigactionIn => add(Enter, Bytes(3 * word + 8)),
            Self::SigactionOut => add(Exit, Bytes(3 * word + 8)),
            Self::Sigevent => add(Enter, Bytes(32)),
            Self::SigstackIn => add(Enter, Bytes(24)),
            Self::SigstackOut => add(Exit, Bytes(24)),
            Self::RlimitIn => add(Enter, Bytes(2 * word)),
            Self::RlimitOut => add(Exit, Bytes(2 * word)),
            Self::Rlimit64In => add(Enter, Bytes(16)),
            Self::Rlimit64Out => add(Exit, Bytes(16)),
            Self::EpollEvent(_) => add(Enter, Bytes(EPOLL_EVENT)),
            Self::EpollEvents => add(Exit, BytesByResult { unit: EPOLL_EVENT }),
            Self::Pollfds(count) => {
                add(Enter, BytesByArg { arg: count, unit: 8 });
                add(Exit, BytesByArg { arg: count, unit: 8 });
            }
            Self::Utsname => add(Exit, Bytes(390)),
            Self::Sysinfo => add(Exit, Bytes(112)),
            Self::IdsIn(count) => add(Enter, BytesByArg { arg: count, unit: 4 }),
            Self::IdsOut => add(Exit, BytesByResult { unit: 4 }),
            Self::OffsetInOut => { add(Enter, Bytes(8)); add(Exit, Bytes(8)); }
            Self::CloneTid(_) => add(Exit, Bytes(4)),
            Self::FcntlArgument => { add(Enter, Bytes(32)); add(Exit, Bytes(32)); }
            Self::IoctlArgument => { add(Enter, Bytes(60)); add(Exit, Bytes(60)); }
            Self::FutexArgument if arg == 3 => add(Enter, Bytes(16)),
            Self::PrctlArgument if arg == 1 => add(Enter, What::String),
            Self::Sembufs(count) => add(Enter, BytesByArg { arg: count, unit: 6 }),
            Self::Int | Self::UInt | Self::Size | Self::Offset | Self::Hex | Self::HexInt | Self::Pointer | Self::PointerOut
            | Self::Fd | Self::DirFd | Self::NoFd | Self::Pid | Self::Id | Self::Mode | Self::FileMode | Self::Device(_)
            | Self::Flags(_) | Self::WideFlags(_) | Self::Enum(_) | Self::OpenFlags | Self::OpenMode(_) | Self::Signal
            | Self::Protocol(_) | Self::SocketType | Self::SocketOption(_) | Self::Timezone | Self::CloneFlags
            | Self::ClonePointer(_) | Self::MapFlags | Self::MemfdFlags | Self::NewAddress | Self::Ioctl | Self::FutexOp
            | Self::FutexArgument | Self::PrctlArgument | Self::IpcFlags(_) | Self::ShmFlags | Self::IpcKey
            | Self::StatxFlags | Self::IntWith(..) | Self::Skip => {}
        }
    }

    /// Nothing of it is known before the call returns.
    pub(crate) fn is_answer(self) -> bool {
        let mut captures = Vec::new();
        self.captures(0, 8, &mut captures);
        let asks = captures.iter().any(|capture| capture.when == When::Enter);
        !captures.is_empty() && !asks
    }
}

/// Bytes of `struct epoll_event`: packed on x86.
pub(in crate::decode) const EPOLL_EVENT: u16 = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
