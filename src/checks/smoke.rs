//! Why the smoke test did not see what it did.

use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::facts::Fact;
use crate::facts::kernel::PREEMPTS_PROGRAMS;
use crate::facts::privileges::Privileges;

/// Calls that were made and calls that the program saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miscount<'a> {
    /// Of what.
    pub(crate) syscall: &'a str,
    /// Made.
    pub(crate) expected: u64,
    /// Seen, at the last attempt.
    pub(crate) observed: u64,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Runs of the program that the kernel left out, of whichever task, in all attempts.
    pub(crate) skipped_runs: u64,
}

/// What is behind another number than was expected.
pub(crate) fn miscounted(privileges: &Fact<Privileges>, count: Miscount<'_>) -> Finding {
    let Miscount {
        syscall,
        expected,
        observed,
        attempts,
        skipped_runs,
    } = count;
    let counts = format!("{expected} calls of {syscall} were made, {observed} were observed");
    let skipped = format!("recursion_misses {skipped_runs}, after {attempts} attempts");
    let filter = privileges.known().map_or(0, |known| known.seccomp);
    let finding = |id, cause: String, evidence, fix: &str| Finding {
        id,
        cause,
        evidence,
        fix: vec![Step::manual(fix)],
    };
    if skipped_runs > 0 && observed < expected {
        return finding(
            "runs-skipped",
            format!(
                "the kernel skipped runs of the program: from Linux {PREEMPTS_PROGRAMS} on the program of a raw \
                 tracepoint may be preempted, and until it goes on it is not run for other tasks on that CPU"
            ),
            vec![counts, skipped],
            "run it again when the machine is less busy; denet itself uses perf events on such kernels, \
             which are not preempted",
        );
    }
    if observed == 0 && filter == 2 {
        return finding(
            "seccomp-syscall",
            format!(
                "a seccomp filter answers {syscall} before the kernel enters it, so no tracepoint fires"
            ),
            vec![counts, format!("Seccomp: {filter}")],
            "try another one with --syscall",
        );
    }
    finding(
        "count-differs",
        "the program ran, and its count is wrong".to_owned(),
        vec![counts, skipped],
        "run again with --debug, and with another --syscall",
    )
}

/// The program counts although its link is closed.
pub(crate) fn still_attached(syscall: &str, made: u64, observed: u64) -> Finding {
    Finding {
        id: "still-attached",
        cause: "the link is closed, and the program still runs".to_owned(),
        evidence: vec![format!(
            "{made} calls of {syscall} were made after that, {observed} were observed"
        )],
        fix: vec![Step::Run("sudo bpftool link show".to_owned())],
    }
}

/// The embedded object is not what it should be.
pub(crate) fn broken_object(what: String) -> Finding {
    Finding {
        id: "object-broken",
        cause: "the eBPF object in this binary is damaged".to_owned(),
        evidence: vec![what],
        fix: vec![Step::Run("cargo build --release".to_owned())],
    }
}

/// The kernel's types are there and malformed.
pub(crate) fn malformed_btf(what: String) -> Finding {
    Finding {
        id: "kernel-btf-malformed",
        cause: "the kernel's description of its own types cannot be understood".to_owned(),
        evidence: vec![what],
        fix: vec![Step::manual(
            "boot the distribution's own kernel, or one built with a pahole that is as new as its compiler",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::privileges;

    fn privileges(seccomp: u32) -> Fact<Privileges> {
        Fact::Known(Privileges {
            uid: 0,
            seccomp,
            ..privileges::tests::nobody()
        })
    }

    fn id(seccomp: u32, observed: u64, skipped_runs: u64) -> &'static str {
        let count = Miscount {
            syscall: "getpid",
            expected: 1000,
            observed,
            attempts: 5,
            skipped_runs,
        };
        let finding = miscounted(&privileges(seccomp), count);
        assert!(
            finding.evidence[0].contains("1000") && finding.evidence[0].contains("getpid"),
            "both numbers are told: {finding:?}"
        );
        finding.id
    }

    #[test]
    fn a_shortfall_has_the_cause_that_the_kernel_admits() {
        assert_eq!(id(0, 990, 12), "runs-skipped");
        assert_eq!(id(2, 990, 12), "runs-skipped");
        assert_eq!(id(2, 0, 0), "seccomp-syscall");
    }

    #[test]
    fn nothing_else_is_guessed() {
        assert_eq!(id(0, 990, 0), "count-differs");
        assert_eq!(id(2, 990, 0), "count-differs");
        assert_eq!(id(0, 0, 0), "count-differs");
        assert_eq!(id(0, 1001, 12), "count-differs");
    }
}
