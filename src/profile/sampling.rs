//! When to look at the processes, and whom to tell.

use std::time::{Duration, Instant};

use super::follow::Follower;
use super::model::SyscallProfile;
use super::{Counts, analyse};
use crate::process::ends::Ended;
use crate::process::interval::Adaptive;
use crate::process::model::{Exited, Tree};
use crate::process::sampler::Sampler;
use crate::process::sums::Sums;
use crate::sys::account::{self, Exit};
use crate::sys::clock::now_ms;

/// A sample.
#[derive(Debug)]
pub(crate) struct Sample {
    /// What the processes use.
    pub(crate) tree: Tree,
    /// Syscalls so far, if they are counted.
    pub(crate) syscalls: Option<SyscallProfile>,
}

/// What happens while processes are watched.
#[derive(Debug)]
pub(crate) enum Event {
    /// A sample was taken.
    Sample(Box<Sample>),
    /// A process ended.
    Exit(Exited),
}

/// Is told of each event, in the order of time.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Event);

/// What to sample, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SamplingOptions {
    /// How often; `None` for only at the start and at the end.
    pub(crate) interval: Option<Adaptive>,
    /// Each thread.
    pub(crate) threads: bool,
    /// Bytes and page faults since the processes' own start.
    pub(crate) since_process_start: bool,
}

/// A sampler with a clock.
pub(super) struct Sampling {
    sampler: Sampler,
    interval: Option<Adaptive>,
    started: Instant,
    next: Option<Instant>,
    // How the root ended, once that was told.
    root_exit: Option<Exit>,
}

impl Sampling {
    pub(super) fn new(sampler: Sampler, options: &SamplingOptions, started: Instant) -> Self {
        let interval = options.interval;
        let first = interval.map(|interval| started + interval.after(Duration::ZERO));
        Self {
            sampler,
            interval,
            started,
            next: first,
            root_exit: None,
        }
    }

    /// When the next sample is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Takes a sample if one is due.
    pub(super) fn tick(&mut self, follower: Option<&mut Follower>, tell: Sink<'_>) {
        let now = Instant::now();
        let (Some(next), Some(interval)) = (self.next, self.interval) else {
            return;
        };
        if now < next {
            return;
        }
        let sample = self.sample(follower);
        self.tell_of_exits(tell);
        tell(Event::Sample(Box::new(sample)));
        // A sample that came late does not make others follow in a rush.
        let planned = next + interval.after(next - self.started);
        self.next = Some(planned.max(Instant::now()));
    }

    fn sample(&mut self, follower: Option<&mut Follower>) -> Sample {
        let Some(follower) = follower else {
            return Sample {
                tree: self.sampler.sample(None, now_ms),
                syscalls: None,
            };
        };
        self.follow_members(follower);
        // In another pid namespace than the kernel's own, its ids say nothing here.
        let live = account::in_initial_pid_namespace().then(|| follower.live_processes());
        let mut tree = self.sampler.sample(live.as_deref(), now_ms);
        let counts = follower.counts();
        let syscalls = match &counts {
            Ok(counts) => Some(self.count(&mut tree, counts)),
            Err(error) => {
                tracing::debug!(%error, "no counts for this sample");
                None
            }
        };
        self.take_ended(follower);
        Sample { tree, syscalls }
    }

    /// A cgroup gains members that nobody in it started.
    fn follow_members(&mut self, follower: &mut Follower) {
        let Some(new) = self.sampler.unknown_members().filter(|new| !new.is_empty()) else {
            return;
        };
        if let Err(error) = follower.follow_more(&new) {
            tracing::debug!(%error, ?new, "not followed");
        }
    }

    /// Adds the number of calls to each process and thread.
    fn count(&self, tree: &mut Tree, counts: &Counts) -> SyscallProfile {
        for member in tree.parent.iter_mut().chain(&mut tree.children) {
            member.syscalls = counts.by_process.get(&member.pid).copied();
            for thread in &mut member.threads {
                thread.syscalls = counts.by_thread.get(&thread.tid).copied();
            }
        }
        let cpu = Duration::from_nanos(self.sampler.used().cpu_ns);
        analyse::so_far(counts, self.started.elapsed(), cpu)
    }

    /// The kernel told of each end, and how, and when.
    fn take_ended(&mut self, follower: &mut Follower) {
        let now_ns = account::monotonic_ns();
        let ended = follower.take_ended();
        if !self.sampler.is_told_of_ends() {
            return;
        }
        for ended in ended {
            let ago_ms = now_ns.saturating_sub(ended.end_ns) / 1_000_000;
            let lifetime_ms = ended.end_ns.saturating_sub(ended.start_ns) as f64 / 1e6;
            let ts_ms = now_ms().saturating_sub(ago_ms);
            if ended.orphan {
                self.sampler.orphaned(ended.pid);
            }
            let mut exited = Exited {
                ts_ms,
                pid: ended.pid,
                command: ended.command,
                lifetime_ms: Some(lifetime_ms),
                ..Exited::default()
            };
            exited.set_exit(ended.exit);
            self.sampler.told_of(exited);
        }
    }

    fn tell_of_exits(&mut self, tell: Sink<'_>) {
        for exited in self.sampler.take_exits() {
            self.note_root(&exited);
            tell(Event::Exit(exited));
        }
    }

    fn note_root(&mut self, exited: &Exited) {
        if Some(exited.pid) == self.sampler.root() {
            self.root_exit = exited.exit();
        }
    }

    /// A child of denet's has ended and will be waited for.
    pub(super) fn about_to_be_reaped(&mut self, pid: u32) {
        self.sampler.about_to_be_reaped(pid);
    }

    /// A child of denet's was waited for.
    pub(super) fn reaped(&mut self, ended: Ended, tell: Sink<'_>) {
        self.sampler.reaped(ended, now_ms());
        if self.interval.is_some() {
            self.tell_of_exits(tell);
        }
    }

    /// Processes that live, as of the last sample.
    pub(super) fn living(&self) -> usize {
        self.sampler.living()
    }

    /// What it all came to, and how the root ended, if that could be learnt.
    pub(super) fn finish(
        mut self,
        follower: Option<&mut Follower>,
        tell: Sink<'_>,
    ) -> (Sums, Option<Exit>) {
        let mut live = None;
        if let Some(follower) = follower {
            follower.drain();
            live = account::in_initial_pid_namespace().then(|| follower.live_processes());
            self.take_ended(follower);
        }
        let root = self.sampler.root();
        let (sums, exits) = self.sampler.finish(live.as_deref(), now_ms());
        for exited in exits {
            if Some(exited.pid) == root {
                self.root_exit = exited.exit();
            }
            if self.interval.is_some() {
                tell(Event::Exit(exited));
            }
        }
        (sums, self.root_exit)
    }
}
