//! What is so on this machine, for this process: read, not judged.
//!
//! Everything is looked up once, in one tree ([`Root`]: this machine's, or a recorded one), by
//! functions that take that tree and parsers that take text. What comes of it is data: it can be
//! saved, and judged elsewhere. An error never becomes a value: each [`Fact`] is known, absent, denied
//! or failed.
//!
//! [`access`], [`exec`] and [`accounts`] answer for somebody else: whether another user gets at a
//! file, and what that user may do once the binary is executed.

pub(crate) mod access;
pub(crate) mod accounts;
pub mod binary;
pub(crate) mod cgroup;
pub(crate) mod config;
pub(crate) mod embedded;
pub(crate) mod environment;
pub(crate) mod exec;
mod fact;
pub mod host;
pub mod interfaces;
pub mod kernel;
pub(crate) mod kernel_types;
pub(crate) mod limits;
pub mod loaded;
pub(crate) mod machine;
pub(crate) mod mounts;
pub mod object;
pub(crate) mod privileges;
pub mod probes;
mod saved;
pub(crate) mod scope;
pub(crate) mod security;
pub(crate) mod sysctls;
pub(crate) mod tracepoints;

pub use fact::Fact;
pub(crate) use saved::{SCHEMA, SavedError};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sys::root::Root;
use binary::Binary;
use exec::{ExecError, after_exec};
use privileges::Privileges;
use scope::Scope;

/// Who is asked about, and which binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// A user's name or number; without one this process.
    pub(crate) user: Option<String>,
    /// The binary that the user executes; without one that of this process.
    pub(crate) binary: Option<PathBuf>,
}

/// Who the facts are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// Name of the user; `Absent` if `/etc/passwd` has none for the id.
    pub(crate) user: Fact<String>,
    /// It is not the process that looked: what it would hold was worked out.
    pub(crate) simulated: bool,
    /// What holds before the binary is executed; the process that looked has that behind it.
    pub(crate) before_exec: Fact<Privileges>,
    /// Why executing the binary fails, or what comes of it cannot be told.
    pub(crate) exec_error: Option<ExecError>,
}

/// Everything that decides whether somebody may use eBPF here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the form in which they are saved: [`SCHEMA`].
    pub(crate) schema: u32,
    /// Whose privileges these are.
    pub(crate) subject: Subject,
    /// What the subject may do, running the binary.
    pub(crate) privileges: Fact<Privileges>,
    /// The file that it runs from.
    pub(crate) binary: Binary,
    /// Whose processes denet shows with privileges from that file, as root configured it; `Absent` if root did
    /// not, `Denied` if the configuration is ignored.
    #[serde(default = "undecided")]
    pub(crate) scope: Fact<Scope>,
    /// The kernel, and what it forbids to everyone.
    pub kernel: kernel::Kernel,
    /// How it was built.
    pub(crate) config: Fact<config::Config>,
    /// How it is set.
    pub sysctls: sysctls::Sysctls,
    /// File systems that eBPF and tracing go through.
    pub(crate) mounts: mounts::Mounts,
    /// Tracepoints that denet uses.
    pub(crate) tracepoints: Vec<tracepoints::Tracepoint>,
    /// Types of the kernel's own.
    pub(crate) kernel_types: Fact<kernel_types::KernelTypes>,
    /// Security modules.
    pub(crate) security: security::Security,
    /// Resource limits of the process that looked, also where it looked for another user: what a login
    /// sets is not known.
    pub limits: limits::Limits,
    /// Container, virtual machine, namespaces.
    pub(crate) environment: environment::Environment,
    /// Memory of the control groups of the process that looked.
    pub(crate) cgroup: Fact<cgroup::Cgroup>,
    /// CPUs and clocks.
    pub(crate) machine: machine::Machine,
    /// The eBPF objects within the binary that looked.
    pub(crate) objects: Vec<embedded::Embedded>,
    /// Network interfaces of the process that looked, and XDP programs on them; `Failed` in a recorded
    /// tree.
    pub(crate) interfaces: Fact<Vec<interfaces::Interface>>,
    /// What is loaded and attached by anybody; `None` if it was not asked.
    pub(crate) loaded: Option<loaded::Loaded>,
    /// What the kernel answered when it was asked to; `None` if it was not, and for another user, for
    /// whom nobody can ask. For another binary only whether bpf(2) is reached.
    pub probes: Option<probes::Probes>,
}

