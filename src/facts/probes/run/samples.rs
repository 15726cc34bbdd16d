//! What samples a CPU: counters, and a program at one.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::{Asker, LICENSE, hooks, micros, of};
use crate::bpf::KernelError;
use crate::bpf::assembly::Assembly;
use crate::bpf::kernel;
use crate::bpf::perf::{self, Counter};
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::probes::Events;

const COUNTERS: [(&str, Counter); 3] = [
    ("perf:software", Counter::OwnClock),
    ("perf:kernel", Counter::KernelStacks),
    ("perf:cycles", Counter::OwnCycles),
];

/// Ten times what the kernel takes at least (`perf_swevent_start_hrtimer`).
const PERIOD_NS: u64 = 100_000;

/// Without high-resolution timers a sample comes with the next tick, 10 ms apart at most: five ticks. In
/// looks, not in time: who is not let run has no samples.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_micros(250);

pub(super) fn ask(asker: &mut Asker) {
    attach(asker);
    for (id, counter) in COUNTERS {
        let operation = format!("perf_event_open {}", counter.name());
        asker.ask(id.to_owned(), &operation, || perf::count(counter));
    }
}

fn attach(asker: &mut Asker) {
    let id = "attach:perf_event".to_owned();
    let counts = match hooks::counts(1) {
        Ok(counts) => counts,
        Err(why) => return asker.skip(id, "perf_event", why),
    };
    let start = Instant::now();
    let sampling = asker.ask(id, "perf_event", || sample(&counts));
    if sampling.is_some()
        && let Some(probe) = asker.all.last_mut()
    {
        probe.events = spin(&counts);
        drop(sampling);
        probe.duration_us = micros(start);
    }
}

fn sample(counts: &OwnedFd) -> Result<OwnedFd, KernelError> {
    let program = Assembly::tally(counts.as_fd(), 0);
    let kind = of(ProgramKind::PerfEvent);
    let program = kernel::load_program("count", kind, LICENSE, &program)?;
    perf::sample(program.as_fd(), PERIOD_NS)
}

/// Stays in user mode until a sample was counted; `None` where the count cannot be read.
fn spin(counts: &OwnedFd) -> Option<Events> {
    let mut seen = 0_u64;
    for _ in 0..LOOKS {
        if seen > 0 {
            break;
        }
        let look = Instant::now();
        while look.elapsed() < BETWEEN_LOOKS {
            std::hint::spin_loop();
        }
        kernel::look_up(counts.as_raw_fd(), &0, &mut seen).ok()?;
    }
    Some(Events { made: 1, seen })
}
