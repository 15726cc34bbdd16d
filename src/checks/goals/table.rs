//! The goals and their ways, best first.
//!
//! denet's commands: `run` and `attach` are `syscall-profiling`, `monitor exec` is `exec-monitor`,
//! `monitor net` is `network-monitor`, `monitor xdp` is `xdp-counters`, `trace` is `syscall-trace`. The four that
//! follow processes include other users' processes only if the goal `other-processes` is ready. A way
//! asks for what that command loads first on such a kernel; sizes are those of its tables. What is taken
//! only where it is asked for (`--hook`) is no way: its refusal has its own finding.

use super::{Ask, Goal, Way, always};
use crate::checks::predict::{Event, PerfEvent};
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::kernel::{PREEMPTS_PROGRAMS, Release};
use crate::facts::privileges::Cap;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

/// Numbers of `enum bpf_map_type`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 6;
const STACK_TRACE: u32 = 7;
const RINGBUF: u32 = 27;

/// Numbers of helpers.
const GET_STACKID: u32 = 27;
const PROBE_READ_USER: u32 = 112;
const PROBE_READ_KERNEL: u32 = 113;
const PROBE_READ_USER_STR: u32 = 114;
const GET_CURRENT_TASK_BTF: u32 = 158;
const XDP_LOAD_BYTES: u32 = 189;

/// What denet's tables take.
const TABLES: Ask = Ask::Map(ARRAY, 4 << 20);
const PIDS: Ask = Ask::Map(HASH, 1 << 20);

/// Ring buffers: of those that end, and of each stream.
const RING: Ask = Ask::Map(RINGBUF, 2 << 20);
const EXEC_RING: Ask = Ask::Map(RINGBUF, 8 << 20);
const NET_RING: Ask = Ask::Map(RINGBUF, 1 << 20);
const TRACE_RING: Ask = Ask::Map(RINGBUF, 64 << 20);
/// One execution on each CPU.
const EXECUTIONS: Ask = Ask::Map(PERCPU_ARRAY, 8 << 10);
/// A call for each thread at full speed.
const TRACED_CALLS: Ask = Ask::Map(ARRAY, 6 << 20);

const RAW: Ask = Ask::Program(ProgramKind::RawTracepoint, None);
const RAW_READING: Ask = Ask::Program(ProgramKind::RawTracepoint, Some(PROBE_READ_KERNEL));
const RAW_KNOWING_TASK: Ask = Ask::Program(ProgramKind::RawTracepoint, Some(GET_CURRENT_TASK_BTF));
const RAW_READING_USER: Ask = Ask::Program(ProgramKind::RawTracepoint, Some(PROBE_READ_USER));
const RAW_READING_TEXT: Ask = Ask::Program(ProgramKind::RawTracepoint, Some(PROBE_READ_USER_STR));
const TYPED: Ask = Ask::Program(ProgramKind::Tracing, None);
/// `btf_trace_…`, the types of tracepoints.
const TRACEPOINT_TYPES: Ask = Ask::Type(Release(5, 5));
/// `bpf_iter__task`: who runs already is found by a walk over tasks.
const TASK_WALK: Ask = Ask::Type(Release(5, 8));
/// `bpf_task_from_pid` and the verifier's trust in tasks.
const TASK_FUNCTIONS: Ask = Ask::Type(Release(6, 2));

const TRACEPOINT: PerfEvent = PerfEvent {
    event: Event::Tracepoint,
    everywhere: true,
    kernel: true,
    raw: false,
};
const SAMPLES: PerfEvent = PerfEvent {
    event: Event::SoftwareClock,
    ..TRACEPOINT
};
/// Of one's own process, outside the kernel.
const OWN_CYCLES: PerfEvent = PerfEvent {
    everywhere: false,
    kernel: false,
    ..SAMPLES
};