impl Facts {
    /// Those of this machine and process that can be read, in some milliseconds; nothing is tried.
    pub fn probe() -> Self {
        Self::read(&Root::default(), &Target::default())
    }

    /// Those that can be read in a tree.
    pub(crate) fn read(root: &Root, target: &Target) -> Self {
        let table = mounts::table(root);
        let binary = Binary::probe(root, target.binary.as_deref(), &table);
        let kernel = kernel::Kernel::probe(root);
        let mounts = mounts::Mounts::probe(root, &table);
        let (subject, privileges) = subject(root, target, &binary);
        Self {
            schema: SCHEMA,
            subject,
            privileges,
            binary,
            scope: scope::probe(root),
            config: config::Config::probe(root, &kernel),
            kernel,
            sysctls: sysctls::Sysctls::probe(root),
            tracepoints: tracepoints::Tracepoint::probe_all(root, &mounts),
            kernel_types: kernel_types::KernelTypes::probe(root),
            security: security::Security::probe(root),
            limits: limits::Limits::probe(root),
            environment: environment::Environment::probe(root),
            cgroup: cgroup::Cgroup::probe(root, &mounts),
            mounts,
            machine: machine::Machine::probe(root),
            objects: embedded::all(),
            interfaces: interfaces::Interface::probe_all(root),
            loaded: None,
            probes: None,
        }
    }

    /// Those, and what the running kernel lists and answers when it is asked. What is loaded for that
    /// is gone when this returns; nothing is written or mounted. The kernel is asked only about this
    /// process and only on this machine, else nothing more is read than by [`Facts::read`].
    #[cfg(feature = "ebpf")]
    pub fn with_probes(root: &Root, target: &Target) -> Self {
        let mut facts = Self::read(root, target);
        if root.is_live() {
            facts.loaded = Some(loaded::Loaded::probe());
            facts.probes = if !facts.subject.simulated {
                Some(probes::Probes::run(&facts))
            } else if target.user.is_none() {
                // The same process, after an execve: filters of system calls are inherited.
                Some(probes::Probes::reach())
            } else {
                None
            };
        }
        facts
    }
}

/// For facts that were saved before this field existed.
fn undecided() -> Fact<Scope> {
    Fact::Absent
}

fn subject(root: &Root, target: &Target, binary: &Binary) -> (Subject, Fact<Privileges>) {
    if target.user.is_none() && target.binary.is_none() {
        let privileges = Privileges::probe(root);
        let subject = Subject {
            user: named(root, &privileges),
            simulated: false,
            before_exec: Fact::Absent,
            exec_error: None,
        };
        return (subject, privileges);
    }
    let before_exec = match &target.user {
        Some(user) => accounts::of_user(root, user),
        None => Privileges::probe(root),
    };
    let mut exec_error = None;
    let privileges = before_exec
        .as_ref()
        .and_then(|before| match after_exec(before, binary) {
            Ok(privileges) => Fact::Known(privileges),
            Err(error) => {
                let why = format!("execve of the binary: {error}");
                let refused = !matches!(error, ExecError::Unknown(_));
                exec_error = Some(error);
                if refused {
                    Fact::Denied(why)
                } else {
                    Fact::Failed(why)
                }
            }
        });
    let subject = Subject {
        user: named(root, &before_exec),
        simulated: true,
        before_exec,
        exec_error,
    };
    (subject, privileges)
}

fn named(root: &Root, privileges: &Fact<Privileges>) -> Fact<String> {
    privileges
        .as_ref()
        .and_then(|privileges| accounts::name_of(root, privileges.real_uid))
}

#[cfg(test)]
pub(crate) mod tests;
