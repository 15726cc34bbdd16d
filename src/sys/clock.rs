//! Clocks.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;

/// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC` in nanoseconds: the time that the machine
/// was suspended, and what a time namespace adds.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub(crate) fn suspended_ns() -> io::Result<i64> {
    // Read between two readings of the other, so that the time between them is no suspension.
    let before = now(ClockId::CLOCK_MONOTONIC)?;
    let boottime = now(ClockId::CLOCK_BOOTTIME)?;
    let after = now(ClockId::CLOCK_MONOTONIC)?;
    let ahead = boottime - (before + (after - before) / 2);
    Ok(if ahead.abs() <= after - before {
        0
    } else {
        ahead
    })
}

/// Nanoseconds since the machine started, suspended or not: the clock of `/proc/PID/stat`.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub(crate) fn since_boot_ns() -> io::Result<u64> {
    now(ClockId::CLOCK_BOOTTIME).map(|ns| ns as u64)
}

fn now(clock: ClockId) -> io::Result<i64> {
    Ok(clock.now()?.num_nanoseconds())
}
