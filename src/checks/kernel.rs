//! What the kernel itself is able and willing to do.

use super::findings;
use super::predict::{
    Check, Conditions, Operation, Outcome, PerfEvent, Program, is_built, predict,
};
use super::predict::{Event, Prediction};
use super::privileges::subject;
use super::smoke;
use super::verdict::Verdict;
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::access::Access;
use crate::facts::kernel::{Lockdown, PREEMPTS_PROGRAMS};
use crate::facts::kernel_types::VMLINUX;
use crate::facts::probes;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::{Cap, CapSet};
use crate::sys::release::Release;

/// What the subject would be answered if it held every capability that a goal takes, and nothing but
/// the kernel itself refused.
pub(super) fn if_permitted(facts: &Facts, operation: &Operation) -> Option<Prediction> {
    let mut conditions = Conditions::of(facts)?;
    let taken = [Cap::Bpf, Cap::Perfmon, Cap::NetAdmin];
    let held = taken.map(CapSet::of).into_iter();
    conditions.effective = held.fold(conditions.effective, CapSet::or);
    conditions.initial_user_namespace = true;
    conditions.seccomp = super::predict::Denials::default();
    let answer = predict(operation, &conditions);
    (answer.outcome != Outcome::Ok).then_some(answer)
}

/// The errno that the running kernel gave.
pub(super) fn answer(facts: &Facts, probe: &str) -> Option<i32> {
    match &facts.probes.as_ref()?.get(probe)?.outcome {
        probes::Outcome::Refused { errno, .. } => Some(*errno),
        probes::Outcome::Ok | probes::Outcome::Failed(_) | probes::Outcome::NotAttempted(_) => None,
    }
}

/// The running kernel did it.
pub(super) fn works(facts: &Facts, probe: &str) -> bool {
    let asked = facts.probes.as_ref().and_then(|probes| probes.get(probe));
    asked.is_some_and(probes::Probe::works)
}

fn load(kind: ProgramKind) -> Operation {
    Operation::ProgLoad(Program::minimal(kind))
}

/// Whether a switch of the kernel's configuration is set that this operation takes.
fn built_with(facts: &Facts, switch: &'static str, operation: &Operation) -> Option<bool> {
    let refused = if_permitted(facts, operation);
    if refused.is_some_and(|answer| answer.because.check == Check::Config(switch)) {
        return Some(false);
    }
    is_built(facts, switch).filter(|built| *built)
}

fn configuration(facts: &Facts) -> String {
    let source = facts.config.known().map(|config| config.source.clone());
    source.unwrap_or_else(|| "the kernel's configuration".to_owned())
}

pub(super) fn has_bpf(facts: &Facts) -> Verdict {
    let filtered = subject(facts).is_some_and(|who| who.seccomp == 2);
    match answer(facts, "bpf:reach") {
        Some(libc::ENOSYS) if filtered => {
            return Verdict::not_applicable("a seccomp filter answers");
        }
        Some(libc::ENOSYS) => {
            let seen = "bpf(2): ENOSYS, and no seccomp filter is in force".to_owned();
            return Verdict::blocked(findings::kernel_without_bpf(vec![seen]));
        }
        Some(_) => return Verdict::ok("bpf(2) answers"),
        None => {}
    }
    match built_with(
        facts,
        "CONFIG_BPF_SYSCALL",
        &load(ProgramKind::SocketFilter),
    ) {
        Some(true) => Verdict::ok(format!("{}: CONFIG_BPF_SYSCALL=y", configuration(facts))),
        Some(false) => {
            let seen = format!("{}: CONFIG_BPF_SYSCALL is not set", configuration(facts));
            Verdict::blocked(findings::kernel_without_bpf(vec![seen]))
        }
        None => unconfigured(facts),
    }
}

