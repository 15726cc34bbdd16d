//! What is measured in a process of its own: this bench itself, told so by its first argument.

use std::error::Error;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use denet::profile::cost;
use denet::sys::account::{monotonic_ns, trivial_syscall};

use crate::flood::{self, FLOOD};
use crate::hook::{self, HOOK_ROUNDS};
use crate::median::median;

/// Calls `getppid` for a moment and prints the nanoseconds of one, after [`NS_PER_CALL`].
pub const LOOP: &str = "--loop";
/// What stands before the nanoseconds.
pub const NS_PER_CALL: &str = "ns per call: ";
/// Prints `CLOCK_MONOTONIC` in nanoseconds as its last act.
pub const TELL_TIME: &str = "--tell-time";
/// Loads an empty program, attaches it and removes both.
pub const EMPTY_HOOK: &str = "--empty-hook";

const LOOP_TIME: Duration = Duration::from_millis(50);
const BURST: u32 = 50;

/// Something to be done in a process of its own.
pub type Workload = fn() -> Result<(), Box<dyn Error>>;

/// The workload of that name.
pub fn named(name: &str) -> Option<Workload> {
    match name {
        LOOP => Some(call_loop),
        TELL_TIME => Some(tell_time),
        EMPTY_HOOK => Some(|| Ok(cost::attach_empty()?)),
        FLOOD => Some(flood::flood),
        HOOK_ROUNDS => Some(hook::print_rounds),
        _ => None,
    }
}

/// As long for slow tracers as for fast ones, in bursts so short that most are undisturbed.
fn call_loop() -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + LOOP_TIME;
    let mut bursts = Vec::new();
    while Instant::now() < end {
        let start = monotonic_ns();
        (0..BURST).for_each(|_| trivial_syscall());
        bursts.push((monotonic_ns() - start) as f64 / f64::from(BURST));
    }
    Ok(writeln!(io::stdout(), "{NS_PER_CALL}{}", median(bursts))?)
}

fn tell_time() -> Result<(), Box<dyn Error>> {
    Ok(writeln!(io::stdout(), "{}", monotonic_ns())?)
}
