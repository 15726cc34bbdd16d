//! Watches processes that denet did not start, and leaves them as they are.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::follow::{Follower, Stream};
use super::model::{Backend, End, Run};
use super::sampling::{Closeness, Sampling, Sink};
use super::session::{Ebpf, SessionError};
use super::{Limits, StartError, Target, analyse};
use crate::access::Access;
use crate::checks::finding::Finding;
use crate::process::population::Scope;
use crate::process::sampler::{Options as SamplerOptions, Sampler};
use crate::process::surroundings::{Counted, Surroundings};
use crate::process::{cgroup, seen};
use crate::sys::signals::Signals;
use crate::sys::{capabilities, processes};

/// Whom to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A process and its descendants.
    Process(u32),
    /// All in a cgroup and below; its folder.
    Cgroup(PathBuf),
    /// All of the machine.
    All,
}

/// Whom to watch and how.
#[derive(Clone, Debug)]
pub struct AttachOptions {
    /// Whom.
    pub whom: Whom,
    /// The syscall profile.
    pub ebpf: Ebpf,
    /// Stop after that long.
    pub duration: Option<Duration>,
    /// Go on until the last descendant has ended.
    pub wait_all: bool,
    /// How closely.
    pub closeness: Closeness,
    /// For tests.
    pub limits: Limits,
}

/// Everything opened, nothing asked of the processes.
pub struct Attached {
    options: AttachOptions,
    /// Who is watched, in words.
    pub subject: seen::Subject,
    /// Why there is no syscall profile although one was asked for.
    pub refused: Option<Finding>,
    signals: Signals,
    ends: Option<OwnedFd>,
    follower: Option<Follower>,
    sampler: Sampler,
    started: Instant,
    // Of a cgroup, where no samples are taken that would find new members.
    joined: Option<PathBuf>,
}

impl Attached {
    /// Looks for whom to watch, and begins to.
    ///
    /// # Errors
    /// [`SessionError`]: there is nobody to watch, or nothing can be seen of them.
    pub fn new(options: AttachOptions) -> Result<Self, SessionError> {
        Self::listening(options, None)
    }

    /// The same with a stream of what is called, rather than counts.
    pub(crate) fn listening(
        options: AttachOptions,
        stream: Option<Stream>,
    ) -> Result<Self, SessionError> {
        let failed = |what| move |error| SessionError::Failed(what, error);
        let signals = Signals::watch().map_err(failed("cannot watch signals"))?;
        let (scope, subject) = match &options.whom {
            Whom::Process(pid) => {
                let subject = seen::process(*pid).map_err(SessionError::NobodyThere)?;
                (Scope::Process(*pid), subject)
            }
            Whom::Cgroup(folder) => {
                let folder = cgroup::folder(folder).map_err(SessionError::NobodyThere)?;
                let subject = seen::Subject::of(format!("cgroup {}", folder.display()));
                (Scope::Cgroup(folder), subject)
            }
            Whom::All => (
                Scope::All,
                seen::Subject::of("the whole machine".to_owned()),
            ),
        };
        let ends = match options.whom {
            Whom::Process(pid) => Some(processes::pidfd(pid).map_err(|error| {
                SessionError::NobodyThere(format!("cannot follow process {pid}: {error}"))
            })?),
            Whom::Cgroup(_) | Whom::All => None,
        };
        let access = Access::of_user();
        let (follower, refused) = match options.ebpf {
            Ebpf::Off => (None, None),
            wanted => match access
                .check(&options.whom)
                .map_err(StartError::Refused)
                .and_then(|()| Follower::attach_to(&target(&scope), &options.limits, stream))
            {
                Ok(follower) => (Some(follower), None),
                Err(StartError::Refused(finding)) if wanted == Ebpf::Require => {
                    return Err(SessionError::refused(finding));
                }
                Err(StartError::Refused(finding)) => (None, Some(*finding)),
                Err(StartError::Gate(error)) => {
                    let error = io::Error::other(error);
                    return Err(SessionError::Failed("cannot attach", error));
                }
            },
        };
        // If the process has ended, its id may have been reused since it was checked.
        if let Whom::Process(pid) = options.whom
            && access.is_limited()
            && ends.as_ref().is_some_and(has_ended)
        {
            return Err(SessionError::NobodyThere(format!(
                "process {pid} ended while denet attached to it"
            )));
        }
        let joined = match &scope {
            Scope::Cgroup(folder) if options.closeness.interval.is_none() => Some(folder.clone()),
            _ => None,
        };
        // Hardware counters of processes that run already are opened with the user's own rights.
        if follower.is_some() || access.is_limited() {
            capabilities::give_up();
        }
        let surroundings = surroundings(&scope);
        let looked_at = SamplerOptions {
            scope,
            children: options.closeness.children,
            threads: options.closeness.threads,
            since_process_start: options.closeness.since_process_start,
            ends_are_told: follower.is_some() && options.limits.ends,
        };
        let sampler = Sampler::new(looked_at, surroundings, None).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ESRCH) => {
                    SessionError::Failed("it ended while denet attached to it", error)
                }
                _ => SessionError::Failed("cannot look at the processes in /proc", error),
            }
        })?;
        Ok(Self {
            options,
            subject,
            refused,
            signals,
            ends,
            follower,
            sampler,
            started: Instant::now(),
            joined,
        })
    }

    /// What cannot be measured here, and why.
    pub fn absent(&self) -> &BTreeMap<&'static str, String> {
        self.sampler.absent()
    }

    /// How syscalls are counted, if they are.
    pub fn backend(&self) -> Option<&Backend> {
        self.follower.as_ref().map(Follower::backend)
    }

    /// Watches until the process has ended, the time is over or a signal comes.
    ///
    /// # Errors
    /// [`SessionError::Failed`].
    pub fn run(self, tell: Sink<'_>) -> Result<(Run, Option<u64>), SessionError> {
        let Self {
            options,
            signals,
            ends,
            mut follower,
            sampler,
            started,
            joined,
            ..
        } = self;
        let mut sampling = Sampling::new(sampler, &options.closeness, started);
        let deadline = options
            .duration
            .and_then(|duration| started.checked_add(duration));
        let mut ended = false;
        let end = loop {
            wait(
                &signals,
                ends.as_ref().filter(|_| !ended),
                follower.as_ref(),
                deadline
                    .into_iter()
                    .chain(sampling.due())
                    .chain(follower.as_ref().and_then(Follower::due))
                    .min(),
            )
            .map_err(|error| SessionError::Failed("cannot wait", error))?;
            if let Some(follower) = &mut follower {
                follower.tick();
                if let Some(folder) = &joined {
                    follow_members(folder, follower);
                }
            }
            ended = ended || ends.as_ref().is_some_and(has_ended);
            if ended
                && options.wait_all
                && let Some(follower) = &follower
            {
                follower.wake_on_exit();
            }
            sampling.tick(follower.as_mut(), tell);
            let others = || {
                follower
                    .as_ref()
                    .map_or(sampling.living() > 0, |follower| follower.live() > 0)
            };
            if ended && !(options.wait_all && others()) {
                break End::Command;
            }
            if let Some(signal) = interruption(&signals)
                .map_err(|error| SessionError::Failed("cannot read signals", error))?
            {
                break End::Interrupted(signal as i32);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break End::Duration;
            }
            if follower.as_ref().is_some_and(Follower::is_unread) {
                break End::Unread;
            }
        };
        let wall = started.elapsed();
        let (sums, exit) = sampling.finish(follower.as_mut(), tell);
        let mut map_bytes = None;
        let mut in_progress = BTreeMap::new();
        let syscalls = match follower {
            None => None,
            Some(follower) => {
                map_bytes = follower.map_bytes();
                in_progress.clone_from(follower.in_progress());
                let (snapshot, ns_per_syscall) = follower.finish().map_err(|error| {
                    SessionError::Failed("cannot read the counts", io::Error::other(error))
                })?;
                let cpu = Duration::from_nanos(sums.used.cpu_ns);
                Some(analyse::profile(
                    snapshot,
                    wall,
                    cpu,
                    sums.disowned == 0,
                    ns_per_syscall,
                ))
            }
        };
        let run = Run {
            end,
            exit: exit.filter(|_| ended),
            wall,
            attached: true,
            usage: None,
            usage_is_whole: sums.disowned == 0,
            sums,
            syscalls,
            in_progress,
        };
        Ok((run, map_bytes))
    }
}

