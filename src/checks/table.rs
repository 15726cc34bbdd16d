//! All checks, in the order in which they are reported.

use super::outside::from_outside;
use super::verdict::{Evidence, Judged, Verdict};
use super::{answers, embedded, kernel, limits, privileges, security, tracing};
use crate::facts::Facts;

/// One thing that may stand in the way, and how to tell.
pub struct Check {
    /// Stable name: what is wrong where it finds something.
    pub id: &'static str,
    /// What it looks at.
    pub(crate) title: &'static str,
    /// Under which heading it stands.
    pub(crate) section: &'static str,
    /// Judges; reads nothing and cannot fail.
    pub judge: fn(&Facts) -> Verdict,
    /// Probes that count as evidence for it where they were asked.
    probes: &'static [&'static str],
    /// docs/troubleshooting/ID.md.
    pub(super) page: &'static str,
}

macro_rules! check {
    ($section:expr, $id:literal, $title:literal, $judge:expr, $probes:expr $(,)?) => {
        Check {
            id: $id,
            title: $title,
            section: $section,
            judge: $judge,
            probes: $probes,
            page: page!($id),
        }
    };
}

const KERNEL: &str = "kernel";
const PRIVILEGES: &str = "privileges";
const TRACING: &str = "tracing";
const LIMITS: &str = "limits";
const OBJECTS: &str = "objects";
const PROBES: &str = "probes";

