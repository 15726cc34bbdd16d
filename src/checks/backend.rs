//! Why a better way of asking the kernel did not run, where a worse one does.

use std::path::Path;

use super::bpf_access::{self, Refusal};
use crate::facts::Fact;
use crate::facts::kernel::{Kernel, Lockdown, Release};
use crate::finding::Finding;
use crate::step::Step;

/// What a way of asking takes from the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// The mainline version that brought it. Distributions backport: it explains a refusal, and
    /// never makes one.
    pub since: Release,
    /// Types of the kernel itself.
    pub btf: bool,
}

/// The kernel has no types of its own.
pub fn without_btf(path: &Path) -> Finding {
    Finding {
        id: "kernel-without-btf",
        cause: "this kernel does not describe its own types (CONFIG_DEBUG_INFO_BTF)".to_owned(),
        evidence: vec![format!("{}: absent", path.display())],
        fix: Vec::new(),
    }
}

/// The least that lets a group read tracefs, on every kernel tried; it cannot write there.
fn readable_tracefs(mount_first: bool) -> Vec<Step> {
    const AT: &str = "/sys/kernel/tracing";
    let mount = Step::Mount {
        kind: "tracefs",
        at: AT,
    };
    let remount = Step::Remount {
        at: AT,
        options: "gid=$(id -g),mode=0750",
        before: "gid=0,mode=0700",
        risk: "members of that group can read what is traced there, and write nothing but trace_marker",
    };
    let mount = mount_first.then_some(mount);
    mount.into_iter().chain([remount]).collect()
}

/// What is behind a refusal that only costs something.
pub fn why_not(kernel: &Kernel, needs: Needs, refusal: Refusal<'_>) -> Finding {
    let release = kernel.release.known();
    let locked = kernel.lockdown == Fact::Known(Lockdown::Confidentiality);
    match refusal.errno {
        Some(libc::EINVAL | libc::EPERM)
            if locked && !needs.btf =>
        {
            bpf_access::lockdown(refusal)
        }
        // What it does not know of it calls invalid, or its verifier does not trust it.
        Some(libc::EINVAL | libc::EACCES)
            if release.is_some_and(|running| *running < needs.since)
                && refusal.what.starts_with("BPF_") =>
        {
            let Release(major, minor) = needs.since;
            let running = release.map_or(String::new(), |Release(a, b)| format!("Linux {a}.{b}"));
            Finding {
                id: "kernel-too-old",
                cause: format!("this came with Linux {major}.{minor}"),
                evidence: vec![refusal.what.to_owned(), running],
                fix: Vec::new(),
            }
        }
        // tracefs is empty there, and perf events of tracepoints are invalid.
        _ if locked && (refusal.what.starts_with("tracefs") || refusal.what.starts_with("perf_event_open")) => {
            bpf_access::lockdown(refusal)
        }
        _ if refusal.what.starts_with("tracefs") => Finding {
            id: "tracefs",
            cause: "the id of a tracepoint can be read only in tracefs, which is not readable here"
                .to_owned(),
            evidence: vec![refusal.what.to_owned()],
            fix: readable_tracefs(refusal.errno == Some(libc::ENOENT)),
        },
        Some(libc::EACCES | libc::EPERM) if refusal.what.starts_with("perf_event_open") => Finding {
            id: "perf-event-paranoid",
            cause: "this distribution's kernel lets only root open perf events (perf_event_paranoid 3 or \
                    higher), whatever CAP_PERFMON says"
                .to_owned(),
            evidence: vec![refusal.what.to_owned()],
            fix: vec![Step::Sysctl {
                key: "kernel.perf_event_paranoid",
                value: 2,
                before: None,
                risk: "users without privileges may then measure their own processes with perf_event_open",
            }],
        },
        _ => bpf_access::unexplained(refusal, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(release: Release, lockdown: Lockdown) -> Kernel {
        Kernel {
            release: Fact::Known(release),
            memlock: Fact::Known(u64::MAX),
            lockdown: Fact::Known(lockdown),
        }
    }

    fn id(kernel: &Kernel, btf: bool, what: &str, errno: i32) -> &'static str {
        let needs = Needs {
            since: Release(6, 4),
            btf,
        };
        let refusal = Refusal {
            what,
            errno: Some(errno),
            log: None,
        };
        why_not(kernel, needs, refusal).id
    }

    #[test]
    fn a_version_explains_what_the_kernel_does_not_know() {
        let old = kernel(Release(6, 1), Lockdown::None);
        assert_eq!(
            id(&old, true, "BPF_MAP_CREATE", libc::EINVAL),
            "kernel-too-old"
        );
        assert_eq!(
            id(&old, true, "BPF_MAP_CREATE", libc::ENOMEM),
            "kernel-refused"
        );
        assert_eq!(
            id(&old, true, "BPF_PROG_LOAD", libc::EACCES),
            "kernel-too-old"
        );
        let new = kernel(Release(6, 12), Lockdown::None);
        assert_eq!(
            id(&new, true, "BPF_MAP_CREATE", libc::EINVAL),
            "kernel-refused"
        );
    }

    #[test]
    fn lockdown_stands_in_the_way_of_reading_helpers_only() {
        let locked = kernel(Release(6, 1), Lockdown::Confidentiality);
        assert_eq!(
            id(&locked, false, "BPF_PROG_LOAD", libc::EINVAL),
            "lockdown"
        );
        assert_eq!(
            id(&locked, true, "BPF_PROG_LOAD", libc::EINVAL),
            "kernel-too-old"
        );
    }

    #[test]
    fn tracepoint_events_have_two_doors() {
        let new = kernel(Release(7, 2), Lockdown::None);
        assert_eq!(
            id(&new, true, "tracefs events/x/id", libc::EACCES),
            "tracefs"
        );
        let locked = kernel(Release(7, 2), Lockdown::Confidentiality);
        assert_eq!(
            id(&locked, true, "tracefs events/x/id", libc::ENOENT),
            "lockdown"
        );
        assert_eq!(
            id(&new, true, "perf_event_open x", libc::EACCES),
            "perf-event-paranoid"
        );
    }
}
