//! The processes of a session, while they are observed.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::analyse;
use super::command::Command;
use super::event_loop::Observation;
use super::follow::Follower;
use super::model::{End, Meanwhile, Run, Stopped, SyscallProfile};
use super::options::SessionError;
use super::sampling::{Sampling, Sink};
use super::stops::Stop;
use crate::process::cgroup;
use crate::process::sums::Sums;
use crate::sys::gate::Gate;
use crate::sys::signals::Arrived;

/// The process with which the session ends.
pub(super) enum Root {
    /// A stopped command and its file.
    Stopped(Gate, PathBuf),
    /// A command.
    Command(Command),
    /// A process that denet did not start.
    Process { pidfd: OwnedFd, has_ended: bool },
    /// A cgroup and its directory, if no sampler finds its new members.
    Members(PathBuf),
    /// None.
    None,
}

pub(super) fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut source = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut source, PollTimeout::ZERO), Ok(1))
}

/// How often to look whether processes have ended unnoticed that denet waits for.
const MISSED: Duration = Duration::from_millis(200);

/// The state of a running session.
pub(super) struct Observed<'a> {
    pub(super) root: Root,
    pub(super) follower: Option<Follower>,
    pub(super) sampling: Sampling,
    pub(super) started: Instant,
    pub(super) stopped: Stopped,
    pub(super) wait_all: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) sink: Sink<'a>,
}

impl Observed<'_> {
    /// Reaps all children that have ended.
    fn reap(&mut self) -> io::Result<()> {
        let Root::Command(command) = &mut self.root else {
            return Ok(());
        };
        loop {
            let sampling = &mut self.sampling;
            let Some(child) = command.reap(|pid| sampling.about_to_be_reaped(pid))? else {
                return Ok(());
            };
            sampling.reaped(child, self.sink);
        }
    }

    /// Processes pending events of the follower, which also follows new members of a cgroup.
    fn follow(&mut self) {
        let Some(follower) = &mut self.follower else {
            return;
        };
        follower.tick();
        if let Root::Members(folder) = &self.root {
            follow_members(folder, follower);
        }
        if self.wait_all && self.root.has_ended() {
            follower.wake_on_exit();
            if follower.may_miss_ends() {
                follower.forget_the_dead();
            }
        }
    }

    fn may_miss_ends(&self) -> bool {
        let follower = self.follower.as_ref();
        follower.is_some_and(Follower::may_miss_ends)
    }

    /// Whether the session waits for descendants that are alive.
    fn waits_for_others(&self) -> bool {
        let is_alive = match (&self.follower, &self.root) {
            (None, Root::Command(command)) => command.has_children,
            (None, _) => self.sampling.living() > 0,
            (Some(follower), _) => follower.live() > 0,
        };
        self.wait_all && is_alive
    }

    pub(super) fn finish(
        self,
        end: End,
        elapsed: Duration,
        descendants: bool,
    ) -> Result<(Run, Option<u64>), SessionError> {
        let mut follower = self.follower;
        let stopped = self.stopped;
        let active = stopped.active(elapsed);
        let (sums, exit) = self.sampling.finish(follower.as_mut(), self.sink);
        let (attached, exit, usage) = match self.root {
            Root::Command(command) => (
                false,
                command.ended.map(|ended| ended.exit),
                // It cannot be distinguished from the usage of descendants.
                command
                    .ended
                    .map(|ended| ended.usage)
                    .filter(|_| descendants),
            ),
            root => (true, exit.filter(|_| root.has_ended()), None),
        };
        let in_progress = follower.as_ref().map(|it| it.in_progress().clone());
        let map_bytes = follower.as_ref().and_then(Follower::map_bytes);
        let syscalls = follower
            .map(|follower| profile(follower, active, &sums))
            .transpose()?;
        let run = Run {
            end,
            exit,
            wall: stopped.wall(elapsed),
            stopped,
            active,
            attached,
            largest_kb: usage.map_or(0, |usage| usage.max_rss_kb),
            sums,
            syscalls,
            in_progress: in_progress.unwrap_or_default(),
        };
        Ok((run, map_bytes))
    }
}

