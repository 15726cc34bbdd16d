//! Waits for a command: signals, ended children, the deadline, ended tasks.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::follow::Follower;
use super::model::End;
use super::sampling::{Sampling, Sink};
use crate::process::ends;
use crate::sys::account::{self, Ended, Reaped};
use crate::sys::signals::{Arrived, Signals};

/// A command's SIGTERM is followed by SIGKILL if it lives on for this long.
const GRACE: Duration = Duration::from_secs(2);

/// How far the deadline's business with the command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Not,
    /// SIGTERM was sent then.
    Asked(Instant),
    /// SIGKILL was sent.
    Forced,
}

/// A command that runs.
pub(super) struct Watch {
    root: Pid,
    signals: Signals,
    pub(super) follower: Option<Follower>,
    pub(super) sampling: Sampling,
    wait_all: bool,
    deadline: Option<Instant>,
    ending: Ending,
    root_ended: Option<Ended>,
    /// Followed descendants lived on when the command ended: what they use, nobody tells.
    pub(super) outlived: bool,
    // Children other than the root may live (subreaper only).
    orphans: bool,
}

impl Watch {
    pub(super) fn new(
        root: Pid,
        signals: Signals,
        follower: Option<Follower>,
        sampling: Sampling,
        wait_all: bool,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            root,
            signals,
            follower,
            sampling,
            wait_all,
            deadline,
            ending: Ending::Not,
            outlived: false,
            root_ended: None,
            orphans: true,
        }
    }

    /// Until the command, and whoever else is waited for, has ended.
    pub(super) fn until_end(&mut self, tell: Sink<'_>) -> io::Result<(Ended, End)> {
        loop {
            self.wait_for_event()?;
            let arrived = self.take_signals(tell)?;
            if let Some(follower) = &mut self.follower {
                follower.tick();
            }
            self.sampling.tick(self.follower.as_mut(), tell);
            let timed_out = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            let Some(ended) = self.root_ended else {
                if timed_out {
                    self.terminate();
                }
                continue;
            };
            let end = match arrived {
                _ if self.ending != Ending::Not => End::Duration,
                _ if !self.descendants_awaited() => End::Command,
                _ if timed_out => End::Duration,
                Some(signal) => End::Interrupted(signal as i32),
                None => continue,
            };
            return Ok((ended, end));
        }
    }

    fn wait_for_event(&self) -> io::Result<()> {
        let follower = self.follower.as_ref().map(|follower| follower.as_fd());
        let mut sources = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        sources.extend(follower.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut sources, self.patience()) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Until the next moment at which something is due.
    fn patience(&self) -> PollTimeout {
        let due = match self.ending {
            Ending::Not => self.deadline,
            Ending::Asked(at) => Some(at + GRACE),
            Ending::Forced => None,
        };
        let listened = self.follower.as_ref().and_then(Follower::due);
        let due = due.into_iter().chain(self.sampling.due()).chain(listened);
        let Some(due) = due.min() else {
            return PollTimeout::NONE;
        };
        // Rounded up: a timeout of zero would spin.
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    /// Reaps children and passes signals on; returns the last one that was for denet itself.
    fn take_signals(&mut self, tell: Sink<'_>) -> io::Result<Option<Signal>> {
        let mut own = None;
        while let Some(arrived) = self.signals.next()? {
            match arrived {
                Arrived {
                    signal: Signal::SIGCHLD,
                    ..
                } => self.reap(tell)?,
                arrived if self.root_ended.is_some() => {
                    own = Some(arrived.signal)
                        .filter(|_| arrived.asks_to_stop())
                        .or(own);
                }
                // The terminal sent it to the whole process group, the command included.
                Arrived {
                    by_kernel: true, ..
                } => {}
                Arrived { signal, .. } => self.send(signal),
            }
        }
        Ok(own)
    }

    fn reap(&mut self, tell: Sink<'_>) -> io::Result<()> {
        loop {
            // Its name goes when it is waited for.
            let next = account::next_ended();
            let last_words = next.and_then(|pid| ends::last_words(pid.as_raw() as u32));
            if let Some(pid) = next {
                self.sampling.about_to_be_reaped(pid.as_raw() as u32);
            }
            let reaped = account::reap()?;
            if let Reaped::Child(ended) = &reaped {
                let pid = ended.pid.as_raw() as u32;
                let (command, start_ticks) = last_words.unzip();
                let ended = ends::Ended {
                    pid,
                    command,
                    exit: Some(ended.exit),
                    start_ticks,
                };
                self.sampling.reaped(ended, tell);
            }
            match reaped {
                Reaped::Child(ended) if ended.pid == self.root => {
                    self.root_ended = Some(ended);
                    self.outlived = self.follower.as_ref().is_some_and(|it| it.live() > 0);
                    if let (true, Some(follower)) = (self.wait_all, &self.follower) {
                        follower.wake_on_exit();
                    }
                }
                Reaped::Child(orphan) => {
                    if let Some(root) = &mut self.root_ended {
                        root.usage.add(&orphan.usage);
                    }
                }
                Reaped::NoneYet => return Ok(()),
                Reaped::NoChildren if self.root_ended.is_some() => {
                    self.orphans = false;
                    return Ok(());
                }
                Reaped::NoChildren => return Err(io::Error::from_raw_os_error(libc::ECHILD)),
            }
        }
    }

    fn descendants_awaited(&self) -> bool {
        let live = match &self.follower {
            Some(follower) if follower.may_miss_ends() => follower.live() > 0 && self.orphans,
            Some(follower) => follower.live() > 0,
            None => self.orphans,
        };
        self.wait_all && live
    }

    fn terminate(&mut self) {
        match self.ending {
            Ending::Not => {
                self.ending = Ending::Asked(Instant::now());
                self.send(Signal::SIGTERM);
                // A stopped process acts on SIGTERM only once it continues.
                self.send(Signal::SIGCONT);
            }
            Ending::Asked(at) if at.elapsed() >= GRACE => {
                self.ending = Ending::Forced;
                self.send(Signal::SIGKILL);
            }
            Ending::Asked(_) | Ending::Forced => {}
        }
    }

    fn send(&self, signal: Signal) {
        // ESRCH: it just ended, and SIGCHLD says so. EPERM: it has become somebody else's, set-user-id.
        let sent = kill(self.root, signal);
        tracing::debug!(%signal, ?sent, "signal to the command");
    }
}
