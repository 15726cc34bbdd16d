//! Why the kernel refused something, told from the errno and what is known: the one table that every
//! tool asks.

use super::findings;
use super::outside::from_outside;
use super::privileges::{self, obstacles};
use super::tracing::sees_processes;
use crate::backends::table::WALKS_TASKS;
use crate::checks::finding::Finding;
use crate::facts::kernel::Lockdown;
use crate::facts::kernel_types::VMLINUX;
use crate::facts::{Fact, Facts};
use crate::sys::release::Release;

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The command and its errno, for people; it begins with the name of the system call or, of
    /// bpf(2), of its command.
    pub what: &'a str,
    /// The errno, where the kernel gave one.
    pub errno: Option<i32>,
    /// What the verifier said.
    pub log: Option<&'a str>,
}

impl<'a> Refusal<'a> {
    /// Of an error; `what` is that error as text.
    #[cfg(feature = "ebpf")]
    pub(crate) fn of(error: &'a crate::bpf::KernelError, what: &'a str) -> Self {
        Self {
            what,
            errno: error.source.raw_os_error(),
            log: error.log.as_deref(),
        }
    }

    fn is_of(&self, command: &str) -> bool {
        self.what.starts_with(command)
    }
}

/// The kernel's own "not supported", which user space was never to see (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

/// The command that waits to be let go could not be looked at.
pub const WAITING: &str = "the waiting command";
/// The kernel's types that show the ids of tasks in a pid namespace.
pub(crate) const IDS_OF_TASKS: &str = "BTF struct pid";

/// Until it is executed it is a copy of denet: hidden like one that has file capabilities.
fn of_waiting(facts: &Facts, refusal: Refusal<'_>) -> Option<Finding> {
    let mut found = sees_processes(facts).finding()?.clone();
    found.evidence.insert(0, refusal.what.to_owned());
    Some(found)
}

/// The finding behind a refusal.
pub fn explain(facts: &Facts, refusal: Refusal<'_>) -> Finding {
    if let Some(libc::EMFILE | libc::ENFILE) = refusal.errno {
        return findings::nofile(limits(facts, refusal));
    }
    let found = if refusal.is_of("perf_event_open") {
        of_perf(facts, refusal)
    } else if refusal.is_of("tracefs") {
        of_tracefs(facts, refusal)
    } else if refusal.is_of("BTF ") {
        of_types(facts, refusal)
    } else if refusal.is_of(WAITING) {
        of_waiting(facts, refusal)
    } else {
        of_bpf(facts, refusal)
    };
    let mut found = found.unwrap_or_else(|| {
        let held = match privileges::subject(facts) {
            Some(who) => format!("CapEff {}", who.effective),
            None => format!("privileges: {:?}", facts.privileges),
        };
        findings::unexplained(refusal.what, refusal.log, vec![held])
    });
    from_outside(facts, &mut found);
    found
}

/// `bpf(2)` and what is attached by it.
fn of_bpf(facts: &Facts, refusal: Refusal<'_>) -> Option<Finding> {
    let who = privileges::subject(facts)?;
    let filtered = who.seccomp == 2;
    let said = || vec![refusal.what.to_owned()];
    let filter = || {
        let seen = format!("Seccomp: {}, CapEff {}", who.seccomp, who.effective);
        vec![refusal.what.to_owned(), seen]
    };
    let locked = facts.kernel.lockdown.known() == Some(&Lockdown::Confidentiality);
    Some(match refusal.errno? {
        libc::ENOSYS if filtered => findings::seccomp(filter()),
        libc::ENOSYS => {
            let mut seen = said();
            seen.push("no seccomp filter is in force".to_owned());
            findings::kernel_without_bpf(seen)
        }
        // The verifier rejects with words.
        libc::EACCES if refusal.log.is_some_and(|log| !log.is_empty()) => return None,
        libc::EPERM | libc::EACCES => return of_permission(facts, refusal, filter()),
        libc::EINVAL if locked => findings::lockdown(locked_down(refusal)),
        libc::ENOMEM => findings::cgroup_memory(left(facts, refusal)),
        libc::EBUSY | libc::EEXIST if refusal.is_of("BPF_LINK_CREATE") => {
            findings::xdp_busy(said())
        }
        libc::EINVAL if refusal.is_of("BPF_MAP_CREATE ringbuf") => findings::ring_buffer(said()),
        ENOTSUPP if refusal.is_of("BPF_PROG_LOAD") => findings::jit_limit(said()),
        _ => return None,
    })
}

