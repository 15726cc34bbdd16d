//! The backends, best first for each use, and what each requires; the goals that they serve.
//!
//! A row lists what the command needs, in the order in which it is loaded; sizes are those of its maps.

use super::requirement::Requirement::{
    self, KernelSamples, Map, OwnCycles, Program, SampledProgram, TaskWalk, TracepointEvent, Type,
    TypesForRunning, XdpLink,
};
use super::requirement::{call, map};
use crate::decode::uapi::sections::ProgramKind;
use crate::sys::release::Release;

/// One backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    /// As in reports, JSON and documents: the type of its programs and where they are attached, e.g.
    /// `raw_tp/sys_enter`.
    pub(crate) name: &'static str,
    /// How its programs are attached.
    pub(crate) mechanism: Mechanism,
    /// What it requires of the kernel, in the order of use.
    pub(crate) requires: &'static [Requirement],
}

/// How programs are attached, which decides where a backend applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Perf events of tracepoints: used where the kernel preempts programs of raw tracepoints.
    Event,
    /// Raw tracepoints, whose programs read kernel memory by helpers.
    Raw,
    /// Tracepoints by the kernel's types: no helper reads its memory.
    Typed,
    /// The kernel's functions: only if `--hook` selects them.
    Function,
    /// An XDP program that reads frames by pointers.
    Xdp,
    /// An XDP program that reads frames by helpers, without CAP_PERFMON.
    XdpByHelpers,
    /// Perf events that no command of denet needs.
    Other,
}

/// Where programs for syscalls are attached, as `--hook` selects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hooking {
    /// Raw tracepoints, or where the kernel preempts their programs, perf events.
    #[default]
    Auto,
    /// Raw tracepoints.
    RawTracepoint,
    /// Perf events of tracepoints, which need tracefs.
    Tracepoint,
    /// The kernel's functions.
    Kprobe,
}

/// The mainline version that introduced something, and whether it needs the kernel's types. Distributions
/// backport, so the version only explains a refusal; it never causes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The version.
    pub(crate) since: Release,
    /// The kernel's own types are needed.
    pub(crate) btf: bool,
}

const fn needs(major: u32, minor: u32, btf: bool) -> Needs {
    Needs {
        since: Release(major, minor),
        btf,
    }
}

/// Programs that follow tasks at perf events: `bpf_task_from_pid` (6.2), for tracepoints (6.12).
pub(crate) const EVENTS_NEED: Needs = needs(6, 12, true);
/// `bpf_probe_read_kernel`, which copies tasks.
#[cfg(feature = "ebpf")]
pub(crate) const COPYING_NEEDS: Needs = needs(5, 5, false);
/// `bpf_iter__task`: the type by which a walk over tasks is attached.
pub(crate) const WALKS_TASKS: Release = Release(5, 8);

/// Ring buffer of ended tasks.
pub(crate) const RING_BYTES: u32 = 2 << 20;
/// A record of an execution is a kilobyte: room for some eight thousand.
pub(crate) const EXEC_RING_BYTES: u32 = 8 << 20;
/// Calls are added up in maps; only ended tasks are reported as records.
pub(crate) const NET_RING_BYTES: u32 = 1 << 20;
/// A record of a call is some hundred bytes: room for hundreds of thousands.
pub(crate) const TRACE_RING_BYTES: u32 = 64 << 20;
/// Threads that are traced at full speed; each takes five kilobytes.
#[cfg(feature = "ebpf")]
pub(crate) const TRACE_SLOTS: u32 = 1024;

/// The slots of tasks.
const TASKS: Requirement = Map(map::ARRAY, 4 << 20);
const PIDS: Requirement = Map(map::HASH, 1 << 20);
/// One execution on each CPU.
const EXECUTIONS: Requirement = Map(map::PERCPU_ARRAY, 8 << 10);
/// A call for each thread at full speed.
const TRACED_CALLS: Requirement = Map(map::ARRAY, TRACED_CALLS_BYTES);
const TRACED_CALLS_BYTES: u64 = 6 << 20;
const XDP_COUNTERS: Requirement = Map(map::PERCPU_ARRAY, 64 << 10);

const EVENT: Requirement = Program(ProgramKind::Tracepoint, None);
const EVENT_READS_KERNEL: Requirement =
    Program(ProgramKind::Tracepoint, Some(call::PROBE_READ_KERNEL));
