//! Why a better backend is not used, where a worse one is.

use super::findings;
use super::refusal::Refusal;
use crate::backends::table::Needs;
use crate::checks::finding::Finding;
use crate::facts::Fact;
use crate::facts::kernel::{Kernel, Lockdown};

/// What is behind a refusal that only costs something.
pub(crate) fn why_not(kernel: &Kernel, needs: Needs, refusal: Refusal<'_>) -> Finding {
    let release = kernel.release();
    let locked = kernel.lockdown == Fact::Known(Lockdown::Confidentiality);
    let is_of = |command: &str| refusal.what.starts_with(command);
    let said = || vec![refusal.what.to_owned()];
    match refusal.errno {
        Some(libc::EINVAL | libc::EPERM) if locked && !needs.btf => findings::lockdown(said()),
        // What it does not know of it calls invalid, or its verifier does not trust it.
        Some(libc::EINVAL | libc::EACCES)
            if release.is_some_and(|running| running < needs.since) && is_of("BPF_") =>
        {
            findings::kernel_too_old(needs.since, release, said())
        }
        // tracefs is empty there, and perf events of tracepoints are invalid.
        _ if locked && (is_of("tracefs") || is_of("perf_event_open")) => findings::lockdown(said()),
        Some(libc::ENOENT) if is_of("tracefs") => {
            findings::tracefs_not_mounted(said(), Some(findings::OWN_GROUP.to_owned()))
        }
        _ if is_of("tracefs") => {
            findings::tracefs_unreadable(said(), findings::OWN_GROUP.to_owned())
        }
        Some(libc::EACCES) if is_of("perf_event_open") => {
            findings::perf_event_paranoid(None, said())
        }
        _ => findings::unexplained(refusal.what, refusal.log, Vec::new()),
    }
}

/// What is behind the loader's refusal; `btf` is where the kernel's types were expected.
#[cfg(feature = "ebpf")]
pub(crate) fn refused(
    kernel: &Kernel,
    refused: &crate::backends::loader::Refused,
    btf: &std::path::Path,
) -> Finding {
    let Some(error) = &refused.error else {
        return findings::kernel_without_btf(btf);
    };
    why_not(
        kernel,
        refused.needs,
        Refusal::of(error, &error.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::kernel::tests;
    use crate::sys::release::Release;

    fn kernel(release: Release, lockdown: Lockdown) -> Kernel {
        tests::kernel(release, Fact::Known(lockdown))
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
            "tracefs-unreadable"
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
