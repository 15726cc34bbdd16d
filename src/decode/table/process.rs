//! Calls on processes, their ids, limits and scheduling, and on the machine.

use super::kind::Kind::*;
use super::kind::Returns::{
    Enum as EnumResult, Fd as NewFd, Flags as FlagsResult, Int as Number, Never, Prctl,
};
use super::{Entry, entry};
use crate::decode::names::{files, process as names};

const PARENT: u64 = libc::CLONE_PARENT_SETTID as u64 | libc::CLONE_PIDFD as u64;
const CHILD: u64 = libc::CLONE_CHILD_SETTID as u64 | libc::CLONE_CHILD_CLEARTID as u64;
const TLS: u64 = libc::CLONE_SETTLS as u64;

/// The last two arguments stand the other way round on x86-64.
#[cfg(target_arch = "x86_64")]
const CLONE: &[super::Argument] = &[
    ("flags", CloneFlags),
    ("child_stack", Pointer),
    ("parent_tid", CloneTid(PARENT)),
    ("child_tidptr", ClonePointer(CHILD)),
    ("tls", ClonePointer(TLS)),
];
#[cfg(not(target_arch = "x86_64"))]
const CLONE: &[super::Argument] = &[
    ("flags", CloneFlags),
    ("child_stack", Pointer),
    ("parent_tid", CloneTid(PARENT)),
    ("tls", ClonePointer(TLS)),
    ("child_tidptr", ClonePointer(CHILD)),
];

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("execve", &[("pathname", Path), ("argv", Argv), ("envp", Envp)], Number),
    entry("execveat", &[("dirfd", DirFd), ("pathname", Path), ("argv", Argv), ("envp", Envp), ("flags", Flags(&files::AT))], Number),
    entry("exit", &[("status", Int)], Never),
    entry("exit_group", &[("status", Int)], Never),
    entry("fork", &[], Number),
    entry("vfork", &[], Number),
    entry("clone", CLONE, Number),
    entry("clone3", &[("cl_args", CloneArgs(1)), ("size", Size)], Number),
    entry("wait4", &[("pid", Pid), ("wstatus", WaitStatus), ("options", Flags(&names::WAIT)), ("rusage", Rusage)], Number),
    entry("waitid", &[("idtype", Enum(&names::WAITID_TYPE)), ("id", Int), ("infop", SiginfoOut), ("options", Flags(&names::WAIT)), ("rusage", Rusage)], Number),
    entry("getpid", &[], Number),
    entry("getppid", &[], Number),
    entry("gettid", &[], Number),
    entry("getuid", &[], Number),
    entry("geteuid", &[], Number),
    entry("getgid", &[], Number),
    entry("getegid", &[], Number),
    entry("setuid", &[("uid", Id)], Number),
    entry("setgid", &[("gid", Id)], Number),
    entry("setreuid", &[("ruid", Id), ("euid", Id)], Number),
    entry("setregid", &[("rgid", Id), ("egid", Id)], Number),
    entry("setresuid", &[("ruid", Id), ("euid", Id), ("suid", Id)], Number),
    entry("setresgid", &[("rgid", Id), ("egid", Id), ("sgid", Id)], Number),
    entry("getresuid", &[("ruid", IdOut), ("euid", IdOut), ("suid", IdOut)], Number),
    entry("getresgid", &[("rgid", IdOut), ("egid", IdOut), ("sgid", IdOut)], Number),
    entry("setfsuid", &[("fsuid", Id)], Number),
    entry("setfsgid", &[("fsgid", Id)], Number),
    entry("getgroups", &[("size", Int), ("list", IdsOut)], Number),
    entry("setgroups", &[("size", Int), ("list", IdsIn(0))], Number),
    entry("getpgid", &[("pid", Pid)], Number),
    entry("setpgid", &[("pid", Pid), ("pgid", Pid)], Number),
    entry("getpgrp", &[], Number),
    entry("getsid", &[("pid", Pid)], Number),
    entry("setsid", &[], Number),
    entry("set_tid_address", &[("tidptr", Pointer)], Number),
    entry("set_robust_list", &[("head", Pointer), ("len", Size)], Number),
    entry("get_robust_list", &[("pid", Pid), ("head_ptr", PointerOut), ("len_ptr", PointerOut)], Number),
    entry("rseq", &[("rseq", Pointer), ("rseq_len", HexInt), ("flags", Flags(&names::RSEQ)), ("sig", HexInt)], Number),
    entry("futex", &[("uaddr", Pointer), ("futex_op", FutexOp), ("val", FutexArgument), ("timeout", FutexArgument), ("uaddr2", FutexArgument), ("val3", FutexArgument)], Number),
    entry("prctl", &[("option", Enum(&names::PRCTL)), ("arg2", PrctlArgument), ("arg3", PrctlArgument), ("arg4", PrctlArgument), ("arg5", PrctlArgument)], Prctl),
    entry("arch_prctl", &[("option", Enum(&names::ARCH_PRCTL)), ("addr", Hex)], Number),
    entry("getrlimit", &[("resource", Enum(&names::RLIMIT)), ("rlim", RlimitOut)], Number),
    entry("setrlimit", &[("resource", Enum(&names::RLIMIT)), ("rlim", RlimitIn)], Number),
    entry("prlimit64", &[("pid", Pid), ("resource", Enum(&names::RLIMIT)), ("new_limit", Rlimit64In), ("old_limit", Rlimit64Out)], Number),
    entry("getrusage", &[("who", Enum(&names::RUSAGE)), ("usage", Rusage)], Number),
    entry("getpriority", &[("which", Enum(&names::PRIO)), ("who", Int)], Number),
    entry("setpriority", &[("which", Enum(&names::PRIO)), ("who", Int), ("prio", Int)], Number),
    entry("sched_yield", &[], Number),
    entry("sched_getaffinity", &[("pid", Pid), ("cpusetsize", Size), ("mask", CpuSetOut)], Number),
    entry("sched_setaffinity", &[("pid", Pid), ("cpusetsize", Size), ("mask", CpuSetIn(1))], Number),
    entry("sched_getscheduler", &[("pid", Pid)], EnumResult(&names::SCHED)),
    entry("sched_setscheduler", &[("pid", Pid), ("policy", Enum(&names::SCHED)), ("param", SchedParamIn)], Number),
    entry("sched_getparam", &[("pid", Pid), ("param", SchedParamOut)], Number),
    entry("sched_setparam", &[("pid", Pid), ("param", SchedParamIn)], Number),
    entry("sched_get_priority_max", &[("policy", Enum(&names::SCHED))], Number),
    entry("sched_get_priority_min", &[("policy", Enum(&names::SCHED))], Number),
    entry("unshare", &[("flags", Flags(&names::UNSHARE))], Number),
    entry("setns", &[("fd", Fd), ("nstype", Flags(&names::SETNS))], Number),
    entry("pidfd_open", &[("pid", Pid), ("flags", Flags(&names::PIDFD))], NewFd),
    entry("pidfd_getfd", &[("pidfd", Fd), ("targetfd", Int), ("flags", HexInt)], NewFd),
    entry("getrandom", &[("buf", RandomOut), ("buflen", Size), ("flags", Flags(&names::GETRANDOM))], Number),
    entry("seccomp", &[("op", Enum(&names::SECCOMP)), ("flags", Flags(&names::SECCOMP_FLAGS)), ("args", Pointer)], Number),
    entry("membarrier", &[("cmd", Enum(&names::MEMBARRIER)), ("flags", Flags(&names::MEMBARRIER_FLAGS)), ("cpu_id", IntWith(1, u32::MAX as u64))], FlagsResult(&names::MEMBARRIER_RESULT)),
    entry("bpf", &[("cmd", Enum(&names::BPF)), ("attr", Pointer), ("size", UInt)], Number),
    entry("perf_event_open", &[("attr", Pointer), ("pid", Pid), ("cpu", Int), ("group_fd", Int), ("flags", WideFlags(&names::PERF))], NewFd),
    entry("uname", &[("buf", Utsname)], Number),
    entry("sysinfo", &[("info", Sysinfo)], Number),
    entry("sethostname", &[("name", BufferIn(1)), ("len", UInt)], Number),
    entry("setdomainname", &[("name", BufferIn(1)), ("len", UInt)], Number),
    entry("getcpu", &[("cpu", IntOut), ("node", IntOut), ("tcache", Pointer)], Number),
];