/// Checks of whatever loads a program.
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
const AT_TRACEPOINTS: &[&str] = &["kernel-without-events"];
const STREAMING: &[&str] = &["ring-buffer"];
const READING: &[&str] = &["lockdown"];
const PREEMPTIBLE: &[&str] = &["runs-skipped"];
const TYPES: &[&str] = &["kernel-without-btf", "kernel-btf-malformed"];
const BY_TRACEFS: &[&str] = &["tracefs-not-mounted", "tracefs-unreadable"];
const BY_EVENTS: &[&str] = &["perf-event-paranoid"];

/// denet takes perf events where raw tracepoints may be preempted.
fn preempts(facts: &Facts) -> bool {
    let running = facts.kernel.release();
    running.is_some_and(|running| running >= PREEMPTS_PROGRAMS)
}

/// To compute with pointers into a frame takes CAP_PERFMON (`adjust_ptr_min_max_vals`, kernel/bpf/verifier.c).
fn reads_by_pointers(facts: &Facts) -> bool {
    let who = facts.privileges.known();
    who.is_none_or(|who| who.effective.has(Cap::Perfmon) || who.effective.has(Cap::SysAdmin))
}

fn reads_by_helpers(facts: &Facts) -> bool {
    !reads_by_pointers(facts)
}

/// root mounts a tracefs for itself, in no directory.
fn brings_tracefs(facts: &Facts) -> bool {
    let who = facts.privileges.known();
    let may = who.is_some_and(|who| who.effective.has(Cap::SysAdmin));
    may && facts.mounts.tracefs == Fact::Absent
}

fn preempts_with_own_tracefs(facts: &Facts) -> bool {
    preempts(facts) && brings_tracefs(facts)
}

fn preempts_with_given_tracefs(facts: &Facts) -> bool {
    preempts(facts) && !brings_tracefs(facts)
}

/// Perf events of tracepoints: with a tracefs of its own, and with the one that is there.
const fn by_events(asks: &'static [Ask], probes: &'static [&'static str]) -> [Way; 2] {
    let name = "perf events of tracepoints";
    [
        Way {
            name,
            when: preempts_with_own_tracefs,
            asks,
            probes,
            checks: &[
                LOADING,
                AT_TRACEPOINTS,
                STREAMING,
                READING,
                TYPES,
                BY_EVENTS,
            ],
        },
        Way {
            name,
            when: preempts_with_given_tracefs,
            asks,
            probes,
            checks: &[
                LOADING,
                AT_TRACEPOINTS,
                STREAMING,
                READING,
                TYPES,
                BY_TRACEFS,
                BY_EVENTS,
            ],
        },
    ]
}

const EVENT: Ask = Ask::Program(ProgramKind::Tracepoint, None);
const EVENT_READING: Ask = Ask::Program(ProgramKind::Tracepoint, Some(PROBE_READ_KERNEL));
const EVENT_READING_TEXT: Ask = Ask::Program(ProgramKind::Tracepoint, Some(PROBE_READ_USER_STR));

const PROFILING_BY_EVENTS: [Way; 2] = by_events(
    &[
        TABLES,
        PIDS,
        RING,
        TASK_FUNCTIONS,
        EVENT,
        Ask::Event(TRACEPOINT),
    ],
    EVENT_PROBES,
);
const EXEC_BY_EVENTS: [Way; 2] = by_events(
    &[
        TABLES,
        PIDS,
        EXEC_RING,
        EXECUTIONS,
        TASK_FUNCTIONS,
        EVENT_READING_TEXT,
        Ask::Event(TRACEPOINT),
    ],
    EVENT_PROBES,
);
/// What a descriptor is, only the kernel's types tell, and only a helper reads: no program follows the
/// pointers of the table of descriptors otherwise.
const NET_BY_EVENTS: [Way; 2] = by_events(
    &[
        TABLES,
        PIDS,
        NET_RING,
        TASK_FUNCTIONS,
        EVENT_READING,
        Ask::Event(TRACEPOINT),
    ],
    EVENT_SOCKET_PROBES,
);
const TRACE_BY_EVENTS: [Way; 2] = by_events(
    &[
        TABLES,
        PIDS,
        TRACE_RING,
        TRACED_CALLS,
        TASK_FUNCTIONS,
        EVENT_READING_TEXT,
        Ask::Event(TRACEPOINT),
    ],
    EVENT_PROBES,
);

const EVENT_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "attach:tp/raw_syscalls/sys_enter",
];
const EVENT_SOCKET_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "helper:bpf_probe_read_kernel",
    "attach:tp/raw_syscalls/sys_enter",
];

