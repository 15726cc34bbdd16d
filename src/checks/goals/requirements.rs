//! What a backend's requirements mean to the doctor: where it applies, which operations are predicted, which
//! checks concern it.

use crate::backends::requirement::{Requirement, call, map};
use crate::backends::table::{Backend, Mechanism, WALKS_TASKS};
use crate::checks::kernel::TRACEPOINT_EVENT;
use crate::checks::predict::{Event, Link, Operation, PerfEvent, Program};
use crate::decode::uapi::maps::map_type;
use crate::facts::kernel::PREEMPTS_PROGRAMS;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;

const LOADING: &[&str] = &[
    "kernel-without-bpf",
    "kernel-too-old",
    "not-executable",
    "user-namespace",
    "bounding-set",
    "nosuid-mount",
    "no-new-privs",
    "file-capabilities-missing",
    "file-capabilities-partial",
    "file-capabilities-not-effective",
    "file-capabilities-unknown",
    "capabilities-dropped",
    "seccomp",
    "security-module",
    "memlock",
    "nofile",
    "cgroup-memory",
    "jit-limit",
    "jit-off",
    "object-broken",
];
const TYPES: &[&str] = &["kernel-without-btf", "kernel-btf-malformed"];
const TRACEFS: &[&str] = &["tracefs-not-mounted", "tracefs-unreadable"];

/// Some requirements, and the checks that concern them.
type Group = (fn(&Requirement) -> bool, &'static [&'static str]);

/// In the order in which the checks are reported.
const GROUPS: &[Group] = &[
    (|it| matches!(it, Requirement::Program(..)), LOADING),
    (
        |it| *it == Requirement::OwnCycles,
        &[
            "no-hardware-counters",
            "not-executable",
            "seccomp",
            "security-module",
        ],
    ),
    (|it| is_at_tracepoint(it), &["kernel-without-events"]),
    (
        |it| matches!(it, Requirement::Map(map::RINGBUF, _)),
        &["ring-buffer"],
    ),
    (|it| reads_the_kernel(it), &["lockdown"]),
    (|it| uses_types(it), TYPES),
    (
        |it| matches!(it, Requirement::RawTracepoint(_)),
        &["runs-skipped"],
    ),
    (|it| *it == Requirement::TracepointEvent, TRACEFS),
    (|it| is_event(it), &["perf-event-paranoid"]),
    (
        |it| *it == Requirement::XdpLink,
        &["net-admin-missing", "xdp-busy"],
    ),
    (
        |it| *it == Requirement::KernelSamples,
        &["lockdown", "kernel-addresses-hidden"],
    ),
];

fn is_event(requirement: &Requirement) -> bool {
    matches!(
        requirement,
        Requirement::TracepointEvent | Requirement::KernelSamples | Requirement::OwnCycles
    )
}

fn is_at_tracepoint(requirement: &Requirement) -> bool {
    matches!(
        requirement,
        Requirement::RawTracepoint(_) | Requirement::TracepointEvent | Requirement::KernelSamples
    )
}

fn reads_the_kernel(requirement: &Requirement) -> bool {
    matches!(
        requirement,
        Requirement::Program(_, Some(call::PROBE_READ_KERNEL)) | Requirement::TracepointEvent
    )
}

fn uses_types(requirement: &Requirement) -> bool {
    matches!(
        requirement,
        Requirement::Type(_) | Requirement::TaskWalk | Requirement::TypesForRunning
    )
}

pub(super) fn opens_events(backend: &Backend) -> bool {
    backend.requires.iter().any(is_event)
}

impl Backend {
    /// Ids of the checks that explain why it is not available, or what it costs.
    pub(crate) fn checks(&self, facts: &Facts) -> impl Iterator<Item = &'static str> {
        let own_tracefs = self.mechanism == Mechanism::Event && brings_tracefs(facts);
        GROUPS
            .iter()
            .filter(|(is_needed, _)| self.requires.iter().any(is_needed))
            .flat_map(|(_, ids)| ids.iter().copied())
            .filter(move |id| !(own_tracefs && TRACEFS.contains(id)))
    }
}

/// Whether it is used on such a kernel by such a process.
pub(super) fn applies(backend: &Backend, facts: &Facts) -> bool {
    if shows_commands_only(backend) && lacks_ids(facts) {
        return false;
    }
    match backend.mechanism {
        Mechanism::Event => {
            let running = facts.kernel.release();
            running.is_some_and(|running| running >= PREEMPTS_PROGRAMS)
        }
        Mechanism::Function => false,
        Mechanism::Xdp => reads_by_pointers(facts),
        Mechanism::XdpByHelpers => !reads_by_pointers(facts),
        Mechanism::Raw | Mechanism::Typed | Mechanism::Other => true,
    }
}

/// Without the kernel's types, a monitor or a trace shows only commands that denet starts.
fn shows_commands_only(backend: &Backend) -> bool {
    let has = |wanted| backend.requires.contains(&wanted);
    has(Requirement::TypesForRunning) && !has(Requirement::TaskWalk)
}

/// Only the kernel's types show the ids that processes have in a pid namespace that is not the initial one.
fn lacks_ids(facts: &Facts) -> bool {
    facts.environment.initial_pid_namespace == Fact::Known(false)
        && facts.kernel_types == Fact::Absent
}

/// To compute with pointers into a frame takes CAP_PERFMON (`adjust_ptr_min_max_vals`, kernel/bpf/verifier.c).
fn reads_by_pointers(facts: &Facts) -> bool {
    let who = facts.privileges.known();
    who.is_none_or(|who| who.effective.has(Cap::Perfmon) || who.effective.has(Cap::SysAdmin))
}

/// root mounts a tracefs for itself, in no directory.
fn brings_tracefs(facts: &Facts) -> bool {
    let who = facts.privileges.known();
    let may = who.is_some_and(|who| who.effective.has(Cap::SysAdmin));
    may && facts.mounts.tracefs == Fact::Absent
}

/// What the kernel is requested to do.
pub(super) fn operation(requirement: &Requirement) -> Option<Operation> {
    Some(match *requirement {
        Requirement::Map(number, bytes) => Operation::MapCreate {
            map: map_type(number)?,
            bytes,
        },
        Requirement::Program(kind, calls) => Operation::ProgLoad(Program {
            calls,
            ..Program::minimal(kind)
        }),
        Requirement::Type(since) => Operation::KernelType { since },
        Requirement::TaskWalk => Operation::KernelType { since: WALKS_TASKS },
        Requirement::RawTracepoint(_) => Operation::RawTracepointOpen { exists: true },
        Requirement::TracepointEvent => Operation::PerfEventOpen(TRACEPOINT_EVENT),
        Requirement::KernelSamples => Operation::PerfEventOpen(PerfEvent {
            event: Event::SoftwareClock,
            ..TRACEPOINT_EVENT
        }),
        Requirement::SampledProgram => Operation::SetBpf,
        Requirement::OwnCycles => Operation::PerfEventOpen(PerfEvent {
            event: Event::SoftwareClock,
            everywhere: false,
            kernel: false,
            ..TRACEPOINT_EVENT
        }),
        Requirement::XdpLink => Operation::LinkCreate(Link::Xdp),
        Requirement::TypesForRunning => return None,
    })
}