const EVENT_READS_TEXT: Requirement =
    Program(ProgramKind::Tracepoint, Some(call::PROBE_READ_USER_STR));
const RAW: Requirement = Program(ProgramKind::RawTracepoint, None);
const RAW_READS_KERNEL: Requirement = raw_calls(call::PROBE_READ_KERNEL);
const RAW_READS_USER: Requirement = raw_calls(call::PROBE_READ_USER);
const RAW_READS_TEXT: Requirement = raw_calls(call::PROBE_READ_USER_STR);
const RAW_KNOWS_TASK: Requirement = raw_calls(call::GET_CURRENT_TASK_BTF);
const TYPED: Requirement = Program(ProgramKind::Tracing, None);
/// `btf_trace_…`
const TRACEPOINT_TYPES: Requirement = Type(Release(5, 5));
const TASK_FUNCTIONS: Requirement = Type(EVENTS_NEED.since);

const fn raw_calls(helper: u32) -> Requirement {
    Program(ProgramKind::RawTracepoint, Some(helper))
}

const fn ring(bytes: u32) -> Requirement {
    Map(map::RINGBUF, bytes as u64)
}

const fn at(hook: &'static str) -> Requirement {
    Requirement::RawTracepoint(hook)
}

const fn row(
    name: &'static str,
    mechanism: Mechanism,
    requires: &'static [Requirement],
) -> Backend {
    Backend {
        name,
        mechanism,
        requires,
    }
}

/// `denet run`, `denet attach`.
#[rustfmt::skip]
pub(crate) const PROFILE: &[Backend] = &[
    row("tp/raw_syscalls/sys_enter", Mechanism::Event, &[
        TASKS, PIDS, ring(RING_BYTES), TASK_FUNCTIONS, EVENT, TracepointEvent,
    ]),
    row("raw_tp/sys_enter", Mechanism::Raw, &[
        TASKS, PIDS, ring(RING_BYTES), RAW, RAW_READS_KERNEL,
        at("raw_tp/sys_enter"), at("raw_tp/sched_process_fork"), at("raw_tp/sched_process_exec"),
        at("raw_tp/sched_process_exit"),
    ]),
    row("raw_tp/sys_enter, following by tp_btf", Mechanism::Typed, &[
        TASKS, PIDS, ring(RING_BYTES), RAW_KNOWS_TASK, TRACEPOINT_TYPES, TYPED,
        at("raw_tp/sys_enter"), at("tp_btf/sys_enter"),
    ]),
];

/// `denet monitor exec`.
#[rustfmt::skip]
pub(crate) const EXEC: &[Backend] = &[
    row("tp/sched/sched_process_exec", Mechanism::Event, &[
        TASKS, PIDS, ring(EXEC_RING_BYTES), EXECUTIONS, TASK_FUNCTIONS, EVENT_READS_TEXT, TracepointEvent,
    ]),
    row("raw_tp/sched_process_exec", Mechanism::Raw, &[
        TASKS, PIDS, ring(EXEC_RING_BYTES), EXECUTIONS, RAW_READS_KERNEL, RAW_READS_TEXT,
        at("raw_tp/sys_enter"), at("raw_tp/sys_exit"), at("raw_tp/sched_process_exec"),
        TaskWalk, TypesForRunning,
    ]),
    row("tp_btf/sched_process_exec", Mechanism::Typed, &[
        TASKS, PIDS, ring(EXEC_RING_BYTES), EXECUTIONS, RAW_KNOWS_TASK, RAW_READS_TEXT, TRACEPOINT_TYPES,
        TYPED, at("tp_btf/sys_enter"), TaskWalk,
    ]),
    row("raw_tp/sched_process_exec, commands only", Mechanism::Raw, &[
        TASKS, PIDS, ring(EXEC_RING_BYTES), EXECUTIONS, RAW_READS_KERNEL, RAW_READS_TEXT,
        at("raw_tp/sys_enter"), at("raw_tp/sys_exit"), at("raw_tp/sched_process_exec"),
        TypesForRunning,
    ]),
    row("kprobes", Mechanism::Function, &[]),
];