/// Raw tracepoints, and a helper that reads what they point to.
const fn by_raw(
    name: &'static str,
    asks: &'static [Ask],
    probes: &'static [&'static str],
    checks: &'static [&'static [&'static str]],
) -> Way {
    Way {
        name,
        when: always,
        asks,
        probes,
        checks,
    }
}

const RAW_CHECKS: &[&[&str]] = &[LOADING, AT_TRACEPOINTS, STREAMING, READING, PREEMPTIBLE];
/// And the kernel's types, without which only commands are watched that denet starts itself.
const RAW_AND_TYPES: &[&[&str]] = &[
    LOADING,
    AT_TRACEPOINTS,
    STREAMING,
    READING,
    TYPES,
    PREEMPTIBLE,
];

/// Tracepoints by the kernel's types: no helper reads its memory.
const fn by_types(
    name: &'static str,
    asks: &'static [Ask],
    probes: &'static [&'static str],
) -> Way {
    Way {
        name,
        when: always,
        asks,
        probes,
        checks: &[LOADING, AT_TRACEPOINTS, STREAMING, TYPES, PREEMPTIBLE],
    }
}

const TYPED_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "helper:bpf_get_current_task_btf",
    "attach:raw_tp/sys_enter",
    "attach:tp_btf/sys_enter",
];

const EXEC_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "map:percpu_array",
    "helper:bpf_probe_read_kernel",
    "helper:bpf_probe_read_user_str",
    "attach:raw_tp/sys_enter",
    "attach:raw_tp/sys_exit",
    "attach:raw_tp/sched_process_exec",
    "attach:iter/task",
];
const EXEC_COMMAND_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "map:percpu_array",
    "helper:bpf_probe_read_kernel",
    "helper:bpf_probe_read_user_str",
    "attach:raw_tp/sys_enter",
    "attach:raw_tp/sys_exit",
    "attach:raw_tp/sched_process_exec",
];
const TRACE_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "helper:bpf_probe_read_kernel",
    "helper:bpf_probe_read_user_str",
    "attach:raw_tp/sys_enter",
    "attach:raw_tp/sys_exit",
    "attach:raw_tp/sched_process_exec",
    "attach:raw_tp/sched_process_exit",
    "attach:raw_tp/signal_deliver",
    "attach:iter/task",
];
const TRACE_COMMAND_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "helper:bpf_probe_read_kernel",
    "helper:bpf_probe_read_user_str",
    "attach:raw_tp/sys_enter",
    "attach:raw_tp/sys_exit",
    "attach:raw_tp/sched_process_exec",
    "attach:raw_tp/sched_process_exit",
    "attach:raw_tp/signal_deliver",
];
const TYPED_STREAM_PROBES: &[&str] = &[
    "map:array_1mib",
    "map:hash",
    "map:ringbuf",
    "helper:bpf_get_current_task_btf",
    "helper:bpf_probe_read_user_str",
    "attach:tp_btf/sys_enter",
    "attach:iter/task",
];

