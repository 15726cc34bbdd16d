//! What a profile consists of. Plain data: nothing here reads, counts or prints.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stops::Stop;
use crate::checks::finding::Finding;
use crate::decode::syscalls::{Call, Category};
use crate::output::exact::Text;
use crate::process::model::Object;
use crate::process::sums::Sums;
use crate::sys::account::Exit;

/// One process, for as long as it was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Process id in denet's pid namespace; 0 if the kernel does not show it.
    pub(crate) pid: u32,
    /// `CLOCK_MONOTONIC` of its start: tells processes of the same id apart.
    pub(crate) start_ns: u64,
    /// Name of its main thread, as last seen.
    pub(crate) command: Text,
    /// It had not ended when the profile did.
    pub(crate) running: bool,
    /// The user may not trace it, for example after it executed a setuid file: its memory was not read.
    pub(crate) private: bool,
    /// Calls by kind, each at least once.
    pub(crate) calls: Vec<(Call, u64)>,
}

impl Process {
    /// All its calls.
    pub(crate) fn total(&self) -> u64 {
        self.calls.iter().map(|(_, count)| count).sum()
    }
}

/// What was seen and cannot be shown, counted where it was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Calls counted as lost.
    pub(crate) calls: u64,
    /// Insertions that a full map refused: a task, or a kind of call of a process.
    pub(crate) map_full: u64,
    /// Ended tasks whose record found the ring buffer full; their calls are among `calls`.
    pub(crate) records: u64,
    /// Threads that were not followed, and processes that were not followed since they joined the cgroup: how much
    /// they called is not known.
    pub(crate) unfollowed: u64,
    /// Runs of a program that the kernel skipped: each a call or a task not seen.
    pub(crate) skipped_runs: u64,
    /// Records of single calls: they found the ring buffer full, or there was no memory at their beginning.
    pub(crate) events: u64,
    /// Threads of a stream that may still be in a call that began earlier and could not be shown.
    pub(crate) unseen: u64,
}

impl Losses {
    /// Of all kinds together.
    pub(crate) fn total(&self) -> u64 {
        self.calls
            + self.map_full
            + self.records
            + self.unfollowed
            + self.skipped_runs
            + self.events
            + self.unseen
    }

    /// Nothing was lost.
    pub(crate) fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything the eBPF side saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Every process followed, the first one first.
    pub(crate) processes: Vec<Process>,
    /// What is missing from them.
    pub(crate) losses: Losses,
    /// Most processes alive at once.
    pub(crate) max_processes: u64,
    /// Most threads alive at once.
    pub(crate) max_threads: u64,
}

/// How often one kind of call was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallCount {
    pub(crate) call: Call,
    /// Its name by the table of its ABI.
    pub(crate) name: String,
    /// Its one category.
    pub(crate) category: Category,
    /// How often.
    pub(crate) count: u64,
}

/// What the numbers say about the command's behaviour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Analysis {
    /// The class.
    pub(crate) behavior: Behavior,
    /// Syscalls per second of wall time, if that is known.
    pub(crate) rate_per_sec: Option<f64>,
    /// Share of file_io among all syscalls, 0 to 1.
    pub(crate) io_intensity: f64,
    /// Share of memory among all syscalls, 0 to 1.
    pub(crate) memory_intensity: f64,
    /// Share of network among all syscalls, 0 to 1.
    pub(crate) network_intensity: f64,
    /// CPU time over wall time, at most 1, if that is known.
    pub(crate) cpu_intensity: Option<f64>,
}

/// What a command mostly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Files, many times a second.
    IoBound,
    /// CPU, with few syscalls.
    CpuBound,
    MemoryBound,
    NetworkBound,
    /// Files and mappings.
    Mixed,
    /// Too short, or none of these.
    Unknown,
}

impl Behavior {
    /// As in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IoBound => "io_bound",
            Self::CpuBound => "cpu_bound",
            Self::MemoryBound => "memory_bound",
            Self::NetworkBound => "network_bound",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        }
    }
}

/// A number that was measured under noise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    /// It is no less,
    pub(crate) least: f64,
    /// most likely this,
    pub(crate) about: f64,
    /// and no more.
    pub(crate) most: f64,
}

impl Estimate {
    /// The same of a number that follows from it.
    pub(crate) fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self {
            least: of(self.least),
            about: of(self.about),
            most: of(self.most),
        }
    }
}

/// What profiling cost, measured in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Overhead {
    /// Added to each syscall of the command, in nanoseconds. `None` where that could not be measured, or
    /// did not show.
    pub(crate) ns_per_syscall: Option<Estimate>,
    /// That times the number of syscalls, over the command's CPU time; 0 to 1. `None` where not all
    /// of that time is known either.
    pub(crate) share_of_runtime: Option<Estimate>,
}

/// The whole syscall profile.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SyscallProfile {
    /// All calls of all processes.
    pub(crate) total: u64,
    /// Calls by category, in the order of [`Category::ALL`].
    pub(crate) by_category: [u64; Category::ALL.len()],
    /// Every kind of call, most frequent first.
    pub(crate) calls: Vec<CallCount>,
    /// Every process, most calls first.
    pub(crate) processes: Vec<Process>,
    /// What was lost.
    pub(crate) losses: Losses,
    /// Most processes alive at once.
    pub(crate) max_processes: u64,
    /// Most threads alive at once.
    pub(crate) max_threads: u64,
    /// Conclusions.
    pub(crate) analysis: Analysis,
    /// What it cost the command.
    pub(crate) overhead: Overhead,
}