/// Everything that answers EPERM, in the order in which the kernel and what is around it would.
fn of_permission(facts: &Facts, refusal: Refusal<'_>, filter: Vec<String>) -> Option<Finding> {
    let who = privileges::subject(facts)?;
    let obstacle = obstacles(facts).into_iter().next().map(|mut found| {
        found.evidence.insert(0, refusal.what.to_owned());
        found
    });
    if obstacle.is_some() {
        return obstacle;
    }
    if is_charged(facts, refusal.what) {
        return Some(findings::memlock(limits(facts, refusal)));
    }
    if who.seccomp == 2 {
        return Some(findings::seccomp(filter));
    }
    if facts.kernel.lockdown.known() == Some(&Lockdown::Confidentiality) {
        return Some(findings::lockdown(locked_down(refusal)));
    }
    polices(facts).map(|module| findings::security_module(vec![refusal.what.to_owned(), module]))
}

/// A security module that is known to have a say in bpf(2) here.
pub(super) fn polices(facts: &Facts) -> Option<String> {
    let security = &facts.security;
    let label = privileges::subject(facts)?.label.known();
    if security.selinux_enforcing == Fact::Known(true) {
        let domain = label.and_then(|label| label.split(':').nth(2));
        let domain = domain.unwrap_or("of an unknown domain");
        // Users who log in, by the policy that distributions ship.
        let confined = domain != "unconfined_t";
        return confined.then(|| format!("SELinux confines this process: {domain}"));
    }
    let label = label?;
    let confined = security.apparmor == Fact::Known(true) && label.ends_with("(enforce)");
    confined.then(|| format!("AppArmor confines this process: {label}"))
}

fn of_perf(facts: &Facts, refusal: Refusal<'_>) -> Option<Finding> {
    let said = || vec![refusal.what.to_owned()];
    let who = privileges::subject(facts)?;
    let locked = facts.kernel.lockdown.known() == Some(&Lockdown::Confidentiality);
    let paranoid = facts.sysctls.perf_event_paranoid.known().copied();
    Some(match refusal.errno? {
        libc::EACCES | libc::EPERM if locked => findings::lockdown(locked_down(refusal)),
        libc::EACCES if who.effective.lacks_for_tracing().is_empty() => {
            let mut seen = said();
            seen.extend(paranoid.map(|level| format!("kernel.perf_event_paranoid {level}")));
            findings::perf_event_paranoid(paranoid, seen)
        }
        libc::EACCES | libc::EPERM => {
            let filter = format!("Seccomp: {}, CapEff {}", who.seccomp, who.effective);
            return of_permission(facts, refusal, vec![refusal.what.to_owned(), filter]);
        }
        libc::EINVAL if locked => findings::lockdown(locked_down(refusal)),
        libc::ENOSYS if who.seccomp == 2 => findings::seccomp(said()),
        libc::ENOENT if refusal.what.starts_with("perf_event_open kprobe") => {
            return super::kernel::has_kprobes(facts).finding().cloned();
        }
        libc::ENOENT | libc::EOPNOTSUPP if refusal.what.contains("cycles") => {
            findings::no_hardware_counters(said())
        }
        _ => return None,
    })
}

fn of_tracefs(facts: &Facts, refusal: Refusal<'_>) -> Option<Finding> {
    let said = || vec![refusal.what.to_owned()];
    let locked = facts.kernel.lockdown.known() == Some(&Lockdown::Confidentiality);
    let group = || findings::OWN_GROUP.to_owned();
    Some(match refusal.errno? {
        _ if locked => findings::lockdown(locked_down(refusal)),
        libc::ENOENT => findings::tracefs_not_mounted(said(), Some(group())),
        libc::EACCES | libc::EPERM => findings::tracefs_unreadable(said(), group()),
        _ => return None,
    })
}