const PROFILING: &[Way] = &[
    PROFILING_BY_EVENTS[0],
    PROFILING_BY_EVENTS[1],
    by_raw(
        "raw_tp/sys_enter",
        &[TABLES, PIDS, RING, RAW, RAW_READING, Ask::RawTracepoint],
        &[
            "map:array_1mib",
            "map:hash",
            "map:ringbuf",
            "helper:bpf_probe_read_kernel",
            "attach:raw_tp/sys_enter",
            "attach:raw_tp/sched_process_fork",
            "attach:raw_tp/sched_process_exec",
            "attach:raw_tp/sched_process_exit",
        ],
        RAW_CHECKS,
    ),
    by_types(
        "raw_tp/sys_enter, following by tp_btf",
        &[
            TABLES,
            PIDS,
            RING,
            RAW_KNOWING_TASK,
            TRACEPOINT_TYPES,
            TYPED,
            Ask::RawTracepoint,
        ],
        TYPED_PROBES,
    ),
];

/// In the order in which they are reported.
pub const GOALS: &[Goal] = &[
    Goal {
        id: "syscall-profiling",
        title: "syscall profiling",
        ways: PROFILING,
        limits: &[],
    },
    Goal {
        id: "exec-monitor",
        title: "exec monitor",
        ways: &[
            EXEC_BY_EVENTS[0],
            EXEC_BY_EVENTS[1],
            by_raw(
                "raw_tp/sched_process_exec",
                &[
                    TABLES,
                    PIDS,
                    EXEC_RING,
                    EXECUTIONS,
                    RAW_READING,
                    RAW_READING_TEXT,
                    Ask::RawTracepoint,
                    TASK_WALK,
                ],
                EXEC_PROBES,
                RAW_AND_TYPES,
            ),
            by_types(
                "tp_btf/sched_process_exec",
                &[
                    TABLES,
                    PIDS,
                    EXEC_RING,
                    EXECUTIONS,
                    RAW_KNOWING_TASK,
                    RAW_READING_TEXT,
                    TRACEPOINT_TYPES,
                    TYPED,
                    Ask::RawTracepoint,
                    TASK_WALK,
                ],
                TYPED_STREAM_PROBES,
            ),
            by_raw(
                "raw_tp/sched_process_exec, commands only",
                &[
                    TABLES,
                    PIDS,
                    EXEC_RING,
                    EXECUTIONS,
                    RAW_READING,
                    RAW_READING_TEXT,
                    Ask::RawTracepoint,
                ],
                EXEC_COMMAND_PROBES,
                RAW_AND_TYPES,
            ),
        ],
        limits: &[],
    },
    Goal {
        id: "network-monitor",
        title: "network monitor",
        ways: &[
            NET_BY_EVENTS[0],
            NET_BY_EVENTS[1],
            by_raw(
                "raw_tp/sys_enter, sockets by BTF",
                &[
                    TABLES,
                    PIDS,
                    NET_RING,
                    RAW_READING,
                    RAW_READING_USER,
                    Ask::RawTracepoint,
                    TASK_WALK,
                ],
                &[
                    "map:array_1mib",
                    "map:hash",
                    "map:ringbuf",
                    "helper:bpf_probe_read_kernel",
                    "helper:bpf_probe_read_user",
                    "attach:raw_tp/sys_enter",
                    "attach:raw_tp/sys_exit",
                    "attach:raw_tp/inet_sock_set_state",
                    "attach:iter/task",
                ],
                RAW_AND_TYPES,
            ),
        ],
        limits: &[],
    },
    Goal {
        id: "syscall-trace",
        title: "syscall trace",
        ways: &[
            TRACE_BY_EVENTS[0],
            TRACE_BY_EVENTS[1],
            by_raw(
                "raw_tp/sys_enter and sys_exit",
                &[
                    TABLES,
                    PIDS,
                    TRACE_RING,
                    TRACED_CALLS,
                    RAW_READING,
                    RAW_READING_TEXT,
                    Ask::RawTracepoint,
                    TASK_WALK,
                ],
                TRACE_PROBES,
                RAW_AND_TYPES,
            ),
            by_types(
                "tp_btf/sys_enter and sys_exit",
                &[
                    TABLES,
                    PIDS,
                    TRACE_RING,
                    TRACED_CALLS,
                    RAW_KNOWING_TASK,
                    RAW_READING_TEXT,
                    TRACEPOINT_TYPES,
                    TYPED,
                    Ask::RawTracepoint,
                    TASK_WALK,
                ],
                TYPED_STREAM_PROBES,
            ),
            by_raw(
                "raw_tp/sys_enter and sys_exit, commands only",
                &[
                    TABLES,
                    PIDS,
                    TRACE_RING,
                    TRACED_CALLS,
                    RAW_READING,
                    RAW_READING_TEXT,
                    Ask::RawTracepoint,
                ],
                TRACE_COMMAND_PROBES,
                RAW_AND_TYPES,
            ),
        ],
        limits: &[],
    },
    Goal {
        id: "xdp-counters",
        title: "XDP counters",
        ways: &[
            Way {
                name: "XDP link",
                when: reads_by_pointers,
                asks: &[
                    Ask::Map(PERCPU_ARRAY, 64 << 10),
                    Ask::Program(ProgramKind::Xdp, None),
                    Ask::Xdp,
                ],
                probes: &["map:percpu_array", "program:xdp", "attach:xdp"],
                checks: &[LOADING, &["net-admin-missing", "xdp-busy"]],
            },
            Way {
                name: "XDP link, frames read by helpers",
                when: reads_by_helpers,
                asks: &[
                    Ask::Map(PERCPU_ARRAY, 64 << 10),
                    Ask::Program(ProgramKind::Xdp, Some(XDP_LOAD_BYTES)),
                    Ask::Xdp,
                ],
                probes: &[
                    "map:percpu_array",
                    "program:xdp",
                    "helper:bpf_xdp_load_bytes",
                    "attach:xdp",
                ],
                checks: &[LOADING, &["net-admin-missing", "xdp-busy"]],
            },
        ],
        limits: &[],
    },
    Goal {
        id: "kernel-stacks",
        title: "kernel stacks",
        ways: &[Way {
            name: "perf event samples",
            when: always,
            asks: &[
                Ask::Map(STACK_TRACE, 1 << 20),
                Ask::Program(ProgramKind::PerfEvent, Some(GET_STACKID)),
                Ask::Event(SAMPLES),
            ],
            probes: &[
                "map:stack_trace",
                "helper:bpf_get_stackid",
                "perf:kernel",
                "attach:perf_event",
            ],
            checks: &[
                LOADING,
                AT_TRACEPOINTS,
                BY_EVENTS,
                &["lockdown", "kernel-addresses-hidden"],
            ],
        }],
        limits: &[],
    },
    Goal {
        id: "hardware-counters",
        title: "hardware counters",
        ways: &[Way {
            name: "perf_event_open",
            when: always,
            asks: &[Ask::Event(OWN_CYCLES)],
            probes: &["perf:cycles"],
            checks: &[
                &[
                    "no-hardware-counters",
                    "not-executable",
                    "seccomp",
                    "security-module",
                ],
                BY_EVENTS,
            ],
        }],
        limits: &[],
    },
    Goal {
        id: "classic-tracepoints",
        title: "classic tracepoints",
        ways: &[Way {
            name: "tp/raw_syscalls/sys_enter",
            when: always,
            asks: &[
                Ask::Program(ProgramKind::Tracepoint, None),
                Ask::Event(TRACEPOINT),
            ],
            probes: &["attach:tp/raw_syscalls/sys_enter"],
            checks: &[LOADING, AT_TRACEPOINTS, READING, BY_TRACEFS, BY_EVENTS],
        }],
        limits: &[],
    },
    Goal {
        id: "other-processes",
        title: "others' processes",
        ways: PROFILING,
        limits: &["not-yours"],
    },
];
