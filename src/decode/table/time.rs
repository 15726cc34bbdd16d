//! Calls on clocks and timers.

use super::kind::Kind::*;
use super::kind::Returns::{Fd as NewFd, Int as Number};
use super::{Entry, entry};
use crate::decode::names::process as names;

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("nanosleep", &[("req", TimespecIn), ("rem", Remaining)], Number),
    entry("clock_nanosleep", &[("clockid", Enum(&names::CLOCK)), ("flags", Flags(&names::TIMER)), ("req", TimespecIn), ("rem", Remaining)], Number),
    entry("clock_gettime", &[("clockid", Enum(&names::CLOCK)), ("tp", TimespecOut)], Number),
    entry("clock_settime", &[("clockid", Enum(&names::CLOCK)), ("tp", TimespecIn)], Number),
    entry("clock_getres", &[("clockid", Enum(&names::CLOCK)), ("res", TimespecOut)], Number),
    entry("gettimeofday", &[("tv", TimevalOut), ("tz", Timezone)], Number),
    entry("settimeofday", &[("tv", TimevalIn), ("tz", Timezone)], Number),
    entry("time", &[("tloc", TimeOut)], Number),
    entry("times", &[("buf", PointerOut)], Number),
    entry("alarm", &[("seconds", UInt)], Number),
    entry("getitimer", &[("which", Enum(&names::ITIMER)), ("curr_value", ItimervalOut)], Number),
    entry("setitimer", &[("which", Enum(&names::ITIMER)), ("new_value", ItimervalIn), ("old_value", ItimervalOut)], Number),
    entry("timerfd_create", &[("clockid", Enum(&names::CLOCK)), ("flags", Flags(&names::TIMERFD))], NewFd),
    entry("timerfd_settime", &[("fd", Fd), ("flags", Flags(&names::TIMERFD)), ("new_value", ItimerspecIn), ("old_value", ItimerspecOut)], Number),
    entry("timerfd_gettime", &[("fd", Fd), ("curr_value", ItimerspecOut)], Number),
    entry("timer_create", &[("clockid", Enum(&names::CLOCK)), ("sevp", Sigevent), ("timerid", TimerIdOut)], Number),
    entry("timer_settime", &[("timerid", Int), ("flags", Flags(&names::TIMER)), ("new_value", ItimerspecIn), ("old_value", ItimerspecOut)], Number),
    entry("timer_gettime", &[("timerid", Int), ("curr_value", ItimerspecOut)], Number),
    entry("timer_getoverrun", &[("timerid", Int)], Number),
    entry("timer_delete", &[("timerid", Int)], Number),
];
