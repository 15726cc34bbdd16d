//! What tracing goes through: tracefs, perf events, symbols, and who sees whom.

use super::findings;
use super::kernel::{TRACEPOINT_EVENT, answer, if_permitted, works};
use super::predict::{Check, Conditions, Operation, Outcome, predict};
use super::privileges::{grant_more, subject};
use super::verdict::Verdict;
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::facts::access::{Access, Want};
use crate::facts::kernel::Lockdown;
use crate::facts::mounts::HidePid;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;

fn is_empty_by_lockdown(facts: &Facts) -> bool {
    facts.kernel.lockdown == Fact::Known(Lockdown::Confidentiality)
}

/// Whose group is to read: a named user's own, or that of whoever types the command.
fn group(facts: &Facts) -> String {
    match subject(facts) {
        Some(who) if facts.subject.simulated => who.real_gid.to_string(),
        _ => findings::OWN_GROUP.to_owned(),
    }
}

/// root reads whatever the mode says.
fn is_root(facts: &Facts) -> bool {
    subject(facts).is_some_and(|who| who.uid == 0)
}

pub(super) fn tracefs_is_mounted(facts: &Facts) -> Verdict {
    match &facts.mounts.tracefs {
        Fact::Known(mounts) => Verdict::Ok(
            mounts
                .first()
                .map_or(String::new(), |first| first.mount.point.clone()),
        ),
        Fact::Absent if is_empty_by_lockdown(facts) => {
            Verdict::not_applicable("it would be empty: the kernel is locked down")
        }
        Fact::Absent => {
            let seen = "no tracefs in /proc/self/mountinfo".to_owned();
            let readers = (!is_root(facts)).then(|| group(facts));
            Verdict::blocked(findings::tracefs_not_mounted(vec![seen], readers))
        }
        unknown => Verdict::without(unknown, ""),
    }
}

