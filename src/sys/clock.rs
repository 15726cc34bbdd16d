//! Clocks.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

/// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC` in nanoseconds: the time that the machine
/// was suspended, and what a time namespace adds.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub fn suspended_ns() -> io::Result<i64> {
    // Read between two readings of the other, so that the time between them is no suspension.
    let before = now(libc::CLOCK_MONOTONIC)?;
    let boottime = now(libc::CLOCK_BOOTTIME)?;
    let after = now(libc::CLOCK_MONOTONIC)?;
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
pub fn since_boot_ns() -> io::Result<u64> {
    now(libc::CLOCK_BOOTTIME).map(|ns| ns as u64)
}

/// CPU time of the calling thread in nanoseconds.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub fn of_thread_ns() -> io::Result<i64> {
    now(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn now(clock: libc::clockid_t) -> io::Result<i64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a live place for the answer.
    match unsafe { libc::clock_gettime(clock, &mut time) } {
        0 => Ok(time.tv_sec * 1_000_000_000 + time.tv_nsec),
        _ => Err(io::Error::last_os_error()),
    }
}
