//! A session: a command is started stopped, or running processes are attached to; then they are observed until
//! the end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::access::Access;
use super::analyse;
use super::command::Command;
use super::event_loop::{self, Failure, Observation, interruption};
use super::follow::{Follower, Stream};
use super::model::{Backend, End, Run};
use super::sampling::{Sampling, SamplingOptions, Sink};
use super::{Limits, StartError};
use crate::checks::finding::Finding;
use crate::checks::scope::NOT_YOURS;
use crate::process::inherited::Inherited;
use crate::process::program::{self, Unrunnable};
use crate::process::sampler::{self, Sampler};
use crate::process::seen::{self, Subject};
use crate::process::surroundings::{Counted, Surroundings};
use crate::process::target::{Selection, Target};
use crate::process::{cgroup, sums::Sums};
use crate::sys::gate::{self, Execution, Gate, GateError};
use crate::sys::signals::{Arrived, Signals};
use crate::sys::{account, capabilities, environment, processes};

/// Whether the syscall profile is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ebpf {
    /// No.
    Off,
    /// If it is possible.
    Auto,
    /// If it is not possible, nothing is started.
    Require,
}

/// What to observe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to observe.
    pub target: Target,
    /// The syscall profile.
    pub ebpf: Ebpf,
    /// Stop after that long; a command is ended.
    pub duration: Option<Duration>,
    /// Continue until the last descendant has ended.
    pub wait_all: bool,
    /// What to sample, and how often.
    pub sampling: SamplingOptions,
    /// Limits of the syscall profile.
    pub limits: Limits,
}

/// Why there was no session.
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
    /// There is no such process or cgroup; why.
    #[error("{0}")]
    NoTarget(String),
    /// A signal came before the command was started.
    #[error("interrupted before the command was started")]
    Interrupted(i32),
    /// denet itself failed.
    #[error("{0}: {1}")]
    Failed(&'static str, io::Error),
}

impl SessionError {
    /// The error for a finding: eBPF cannot be used at all, or not for this target.
    fn refused(finding: Box<Finding>) -> Self {
        match finding.id {
            NOT_YOURS => Self::NotYours(finding),
            _ => Self::Refused(finding),
        }
    }
}

impl From<Failure> for SessionError {
    fn from((what, error): Failure) -> Self {
        Self::Failed(what, error)
    }
}

const UNSEEN: &str = "cannot look at the command in /proc (where hidepid= hides it, \
                      see ebpf_diag --explain processes-hidden)";

/// Processes with everything attached to them; a command is still stopped.
pub struct Session {
    options: Options,
    /// What is observed, for people.
    pub subject: Subject,
    /// Why there is no syscall profile although one was requested.
    pub refused: Option<Finding>,
    signals: Signals,
    root: Root,
    follower: Option<Follower>,
    sampler: Sampler,
    started: Instant,
    // Samples cover all processes whose resource usage belongs to the target.
    samples_all: bool,
}

/// The process whose end is the end of the session.
enum Root {
    /// A command that has not been released yet; its file.
    Stopped(Gate, PathBuf),
    /// A command.
    Command(Command),
    /// A process that denet did not start.
    Process { pidfd: OwnedFd, has_ended: bool },
    /// A cgroup without samples, which would find new members; its directory.
    Members(PathBuf),
    /// None.
    None,
}

