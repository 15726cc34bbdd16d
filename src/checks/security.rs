//! What refuses system calls besides the kernel's own checks.

use super::findings;
use super::kernel::{answer, works};
use super::privileges::{is_by_filter, subject};
use super::refusal::polices;
use super::verdict::Verdict;
use crate::facts::{Fact, Facts};

pub(super) fn filter_lets_through(facts: &Facts) -> Verdict {
    let Some(who) = subject(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    if who.seccomp == 0 {
        return Verdict::ok("no filter");
    }
    let seen = |call: &str, errno: i32| {
        let errno = nix::errno::Errno::from_raw(errno);
        vec![
            format!("{call}: {errno}"),
            format!("Seccomp: {}, CapEff {}", who.seccomp, who.effective),
        ]
    };
    match (answer(facts, "bpf:reach"), answer(facts, "perf:software")) {
        (Some(errno), _) if is_by_filter(facts, errno) => {
            Verdict::blocked(findings::seccomp(seen("bpf(2)", errno)))
        }
        (_, Some(errno @ (libc::ENOSYS | libc::EPERM))) => {
            Verdict::degraded(findings::seccomp(seen("perf_event_open", errno)))
        }
        (Some(libc::EBADF), _) => Verdict::ok("a filter, which lets bpf(2) through"),
        _ => Verdict::Unknown(
            "a filter is in force, and only trying tells what it denies".to_owned(),
        ),
    }
}

pub(super) fn modules_let_through(facts: &Facts) -> Verdict {
    let security = &facts.security;
    if works(facts, "program:raw_tracepoint") {
        return Verdict::ok("none refused a program");
    }
    let confined = polices(facts);
    let held = subject(facts).is_some_and(|who| who.effective.lacks_for_tracing().is_empty());
    let refused = [libc::EPERM, libc::EACCES].map(Some);
    match confined {
        None => match &security.modules {
            Fact::Known(modules) => Verdict::ok(modules.join(", ")),
            _ => Verdict::ok("none that is known to have a say"),
        },
        Some(module) if held && refused.contains(&answer(facts, "program:raw_tracepoint")) => {
            let seen = "BPF_PROG_LOAD raw_tracepoint: refused, with the capabilities held";
            Verdict::blocked(findings::security_module(vec![seen.to_owned(), module]))
        }
        Some(module) => Verdict::Unknown(format!(
            "{module}; what its policy says of bpf(2) only trying tells"
        )),
    }
}
