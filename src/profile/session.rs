//! A session: a command is started stopped, or running processes are attached to; then they are observed until
//! the end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::command::Command;
use super::event_loop::{self, interruption};
use super::follow::{Follower, Stream};
use super::model::{ActiveBackend, Run};
use super::observed::{Observed, Root};
use super::open::{Opened, attach, not_started, open_command};
use super::options::{Options, SessionError};
use super::sampling::{Sampling, Sink};
use crate::checks::finding::Finding;
use crate::process::cgroup;
use crate::process::sampler::{self, Sampler};
use crate::process::seen::Subject;
use crate::process::target::Selection;
use crate::sys::account;
use crate::sys::gate::{self, Gate};
use crate::sys::signals::Signals;

const UNSEEN: &str = "cannot look at the command in /proc (where hidepid= hides it, \
                      see ebpf_diag --explain processes-hidden)";

/// Processes with everything attached to them; a command is still stopped.
pub(crate) struct Session {
    options: Options,
    /// What is observed, for people.
    pub(crate) subject: Subject,
    /// Why there is no syscall profile although one was requested.
    pub(crate) refused: Option<Finding>,
    signals: Signals,
    root: Root,
    follower: Option<Follower>,
    sampler: Sampler,
    started: Instant,
    // Samples cover all processes whose resource usage belongs to the target.
    samples_all: bool,
}

impl Session {
    /// Starts the command stopped, or attaches to the processes. With `stream`, single calls are reported instead
    /// of counts.
    ///
    /// # Errors
    /// [`SessionError`]; no command has run.
    pub(crate) fn start(
        mut options: Options,
        stream: Option<Stream>,
    ) -> Result<Self, SessionError> {
        let signals = Signals::watch()
            .map_err(|error| SessionError::Failed("cannot watch signals", error))?;
        if let Selection::Cgroup(folder) = &mut options.target.selection {
            *folder = cgroup::folder(folder).map_err(SessionError::NoTarget)?;
        }
        let opened = match &options.target.selection {
            Selection::Command(command) => open_command(command, &options, &signals, stream)?,
            _ => attach(&options, stream)?,
        };
        let Opened {
            subject,
            root,
            follower,
            refused,
            context,
            inherited,
        } = opened;
        // In another pid namespace the kernel's ids differ from those in /proc.
        let exits_are_reported =
            follower.is_some() && options.limits.ends && account::in_initial_pid_namespace();
        let adopts = matches!(root, Root::Stopped(..))
            && adopt_orphans(&options, follower.as_ref(), exits_are_reported)?;
        let sampled = sampler::Options {
            target: options.target.clone(),
            root: subject.pid,
            adopts,
            threads: options.sampling.threads,
            since_process_start: options.sampling.since_process_start,
            exits_are_reported,
        };
        let mut sampler =
            Sampler::new(sampled, context, inherited).map_err(|error| unsampled(&root, error))?;
        if matches!(root, Root::Stopped(..)) {
            sampler.leave_out_of_root(gate::READS, gate::WRITES);
        }
        Ok(Self {
            samples_all: options.sampling.interval.is_some() && options.target.descendants,
            options,
            subject,
            refused,
            signals,
            root,
            follower,
            sampler,
            started: Instant::now(),
        })
    }

    /// What cannot be measured here, and why.
    pub(crate) fn absent(&self) -> &BTreeMap<&'static str, String> {
        self.sampler.absent()
    }

    /// How syscalls are counted, if they are.
    pub(crate) fn backend(&self) -> Option<&ActiveBackend> {
        self.follower.as_ref().map(Follower::backend)
    }

    /// Releases a command, and observes until the end. Also returns the kernel memory of all maps in bytes.
    ///
    /// # Errors
    /// [`SessionError::Exec`] if a command could not be executed, [`SessionError::Interrupted`] if a signal
    /// came first, [`SessionError::Failed`].
    pub(crate) fn run(self, sink: Sink<'_>) -> Result<(Run, Option<u64>), SessionError> {
        if let Some(follower) = &self.follower {
            follower.log_memory("at the start");
        }
        let (root, started) = match self.root {
            Root::Stopped(gate, executable) => {
                let started = Instant::now();
                let command = release(gate, &executable, &self.signals)?;
                (Root::Command(command), started)
            }
            root => (root, self.started),
        };
        let duration = self.options.duration;
        let mut observed = Observed {
            root,
            follower: self.follower,
            sampling: Sampling::new(self.sampler, &self.options.sampling, started),
            wait_all: self.options.wait_all,
            deadline: duration.and_then(|duration| started.checked_add(duration)),
            sink,
        };
        let end = event_loop::until_end(&mut observed, &self.signals)?;
        let descendants = self.options.target.descendants;
        observed.finish(end, started.elapsed(), self.samples_all, descendants)
    }
}

/// Makes denet the parent of orphans if their exits and usage would not be known otherwise.
fn adopt_orphans(
    options: &Options,
    follower: Option<&Follower>,
    exits_are_reported: bool,
) -> Result<bool, SessionError> {
    let may_miss_ends = follower.is_none_or(Follower::may_miss_ends);
    // A stream shows no usage, so it changes no process's parent.
    let streams = follower.is_some_and(|follower| follower.due().is_some());
    let needs_usage = options.target.descendants && !streams;
    let adopts =
        may_miss_ends && options.wait_all || needs_usage && (may_miss_ends || !exits_are_reported);
    if adopts {
        account::become_subreaper()
            .map_err(|error| SessionError::Failed("cannot wait for descendants", error))?;
    }
    Ok(adopts)
}

fn unsampled(root: &Root, error: io::Error) -> SessionError {
    let what = match (root, error.raw_os_error()) {
        (Root::Stopped(..), _) => UNSEEN,
        (_, Some(libc::ENOENT | libc::ESRCH)) => "it ended while denet attached to it",
        _ => "cannot look at the processes in /proc",
    };
    SessionError::Failed(what, error)
}

fn release(gate: Gate, executable: &Path, signals: &Signals) -> Result<Command, SessionError> {
    gate.release()
        .map(Command::new)
        .map_err(|error| match interruption(signals) {
            Ok(Some(signal)) => SessionError::Interrupted(signal as i32),
            Ok(None) | Err(_) => not_started(executable, error),
        })
}
