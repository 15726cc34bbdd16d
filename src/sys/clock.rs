//! Clocks, and what a time namespace adds to them.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::getppid;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

/// How long the machine was suspended, in nanoseconds: how far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub(crate) fn suspended_ns() -> io::Result<i64> {
    // Read between two readings of the other, so that the time between them is no suspension.
    let before = now(ClockId::CLOCK_MONOTONIC)?;
    let boottime = now(ClockId::CLOCK_BOOTTIME)?;
    let after = now(ClockId::CLOCK_MONOTONIC)?;
    let added = added();
    let ahead = boottime - added.boottime_ns - (before + (after - before) / 2 - added.monotonic_ns);
    Ok(if ahead.abs() <= after - before {
        0
    } else {
        ahead
    })
}

/// Nanoseconds since the machine started, suspended or not, as this process sees it: the clock of `/proc/PID/stat`,
/// which shows start times as the time namespace of its reader counts.
///
/// # Errors
/// What `clock_gettime(2)` answers.
pub(crate) fn since_boot_ns() -> io::Result<i64> {
    now(ClockId::CLOCK_BOOTTIME)
}

/// When the kernel started, in seconds since 1970, if this process is in a time namespace: since Linux 5.11 `btime`
/// of `/proc/stat` is shifted there.
pub(crate) fn booted_at_secs() -> Option<u64> {
    let boottime_ns = Some(added().boottime_ns).filter(|added| *added != 0)?;
    let wall = now(ClockId::CLOCK_REALTIME).ok()?;
    let since_boot = since_boot_ns().ok()? - boottime_ns;
    Some((wall - since_boot).max(0) as u64 / 1_000_000_000)
}

/// Nanoseconds that this process' time namespace adds to clocks of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) monotonic_ns: i64,
    pub(super) boottime_ns: i64,
}

impl Added {
    /// `/proc/PID/timens_offsets`: a clock, seconds, nanoseconds.
    fn parse(text: &str) -> Self {
        let of = |clock: &str| {
            text.lines().find_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let seconds = (words.next() == Some(clock)).then(|| words.next())??;
                let (seconds, ns): (i64, i64) =
                    (seconds.parse().ok()?, words.next()?.parse().ok()?);
                Some(seconds.saturating_mul(1_000_000_000).saturating_add(ns))
            })
        };
        Self {
            monotonic_ns: of("monotonic").unwrap_or(0),
            boottime_ns: of("boottime").unwrap_or(0),
        }
    }
}

/// Constant, since the namespace of a process with threads cannot change.
pub(super) fn added() -> Added {
    static ADDED: OnceLock<Added> = OnceLock::new();
    *ADDED.get_or_init(|| read_added().unwrap_or_default())
}

/// In `unshare -T` without `--fork` the file of this process is about the namespace of its children, and its own may
/// be that of its parent.
fn read_added() -> Option<Added> {
    // PROC_TIME_INIT_INO (include/linux/proc_ns.h)
    const INITIAL: &str = "time:[4026531834]";
    let own = fs::read_link("/proc/self/ns/time").ok()?;
    if own.as_os_str() == INITIAL {
        return None;
    }
    let processes = ["self".to_owned(), getppid().to_string()];
    let in_it = processes.iter().find(|process| {
        let of_children = fs::read_link(format!("/proc/{process}/ns/time_for_children"));
        of_children.is_ok_and(|namespace| namespace == own)
    });
    let text = fs::read_to_string(format!("/proc/{}/timens_offsets", in_it?));
    tracing::debug!(?own, process = in_it, ?text, "time namespace");
    Some(Added::parse(&text.ok()?))
}

fn now(clock: ClockId) -> io::Result<i64> {
    Ok(clock.now()?.num_nanoseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_a_time_namespace_are_read() {
        let text = "monotonic     1000000         5\nboottime           -7         0\n";
        let added = Added {
            monotonic_ns: 1_000_000_000_000_005,
            boottime_ns: -7_000_000_000,
        };
        assert_eq!(Added::parse(text), added);
        assert_eq!(Added::parse("monotonic x 0\n"), Added::default());
    }
}