/// The kernel's types: reading them, or one of them by name.
fn of_types(facts: &Facts, refusal: Refusal<'_>) -> Option<Finding> {
    let said = refusal.what.to_owned();
    match refusal.errno {
        Some(libc::ENOENT) => Some(findings::kernel_without_btf(VMLINUX.as_ref())),
        Some(libc::EINVAL) if refusal.is_of(IDS_OF_TASKS) => Some(findings::ids_unreadable(said)),
        Some(libc::EINVAL) if refusal.is_of("BTF bpf_iter_task") => {
            let running = facts.kernel.release();
            Some(findings::kernel_too_old(WALKS_TASKS, running, vec![said]))
        }
        Some(_) => None,
        None => Some(super::smoke::malformed_btf(said)),
    }
}

fn locked_down(refusal: Refusal<'_>) -> Vec<String> {
    let level = "/sys/kernel/security/lockdown: [confidentiality]";
    vec![refusal.what.to_owned(), level.to_owned()]
}

/// Before 5.11 maps and programs are charged to RLIMIT_MEMLOCK (`bpf_charge_memlock` and
/// `__bpf_prog_charge`, kernel/bpf/syscall.c).
fn is_charged(facts: &Facts, what: &str) -> bool {
    let takes_memory = ["BPF_MAP_CREATE", "BPF_PROG_LOAD"]
        .iter()
        .any(|command| what.starts_with(command));
    let unlimited = |limit: &crate::facts::limits::Limit| limit.soft.is_none();
    takes_memory && charges(facts) && !facts.limits.memlock.known().is_some_and(unlimited)
}

/// This kernel counts maps and programs as locked memory.
pub(super) fn charges(facts: &Facts) -> bool {
    let release = facts.kernel.release();
    release.is_some_and(|release| release < Release(5, 11))
}

fn limits(facts: &Facts, refusal: Refusal<'_>) -> Vec<String> {
    let limits = &facts.limits;
    let text = |limit: &Fact<crate::facts::limits::Limit>| match limit.known().map(|it| it.soft) {
        Some(Some(number)) => number.to_string(),
        Some(None) => "unlimited".to_owned(),
        None => "unknown".to_owned(),
    };
    let limit = match refusal.errno {
        Some(libc::EMFILE | libc::ENFILE) => format!(
            "RLIMIT_NOFILE {}, open {}",
            text(&limits.nofile),
            limits
                .open_files
                .known()
                .map_or("unknown".to_owned(), u64::to_string)
        ),
        _ => format!(
            "RLIMIT_MEMLOCK {} bytes, Linux before 5.11",
            text(&limits.memlock)
        ),
    };
    vec![refusal.what.to_owned(), limit]
}

