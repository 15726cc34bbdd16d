//! Of signals.

use std::borrow::Cow;

use super::files::names;
use super::{Names, named};
use crate::decode::value::Value;

names!(/** Signals. */ SIGNALS, "":
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV,
    SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS);
names!(/** What `rt_sigprocmask` does. */ HOW, "SIG_???":
    SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK);
names!(/** Flags of `sigaction`. */ ACTION, "SA_???":
    SA_RESTORER = 0x0400_0000, SA_ONSTACK, SA_RESTART, SA_INTERRUPT = 0x2000_0000, SA_NODEFER,
    SA_RESETHAND, SA_SIGINFO, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_EXPOSE_TAGBITS = 0x800);
names!(/** Flags of an alternate stack. */ STACK, "SS_???":
    SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1 << 31);
names!(/** Flags of `signalfd4`. */ SIGNALFD, "SFD_???":
    SFD_CLOEXEC, SFD_NONBLOCK);
names!(/** Why a child told its parent. */ CHILD_CODE, "CLD_???":
    CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED);
names!(/** Where a signal came from. */ CODE, "SI_???":
    SI_USER, SI_KERNEL, SI_QUEUE, SI_TIMER, SI_MESGQ, SI_ASYNCIO, SI_SIGIO, SI_TKILL,
    SI_DETHREAD = 0xffff_fff9, SI_ASYNCNL);
names!(/** Why memory could not be used. */ SEGV_CODE, "SEGV_???":
    SEGV_MAPERR = 1, SEGV_ACCERR = 2, SEGV_BNDERR = 3, SEGV_PKUERR = 4);
names!(/** How a timer tells that it is over. */ NOTIFY, "SIGEV_???":
    SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD = 2, SIGEV_THREAD_ID = 4);

/// The first that `libc` calls real-time.
const FIRST_REAL_TIME: u64 = 32;

/// By name: `SIGCHLD`, `SIGRT_2`; the number where it is none.
pub(crate) fn name(signal: u64) -> Cow<'static, str> {
    match SIGNALS.name(signal) {
        Some(name) => name.into(),
        None if signal == FIRST_REAL_TIME => "SIGRTMIN".into(),
        None if (FIRST_REAL_TIME..=64).contains(&signal) => {
            format!("SIGRT_{}", signal - FIRST_REAL_TIME).into()
        }
        None => (signal as i32).to_string().into(),
    }
}

/// The members of a set, without their `SIG`; of what is missing where that is shorter to tell.
pub(crate) fn set(mask: u64) -> Value {
    let inverse = mask.count_ones() >= 64 * 2 / 3;
    let shown = if inverse { !mask } else { mask };
    let members = (1..=64_u64).filter(|signal| shown >> (signal - 1) & 1 == 1);
    let short = members.map(|signal| match name(signal) {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim_start_matches("SIG")),
        Cow::Owned(name) => name.trim_start_matches("SIG").to_owned().into(),
    });
    Value::Set(short.collect(), inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name() {
        let names = [1, 17, 32, 64, 0, 99].map(name);
        assert_eq!(
            names,
            ["SIGHUP", "SIGCHLD", "SIGRTMIN", "SIGRT_32", "0", "99"]
        );
        assert_eq!(set(0).to_string(), "[]");
        assert_eq!(set(!0).to_string(), "~[]");
        assert_eq!(set(0x8001_0001).to_string(), "[HUP CHLD RTMIN]");
        assert_eq!(set(!0x100).to_string(), "~[KILL]");
    }
}
