//! Resources that eBPF runs out of.

use super::answers::told;
use super::findings;
use super::kernel::{answer, if_permitted, works};
use super::predict::{Check, Operation};
use super::privileges::subject;
use super::refusal::charges;
use super::verdict::Verdict;
use crate::checks::step::Step;
use crate::decode::uapi::maps::map_type;
use crate::facts::kernel::PREEMPTS_PROGRAMS;
use crate::facts::limits::Limit;
use crate::facts::probes::Outcome;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;

/// What denet's maps take of the kernel's memory, rounded up: 6.2 MiB measured.
const TAKEN_BYTES: u64 = 8 << 20;
/// The same where programs may be preempted, and there are more slots: 13.8 MiB measured.
const TAKEN_WHERE_PREEMPTED_BYTES: u64 = 16 << 20;

/// What of them and of the programs is charged as locked memory, where it is, rounded up: 12 to 14 MiB
/// measured on 5.10 with two CPUs. What earlier attempts took is given back late.
const CHARGED_BYTES: u64 = 16 << 20;

/// Descriptors that denet opens, rounded up.
const TAKEN_FILES: u64 = 32;

/// `BPF_MAP_TYPE_ARRAY`
const ARRAY: u32 = 2;

const MIB: u64 = 1 << 20;

pub(super) fn locks_enough(facts: &Facts) -> Verdict {
    if facts.kernel.release().is_none() {
        return Verdict::without(&facts.kernel.version, "the kernel's version is not known");
    }
    if !charges(facts) {
        return Verdict::ok("maps do not count (from Linux 5.11 on)");
    }
    let raises = subject(facts).is_some_and(|who| who.effective.has(Cap::SysResource));
    match &facts.limits.memlock {
        Fact::Known(Limit { soft: None, .. }) => Verdict::ok("unlimited"),
        Fact::Known(Limit { hard: None, .. }) => Verdict::ok("raised when needed"),
        Fact::Known(_) if raises => Verdict::ok("raised when needed, by cap_sys_resource"),
        Fact::Known(Limit {
            soft: Some(soft), ..
        }) => {
            let maps = map_type(ARRAY).map(|map| Operation::MapCreate {
                map,
                bytes: CHARGED_BYTES,
            });
            let refused = maps.and_then(|maps| if_permitted(facts, &maps));
            let by_limit = |check: &Check| matches!(check, Check::Memlock { .. });
            if refused.is_none_or(|answer| !by_limit(&answer.because.check)) {
                return Verdict::ok(format!("{soft} bytes"));
            }
            Verdict::blocked(findings::memlock(vec![
                format!("RLIMIT_MEMLOCK {soft} bytes, and denet takes up to {CHARGED_BYTES}"),
                "Linux before 5.11 counts them".to_owned(),
            ]))
        }
        unknown => Verdict::without(unknown, "no such limit"),
    }
}

pub(super) fn opens_enough(facts: &Facts) -> Verdict {
    let limits = &facts.limits;
    // Where nothing can be opened, limits cannot be read either.
    let refused = exhausted(facts);
    let limit = match &limits.nofile {
        Fact::Known(limit) => *limit,
        _ if !refused.is_empty() => return Verdict::blocked(findings::nofile(refused)),
        unknown => return Verdict::without(unknown, "no such limit"),
    };
    let open = limits.open_files.known().copied();
    let Some(soft) = limit.soft else {
        return Verdict::ok("unlimited");
    };
    if refused.is_empty() && soft.saturating_sub(open.unwrap_or(0)) >= TAKEN_FILES {
        return Verdict::ok(match open {
            Some(open) => format!("{soft}, {open} of them open"),
            None => soft.to_string(),
        });
    }
    let open = open.map_or("an unknown number of".to_owned(), |open| open.to_string());
    let mut seen = vec![format!(
        "RLIMIT_NOFILE {soft}, and {open} files are open already"
    )];
    seen.extend(refused);
    let mut finding = findings::nofile(seen);
    if limit.hard == limit.soft {
        finding.fix = vec![Step::Run(
            "sudo prlimit --pid $$ --nofile=1024:1048576".to_owned(),
        )];
    }
    Verdict::blocked(finding)
}

/// What was refused for want of a free descriptor.
fn exhausted(facts: &Facts) -> Vec<String> {
    let probes = facts.probes.iter().flat_map(|probes| &probes.all);
    let refused = probes.filter(|probe| {
        matches!(
            probe.outcome,
            Outcome::Refused {
                errno: libc::EMFILE | libc::ENFILE,
                ..
            }
        )
    });
    refused.map(told).collect()
}

pub(super) fn has_memory(facts: &Facts) -> Verdict {
    if charges(facts) {
        return Verdict::not_applicable("maps count as locked memory here");
    }
    let left = match &facts.cgroup {
        Fact::Known(cgroup) => cgroup.left(),
        Fact::Absent => None,
        unknown => return Verdict::without(unknown, ""),
    };
    let release = facts.kernel.release();
    let taken = match release.is_some_and(|running| running >= PREEMPTS_PROGRAMS) {
        true => TAKEN_WHERE_PREEMPTED_BYTES,
        false => TAKEN_BYTES,
    };
    let seen = |left: u64| format!("{left} bytes left, and the maps take up to {taken}");
    let refused = answer(facts, "map:array_1mib") == Some(libc::ENOMEM);
    match left {
        _ if refused => {
            let mut evidence = vec!["BPF_MAP_CREATE of 1 MiB: ENOMEM".to_owned()];
            evidence.extend(left.map(seen));
            Verdict::blocked(findings::cgroup_memory(evidence))
        }
        Some(left) if left < taken => Verdict::degraded(findings::cgroup_memory(vec![seen(left)])),
        Some(left) => Verdict::ok(format!("{} MiB left", left / MIB)),
        None => Verdict::ok("no limit"),
    }
}

/// ENOTSUPP, which user space was never to see (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

pub(super) fn has_room_for_code(facts: &Facts) -> Verdict {
    if works(facts, "program:socket_filter") {
        return Verdict::ok("a program was compiled");
    }
    if answer(facts, "program:socket_filter") == Some(ENOTSUPP) {
        let seen = "BPF_PROG_LOAD socket_filter: errno 524 (ENOTSUPP)".to_owned();
        return Verdict::blocked(findings::jit_limit(vec![seen]));
    }
    Verdict::not_applicable("no program got so far")
}

pub(super) fn makes_ring_buffers(facts: &Facts) -> Verdict {
    if works(facts, "map:ringbuf") {
        return Verdict::ok("made");
    }
    match answer(facts, "map:ringbuf") {
        Some(libc::EINVAL) if works(facts, "map:array") => {
            let seen = "BPF_MAP_CREATE ringbuf: EINVAL, while an array is made".to_owned();
            Verdict::blocked(findings::ring_buffer(vec![seen]))
        }
        _ => Verdict::not_applicable("not told from other maps"),
    }
}
