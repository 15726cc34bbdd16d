//! What the kernel will answer to an operation, and which of its checks decides.
//!
//! [`predict`] walks through the kernel's own checks in the kernel's own order: the first that refuses
//! is the answer. Each rule names the function that it stands in. Versions are those of kernel.org; what
//! stable series took over has its own threshold. tests/kernel_truth compares all of it with what
//! real kernels answered.
//!
//! Not modelled: BPF tokens, network namespaces with an owner of their own, tracing another process.

mod attach;
mod bpf;
mod conditions;
mod exec;
mod files;
mod of_facts;
mod operation;
mod perf;
#[cfg(test)]
mod tests;

use std::fmt;

pub use conditions::{
    Built, Conditions, Denials, Distribution, Inode, LockedDown, Opened, Tracefs, Version,
};
pub use exec::{Executable, after_execve};
pub(crate) use of_facts::is_built;
pub use operation::{Event, Link, Operation, PerfEvent, Program, Symbol, TracefsFile};

use crate::facts::kernel::Lockdown;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

/// What the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does it.
    Ok,
    /// It does it, and blots out what this process may not see.
    Zeroes,
    /// It refuses.
    Errno(i32),
}

/// An answer and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The answer.
    pub outcome: Outcome,
    /// Why.
    pub because: Because,
}

/// The check that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The kernel function that it stands in; for `Ok`, the last one that is asked.
    pub(crate) function: &'static str,
    /// What was checked.
    pub(crate) check: Check,
}

