//! One run of a command: started stopped, let go, waited for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::analyse;
use super::follow::{Follower, Stream};
use super::model::{Backend, Run};
use super::sampling::{Closeness, Sampling, Sink};
use super::watch::Watch;
use super::{Limits, StartError};
use crate::access::{Access, NOT_YOURS};
use crate::checks::finding::Finding;
use crate::process::inherited::Inherited;
use crate::process::population::Scope;
use crate::process::program::{self, Unrunnable};
use crate::process::sampler::{self, Sampler};
use crate::process::surroundings::{Counted, Surroundings};
use crate::sys::gate::{Execution, Gate, GateError};
use crate::sys::signals::Signals;
use crate::sys::{account, capabilities, environment};

/// How much the user wants the syscall profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ebpf {
    /// Not at all.
    Off,
    /// If it can be had.
    Auto,
    /// Or else do not start the command.
    Require,
}

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command and its arguments; at least one.
    pub command: Vec<OsString>,
    /// The syscall profile.
    pub ebpf: Ebpf,
    /// End the command after that long.
    pub duration: Option<Duration>,
    /// Go on until the last descendant has ended.
    pub wait_all: bool,
    /// How closely to look at its processes.
    pub closeness: Closeness,
    /// For tests.
    pub limits: Limits,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such command, or it cannot be executed.
    #[error(transparent)]
    Unrunnable(#[from] Unrunnable),
    /// The kernel knows the file, but not how to execute it.
    #[error("{0}: {1}")]
    Exec(String, io::Error),
    /// eBPF was required; the finding says what is missing.
    #[error("eBPF is required and cannot be used here")]
    Refused(Box<Finding>),
    /// The user may not observe the target; the finding says why.
    #[error("you may not observe this target")]
    NotYours(Box<Finding>),
    /// There is nobody to attach to; why.
    #[error("{0}")]
    NobodyThere(String),
    /// A signal came before the command was started.
    #[error("interrupted before the command was started")]
    Interrupted(i32),
    /// denet itself failed.
    #[error("{0}: {1}")]
    Failed(&'static str, io::Error),
}

impl SessionError {
    /// The error for a finding: eBPF cannot be used at all, or not for this target.
    pub(super) fn refused(finding: Box<Finding>) -> Self {
        match finding.id {
            NOT_YOURS => Self::NotYours(finding),
            _ => Self::Refused(finding),
        }
    }
}

const UNSEEN: &str = "cannot look at the command in /proc (where hidepid= hides it, \
                      see ebpf_diag --explain processes-hidden)";

/// A command that waits to be let go, with everything attached.
pub struct Prepared {
    options: Options,
    /// The file that will be executed.
    pub executable: PathBuf,
    /// Why there is no syscall profile although one was asked for.
    pub refused: Option<Finding>,
    gate: Gate,
    signals: Signals,
    follower: Option<Follower>,
    surroundings: Surroundings,
    inherited: Option<Inherited>,
}

impl Prepared {
    /// Starts the command stopped.
    ///
    /// # Errors
    /// [`SessionError`]; the command has not run.
    pub fn new(options: Options) -> Result<Self, SessionError> {
        Self::listening(options, None)
    }

    /// The same with a stream of what is called, rather than counts.
    pub(crate) fn listening(
        options: Options,
        stream: Option<Stream>,
    ) -> Result<Self, SessionError> {
        let failed = |what| move |error| SessionError::Failed(what, error);
        let environment =
            environment::inherited().map_err(failed("cannot read the environment"))?;
        let path = environment::lookup(&environment, "PATH");
        let executable = program::find(&options.command[0], path)?;
        let execution = Execution::new(&executable, &options.command, &environment)
            .map_err(failed("cannot pass on the command"))?;
        let signals = Signals::watch().map_err(failed("cannot watch signals"))?;
        let inherited = options.closeness.children.then(Inherited::open);
        let start_plain = || {
            Gate::new(
                &execution,
                &signals.inherited_mask,
                &(Box::new(|| Ok(())) as _),
            )
        };
        let (gate, follower, refused) = match options.ebpf {
            Ebpf::Off => (start_plain(), None, None),
            wanted => {
                match Follower::start(&execution, &signals.inherited_mask, &options.limits, stream)
                {
                    Ok((follower, gate)) => (Ok(gate), Some(follower), None),
                    Err(StartError::Gate(error)) => (Err(error), None, None),
                    Err(StartError::Refused(finding)) if wanted == Ebpf::Require => {
                        return Err(SessionError::Refused(finding));
                    }
                    Err(StartError::Refused(finding)) => (start_plain(), None, Some(*finding)),
                }
            }
        };
        let interruption = interruption(&signals).map_err(failed("cannot read signals"))?;
        if let Some(signal) = interruption {
            return Err(SessionError::Interrupted(signal as i32));
        }
        let gate = gate.map_err(|error| not_started(&executable, error))?;
        let pid = gate.pid.as_raw() as u32;
        let surroundings = Surroundings::of(pid, None, &Counted::FromExec(pid));
        if follower.is_some() || Access::of_user().is_limited() {
            capabilities::give_up();
        }
        Ok(Self {
            options,
            executable,
            refused,
            gate,
            signals,
            follower,
            surroundings,
            inherited,
        })
    }

    /// Process id of the command.
    pub fn pid(&self) -> i32 {
        self.gate.pid.as_raw()
    }

    /// What cannot be measured here, and why.
    pub fn absent(&self) -> &BTreeMap<&'static str, String> {
        &self.surroundings.absent
    }

    /// How syscalls are counted, if they are.
    pub fn backend(&self) -> Option<&Backend> {
        self.follower.as_ref().map(Follower::backend)
    }

    /// Lets the command go, and waits.
    ///
    /// # Errors
    /// [`SessionError::Exec`] if it could not be executed, [`SessionError::Interrupted`] if a signal
    /// came first, [`SessionError::Failed`].
    pub fn run(self, tell: Sink<'_>) -> Result<(Run, Option<u64>), SessionError> {
        let Self {
            options,
            executable,
            gate,
            signals,
            follower,
            surroundings,
            inherited,
            ..
        } = self;
        if let Some(follower) = &follower {
            follower.log_memory("at the start");
        }
        let unfollowed = follower.as_ref().is_none_or(Follower::may_miss_ends);
        let listens = follower.as_ref().is_some_and(|it| it.due().is_some());
        // In another pid namespace the kernel's ids are not those of /proc.
        let ends_are_told =
            follower.is_some() && options.limits.ends && account::in_initial_pid_namespace();
        let sampled = options.closeness.interval.is_some() && options.closeness.children;
        // Of descendants that detach nobody else tells for sure; as their reaper we see them, and what they
        // used. Who listens to calls asks for no usage, and changes nobody's parent.
        let wants_orphans = options.closeness.children && !listens;
        let adopts =
            unfollowed && options.wait_all || wants_orphans && (unfollowed || !ends_are_told);
        if adopts {
            account::become_subreaper()
                .map_err(|error| SessionError::Failed("cannot wait for descendants", error))?;
        }
        let scope = Scope::Command {
            pid: gate.pid.as_raw() as u32,
            adopts,
        };
        let looked_at = sampler::Options {
            scope,
            children: options.closeness.children,
            threads: options.closeness.threads,
            since_process_start: options.closeness.since_process_start,
            ends_are_told,
        };
        let mut sampler = Sampler::new(looked_at, surroundings, inherited)
            .map_err(|error| SessionError::Failed(UNSEEN, error))?;
        sampler.leave_out_of_root(crate::sys::gate::READS, crate::sys::gate::WRITES);
        let started = Instant::now();
        let root = match gate.release() {
            Ok(root) => root,
            Err(error) => {
                return Err(match interruption(&signals) {
                    Ok(Some(signal)) => SessionError::Interrupted(signal as i32),
                    Ok(None) | Err(_) => not_started(&executable, error),
                });
            }
        };
        let deadline = options
            .duration
            .and_then(|duration| started.checked_add(duration));
        let sampling = Sampling::new(sampler, &options.closeness, started);
        let mut watch = Watch::new(
            root,
            signals,
            follower,
            sampling,
            options.wait_all,
            deadline,
        );
        let (root_ended, end) = watch
            .until_end(tell)
            .map_err(|error| SessionError::Failed("cannot wait for the command", error))?;
        let wall = started.elapsed();
        let (sums, _) = watch.sampling.finish(watch.follower.as_mut(), tell);
        let usage_is_whole = (sampled || !watch.outlived) && sums.disowned == 0;
        let mut map_bytes = None;
        let syscalls = match watch.follower {
            None => None,
            Some(follower) => {
                follower.log_memory("at the end");
                map_bytes = follower.map_bytes();
                let (snapshot, ns_per_syscall) = follower.finish().map_err(|error| {
                    SessionError::Failed("cannot read the counts", io::Error::other(error))
                })?;
                Some(analyse::profile(
                    snapshot,
                    wall,
                    Duration::from_nanos(sums.used.cpu_ns),
                    usage_is_whole,
                    ns_per_syscall,
                ))
            }
        };
        let run = Run {
            end,
            exit: Some(root_ended.exit),
            wall,
            attached: false,
            // It is not told apart from that of the descendants.
            usage: Some(root_ended.usage).filter(|_| options.closeness.children),
            usage_is_whole,
            sums,
            syscalls,
            in_progress: BTreeMap::new(),
        };
        Ok((run, map_bytes))
    }
}

fn not_started(executable: &std::path::Path, error: GateError) -> SessionError {
    match error {
        GateError::Exec(error) => SessionError::Exec(executable.display().to_string(), error),
        other => SessionError::Failed("cannot start the command", io::Error::other(other)),
    }
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
