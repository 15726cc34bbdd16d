//! What denet and its peers are given to run: this bench itself, told so by its first argument.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use denet::sys::account::{monotonic_ns, trivial_syscall};

use crate::median::median;

/// Calls `getppid` for a moment and prints the nanoseconds of one, after [`NS_PER_CALL`].
pub const LOOP: &str = "--loop";
/// What stands before the nanoseconds.
pub const NS_PER_CALL: &str = "ns per call: ";
/// Prints `CLOCK_MONOTONIC` in nanoseconds as its last act.
pub const TELL_TIME: &str = "--tell-time";

const LOOP_TIME: Duration = Duration::from_millis(250);
const BURST: u32 = 100;

/// The workload of that name.
pub fn named(name: &str) -> Option<fn() -> io::Result<()>> {
    match name {
        LOOP => Some(call_loop),
        TELL_TIME => Some(tell_time),
        _ => None,
    }
}

/// As long for slow tracers as for fast ones, in bursts so short that most are undisturbed.
fn call_loop() -> io::Result<()> {
    let end = Instant::now() + LOOP_TIME;
    let mut bursts = Vec::new();
    while Instant::now() < end {
        let start = monotonic_ns();
        (0..BURST).for_each(|_| trivial_syscall());
        bursts.push((monotonic_ns() - start) as f64 / f64::from(BURST));
    }
    writeln!(io::stdout(), "{NS_PER_CALL}{}", median(bursts))
}

fn tell_time() -> io::Result<()> {
    writeln!(io::stdout(), "{}", monotonic_ns())
}