/// `denet monitor net`. Programs find out what a descriptor refers to by following pointers from the descriptor table,
/// which takes both the kernel's types and a helper that reads kernel memory.
#[rustfmt::skip]
pub(crate) const NET: &[Backend] = &[
    row("tp/raw_syscalls/sys_enter, sockets by BTF", Mechanism::Event, &[
        TASKS, PIDS, ring(NET_RING_BYTES), TASK_FUNCTIONS, EVENT_READS_KERNEL, TracepointEvent,
    ]),
    row("raw_tp/sys_enter, sockets by BTF", Mechanism::Raw, &[
        TASKS, PIDS, ring(NET_RING_BYTES), RAW_READS_KERNEL, RAW_READS_USER,
        at("raw_tp/sys_enter"), at("raw_tp/sys_exit"), at("raw_tp/inet_sock_set_state"),
        TaskWalk, TypesForRunning,
    ]),
];

/// `denet trace`.
#[rustfmt::skip]
pub(crate) const TRACE: &[Backend] = &[
    row("tp/raw_syscalls/sys_enter and sys_exit", Mechanism::Event, &[
        TASKS, PIDS, ring(TRACE_RING_BYTES), TRACED_CALLS, TASK_FUNCTIONS, EVENT_READS_TEXT, TracepointEvent,
    ]),
    row("raw_tp/sys_enter and sys_exit", Mechanism::Raw, &[
        TASKS, PIDS, ring(TRACE_RING_BYTES), TRACED_CALLS, RAW_READS_KERNEL, RAW_READS_TEXT,
        at("raw_tp/sys_enter"), at("raw_tp/sys_exit"), at("raw_tp/sched_process_exec"),
        at("raw_tp/sched_process_exit"), at("raw_tp/signal_deliver"), TaskWalk, TypesForRunning,
    ]),
    row("tp_btf/sys_enter and sys_exit", Mechanism::Typed, &[
        TASKS, PIDS, ring(TRACE_RING_BYTES), TRACED_CALLS, RAW_KNOWS_TASK, RAW_READS_TEXT,
        TRACEPOINT_TYPES, TYPED, at("tp_btf/sys_enter"), TaskWalk,
    ]),
    row("raw_tp/sys_enter and sys_exit, commands only", Mechanism::Raw, &[
        TASKS, PIDS, ring(TRACE_RING_BYTES), TRACED_CALLS, RAW_READS_KERNEL, RAW_READS_TEXT,
        at("raw_tp/sys_enter"), at("raw_tp/sys_exit"), at("raw_tp/sched_process_exec"),
        at("raw_tp/sched_process_exit"), at("raw_tp/signal_deliver"), TypesForRunning,
    ]),
];

/// `denet monitor xdp`.
#[rustfmt::skip]
pub(crate) const XDP: &[Backend] = &[
    row("XDP link", Mechanism::Xdp, &[XDP_COUNTERS, Program(ProgramKind::Xdp, None), XdpLink]),
    row("XDP link, frames read by helpers", Mechanism::XdpByHelpers, &[
        XDP_COUNTERS, Program(ProgramKind::Xdp, None),
        Program(ProgramKind::Xdp, Some(call::XDP_LOAD_BYTES)), XdpLink,
    ]),
];

/// Kernel stacks, which no command of denet uses.
#[rustfmt::skip]
pub(crate) const KERNEL_STACKS: &[Backend] = &[
    row("perf event samples", Mechanism::Other, &[
        Map(map::STACK_TRACE, 1 << 20), Program(ProgramKind::PerfEvent, Some(call::GET_STACKID)),
        KernelSamples, SampledProgram,
    ]),
];

/// Hardware counters, without a program.
pub(crate) const HARDWARE_COUNTERS: &[Backend] =
    &[row("perf_event_open", Mechanism::Other, &[OwnCycles])];

/// A program at a classic tracepoint, as most tools attach it.
pub(crate) const CLASSIC_TRACEPOINTS: &[Backend] = &[row(
    PROFILE[0].name,
    Mechanism::Other,
    &[EVENT, TracepointEvent],
)];

/// Something that eBPF is wanted for.
#[derive(Debug)]
pub struct Goal {
    /// Stable name.
    pub id: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// Best first.
    pub(crate) backends: &'static [Backend],
    /// Checks that block the goal whichever backend is available: limits that denet sets itself.
    pub(crate) limits: &'static [&'static str],
}

/// denet refuses to look at processes if their ids are not known.
const OBSERVES_PROCESSES: &[&str] = &["proc-namespace"];

