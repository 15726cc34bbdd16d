//! A session: a command is started stopped, or running processes are attached to; then they are observed until
//! the end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::command::Command;
use super::event_loop::{self, interruption};
use super::follow::{Follower, Stream};
use super::model::{ActiveBackend, Run, Stopped};
use super::observed::{Observed, Root};
use super::open::{Opened, attach, not_started, open_command};
use super::options::{Options, SessionError};
use super::sampling::{Sampling, Sink};
use super::stops::Stops;
use crate::checks::finding::Finding;
use crate::checks::findings;
use crate::facts::Fact;
use crate::facts::environment::own_proc;
use crate::process::cgroup;
use crate::process::sampler::{self, Sampler};
use crate::process::seen::Subject;
use crate::process::target::Selection;
use crate::sys::account;
use crate::sys::gate::{self, Gate};
use crate::sys::root;
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
    stops: Stops,
    root: Root,
    follower: Option<Follower>,
    sampler: Sampler,
    started: Instant,
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
        let stops = Stops::watch();
        if let Selection::Cgroup(folder) = &mut options.target.selection {
            *folder = cgroup::folder(folder).map_err(SessionError::NoTarget)?;
        }
        // Ids would be those of other processes, without eBPF too.
        if own_proc(&root::Root::default()) == Fact::Known(false) {
            return Err(SessionError::refused(Box::new(findings::proc_namespace())));
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
        let exits_are_reported = follower
            .as_ref()
            .is_some_and(|follower| follower.reports_ends() && follower.has_own_ids());
        let adopts = matches!(root, Root::Stopped(..))
            && (options.adopt || options.wait_all && follower.is_none());
        if adopts {
            account::become_subreaper()
                .map_err(|error| SessionError::Failed("cannot adopt orphans", error))?;
        }
        let reporter = follower.as_ref().filter(|_| exits_are_reported);
        let live = reporter.map(Follower::live_processes);
        let sampled = sampler::Options {
            target: options.target.clone(),
            root: subject.pid,
            adopts,
            threads: options.sampling.threads,
            since_process_start: options.sampling.since_process_start,
            exits_are_reported,
            usage_is_reported: reporter.is_some_and(Follower::reports_usage),
        };
        let mut sampler = Sampler::new(sampled, context, inherited, live.as_deref())
            .map_err(|error| unsampled(&root, error))?;
        if matches!(root, Root::Stopped(..)) {
            sampler.leave_out_of_root(gate::READS, gate::WRITES);
        }
        Ok(Self {
            options,
            subject,
            refused,
            signals,
            stops,
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
    pub(crate) fn run(mut self, sink: Sink<'_>) -> Result<(Run, Option<u64>), SessionError> {
        if let Some(follower) = &self.follower {
            follower.log_memory("at the start");
        }
        self.stops.restart();
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
            started,
            stopped: Stopped::default(),
            wait_all: self.options.wait_all,
            deadline: duration.and_then(|duration| started.checked_add(duration)),
            sink,
        };
        let end = event_loop::until_end(&mut observed, &self.signals, &mut self.stops)?;
        let descendants = self.options.target.descendants;
        observed.finish(end, started.elapsed(), descendants)
    }
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