pub(super) fn has_events(facts: &Facts) -> Verdict {
    if works(facts, "program:raw_tracepoint") {
        return Verdict::ok("a raw tracepoint's program loads");
    }
    match built_with(
        facts,
        "CONFIG_BPF_EVENTS",
        &load(ProgramKind::RawTracepoint),
    ) {
        Some(true) => Verdict::ok(format!("{}: CONFIG_BPF_EVENTS=y", configuration(facts))),
        Some(false) => {
            let seen = format!("{}: CONFIG_BPF_EVENTS is not set", configuration(facts));
            Verdict::blocked(findings::kernel_without_events(vec![seen]))
        }
        None => unconfigured(facts),
    }
}

fn unconfigured(facts: &Facts) -> Verdict {
    Verdict::without(
        &facts.config,
        "the kernel's configuration is in none of /proc/config.gz, /boot and /lib/modules",
    )
}

/// Ring buffers and CAP_BPF came with 5.8.
const OLDEST: Release = Release(5, 8);

pub(super) fn is_new_enough(facts: &Facts) -> Verdict {
    let Some(running) = facts.kernel.release() else {
        return Verdict::without(&facts.kernel.version, "the kernel's version is not known");
    };
    if running >= OLDEST {
        return Verdict::ok(format!("Linux {running}"));
    }
    if works(facts, "map:ringbuf") {
        return Verdict::ok(format!("Linux {running}, with ring buffers taken over"));
    }
    if takes_over_newer(facts) && answer(facts, "map:ringbuf") != Some(libc::EINVAL) {
        return Verdict::Unknown(format!(
            "Linux {running} by its name, and this distribution takes over newer eBPF: only trying tells"
        ));
    }
    let mut finding = findings::kernel_too_old(
        OLDEST,
        Some(running),
        vec!["ring buffers and CAP_BPF".to_owned()],
    );
    finding.cause = format!(
        "denet takes Linux {OLDEST} (ring buffers, CAP_BPF), unless the distribution took these over"
    );
    finding.fix = vec![Step::manual("boot a newer kernel")];
    Verdict::blocked(finding)
}

/// Red Hat's kernels, and those made from their sources, carry the eBPF of much newer ones.
fn takes_over_newer(facts: &Facts) -> bool {
    let version = facts.kernel.version.known();
    version.is_some_and(|version| version.text.contains(".el"))
}

pub(super) fn describes_types(facts: &Facts) -> Verdict {
    match &facts.kernel_types {
        Fact::Known(types) => Verdict::ok(format!("{} types", types.types)),
        Fact::Absent => {
            Verdict::degraded(findings::kernel_without_btf(std::path::Path::new(VMLINUX)))
        }
        Fact::Failed(_) => Verdict::not_applicable("they are there"),
        denied @ Fact::Denied(_) => Verdict::without(denied, ""),
    }
}

pub(super) fn types_are_sound(facts: &Facts) -> Verdict {
    match &facts.kernel_types {
        Fact::Failed(why) => Verdict::degraded(smoke::malformed_btf(why.clone())),
        Fact::Known(types) => Verdict::ok(format!("{} bytes, understood", types.bytes)),
        Fact::Absent => Verdict::not_applicable("there are none"),
        denied @ Fact::Denied(_) => Verdict::without(denied, ""),
    }
}

pub(super) fn has_kprobes(facts: &Facts) -> Verdict {
    if works(facts, "attach:kprobe/vfs_read") {
        return Verdict::ok("attached to vfs_read");
    }
    match is_built(facts, "KPROBE_EVENTS") {
        Some(true) => Verdict::ok(format!("{}: CONFIG_KPROBE_EVENTS=y", configuration(facts))),
        Some(false) => Verdict::degraded(Finding {
            id: "kernel-without-kprobes",
            cause: "this kernel has no kprobes: programs for them load and cannot be attached; denet takes \
                    tracepoints"
                .to_owned(),
            evidence: vec![format!(
                "{}: CONFIG_KPROBE_EVENTS is not set",
                configuration(facts)
            )],
            fix: Vec::new(),
        }),
        None => unconfigured(facts),
    }
}

