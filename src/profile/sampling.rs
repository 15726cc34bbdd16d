//! When to look at the processes, and whom to tell.

use std::time::{Duration, Instant};

use super::follow::Follower;
use super::model::SyscallProfile;
use super::{Counts, analyse};
use crate::process::accounts::Identity;
use crate::process::ends::Ended;
use crate::process::interval::Adaptive;
use crate::process::model::{Exited, Tree};
use crate::process::sampler::{Reports, Sampler};
use crate::process::sums::Sums;
use crate::sys::account::{self, Exit};
use crate::sys::clock::now_ms;

/// The kernel frees a task after an RCU grace period, as a rule some ten milliseconds after it has ended.
const USUAL_WAIT: Duration = Duration::from_millis(50);
/// After a grace period: a busy machine frees many tasks bit by bit, but none for so long only if no report will come.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SETTLING: Duration = Duration::from_millis(1);

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
    /// `active` is the time that rates are over.
    pub(super) fn tick(
        &mut self,
        follower: Option<&mut Follower>,
        active: Option<Duration>,
        tell: Sink<'_>,
    ) {
        let now = Instant::now();
        let (Some(next), Some(interval)) = (self.next, self.interval) else {
            return;
        };
        if now < next {
            return;
        }
        let sample = self.sample(follower, active);
        self.tell_of_exits(tell);
        tell(Event::Sample(Box::new(sample)));
        // A sample that came late does not make others follow in a rush.
        let planned = next + interval.after(next - self.started);
        self.next = Some(planned.max(Instant::now()));
    }

    fn sample(&mut self, follower: Option<&mut Follower>, active: Option<Duration>) -> Sample {
        let Some(follower) = follower else {
            return Sample {
                tree: self.sampler.sample(None, now_ms),
                syscalls: None,
            };
        };
        self.follow_members(follower);
        let live = follower.has_own_ids().then(|| follower.live_processes());
        let mut tree = self.sampler.sample(live.as_deref(), now_ms);
        let counts = follower.counts();
        let syscalls = match &counts {
            Ok(counts) => Some(self.count(&mut tree, counts, active)),
            Err(error) => {
                tracing::debug!(%error, "no counts for this sample");
                None
            }
        };
        self.take_reports(follower);
        Sample { tree, syscalls }
    }

    /// A cgroup gains members that were not started in it.
    fn follow_members(&mut self, follower: &mut Follower) {
        let Some(new) = self.sampler.unknown_members().filter(|new| !new.is_empty()) else {
            return;
        };
        if let Err(error) = follower.follow_joined(&new) {
            tracing::debug!(%error, ?new, "not followed");
        }
    }

    /// Adds the number of calls to each process and thread.
    fn count(&self, tree: &mut Tree, counts: &Counts, active: Option<Duration>) -> SyscallProfile {
        for member in tree.parent.iter_mut().chain(&mut tree.children) {
            member.syscalls = counts.by_process.get(&member.pid).copied();
            for thread in &mut member.threads {
                thread.syscalls = counts.by_thread.get(&thread.tid).copied();
            }
        }
        let cpu = Duration::from_nanos(self.sampler.used().cpu_ns);
        analyse::so_far(counts, active, cpu)
    }

    /// The kernel reports each end, how and when, and what was used.
    fn take_reports(&mut self, follower: &mut Follower) {
        let now_ns = account::monotonic_ns();
        for (process, tasks) in follower.take_freed() {
            self.sampler.freed(process, tasks);
        }
        let ended = follower.take_ended();
        if !self.sampler.is_told_of_ends() {
            return;
        }
        for ended in ended {
            let ago_ms = now_ns.saturating_sub(ended.end_ns) / 1_000_000;
            let lifetime_ms = ended.end_ns.saturating_sub(ended.start_ns) as f64 / 1e6;
            let ts_ms = now_ms().saturating_sub(ago_ms);
            let mut exited = Exited {
                ts_ms,
                pid: ended.pid,
                command: ended.command,
                lifetime_ms: Some(lifetime_ms),
                ..Exited::default()
            };
            exited.set_exit(ended.exit);
            self.sampler.told_of(exited, ended.start_ns);
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

    /// Looks for the last time, then waits for the reports of processes that ended before or meanwhile. What
    /// others do in that time is not counted.
    fn settle(&mut self, follower: &mut Follower) -> Reports {
        follower.stop_counting();
        // In this order none is missing that ends meanwhile.
        let mut listed = follower.live_processes();
        follower.drain_whole();
        self.take_reports(follower);
        let unfreed = follower.unfreed();
        listed.extend(unfreed.keys());
        listed.sort_unstable();
        listed.dedup();
        self.sampler.look_last(Some(&listed), now_ms());
        if !follower.reports_usage() {
            return Reports::default();
        }
        listed.retain(|process| {
            let unfreed = unfreed.get(process).copied().unwrap_or(0);
            !self.sampler.has_read(*process, unfreed)
        });
        self.wait_for_reports(follower, &mut listed);
        Reports {
            all_followed: follower.knows_all_usage(),
            missing: listed.len() as u64,
        }
    }

    /// Waits until the tasks of these processes are freed, and leaves those in the list whose reports do not come.
    fn wait_for_reports(&mut self, follower: &mut Follower, listed: &mut Vec<Identity>) {
        let start = Instant::now();
        // After a grace period: when a task was freed last.
        let mut last: Option<Instant> = None;
        loop {
            let live = follower.live_processes();
            follower.drain_whole();
            let freed = follower.take_freed().into_iter();
            for (process, tasks) in freed.filter(|(it, _)| listed.binary_search(it).is_ok()) {
                self.sampler.freed(process, tasks);
                last = last.map(|_| Instant::now());
            }
            let unfreed = follower.unfreed();
            listed.retain(|it| unfreed.contains_key(it) || live.binary_search(it).is_ok());
            if listed.is_empty() {
                break;
            }
            match last {
                Some(last) if last.elapsed() >= LONGEST_PAUSE => break,
                Some(_) => {}
                None if start.elapsed() >= USUAL_WAIT => {
                    let barrier = account::kernel_barrier();
                    tracing::debug!(?barrier, "waited for a grace period");
                    last = Some(Instant::now());
                }
                None => {}
            }
            std::thread::sleep(SETTLING);
        }
        let took = start.elapsed();
        tracing::debug!(?took, missing = ?listed, "waited for reports of ended tasks");
    }

    /// What it all came to, and how the root ended, if that could be learnt.
    pub(super) fn finish(
        mut self,
        follower: Option<&mut Follower>,
        tell: Sink<'_>,
    ) -> (Sums, Option<Exit>) {
        let mut reports = Reports::default();
        match follower {
            Some(follower) if follower.has_own_ids() && follower.reports_ends() => {
                reports = self.settle(follower);
            }
            Some(follower) => {
                follower.drain();
                self.take_reports(follower);
                let live = follower.has_own_ids().then(|| follower.live_processes());
                self.sampler.look_last(live.as_deref(), now_ms());
            }
            None => self.sampler.look_last(None, now_ms()),
        }
        let root = self.sampler.root();
        let (sums, exits) = self.sampler.finish(reports);
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
