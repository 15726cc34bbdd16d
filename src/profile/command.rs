//! The command that denet started: signals to it, its deadline, its end.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::model::Meanwhile;
use crate::process::ends;
use crate::sys::account::{self, Ended, Reaped};

/// If the command has not ended this long after SIGTERM, denet sends SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How far denet has gone to end the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Termination {
    None,
    /// SIGTERM was sent at this time.
    Requested(Instant),
    /// SIGKILL was sent.
    Forced,
}

/// A command that denet started.
pub(super) struct Command {
    pid: Pid,
    termination: Termination,
    /// How it ended, once it has.
    pub(super) ended: Option<Ended>,
    // It was stopped since the last step of the event loop, and still is.
    was_stopped: bool,
    is_stopped: bool,
    /// denet may have children that are alive: the command, and orphans if denet adopts them.
    pub(super) has_children: bool,
}

impl Command {
    pub(super) fn new(pid: Pid) -> Self {
        Self {
            pid,
            termination: Termination::None,
            ended: None,
            was_stopped: false,
            is_stopped: false,
            has_children: true,
        }
    }

    /// When the next step to end it is due; `deadline` is when it has to end.
    pub(super) fn due(&self, deadline: Option<Instant>) -> Option<Instant> {
        match self.termination {
            Termination::None => deadline,
            Termination::Requested(at) => Some(at + GRACE),
            Termination::Forced => None,
        }
    }

    /// Whether denet ended it.
    pub(super) fn was_terminated(&self) -> bool {
        self.termination != Termination::None
    }

    /// Reaps the next child that has ended; `before` is called while it can still be examined.
    pub(super) fn reap(&mut self, before: impl FnOnce(u32)) -> io::Result<Option<ends::Ended>> {
        let next = account::next_ended();
        // Its name is lost when it is reaped.
        let last = next.and_then(|pid| ends::last_words(pid.as_raw() as u32));
        if let Some(pid) = next {
            before(pid.as_raw() as u32);
        }
        let ended = match account::reap()? {
            Reaped::Child(ended) => ended,
            Reaped::NoneYet => return Ok(None),
            Reaped::NoChildren if self.ended.is_some() => {
                self.has_children = false;
                return Ok(None);
            }
            Reaped::NoChildren => return Err(io::Error::from_raw_os_error(libc::ECHILD)),
        };
        let (command, start_ticks) = last.unzip();
        let child = ends::Ended {
            pid: ended.pid.as_raw() as u32,
            command,
            exit: Some(ended.exit),
            start_ticks,
        };
        match &mut self.ended {
            _ if ended.pid == self.pid => self.ended = Some(ended),
            Some(command) => command.usage.add(&ended.usage),
            None => {}
        }
        Ok(Some(child))
    }

    /// Looks whether it was stopped or continued.
    pub(super) fn note_stops(&mut self) {
        while let Some(is_stopped) = account::stopped_or_continued(self.pid) {
            self.is_stopped = is_stopped;
            self.was_stopped = true;
        }
    }

    /// A step of the event loop is over.
    pub(super) fn stepped(&mut self) {
        self.was_stopped = self.is_stopped;
    }

    /// What it did while denet was stopped, which has just continued.
    pub(super) fn meanwhile(&mut self) -> Meanwhile {
        self.note_stops();
        if self.ended.is_some() {
            // Descendants are waited for.
            Meanwhile::RanOn
        } else if account::has_ended(self.pid) {
            Meanwhile::Ended
        } else if self.was_stopped {
            Meanwhile::Stopped
        } else {
            Meanwhile::RanOn
        }
    }

    /// Ends it: SIGTERM first, then SIGKILL if it does not end.
    pub(super) fn terminate(&mut self) {
        match self.termination {
            Termination::None => {
                self.termination = Termination::Requested(Instant::now());
                self.send(Signal::SIGTERM);
                // A stopped process handles SIGTERM only once it continues.
                self.send(Signal::SIGCONT);
            }
            Termination::Requested(at) if at.elapsed() >= GRACE => {
                self.termination = Termination::Forced;
                self.send(Signal::SIGKILL);
            }
            Termination::Requested(_) | Termination::Forced => {}
        }
    }

    pub(super) fn send(&self, signal: Signal) {
        // ESRCH: it has just ended, and SIGCHLD follows. EPERM: it has changed its user, set-user-id.
        let sent = kill(self.pid, signal);
        tracing::debug!(%signal, ?sent, "signal to the command");
    }
}