impl Observation for Observed<'_> {
    type End = End;
    type Error = SessionError;

    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        let pidfd = match &self.root {
            Root::Process {
                pidfd,
                has_ended: false,
            } => Some(pidfd.as_fd()),
            _ => None,
        };
        let follower = self.follower.as_ref().map(|follower| follower.as_fd());
        pidfd.into_iter().chain(follower).collect()
    }

    fn due(&self) -> Option<Instant> {
        let end = match &self.root {
            Root::Command(command) => command.due(self.deadline),
            _ => self.deadline,
        };
        let follower = self.follower.as_ref().and_then(Follower::due);
        let due = end.into_iter().chain(self.sampling.due()).chain(follower);
        let missed = self.wait_all && self.root.has_ended() && self.may_miss_ends();
        due.chain(missed.then(|| Instant::now() + MISSED)).min()
    }

    fn resumed(&mut self, stop: Stop) {
        let meanwhile = match &mut self.root {
            Root::Command(command) => command.meanwhile(),
            Root::Process {
                pidfd,
                has_ended: false,
            } if has_ended(pidfd) => Meanwhile::Ended,
            _ => Meanwhile::RanOn,
        };
        tracing::debug!(?stop, ?meanwhile, "denet was stopped");
        self.stopped.add(stop, meanwhile);
        if meanwhile == Meanwhile::Stopped {
            self.deadline = self.deadline.and_then(|at| at.checked_add(stop.time));
        }
    }

    fn signal(&mut self, arrived: Arrived) -> Result<Option<Signal>, SessionError> {
        let wanted = Ok(Some(arrived.signal).filter(|_| arrived.asks_to_stop()));
        let Root::Command(command) = &mut self.root else {
            return wanted;
        };
        if arrived.signal == Signal::SIGCHLD {
            command.note_stops();
        }
        match arrived.signal {
            Signal::SIGCHLD => self
                .reap()
                .map(|()| None)
                .map_err(|error| SessionError::Failed("cannot wait for the command", error)),
            _ if command.ended.is_some() => wanted,
            // The terminal sent it to the whole process group, the command included.
            _ if arrived.by_kernel => Ok(None),
            signal => {
                command.send(signal);
                Ok(None)
            }
        }
    }

    fn step(&mut self, stop: Option<Signal>) -> Result<Option<End>, SessionError> {
        self.root.check();
        self.follow();
        let active = self.stopped.active(self.started.elapsed());
        self.sampling
            .tick(self.follower.as_mut(), active, self.sink);
        let is_over = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        let has_ended = self.root.has_ended();
        if let Root::Command(command) = &mut self.root {
            command.stepped();
            if !has_ended && is_over {
                command.terminate();
            }
            if !has_ended {
                return Ok(None);
            }
            if command.was_terminated() {
                return Ok(Some(End::Duration));
            }
        }
        let is_unread = self.follower.as_ref().is_some_and(Follower::is_unread);
        Ok(match stop {
            _ if has_ended && !self.waits_for_others() => Some(End::Command),
            Some(signal) => Some(End::Interrupted(signal as i32)),
            None if is_over => Some(End::Duration),
            None if is_unread && !matches!(self.root, Root::Command(_)) => Some(End::Unread),
            None => None,
        })
    }
}

impl Root {
    /// Checks whether the process has ended.
    fn check(&mut self) {
        if let Self::Process { pidfd, has_ended } = self {
            *has_ended = *has_ended || self::has_ended(pidfd);
        }
    }

    /// Whether the process has ended; false if there is none.
    fn has_ended(&self) -> bool {
        match self {
            Self::Command(command) => command.ended.is_some(),
            Self::Process { has_ended, .. } => *has_ended,
            Self::Stopped(..) | Self::Members(_) | Self::None => false,
        }
    }
}

/// Follows new members of a cgroup that were not started by other members.
fn follow_members(folder: &Path, follower: &mut Follower) {
    let Ok(members) = cgroup::members(folder) else {
        return;
    };
    if let Err(error) = follower.follow_joined(&members) {
        tracing::debug!(%error, ?members, "not followed");
    }
}

fn profile(
    follower: Follower,
    active: Option<Duration>,
    sums: &Sums,
) -> Result<SyscallProfile, SessionError> {
    follower.log_memory("at the end");
    let (snapshot, ns_per_syscall) = follower
        .finish()
        .map_err(|error| SessionError::Failed("cannot read the counts", io::Error::other(error)))?;
    let cpu = Duration::from_nanos(sums.used.cpu_ns);
    Ok(analyse::profile(
        snapshot,
        active,
        cpu,
        sums.is_whole,
        ns_per_syscall,
    ))
}
