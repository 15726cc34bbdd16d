//! Starts a command in stopped state, or finds running processes, and attaches to them.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::StartError;
use super::access::Access;
use super::event_loop::interruption;
use super::follow::{Follower, Stream};
use super::observed::{Root, has_ended};
use super::options::{Ebpf, Options, SessionError};
use crate::checks::finding::Finding;
use crate::output::exact::Text;
use crate::output::layout::plural;
use crate::process::cgroup;
use crate::process::inherited::Inherited;
use crate::process::program;
use crate::process::seen::{self, Subject};
use crate::process::source;
use crate::process::system_context::{Counted, SystemContext};
use crate::process::target::{Selection, Target};
use crate::sys::gate::{Execution, Gate, GateError};
use crate::sys::signals::Signals;
use crate::sys::{account, capabilities, environment, processes};

/// What was opened for a target.
pub(super) struct Opened {
    pub(super) subject: Subject,
    pub(super) root: Root,
    pub(super) follower: Option<Follower>,
    pub(super) refused: Option<Finding>,
    pub(super) context: SystemContext,
    pub(super) inherited: Option<Inherited>,
}

/// Starts a command in stopped state, with everything attached to it.
pub(super) fn open_command(
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
    let context = SystemContext::of(pid, None, &Counted::FromExec(pid));
    if follower.is_some() || Access::of_user().is_limited() {
        capabilities::give_up();
    }
    Ok(Opened {
        subject: Subject {
            title: Text::default(),
            pid: Some(pid),
            command: command.to_vec(),
            executable: Some(executable.clone()),
        },
        root: Root::Stopped(gate, executable),
        follower,
        refused,
        context,
        inherited,
    })
}

/// Attaches to processes that are running.
pub(super) fn attach(options: &Options, stream: Option<Stream>) -> Result<Opened, SessionError> {
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
        context: system_context(&options.target),
        subject,
        root,
        follower,
        refused,
        inherited: None,
    })
}

/// Finds the processes to attach to.
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
            Ok((Subject::of(cgroup_title(folder)), root))
        }
        Selection::Machine | Selection::Command(_) => {
            let title = match account::in_initial_pid_namespace() {
                true => "the whole machine",
                false => "all processes of this pid namespace",
            };
            Ok((Subject::of(title.into()), Root::None))
        }
    }
}

/// Names the cgroup, and reports members that this pid namespace does not show.
fn cgroup_title(folder: &Path) -> Text {
    let mut title = OsString::from("cgroup ");
    title.push(folder);
    match cgroup::outsiders(folder) {
        0 => {}
        count => {
            let processes = plural(count, "process", "processes");
            title.push(format!(", without {processes} outside this pid namespace"));
        }
    }
    title.as_os_str().into()
}

fn system_context(target: &Target) -> SystemContext {
    match &target.selection {
        Selection::Process(pid) => {
            SystemContext::of(*pid, None, &Counted::Threads(source::threads(*pid)))
        }
        Selection::Cgroup(folder) => {
            let members = cgroup::members(folder).unwrap_or_default();
            let threads = members
                .iter()
                .flat_map(|pid| source::threads(*pid))
                .collect();
            let first = members.first().copied().unwrap_or_else(std::process::id);
            SystemContext::of(first, Some(folder), &Counted::Threads(threads))
        }
        Selection::Machine | Selection::Command(_) => {
            SystemContext::of(std::process::id(), None, &Counted::None)
        }
    }
}

pub(super) fn not_started(executable: &Path, error: GateError) -> SessionError {
    match error {
        GateError::Exec(error) => SessionError::Exec(executable.display().to_string(), error),
        other => SessionError::Failed("cannot start the command", io::Error::other(other)),
    }
}