pub(super) fn tracefs_is_readable(facts: &Facts) -> Verdict {
    if facts.mounts.tracefs == Fact::Absent {
        return Verdict::not_applicable("it is not mounted");
    }
    let Some(who) = subject(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    for point in &facts.tracepoints {
        match point.readable_by(who) {
            Fact::Known(Access::Allowed) => {}
            Fact::Known(Access::Refused { at, want, stat }) => {
                let wants = match want {
                    Want::Read => "read",
                    Want::Write => "write",
                    Want::Execute => "search",
                };
                let seen = format!(
                    "{at}: mode {:04o}, owner {}, group {}; {wants} permission is missing",
                    stat.mode, stat.uid, stat.gid
                );
                return Verdict::blocked(findings::tracefs_unreadable(vec![seen], group(facts)));
            }
            Fact::Known(Access::Missing(_)) if is_empty_by_lockdown(facts) => {
                return Verdict::not_applicable("it is empty: the kernel is locked down");
            }
            Fact::Known(Access::Missing(at)) => {
                return Verdict::Unknown(format!("there is no {at}"));
            }
            Fact::Known(Access::Unknown(why)) | Fact::Denied(why) | Fact::Failed(why) => {
                return Verdict::Unknown(why);
            }
            Fact::Absent => return Verdict::not_applicable("it is not mounted"),
        }
    }
    Verdict::ok("ids of tracepoints can be read")
}

pub(super) fn perf_events_are_open(facts: &Facts) -> Verdict {
    let level = &facts.sysctls.perf_event_paranoid;
    if works(facts, "attach:tp/raw_syscalls/sys_enter") {
        return Verdict::ok("a tracepoint's perf event was opened");
    }
    let refused = if_permitted(facts, &Operation::PerfEventOpen(TRACEPOINT_EVENT));
    let by_distribution = |check: &Check| matches!(check, Check::DistributionParanoid(..));
    match level {
        Fact::Known(level)
            if refused.is_some_and(|answer| by_distribution(&answer.because.check)) =>
        {
            let seen = format!("kernel.perf_event_paranoid {level}");
            Verdict::blocked(findings::perf_event_paranoid(Some(*level), vec![seen]))
        }
        Fact::Known(level) => Verdict::ok(format!("kernel.perf_event_paranoid {level}")),
        unknown => Verdict::without(unknown, "this kernel has no perf events"),
    }
}

pub(super) fn has_counters(facts: &Facts) -> Verdict {
    if works(facts, "perf:cycles") {
        return Verdict::ok("cycles are counted");
    }
    match answer(facts, "perf:cycles") {
        Some(errno @ (libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV)) => {
            let seen = format!(
                "perf_event_open cycles: {}",
                nix::errno::Errno::from_raw(errno)
            );
            Verdict::blocked(findings::no_hardware_counters(vec![seen]))
        }
        Some(_) => Verdict::not_applicable("they were not asked: perf events are refused"),
        None => Verdict::Unknown("only trying tells, for the user who runs this".to_owned()),
    }
}

pub(super) fn bpffs_is_mounted(facts: &Facts) -> Verdict {
    match &facts.mounts.bpffs {
        Fact::Known(mounts) => Verdict::Ok(
            mounts
                .first()
                .map_or(String::new(), |first| first.mount.point.clone()),
        ),
        Fact::Absent => Verdict::degraded(Finding {
            id: "bpffs-not-mounted",
            cause: "programs and counters cannot be kept beyond the process that made them: no bpffs is \
                    mounted to pin them in"
                .to_owned(),
            evidence: vec!["no bpf in /proc/self/mountinfo".to_owned()],
            fix: vec![Step::Mount {
                kind: "bpf",
                at: "/sys/fs/bpf",
            }],
        }),
        unknown => Verdict::without(unknown, ""),
    }
}

/// Another program on an interface keeps denet's off that interface, not off others.
pub(super) fn interfaces_are_free(facts: &Facts) -> Verdict {
    let interfaces = match &facts.interfaces {
        Fact::Known(interfaces) => interfaces,
        // It is about one interface or another, and blocks no goal: nothing hangs on it.
        _ => return Verdict::not_applicable("interfaces are listed on the running machine only"),
    };
    let mut taken = Vec::new();
    for interface in interfaces {
        let programs = interface.xdp.known().map_or(&[][..], Vec::as_slice);
        taken.extend(programs.iter().map(|program| {
            format!(
                "{}: XDP program {} ({:?})",
                interface.name, program.program, program.mode
            )
        }));
    }
    if taken.is_empty() {
        let plural = if interfaces.len() == 1 { "" } else { "s" };
        return Verdict::Ok(format!(
            "{} interface{plural}, no XDP program",
            interfaces.len()
        ));
    }
    Verdict::degraded(findings::xdp_busy(taken))
}

pub(super) fn shows_symbols(facts: &Facts) -> Verdict {
    let Some(conditions) = Conditions::of(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    let restrict = match &facts.sysctls.kptr_restrict {
        Fact::Known(restrict) => *restrict,
        unknown => return Verdict::without(unknown, "no such setting"),
    };
    if predict(&Operation::ReadKallsyms, &conditions).outcome == Outcome::Ok {
        return Verdict::ok(format!("kernel.kptr_restrict {restrict}"));
    }
    let mut fix = Vec::new();
    if restrict > 1 {
        fix.push(Step::Sysctl {
            key: "kernel.kptr_restrict".into(),
            value: 1,
            before: Some(restrict),
            risk: "who holds cap_syslog can then read addresses of kernel symbols",
        });
    }
    let who = subject(facts);
    let holds = who.is_some_and(|who| who.effective.has(Cap::Syslog));
    let outside = who.is_some_and(|who| !who.bounding.has(Cap::Syslog));
    if outside {
        fix.push(Step::Manual {
            what: "start the container with --cap-add SYSLOG".to_owned(),
            risk: "whoever is root in the container can then read the host's kernel log".into(),
        });
    } else if !holds && facts.binary.path.known().is_some() {
        fix.extend(grant_more(facts, Cap::Syslog));
    }
    Verdict::degraded(Finding {
        id: "kernel-addresses-hidden",
        cause:
            "/proc/kallsyms shows this user no addresses: kernel functions in stacks have no names"
                .to_owned(),
        evidence: vec![format!(
            "kernel.kptr_restrict {restrict}, CapEff {}",
            conditions.effective
        )],
        fix,
    })
}

/// The least that shows this user the processes of others.
fn shown_processes(facts: &Facts, hidden: &HidePid) -> Step {
    const RISK: &str = "members of that group see the names and arguments of all processes";
    match hidden.group {
        _ if !hidden.exempts() => Step::manual(
            "profile as the user whose process it is: hidepid=ptraceable exempts no group",
        ),
        0 => Step::Remount {
            at: "/proc",
            options: format!("gid={}", group(facts)),
            before: "gid=0",
            risk: RISK,
        },
        exempted => Step::Manual {
            what: format!(
                "add the user to group {exempted}, which the mount lets through, or profile as the user \
                 whose process it is"
            ),
            risk: RISK.into(),
        },
    }
}

/// Who has gained capabilities by executing a file cannot be traced by its own user, nor can its children
/// until they execute something (`__ptrace_may_access`, `has_pid_permissions`).
fn hides_its_own(facts: &Facts) -> bool {
    let caps = facts.binary.capabilities.known();
    caps.is_some_and(|caps| !caps.permitted.is_empty())
}

pub(super) fn sees_processes(facts: &Facts) -> Verdict {
    match &facts.mounts.hidepid {
        Fact::Absent => Verdict::ok("/proc shows all"),
        Fact::Known(hidden) if is_root(facts) => {
            Verdict::ok(format!("hidepid={}, which root sees past", hidden.level))
        }
        Fact::Known(hidden) if subject(facts).is_some_and(|who| hidden.lets_through(who)) => {
            Verdict::ok(format!(
                "hidepid={}, from all but group {}, which this user is in",
                hidden.level, hidden.group
            ))
        }
        Fact::Known(hidden) => Verdict::degraded(Finding {
            id: "processes-hidden",
            cause: format!(
                "/proc hides the processes of other users from this one: they cannot be attached to{}",
                if hides_its_own(facts) {
                    ", and denet with file capabilities cannot see the command that it starts"
                } else {
                    ""
                }
            ),
            evidence: vec![format!("/proc is mounted with hidepid={}", hidden.level)],
            fix: vec![shown_processes(facts, hidden)],
        }),
        unknown => Verdict::without(unknown, ""),
    }
}

pub(super) fn sees_all_processes(facts: &Facts) -> Verdict {
    match &facts.environment.initial_pid_namespace {
        Fact::Known(true) => Verdict::ok("the initial one"),
        Fact::Known(false) => Verdict::degraded(Finding {
            id: "pid-namespace",
            cause: "this is a pid namespace of its own (a container): the processes outside it are not visible"
                .to_owned(),
            evidence: vec!["/proc/self/ns/pid is not the initial one".to_owned()],
            fix: Vec::new(),
        }),
        unknown => Verdict::without(unknown, "/proc/self/ns/pid cannot be read"),
    }
}

pub(super) fn proc_shows_own_namespace(facts: &Facts) -> Verdict {
    match &facts.environment.own_proc {
        Fact::Known(true) => Verdict::ok("that of this process"),
        Fact::Known(false) => Verdict::blocked(findings::proc_namespace()),
        unknown => Verdict::without(unknown, "/proc/self/status does not show it"),
    }
}