/// What a check asks for, and was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// None refuses.
    Passed,
    /// One of these, effective, in the initial user namespace.
    Capability(&'static [Cap]),
    /// One of these, or `kernel.unprivileged_bpf_disabled` 0.
    UnprivilegedBpf(&'static [Cap]),
    /// One of these, or `kernel.perf_event_paranoid` below this level.
    Paranoid(i32, &'static [Cap]),
    /// The same, a level that only the distribution's kernel knows.
    DistributionParanoid(i32, &'static [Cap]),
    /// A `kernel.kptr_restrict` that shows addresses to this process.
    KptrRestrict,
    /// A seccomp filter that lets the call through.
    Seccomp,
    /// A security module that lets the call through.
    SecurityModule,
    /// A lockdown weaker than this.
    Lockdown(Lockdown),
    /// This version of Linux.
    Since(Release),
    /// A switch of the kernel's configuration.
    Config(&'static str),
    /// RLIMIT_MEMLOCK of so many bytes.
    Memlock {
        /// What is charged, in bytes.
        needed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// At most so many instructions.
    Instructions(u32),
    /// A program that the verifier accepts.
    Verifier,
    /// Read, write or search permission on this.
    Permission(&'static str),
    /// That this exists.
    Present(&'static str),
    /// That no function on the kprobe blacklist is probed.
    Probeable,
    /// All capabilities of the file within the bounding set.
    BoundingSet,
}

/// What the kernel answers to this operation of a process under these conditions.
pub(crate) fn predict(operation: &Operation, conditions: &Conditions) -> Prediction {
    let checked = match *operation {
        Operation::Execve(file) => exec::gained(file, conditions).map(|_| ()),
        Operation::MapCreate { map, bytes } => bpf::map_create(map, bytes, conditions),
        Operation::MapLookup => bpf::map_lookup(conditions),
        Operation::BtfLoad => bpf::btf_load(conditions),
        Operation::ProgLoad(program) => bpf::prog_load(program, conditions),
        Operation::ReadInstructions => bpf::read_instructions(conditions),
        Operation::NextId { exists } => bpf::next_id(exists, conditions),
        Operation::Pin => bpf::pin(conditions),
        Operation::RawTracepointOpen { exists } => attach::raw_tracepoint_open(exists, conditions),
        Operation::LinkCreate(link) => attach::link_create(link, conditions),
        Operation::CgroupAttach(kind) => attach::cgroup_attach(kind, conditions),
        Operation::XdpNetlink => attach::xdp_netlink(conditions),
        Operation::PerfEventOpen(event) => perf::open(event, conditions),
        // perf_event_set_bpf_prog: whoever holds both descriptors may join them.
        Operation::SetBpf => Ok(()),
        Operation::Tracefs(file) => files::tracefs(file, conditions),
        Operation::ListDebugfs => files::debugfs(conditions),
        Operation::KernelType { since } => files::kernel_type(since, conditions),
        Operation::ReadKernelBtf => files::kernel_btf(conditions),
        Operation::ReadKallsyms => files::kallsyms(conditions),
    };
    checked.err().unwrap_or(Prediction {
        outcome: Outcome::Ok,
        because: Because {
            function: operation.function(),
            check: Check::Passed,
        },
    })
}

/// The first of several operations that is not answered with [`Outcome::Ok`], and the answer. What
/// takes several steps, such as loading and attaching, ends there.
pub fn first_refusal(
    operations: &[Operation],
    conditions: &Conditions,
) -> Option<(usize, Prediction)> {
    let answers = operations.iter().map(|it| predict(it, conditions));
    let mut refusals = answers
        .enumerate()
        .filter(|(_, answer)| answer.outcome != Outcome::Ok);
    refusals.next()
}

/// Goes on, or is the answer.
type Checked = Result<(), Prediction>;

fn refusal(errno: i32, function: &'static str, check: Check) -> Prediction {
    Prediction {
        outcome: Outcome::Errno(errno),
        because: Because { function, check },
    }
}

/// One check of the kernel.
fn require(holds: bool, errno: i32, function: &'static str, check: Check) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(refusal(errno, function, check))
    }
}

/// `capable(a) || capable(b) …`
fn require_capability(
    caps: &'static [Cap],
    errno: i32,
    function: &'static str,
    conditions: &Conditions,
) -> Checked {
    let held = conditions.any_of(caps);
    require(held, errno, function, Check::Capability(caps))
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.check)
    }
}

fn names(caps: &[Cap]) -> String {
    let names: Vec<_> = caps.iter().map(|cap| cap.name()).collect();
    names.join(" or ")
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("no check refuses it"),
            Self::Capability(caps) => write!(f, "{} is missing", names(caps)),
            Self::UnprivilegedBpf(caps) => write!(
                f,
                "kernel.unprivileged_bpf_disabled is not 0, and {} is missing",
                names(caps)
            ),
            Self::Paranoid(level, caps) => write!(
                f,
                "kernel.perf_event_paranoid is {level} or more, and {} is missing",
                names(caps)
            ),
            Self::DistributionParanoid(level, caps) => write!(
                f,
                "kernel.perf_event_paranoid is {level} or more, which this distribution's kernel \
                 refuses without {}",
                names(caps)
            ),
            Self::KptrRestrict => f.write_str("kernel.kptr_restrict hides addresses"),
            Self::Seccomp => f.write_str("a seccomp filter denies it"),
            Self::SecurityModule => f.write_str("a security module denies it"),
            Self::Lockdown(Lockdown::Confidentiality) => {
                f.write_str("the kernel is locked down, confidentiality")
            }
            Self::Lockdown(_) => f.write_str("the kernel is locked down"),
            Self::Since(release) => write!(f, "it came with Linux {release}"),
            Self::Config(switch) => write!(f, "the kernel is built without {switch}"),
            Self::Memlock { needed, limit } => write!(
                f,
                "{needed} bytes are charged to RLIMIT_MEMLOCK, which is {limit}"
            ),
            Self::Instructions(most) => write!(f, "more than {most} instructions"),
            Self::Verifier => f.write_str("the verifier rejects the program"),
            Self::Permission(what) => write!(f, "the mode of {what} does not permit it"),
            Self::Present(what) => write!(f, "there is no such {what}"),
            Self::Probeable => f.write_str("the function is on the kprobe blacklist"),
            Self::BoundingSet => {
                f.write_str("the file gives capabilities that are outside the bounding set")
            }
        }
    }
}