pub(super) fn compiles(facts: &Facts) -> Verdict {
    match &facts.sysctls.bpf_jit_enable {
        Fact::Known(0) => Verdict::degraded(Finding {
            id: "jit-off",
            cause: "programs are interpreted, not compiled: each run costs several times as much"
                .to_owned(),
            evidence: vec!["net.core.bpf_jit_enable 0".to_owned()],
            fix: vec![Step::Sysctl {
                key: "net.core.bpf_jit_enable".into(),
                value: 1,
                before: Some(0),
                risk: "",
            }],
        }),
        Fact::Known(value) => Verdict::ok(format!("net.core.bpf_jit_enable {value}")),
        Fact::Absent => match is_built(facts, "BPF_JIT_ALWAYS_ON") {
            Some(true) => Verdict::ok("always, by CONFIG_BPF_JIT_ALWAYS_ON"),
            _ => Verdict::not_applicable(
                "no such setting here (seen in the first network namespace)",
            ),
        },
        unknown => Verdict::without(unknown, ""),
    }
}

pub(super) fn is_open(facts: &Facts) -> Verdict {
    match &facts.kernel.lockdown {
        Fact::Known(Lockdown::None) => Verdict::ok("none"),
        Fact::Known(Lockdown::Integrity) => {
            Verdict::ok("integrity, which takes nothing from denet")
        }
        Fact::Known(Lockdown::Confidentiality) => {
            let level = "/sys/kernel/security/lockdown: [confidentiality]";
            Verdict::degraded(findings::lockdown(vec![level.to_owned()]))
        }
        Fact::Absent if works(facts, "helper:bpf_probe_read_kernel") => {
            Verdict::ok("programs may read kernel memory")
        }
        Fact::Absent if is_built(facts, "SECURITY_LOCKDOWN_LSM") == Some(false) => {
            Verdict::ok("none: CONFIG_SECURITY_LOCKDOWN_LSM is not set")
        }
        Fact::Absent if facts.mounts.securityfs != Fact::Absent => Verdict::ok("none"),
        unknown => Verdict::without(unknown, "securityfs is not mounted"),
    }
}

pub(super) fn runs_every_program(facts: &Facts) -> Verdict {
    let Some(running) = facts.kernel.release() else {
        return Verdict::without(&facts.kernel.version, "the kernel's version is not known");
    };
    if running < PREEMPTS_PROGRAMS {
        return Verdict::ok(format!("Linux {running} preempts none"));
    }
    if uses_perf_events(facts) {
        return Verdict::ok("perf events are used instead, which are not preempted");
    }
    Verdict::degraded(Finding {
        id: "runs-skipped",
        cause: format!(
            "from Linux {PREEMPTS_PROGRAMS} on the program of a raw tracepoint may be preempted, and until it \
             goes on its runs for other tasks on that CPU are skipped; denet counts what it missed"
        ),
        evidence: vec![format!(
            "Linux {running}, and perf events of tracepoints are closed"
        )],
        fix: vec![Step::manual(
            "open classic tracepoints, whose programs are not preempted: see what stands in their way",
        )],
    })
}

/// A tracepoint's event, of a whole CPU.
pub(in crate::checks) const TRACEPOINT_EVENT: PerfEvent = PerfEvent {
    event: Event::Tracepoint,
    everywhere: true,
    kernel: true,
    raw: false,
};

/// Programs may hang at perf events of tracepoints.
fn uses_perf_events(facts: &Facts) -> bool {
    if works(facts, "attach:tp/raw_syscalls/sys_enter") {
        return true;
    }
    let Some(conditions) = Conditions::of(facts) else {
        return false;
    };
    let opens = predict(&Operation::PerfEventOpen(TRACEPOINT_EVENT), &conditions);
    opens.outcome == Outcome::Ok && reads_ids(facts)
}

/// The numbers of tracepoints can be read, or root mounts a tracefs for itself.
fn reads_ids(facts: &Facts) -> bool {
    let Some(who) = facts.privileges.known() else {
        return false;
    };
    let readable = |point: &crate::facts::tracepoints::Tracepoint| {
        point.readable_by(who) == Fact::Known(Access::Allowed)
    };
    let known = !facts.tracepoints.is_empty() && facts.tracepoints.iter().all(readable);
    known || facts.mounts.tracefs == Fact::Absent && who.effective.has(Cap::SysAdmin)
}