fn target(scope: &Scope) -> Target {
    match scope {
        Scope::Command { pid, .. } | Scope::Process(pid) => Target::Processes(vec![*pid]),
        Scope::Cgroup(folder) => Target::Processes(cgroup::members(folder).unwrap_or_default()),
        Scope::All => Target::All,
    }
}

/// A cgroup gains members that nobody in it started.
fn follow_members(folder: &Path, follower: &mut Follower) {
    let Ok(mut members) = cgroup::members(folder) else {
        return;
    };
    let live = follower.live_processes();
    members.retain(|pid| live.binary_search(pid).is_err());
    if members.is_empty() {
        return;
    }
    if let Err(error) = follower.follow_more(&members) {
        tracing::debug!(%error, ?members, "not followed");
    }
}

fn surroundings(scope: &Scope) -> Surroundings {
    match scope {
        Scope::Command { pid, .. } | Scope::Process(pid) => {
            Surroundings::of(*pid, None, &Counted::Threads(seen::threads(*pid)))
        }
        Scope::Cgroup(folder) => {
            let members = cgroup::members(folder).unwrap_or_default();
            let threads = members.iter().flat_map(|pid| seen::threads(*pid)).collect();
            let first = members.first().copied().unwrap_or_else(std::process::id);
            Surroundings::of(first, Some(folder), &Counted::Threads(threads))
        }
        Scope::All => Surroundings::of(std::process::id(), None, &Counted::Nobody),
    }
}

fn wait(
    signals: &Signals,
    ends: Option<&OwnedFd>,
    follower: Option<&Follower>,
    due: Option<Instant>,
) -> io::Result<()> {
    let mut sources = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    sources.extend(ends.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
    sources.extend(follower.map(|follower| PollFd::new(follower.as_fd(), PollFlags::POLLIN)));
    let timeout = due.map_or(PollTimeout::NONE, |due| {
        // Rounded up: a timeout of zero would spin.
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut sources, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut source = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut source, PollTimeout::ZERO), Ok(1))
}

/// A signal that asks to stop, if one arrived.
fn interruption(signals: &Signals) -> io::Result<Option<Signal>> {
    while let Some(arrived) = signals.next()? {
        if arrived.asks_to_stop() {
            return Ok(Some(arrived.signal));
        }
    }
    Ok(None)
}