/// The table.
pub const CHECKS: &[Check] = &[
    check!(
        KERNEL,
        "kernel-without-bpf",
        "bpf(2)",
        kernel::has_bpf,
        &["bpf:reach"],
    ),
    check!(
        KERNEL,
        "kernel-without-events",
        "programs on tracepoints",
        kernel::has_events,
        &["program:raw_tracepoint"],
    ),
    check!(
        KERNEL,
        "kernel-too-old",
        "version",
        kernel::is_new_enough,
        &[],
    ),
    check!(
        KERNEL,
        "ring-buffer",
        "ring buffers",
        limits::makes_ring_buffers,
        &["map:ringbuf"],
    ),
    check!(
        KERNEL,
        "kernel-without-btf",
        "its own types (BTF)",
        kernel::describes_types,
        &[],
    ),
    check!(
        KERNEL,
        "kernel-btf-malformed",
        "soundness of its types",
        kernel::types_are_sound,
        &[],
    ),
    check!(
        KERNEL,
        "kernel-without-kprobes",
        "kprobes",
        kernel::has_kprobes,
        &["attach:kprobe/vfs_read"],
    ),
    check!(
        KERNEL,
        "jit-off",
        "compiled programs (JIT)",
        kernel::compiles,
        &[],
    ),
    check!(
        KERNEL,
        "lockdown",
        "lockdown",
        kernel::is_open,
        &["helper:bpf_probe_read_kernel"],
    ),
    check!(
        KERNEL,
        "runs-skipped",
        "preempted programs",
        kernel::runs_every_program,
        &["attach:tp/raw_syscalls/sys_enter"],
    ),
    check!(
        PRIVILEGES,
        "not-executable",
        "executable",
        privileges::can_execute,
        &[],
    ),
    check!(
        PRIVILEGES,
        "user-namespace",
        "user namespace",
        privileges::in_user_namespace,
        &[],
    ),
    check!(
        PRIVILEGES,
        "bounding-set",
        "bounding set",
        privileges::in_bounding_set,
        &[],
    ),
    check!(
        PRIVILEGES,
        "nosuid-mount",
        "nosuid mount",
        privileges::on_nosuid_mount,
        &[],
    ),
    check!(
        PRIVILEGES,
        "no-new-privs",
        "no_new_privs",
        privileges::without_new_privs,
        &[],
    ),
    check!(
        PRIVILEGES,
        "file-capabilities-missing",
        "file capabilities",
        privileges::has_file_capabilities,
        &[],
    ),
    check!(
        PRIVILEGES,
        "file-capabilities-partial",
        "all that it takes",
        privileges::has_all_file_capabilities,
        &[],
    ),
    check!(
        PRIVILEGES,
        "file-capabilities-not-effective",
        "effective ones",
        privileges::has_effective_file_capabilities,
        &[],
    ),
    check!(
        PRIVILEGES,
        "file-capabilities-unknown",
        "readable ones",
        privileges::has_readable_file_capabilities,
        &[],
    ),
    check!(
        PRIVILEGES,
        "capabilities-dropped",
        "capabilities kept",
        privileges::keeps_capabilities,
        &[],
    ),
    check!(
        PRIVILEGES,
        "not-yours",
        "other users' processes",
        privileges::reaches_others,
        &[],
    ),
    check!(
        PRIVILEGES,
        "net-admin-missing",
        "cap_net_admin",
        privileges::has_net_admin,
        &[],
    ),
    check!(
        PRIVILEGES,
        "seccomp",
        "seccomp",
        security::filter_lets_through,
        &["bpf:reach", "perf:software"],
    ),
    check!(
        PRIVILEGES,
        "security-module",
        "security modules",
        security::modules_let_through,
        &["program:raw_tracepoint"],
    ),
    check!(
        LIMITS,
        "memlock",
        "locked memory",
        limits::locks_enough,
        &[],
    ),
    check!(LIMITS, "nofile", "open files", limits::opens_enough, &[]),
    check!(
        LIMITS,
        "cgroup-memory",
        "memory of the cgroup",
        limits::has_memory,
        &["map:array_1mib"],
    ),
    check!(
        LIMITS,
        "jit-limit",
        "room for compiled code",
        limits::has_room_for_code,
        &["program:socket_filter"],
    ),
    check!(
        TRACING,
        "tracefs-not-mounted",
        "tracefs",
        tracing::tracefs_is_mounted,
        &[],
    ),
    check!(
        TRACING,
        "tracefs-unreadable",
        "tracefs, readable",
        tracing::tracefs_is_readable,
        &[],
    ),
    check!(
        TRACING,
        "perf-event-paranoid",
        "perf events",
        tracing::perf_events_are_open,
        &["attach:tp/raw_syscalls/sys_enter"],
    ),
    check!(
        TRACING,
        "no-hardware-counters",
        "hardware counters",
        tracing::has_counters,
        &["perf:cycles"],
    ),
    check!(
        TRACING,
        "kernel-addresses-hidden",
        "kernel symbols",
        tracing::shows_symbols,
        &[],
    ),
    check!(
        TRACING,
        "bpffs-not-mounted",
        "bpffs",
        tracing::bpffs_is_mounted,
        &[],
    ),
    check!(
        TRACING,
        "xdp-busy",
        "XDP on interfaces",
        tracing::interfaces_are_free,
        &[],
    ),
    check!(
        TRACING,
        "processes-hidden",
        "other users' processes",
        tracing::sees_processes,
        &[],
    ),
    check!(
        TRACING,
        "pid-namespace",
        "pid namespace",
        tracing::sees_all_processes,
        &[],
    ),
    check!(
        TRACING,
        "proc-namespace",
        "pid namespace of /proc",
        tracing::proc_shows_own_namespace,
        &[],
    ),
    check!(
        OBJECTS,
        "object-broken",
        "denet's own",
        embedded::are_sound,
        &[],
    ),
    check!(
        PROBES,
        "kernel-refused",
        "refusals",
        answers::are_explained,
        &["bpf:reach"],
    ),
    check!(
        PROBES,
        "facts-contradicted",
        "agreement",
        answers::agree_with_facts,
        &["bpf:reach"],
    ),
];

impl Check {
    /// What it says of these facts.
    pub(crate) fn judged(&self, facts: &Facts) -> Judged {
        let asked = |id: &&str| {
            let probes = facts.probes.as_ref();
            probes.is_some_and(|probes| probes.get(id).is_some())
        };
        let tried = self.probes.iter().any(asked);
        let mut verdict = (self.judge)(facts);
        if let Verdict::Degraded(finding) | Verdict::Blocked(finding) = &mut verdict {
            from_outside(facts, finding);
        }
        Judged {
            id: self.id,
            title: self.title,
            section: self.section,
            evidence: if tried {
                Evidence::Probe
            } else {
                Evidence::Facts
            },
            verdict,
        }
    }
}
