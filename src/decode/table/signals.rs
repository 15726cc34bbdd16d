//! Calls on signals.

use super::kind::Kind::*;
use super::kind::Returns::Int as Number;
use super::kind::Returns::{Register, SignalNumber};
use super::{Entry, entry};
use crate::decode::names::signals as names;

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("kill", &[("pid", Pid), ("sig", Signal)], Number),
    entry("tkill", &[("tid", Pid), ("sig", Signal)], Number),
    entry("tgkill", &[("tgid", Pid), ("tid", Pid), ("sig", Signal)], Number),
    entry("pidfd_send_signal", &[("pidfd", Fd), ("sig", Signal), ("info", SiginfoIn), ("flags", HexInt)], Number),
    entry("rt_sigaction", &[("signum", Signal), ("act", SigactionIn), ("oldact", SigactionOut), ("sigsetsize", Size)], Number),
    entry("rt_sigprocmask", &[("how", Enum(&names::HOW)), ("set", SigsetIn), ("oldset", SigsetOut), ("sigsetsize", Size)], Number),
    entry("rt_sigpending", &[("set", SigsetOut), ("sigsetsize", Size)], Number),
    entry("rt_sigsuspend", &[("mask", SigsetIn), ("sigsetsize", Size)], Number),
    entry("rt_sigtimedwait", &[("set", SigsetIn), ("info", SiginfoOut), ("timeout", TimespecIn), ("sigsetsize", Size)], SignalNumber),
    entry("rt_sigqueueinfo", &[("tgid", Pid), ("sig", Signal), ("info", SiginfoIn)], Number),
    entry("rt_tgsigqueueinfo", &[("tgid", Pid), ("tid", Pid), ("sig", Signal), ("info", SiginfoIn)], Number),
    entry("sigaltstack", &[("ss", SigstackIn), ("old_ss", SigstackOut)], Number),
    entry("pause", &[], Number),
    // Of the call that it continues, the kernel keeps the arguments.
    entry("restart_syscall", &[], Number),
    entry("rt_sigreturn", &[], Register),
];