fn left(facts: &Facts, refusal: Refusal<'_>) -> Vec<String> {
    let left = facts
        .cgroup
        .known()
        .and_then(crate::facts::cgroup::Cgroup::left);
    let left = left.map(|bytes| format!("memory left in the control group: {bytes} bytes"));
    std::iter::once(refusal.what.to_owned())
        .chain(left)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::step::Step;
    use crate::facts;
    use crate::facts::binary::{Binary, FileCapabilities};
    use crate::facts::kernel::{self, Kernel};
    use crate::facts::privileges::{self, Privileges};
    use crate::sys::capabilities::CapSet;

    const BOTH: CapSet = CapSet(0xc0 << 32);
    const ALL: CapSet = CapSet(0x1ff_ffff_ffff);

    fn facts(change: impl FnOnce(&mut Privileges, &mut Binary, &mut Kernel)) -> Facts {
        let mut facts = facts::tests::healthy();
        let mut privileges = privileges::tests::nobody();
        facts.binary.path = Fact::Known("/opt/my tools/denet".into());
        change(&mut privileges, &mut facts.binary, &mut facts.kernel);
        facts.privileges = Fact::Known(privileges);
        facts
    }

    fn id(
        errno: i32,
        change: impl FnOnce(&mut Privileges, &mut Binary, &mut Kernel),
    ) -> &'static str {
        explain(
            &facts(change),
            Refusal {
                what: "BPF_PROG_LOAD x",
                errno: Some(errno),
                log: None,
            },
        )
        .id
    }

    #[test]
    fn each_cause_of_a_bare_eperm() {
        const EPERM: i32 = libc::EPERM;
        let caps = |permitted, effective| {
            Fact::Known(FileCapabilities {
                permitted,
                effective,
                ..FileCapabilities::default()
            })
        };
        assert_eq!(id(EPERM, |_, _, _| ()), "file-capabilities-missing");
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities =
                caps(CapSet(0x80 << 32), true)),
            "file-capabilities-partial"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities = caps(BOTH, false)),
            "file-capabilities-not-effective"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities = caps(BOTH, true)),
            "capabilities-dropped"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities =
                Fact::Failed("ENOTSUP".into())),
            "file-capabilities-unknown"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.nosuid = Fact::Known(true)),
            "nosuid-mount"
        );
        assert_eq!(id(EPERM, |p, _, _| p.no_new_privs = true), "no-new-privs");
        assert_eq!(
            id(EPERM, |p, _, _| p.bounding = CapSet(0xffff)),
            "bounding-set"
        );
        assert_eq!(
            id(EPERM, |p, _, _| p.initial_user_namespace =
                Fact::Known(false)),
            "user-namespace"
        );
        let held = |p: &mut Privileges, _: &mut Binary, _: &mut Kernel| p.effective = BOTH;
        assert_eq!(id(EPERM, held), "kernel-refused");
        assert_eq!(
            id(EPERM, |p, _, _| (p.effective, p.seccomp) = (BOTH, 2)),
            "seccomp"
        );
        let locked = |p: &mut Privileges, _: &mut Binary, k: &mut Kernel| {
            p.effective = ALL;
            k.lockdown = Fact::Known(Lockdown::Confidentiality);
        };
        assert_eq!(id(libc::EINVAL, locked), "lockdown");
    }

    #[test]
    fn old_kernels_charge_maps_and_programs_to_a_limit() {
        let held = |release| {
            move |p: &mut Privileges, _: &mut Binary, k: &mut Kernel| {
                p.effective = BOTH;
                *k = kernel::tests::kernel(release, Fact::Absent);
            }
        };
        let id = |release, what| {
            let refusal = Refusal {
                what,
                errno: Some(libc::EPERM),
                log: None,
            };
            explain(&facts(held(release)), refusal).id
        };
        let old = Release(5, 10);
        assert_eq!(id(old, "BPF_MAP_CREATE x: not permitted"), "memlock");
        assert_eq!(id(old, "BPF_PROG_LOAD x: not permitted"), "memlock");
        assert_eq!(id(old, "BPF_BTF_LOAD: not permitted"), "kernel-refused");
        let new = Release(5, 11);
        assert_eq!(id(new, "BPF_MAP_CREATE x: not permitted"), "kernel-refused");
    }

    #[test]
    fn the_kernels_types_are_absent_or_broken_or_came_later() {
        let id = |what, errno| {
            let refusal = Refusal {
                what,
                errno,
                log: None,
            };
            explain(&facts(|_, _, _| ()), refusal).id
        };
        let file = "BTF /sys/kernel/btf/vmlinux: it ends too early";
        assert_eq!(id(file, None), "kernel-btf-malformed");
        assert_eq!(id(file, Some(libc::ENOENT)), "kernel-without-btf");
        let walk = "BTF bpf_iter_task: Invalid argument";
        assert_eq!(id(walk, Some(libc::EINVAL)), "kernel-too-old");
        assert_eq!(id(file, Some(libc::EIO)), "kernel-refused");
    }

    #[test]
    fn a_missing_system_call_has_two_causes() {
        assert_eq!(id(libc::ENOSYS, |_, _, _| ()), "kernel-without-bpf");
        assert_eq!(id(libc::ENOSYS, |p, _, _| p.seccomp = 2), "seccomp");
    }

    #[test]
    fn the_fix_can_be_pasted_and_asks_for_no_more_than_needed() {
        let refusal = Refusal {
            what: "x",
            errno: Some(libc::EPERM),
            log: None,
        };
        let fix = explain(&facts(|_, _, _| ()), refusal).fix;
        assert_eq!(
            fix.iter().map(Step::text).collect::<Vec<_>>(),
            ["sudo setcap cap_bpf,cap_perfmon=ep '/opt/my tools/denet'"]
        );
    }
}