impl SyscallProfile {
    /// Processes that had not ended.
    pub(crate) fn still_running(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.running)
    }
}

/// What ended the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The command, and with `--wait-all` its last descendant, by themselves or by a signal.
    Command,
    /// `--duration` ran out.
    Duration,
    /// This signal ended the wait for descendants, or for a process attached to.
    Interrupted(i32),
    /// Nobody reads what is told of it any more.
    Unread,
}

/// What the observed process did while denet was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    RanOn,
    /// It was stopped as well, taken to be for as long.
    Stopped,
    Ended,
}

/// Time in which denet itself was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// All of it.
    pub(crate) time: Duration,
    /// It may be more.
    pub(crate) is_least: bool,
    /// Of it, in which the observed process ran on.
    pub(crate) ran_on: Duration,
    /// That process ended in it: how long it ran on is not known.
    pub(crate) missed_end: bool,
}

impl Stopped {
    /// One more time.
    pub(crate) fn add(&mut self, stop: Stop, meanwhile: Meanwhile) {
        self.time += stop.time;
        self.is_least |= stop.is_least;
        match meanwhile {
            Meanwhile::RanOn => self.ran_on += stop.time,
            Meanwhile::Stopped => {}
            Meanwhile::Ended => self.missed_end = true,
        }
    }

    /// Of the time that passed, that without these times,
    pub(crate) fn wall(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(self.time)
    }

    /// and that in which the observed process could run: what was counted, over this, is a rate. `None` if that is not
    /// known.
    pub(crate) fn active(&self, elapsed: Duration) -> Option<Duration> {
        (!self.missed_end).then(|| self.wall(elapsed) + self.ran_on)
    }
}

/// Calls that had begun when denet attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InProgress {
    pub(crate) calls: Vec<BegunCall>,
    /// Threads that could not be examined.
    pub(crate) unseen: u64,
}

impl InProgress {
    /// How many, by name.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, u64> {
        let mut by_name = BTreeMap::new();
        for call in &self.calls {
            *by_name.entry(call.name.as_str()).or_default() += 1;
        }
        by_name
    }
}

/// A call that a thread was in when denet attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BegunCall {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// Name of the thread.
    pub(crate) command: String,
    /// Name of the call.
    pub(crate) name: String,
    /// What it is about, if that is known.
    pub(crate) object: Option<Object>,
}

/// A profiled run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// How it ended.
    pub(crate) end: End,
    /// Exit status of the command itself; of a process that was attached to only what could be learnt.
    pub(crate) exit: Option<Exit>,
    /// From the command's start to its end, with `--wait-all` to its last descendant's, without the time in which
    /// denet was stopped.
    pub(crate) wall: Duration,
    /// That time.
    pub(crate) stopped: Stopped,
    /// The time that averages are over, if it is known.
    pub(crate) active: Option<Duration>,
    /// denet did not start what it watched.
    pub(crate) attached: bool,
    /// Peak resident memory in KiB of the largest process that was waited for; 0 if there was none.
    pub(crate) largest_kb: u64,
    /// What sampling came to.
    pub(crate) sums: Sums,
    /// The syscall profile, where there is one.
    pub(crate) syscalls: Option<SyscallProfile>,
    /// Calls that had begun when denet attached: they are not counted.
    pub(crate) in_progress: InProgress,
}

impl Run {
    /// Most resident memory in KiB: of all processes at once, as far as samples saw, and no less than the
    /// kernel says of the largest.
    pub(crate) fn peak_resident_kb(&self) -> u64 {
        self.sums.peak_resident_kb.max(self.largest_kb)
    }

    /// Who lived in the end: the command's descendants as they were followed, else as the last look saw.
    pub(crate) fn still_running(&self) -> Vec<(u32, &Text)> {
        match &self.syscalls {
            Some(profile) => {
                let running = profile.still_running();
                running
                    .map(|process| (process.pid, &process.command))
                    .collect()
            }
            None => {
                let running = self.sums.still_running.iter();
                running.map(|(pid, command)| (*pid, command)).collect()
            }
        }
    }

    /// Most processes at once: as they were followed, else as samples saw.
    pub(crate) fn max_processes(&self) -> u64 {
        let followed = self.syscalls.as_ref().map(|profile| profile.max_processes);
        followed.unwrap_or(self.sums.max_processes)
    }

    /// Most threads at once.
    pub(crate) fn max_threads(&self) -> u64 {
        let followed = self.syscalls.as_ref().map(|profile| profile.max_threads);
        followed.unwrap_or(self.sums.max_threads)
    }
}

/// Which backends run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveBackend {
    /// Hook and method of counting.
    pub(crate) syscalls: &'static str,
    /// Hooks of following.
    pub(crate) follow: &'static str,
    /// What would have been better and did not run, best first.
    pub(crate) why_not: Vec<WhyNot>,
}

/// A backend that this kernel does not allow.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct WhyNot {
    /// As in [`ActiveBackend`].
    pub(crate) backend: &'static str,
    /// What prevents it.
    #[serde(flatten)]
    pub(crate) finding: Finding,
}

/// What denet itself used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnCost {
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Peak resident memory in KiB, where it is known.
    pub(crate) peak_rss_kb: Option<u64>,
    /// Kernel memory of its maps in bytes, where the kernel says.
    pub(crate) map_bytes: Option<u64>,
}
