//! The time of day of events, which count from when the machine was started.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::account;

/// What is to be added to the kernel's `CLOCK_MONOTONIC` for the time since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    offset_ns: i128,
}

/// Hours, minutes and seconds of a day where the user lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeOfDay {
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

impl Epoch {
    /// As of now: a clock that is set meanwhile does not make events jump.
    pub(crate) fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = since_1970.unwrap_or_default().as_nanos() as i128;
        Self {
            offset_ns: wall - i128::from(account::monotonic_ns()),
        }
    }

    /// Since 1970.
    pub(crate) fn of(self, monotonic_ns: u64) -> Duration {
        let ns = (i128::from(monotonic_ns) + self.offset_ns).max(0);
        Duration::from_nanos(ns as u64)
    }
}

/// The time of day of a moment since 1970, in the user's time zone.
pub(crate) fn time_of_day(since_1970: Duration) -> TimeOfDay {
    let seconds = since_1970.as_secs() as libc::time_t;
    // SAFETY: tm is a plain structure; both pointers are to live variables.
    let local = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut local);
        local
    };
    TimeOfDay {
        hour: local.tm_hour as u8,
        minute: local.tm_min as u8,
        second: local.tm_sec as u8,
        micros: since_1970.subsec_micros(),
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            hour,
            minute,
            second,
            micros,
        } = self;
        write!(f, "{hour:02}:{minute:02}:{second:02}.{micros:06}")
    }
}