/// What was opened for a target.
struct Opened {
    subject: Subject,
    root: Root,
    follower: Option<Follower>,
    refused: Option<Finding>,
    surroundings: Surroundings,
    inherited: Option<Inherited>,
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
            surroundings,
            inherited,
        } = opened;
        // In another pid namespace the kernel's ids are not those of /proc.
        let ends_are_told =
            follower.is_some() && options.limits.ends && account::in_initial_pid_namespace();
        let adopts = matches!(root, Root::Stopped(..))
            && adopt_orphans(&options, follower.as_ref(), ends_are_told)?;
        let sampled = sampler::Options {
            target: options.target.clone(),
            root: subject.pid,
            adopts,
            threads: options.sampling.threads,
            since_process_start: options.sampling.since_process_start,
            ends_are_told,
        };
        let mut sampler = Sampler::new(sampled, surroundings, inherited)
            .map_err(|error| unsampled(&root, error))?;
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
    pub fn absent(&self) -> &BTreeMap<&'static str, String> {
        self.sampler.absent()
    }

    /// How syscalls are counted, if they are.
    pub fn backend(&self) -> Option<&Backend> {
        self.follower.as_ref().map(Follower::backend)
    }

    /// Releases a command, and observes until the end. Also returns the kernel memory of all maps in bytes.
    ///
    /// # Errors
    /// [`SessionError::Exec`] if a command could not be executed, [`SessionError::Interrupted`] if a signal
    /// came first, [`SessionError::Failed`].
    pub fn run(self, sink: Sink<'_>) -> Result<(Run, Option<u64>), SessionError> {
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

/// Starts a command, stopped, with everything attached to it.
fn open_command(
    command: &[OsString],
    options: &Options,
    signals: &Signals,
    stream: Option<Stream>,
) -> Result<Opened, SessionError> {
    let failed = |what| move |error| SessionError::Failed(what, error);
    let environment = environment::inherited().map_err(failed("cannot read the environment"))?;
    let executable = program::find(&command[0], environment::lookup(&environment, "PATH"))?;
    let execution = Execution::new(&executable, command, &environment)
        .map_err(failed("cannot pass on the command"))?;
    let mask = &signals.inherited_mask;
    let inherited = options.target.descendants.then(Inherited::open);
    let start_plain = || Gate::new(&execution, mask, &(Box::new(|| Ok(())) as _));
    let (gate, follower, refused) = match options.ebpf {
        Ebpf::Off => (start_plain(), None, None),
        wanted => match Follower::start(&execution, mask, &options.target, &options.limits, stream)
        {
            Ok((follower, gate)) => (Ok(gate), Some(follower), None),
            Err(StartError::Gate(error)) => (Err(error), None, None),
            Err(StartError::Refused(finding)) if wanted == Ebpf::Require => {
                return Err(SessionError::Refused(finding));
            }
            Err(StartError::Refused(finding)) => (start_plain(), None, Some(*finding)),
        },
    };
    if let Some(signal) = interruption(signals)? {
        return Err(SessionError::Interrupted(signal as i32));
    }
    let gate = gate.map_err(|error| not_started(&executable, error))?;
    let pid = gate.pid.as_raw() as u32;
    let surroundings = Surroundings::of(pid, None, &Counted::FromExec(pid));
    if follower.is_some() || Access::of_user().is_limited() {
        capabilities::give_up();
    }
    Ok(Opened {
        subject: Subject {
            title: String::new(),
            pid: Some(pid),
            command: command.to_vec(),
            executable: Some(executable.clone()),
        },
        root: Root::Stopped(gate, executable),
        follower,
        refused,
        surroundings,
        inherited,
    })
}

/// Makes denet the parent of orphans if their ends and usage would not be known otherwise.
fn adopt_orphans(
    options: &Options,
    follower: Option<&Follower>,
    ends_are_told: bool,
) -> Result<bool, SessionError> {
    let may_miss_ends = follower.is_none_or(Follower::may_miss_ends);
    // A stream shows no usage, and changes no process' parent.
    let streams = follower.is_some_and(|follower| follower.due().is_some());
    let needs_usage = options.target.descendants && !streams;
    let adopts =
        may_miss_ends && options.wait_all || needs_usage && (may_miss_ends || !ends_are_told);
    if adopts {
        account::become_subreaper()
            .map_err(|error| SessionError::Failed("cannot wait for descendants", error))?;
    }
    Ok(adopts)
}

/// Attaches to processes that are running.
fn attach(options: &Options, stream: Option<Stream>) -> Result<Opened, SessionError> {
    let (subject, root) = find(options)?;
    let access = Access::of_user();
    let (follower, refused) = match options.ebpf {
        Ebpf::Off => (None, None),
        wanted => match access
            .check(&options.target)
            .map_err(StartError::Refused)
            .and_then(|()| Follower::attach_to(&options.target, &options.limits, stream))
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
    if let (Root::Process { pidfd, .. }, Some(pid)) = (&root, subject.pid)
        && access.is_limited()
        && has_ended(pidfd)
    {
        return Err(SessionError::NoTarget(format!(
            "process {pid} ended while denet attached to it"
        )));
    }
    // Hardware counters of running processes are opened with the user's own rights.
    if follower.is_some() || access.is_limited() {
        capabilities::give_up();
    }
    Ok(Opened {
        surroundings: surroundings(&options.target),
        subject,
        root,
        follower,
        refused,
        inherited: None,
    })
}

/// Finds what is to be attached to.
fn find(options: &Options) -> Result<(Subject, Root), SessionError> {
    match &options.target.selection {
        Selection::Process(pid) => {
            let subject = seen::process(*pid).map_err(SessionError::NoTarget)?;
            let pidfd = processes::pidfd(*pid).map_err(|error| {
                SessionError::NoTarget(format!("cannot follow process {pid}: {error}"))
            })?;
            let root = Root::Process {
                pidfd,
                has_ended: false,
            };
            Ok((subject, root))
        }
        Selection::Cgroup(folder) => {
            let root = match options.sampling.interval {
                None => Root::Members(folder.clone()),
                Some(_) => Root::None,
            };
            Ok((Subject::of(format!("cgroup {}", folder.display())), root))
        }
        Selection::Machine | Selection::Command(_) => {
            Ok((Subject::of("the whole machine".to_owned()), Root::None))
        }
    }
}

fn surroundings(target: &Target) -> Surroundings {
    match &target.selection {
        Selection::Process(pid) => {
            Surroundings::of(*pid, None, &Counted::Threads(seen::threads(*pid)))
        }
        Selection::Cgroup(folder) => {
            let members = cgroup::members(folder).unwrap_or_default();
            let threads = members.iter().flat_map(|pid| seen::threads(*pid)).collect();
            let first = members.first().copied().unwrap_or_else(std::process::id);
            Surroundings::of(first, Some(folder), &Counted::Threads(threads))
        }
        Selection::Machine | Selection::Command(_) => {
            Surroundings::of(std::process::id(), None, &Counted::Nobody)
        }
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

fn not_started(executable: &Path, error: GateError) -> SessionError {
    match error {
        GateError::Exec(error) => SessionError::Exec(executable.display().to_string(), error),
        other => SessionError::Failed("cannot start the command", io::Error::other(other)),
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut source = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut source, PollTimeout::ZERO), Ok(1))
}

/// What is observed, while it is.
struct Observed<'a> {
    root: Root,
    follower: Option<Follower>,
    sampling: Sampling,
    wait_all: bool,
    deadline: Option<Instant>,
    sink: Sink<'a>,
}

impl Observed<'_> {
    /// Waits for all children that have ended.
    fn reap(&mut self) -> io::Result<()> {
        let Root::Command(command) = &mut self.root else {
            return Ok(());
        };
        loop {
            let was_running = command.ended.is_none();
            let sampling = &mut self.sampling;
            let Some(child) = command.reap(|pid| sampling.about_to_be_reaped(pid))? else {
                return Ok(());
            };
            sampling.reaped(child, self.sink);
            if was_running && command.ended.is_some() {
                command.has_survivors = self.follower.as_ref().is_some_and(|it| it.live() > 0);
            }
        }
    }

    /// Lets the follower work, which also follows new members of a cgroup.
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
        }
    }

    /// Descendants are alive that the session waits for.
    fn waits_for_others(&self) -> bool {
        let is_alive = match (&self.follower, &self.root) {
            (None, Root::Command(command)) => command.has_orphans,
            (None, _) => self.sampling.living() > 0,
            (Some(follower), Root::Command(command)) if follower.may_miss_ends() => {
                follower.live() > 0 && command.has_orphans
            }
            (Some(follower), _) => follower.live() > 0,
        };
        self.wait_all && is_alive
    }

    fn finish(
        self,
        end: End,
        wall: Duration,
        samples_all: bool,
        descendants: bool,
    ) -> Result<(Run, Option<u64>), SessionError> {
        let mut follower = self.follower;
        let (sums, exit) = self.sampling.finish(follower.as_mut(), self.sink);
        let (attached, exit, usage, is_accounted) = match self.root {
            Root::Command(command) => (
                false,
                command.ended.map(|ended| ended.exit),
                // It cannot be told apart from the usage of descendants.
                command
                    .ended
                    .map(|ended| ended.usage)
                    .filter(|_| descendants),
                samples_all || !command.has_survivors,
            ),
            root => (true, exit.filter(|_| root.has_ended()), None, true),
        };
        let usage_is_whole = is_accounted && sums.disowned == 0;
        let in_progress = follower.as_ref().map(|it| it.in_progress().clone());
        let map_bytes = follower.as_ref().and_then(Follower::map_bytes);
        let syscalls = follower
            .map(|follower| profile(follower, wall, &sums, usage_is_whole))
            .transpose()?;
        let run = Run {
            end,
            exit,
            wall,
            attached,
            usage,
            usage_is_whole,
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
        due.min()
    }

    fn signal(&mut self, arrived: Arrived) -> Result<Option<Signal>, SessionError> {
        let wanted = Ok(Some(arrived.signal).filter(|_| arrived.asks_to_stop()));
        let Root::Command(command) = &self.root else {
            return wanted;
        };
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
        self.sampling.tick(self.follower.as_mut(), self.sink);
        let is_over = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        let has_ended = self.root.has_ended();
        if let Root::Command(command) = &mut self.root {
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
    /// Looks whether the process has ended.
    fn check(&mut self) {
        if let Self::Process { pidfd, has_ended } = self {
            *has_ended = *has_ended || self::has_ended(pidfd);
        }
    }

    /// The process has ended; never if there is none.
    fn has_ended(&self) -> bool {
        match self {
            Self::Command(command) => command.ended.is_some(),
            Self::Process { has_ended, .. } => *has_ended,
            Self::Stopped(..) | Self::Members(_) | Self::None => false,
        }
    }
}

/// Follows members of a cgroup that no other member started.
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

fn profile(
    follower: Follower,
    wall: Duration,
    sums: &Sums,
    usage_is_whole: bool,
) -> Result<super::model::SyscallProfile, SessionError> {
    follower.log_memory("at the end");
    let (snapshot, ns_per_syscall) = follower
        .finish()
        .map_err(|error| SessionError::Failed("cannot read the counts", io::Error::other(error)))?;
    let cpu = Duration::from_nanos(sums.used.cpu_ns);
    Ok(analyse::profile(
        snapshot,
        wall,
        cpu,
        usage_is_whole,
        ns_per_syscall,
    ))
}