const fn observing(id: &'static str, title: &'static str, backends: &'static [Backend]) -> Goal {
    Goal {
        limits: OBSERVES_PROCESSES,
        ..goal(id, title, backends)
    }
}

const fn goal(id: &'static str, title: &'static str, backends: &'static [Backend]) -> Goal {
    Goal {
        id,
        title,
        backends,
        limits: &[],
    }
}

/// What the doctor reports, in this order.
pub const GOALS: &[Goal] = &[
    observing("syscall-profiling", "syscall profiling", PROFILE),
    observing("exec-monitor", "exec monitor", EXEC),
    observing("network-monitor", "network monitor", NET),
    observing("syscall-trace", "syscall trace", TRACE),
    goal("xdp-counters", "XDP counters", XDP),
    goal("kernel-stacks", "kernel stacks", KERNEL_STACKS),
    goal("hardware-counters", "hardware counters", HARDWARE_COUNTERS),
    goal(
        "classic-tracepoints",
        "classic tracepoints",
        CLASSIC_TRACEPOINTS,
    ),
    Goal {
        limits: &["not-yours", "proc-namespace"],
        ..goal("other-processes", "others' processes", PROFILE)
    },
];

/// How calls are counted by a backend of [`PROFILE`].
#[cfg(feature = "ebpf")]
pub(crate) struct Counting {
    /// The backend, how calls are stored, and how the current task is found.
    pub(crate) name: &'static str,
    /// How a 32-bit call is recognised, as `ebpf/syscalls.bpf.c` numbers it.
    pub(crate) compat_source: u32,
    pub(crate) needs: Needs,
}

#[cfg(feature = "ebpf")]
pub(crate) const BY_KEPT_POINTER: u32 = 2;

#[cfg(feature = "ebpf")]
pub(crate) const COUNTING_AT_EVENT: Counting = Counting {
    name: "tp/raw_syscalls/sys_enter, table per task, current task by BTF",
    compat_source: 1,
    needs: EVENTS_NEED,
};

/// At a raw tracepoint, best first; each needs an older kernel than the one before.
#[cfg(feature = "ebpf")]
pub(crate) const COUNTING: [Counting; 3] = [
    Counting {
        name: "raw_tp/sys_enter, table per task, kept task pointer",
        compat_source: BY_KEPT_POINTER,
        needs: needs(6, 4, true),
    },
    Counting {
        name: "raw_tp/sys_enter, table per task, current task by BTF",
        compat_source: 1,
        needs: needs(5, 11, true),
    },
    Counting {
        name: "raw_tp/sys_enter, table per task, current task by probe_read",
        compat_source: 0,
        needs: needs(5, 8, false),
    },
];

/// How tasks are followed.
#[cfg(feature = "ebpf")]
pub(crate) const fn following(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Event => "tp/sched/sched_process_{fork,exec,exit}",
        Mechanism::Typed => "tp_btf/sched_process_{fork,exec,exit}",
        _ => "raw_tp/sched_process_{fork,exec,exit}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_are_observed_without_a_walk() {
        let streams = [EXEC, NET, TRACE].into_iter().flatten();
        for backend in streams.filter(|it| it.mechanism != Mechanism::Function) {
            let has = |wanted: fn(&Requirement) -> bool| backend.requires.iter().any(wanted);
            let walks = has(|it| matches!(it, TaskWalk | Type(_)));
            assert_eq!(
                walks,
                !backend.name.ends_with("commands only"),
                "{}",
                backend.name
            );
            assert!(walks || has(|it| *it == TypesForRunning));
        }
    }

    #[cfg(feature = "ebpf")]
    #[test]
    fn calls_are_counted_by_a_backend_of_the_table() {
        for counting in COUNTING.iter().chain([&COUNTING_AT_EVENT]) {
            let of = |it: &Backend| counting.name.starts_with(&format!("{},", it.name));
            assert!(PROFILE.iter().any(of), "{}", counting.name);
        }
    }

    #[cfg(feature = "ebpf")]
    #[test]
    fn traced_calls_are_as_large_as_their_table() {
        let calls =
            u64::from(TRACE_SLOTS) * size_of::<crate::monitor::trace::abi::RawCall>() as u64;
        assert!(calls <= TRACED_CALLS_BYTES && TRACED_CALLS_BYTES < calls + (2 << 20));
    }
}
