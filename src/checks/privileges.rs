//! What keeps a process from the capabilities that tracing takes: each obstacle by itself.

mod grant;

pub(crate) use grant::{before_at_other, granted_to_other};
use grant::{counts_nowhere, given, grant, install, path, shown, written};
pub(super) use grant::{grant_more, granted, granted_beside};

use super::scope::not_yours;
use super::verdict::Verdict;
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::facts::binary::Format;
use crate::facts::exec::ExecError;
use crate::facts::privileges::Privileges;
use crate::facts::scope::{CONFIG, Scope};
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::{Cap, CapSet};
use crate::sys::release::Release;

/// What tracing takes: `cap_bpf` for maps and programs, `cap_perfmon` for programs that read the
/// kernel (`bpf_prog_load`, kernel/bpf/syscall.c).
const NEEDED: &str = "cap_bpf,cap_perfmon";

/// Whose capabilities are judged: those once the binary runs or, where it cannot be executed, before.
pub(super) fn subject(facts: &Facts) -> Option<&Privileges> {
    let error = facts.subject.exec_error.as_ref();
    let before = || error.and(facts.subject.before_exec.known());
    facts.privileges.known().or_else(before)
}

/// A refusal by `bpf(2)` of what takes no privilege comes from a filter. Before 5.19 the kernel refused
/// everything to who had none (`__sys_bpf`), and it is this process that asked, not what it executes.
pub(super) fn is_by_filter(facts: &Facts, errno: i32) -> bool {
    let before = facts.subject.before_exec.known();
    let asked = before.or_else(|| facts.privileges.known());
    let privileged = asked.is_some_and(|who| who.effective.lacks_for_tracing().is_empty());
    let running = facts.kernel.release();
    let asks_nobody = running.is_some_and(|running| running >= Release(5, 19));
    match errno {
        libc::ENOSYS | libc::EACCES => true,
        libc::EPERM => privileged || asks_nobody,
        _ => false,
    }
}

pub(super) fn names(caps: &[Cap]) -> String {
    let names: Vec<_> = caps.iter().map(|cap| cap.name()).collect();
    names.join(" and ")
}

/// Whose processes the user is shown; `None` if there is no such limit, because the privileges are the user's
/// own, or there are none.
pub(crate) fn scope(facts: &Facts) -> Option<Scope> {
    let who = subject(facts)?;
    let of_its_file = who.real_uid != 0
        && who.effective.lacks_for_tracing().is_empty()
        && !who.ambient.lacks_for_tracing().is_empty();
    of_its_file.then(|| facts.scope.known().copied().unwrap_or_default())
}

/// With privileges from the file, denet shows only what the user may trace without them, unless root allows more.
pub(super) fn reaches_others(facts: &Facts) -> Verdict {
    let Some(who) = subject(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    match scope(facts) {
        Some(Scope::Any) => return Verdict::ok(format!("{CONFIG}: scope any")),
        Some(Scope::Own) => {}
        None if who.real_uid == 0 => return Verdict::ok("root"),
        None if who.effective.lacks_for_tracing().is_empty() => {
            return Verdict::ok("its capabilities come from its user, not from its file");
        }
        None => return Verdict::not_applicable("it has no privileges to observe them"),
    }
    let evidence = match &facts.scope {
        Fact::Known(scope) => format!("{CONFIG}: scope {}", scope.name()),
        Fact::Absent => format!("{CONFIG}: does not exist"),
        Fact::Denied(why) | Fact::Failed(why) => why.clone(),
    };
    let cause = "processes of other users are not yours";
    Verdict::blocked(*not_yours(cause, evidence))
}

/// Everything that keeps the subject from `cap_bpf` and `cap_perfmon`, the outermost first; empty if it
/// holds them where they count.
pub(super) fn obstacles(facts: &Facts) -> Vec<Finding> {
    let Some(who) = subject(facts) else {
        return Vec::new();
    };
    let lacking = who.effective.lacks_for_tracing();
    let within = who.initial_user_namespace == Fact::Known(false);
    if lacking.is_empty() && !within {
        return Vec::new();
    }
    let held = format!("uid {}, CapEff {}", who.uid, who.effective);
    let mut found = Vec::new();
    if within {
        found.push(user_namespace(who));
    }
    if !lacking.is_empty() {
        let held = format!("{held}: {} missing", names(&lacking));
        found.extend(bounding_set(who, &held));
        // uid 0 is given what the bounding set holds, whatever the file has.
        let by_file = who.uid != 0 || found.is_empty();
        if by_file && !within {
            found.extend(of_file(facts, who, &lacking, &held));
        }
    }
    found
}

fn user_namespace(who: &Privileges) -> Finding {
    Finding {
        id: "user-namespace",
        cause: "this process is in a user namespace of its own: capabilities held there do not reach bpf(2)"
            .to_owned(),
        evidence: vec![format!(
            "uid {}, CapEff {} within the namespace",
            who.uid, who.effective
        )],
        fix: vec![Step::manual(
            "run it outside the user namespace: on the host, or in a container that is not rootless",
        )],
    }
}

fn bounding_set(who: &Privileges, held: &str) -> Option<Finding> {
    let outside = who.bounding.lacks_for_tracing();
    (!outside.is_empty()).then(|| Finding {
        id: "bounding-set",
        cause: format!(
            "{}: outside the bounding set of this process, so nothing it runs can gain it (a container, \
             most likely)",
            names(&outside)
        ),
        evidence: vec![held.to_owned(), format!("CapBnd {}", who.bounding)],
        fix: vec![Step::Manual {
            what: "start the container with --cap-add BPF --cap-add PERFMON (Docker, Podman), or add both \
                   to securityContext.capabilities.add (Kubernetes)"
                .to_owned(),
            risk: "whoever is root in the container can then read the host's kernel memory".into(),
        }],
    })
}

/// Why the file gives nothing. Where the mount takes it, what the file has does not matter.
fn of_file(facts: &Facts, who: &Privileges, lacking: &[Cap], held: &str) -> Vec<Finding> {
    let (binary, path) = (&facts.binary, path(facts));
    let here = shown(path);
    let mut found = Vec::new();
    let nosuid = binary.nosuid == Fact::Known(true);
    if nosuid {
        found.push(Finding {
            id: "nosuid-mount",
            cause: format!("{here} is on a nosuid mount, where file capabilities have no effect"),
            evidence: vec![
                held.to_owned(),
                format!("{here} is on a file system mounted nosuid"),
            ],
            fix: install(facts, &[]),
        });
    }
    if who.no_new_privs {
        found.push(no_new_privs(facts, held));
    }
    if found.is_empty() {
        found.extend(file_capabilities(facts, who, lacking, held));
    }
    found
}

fn no_new_privs(facts: &Facts, held: &str) -> Finding {
    let mut fix = vec![Step::manual(
        "start it from a process without no_new_privs (systemd: NoNewPrivileges=no; setpriv without \
         --no-new-privs; Docker without no-new-privileges)",
    )];
    if given(facts).is_none_or(|caps| !caps.permitted.lacks_for_tracing().is_empty()) {
        fix.push(grant(facts, granted(facts, &[])));
    }
    Finding {
        id: "no-new-privs",
        cause: "no_new_privs is set on this process, so capabilities of files have no effect"
            .to_owned(),
        evidence: vec![held.to_owned(), "NoNewPrivs: 1".to_owned()],
        fix,
    }
}

fn file_capabilities(
    facts: &Facts,
    who: &Privileges,
    lacking: &[Cap],
    held: &str,
) -> Option<Finding> {
    let path = path(facts);
    let (here, missing) = (shown(path), names(lacking));
    let mut evidence = vec![held.to_owned()];
    let mut fix = vec![grant(facts, granted(facts, &[]))];
    let (id, cause) = match &facts.binary.capabilities {
        _ if cannot_carry(facts).is_some() => return None,
        Fact::Known(caps) if !caps.permitted.lacks_for_tracing().is_empty() => {
            evidence.push(format!("{here} has {}", written(*caps)));
            (
                "file-capabilities-partial",
                format!("{here} has file capabilities, but {missing} not among them"),
            )
        }
        Fact::Known(caps) if !caps.effective => {
            evidence.push(format!("{here} has {}", written(*caps)));
            (
                "file-capabilities-not-effective",
                format!(
                    "{here} has its capabilities permitted but not effective (=p instead of =ep)"
                ),
            )
        }
        // Nobody has started it: something else keeps that user from it.
        Fact::Known(_) if facts.subject.simulated => return None,
        Fact::Known(caps) => {
            evidence.push(format!("{here} has {}", written(*caps)));
            fix = vec![Step::manual(
                "start it by itself: under strace or gdb of a user a program gains nothing, and a program \
                 that gave its capabilities up does not get them back",
            )];
            (
                "capabilities-dropped",
                format!(
                    "{here} has file capabilities, but this process lost them after it was started"
                ),
            )
        }
        Fact::Absent => (
            "file-capabilities-missing",
            format!(
                "uid {} has neither root's privileges nor {missing}, and {here} has no file capabilities",
                who.uid
            ),
        ),
        Fact::Denied(why) | Fact::Failed(why) => {
            evidence.push(format!("security.capability of {here}: {why}"));
            if counts_nowhere(facts) {
                fix = install(facts, &[]);
            }
            (
                "file-capabilities-unknown",
                format!("{missing} missing; the file capabilities of {here} could not be read"),
            )
        }
    };
    Some(Finding {
        id,
        cause,
        evidence,
        fix,
    })
}

/// What a file is that cannot give capabilities to what runs.
fn cannot_carry(facts: &Facts) -> Option<String> {
    let path = shown(path(facts));
    match facts.binary.format.known()? {
        Format::Script { interpreter } => Some(format!(
            "{path} is a script: {interpreter} runs it, and that program's capabilities count"
        )),
        Format::Directory => Some(format!("{path} is a directory")),
        Format::Special => Some(format!("{path} is not a regular file")),
        Format::Other => Some(format!("{path} is no program of this system")),
        Format::Elf { .. } => None,
    }
}

/// Whether one of the obstacles goes by this name.
fn obstacle(facts: &Facts, id: &str, fine: impl FnOnce(&Privileges) -> String) -> Verdict {
    let Some(who) = subject(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    let found = obstacles(facts).into_iter().find(|found| found.id == id);
    match found {
        Some(finding) => Verdict::blocked(finding),
        None => Verdict::Ok(fine(who)),
    }
}

/// The same of the file, which matters only to who gets capabilities from it.
fn of_the_file(facts: &Facts, id: &str, fine: impl FnOnce(&Privileges) -> String) -> Verdict {
    let verdict = obstacle(facts, id, fine);
    if verdict.finding().is_some() {
        return verdict;
    }
    match obstacles(facts).first() {
        Some(nearer) => Verdict::NotApplicable(format!("another thing comes first: {}", nearer.id)),
        None if given(facts).is_none() => {
            Verdict::not_applicable("the capabilities do not come from the file")
        }
        None => verdict,
    }
}

pub(super) fn in_user_namespace(facts: &Facts) -> Verdict {
    match subject(facts).map(|who| &who.initial_user_namespace) {
        Some(unknown @ (Fact::Denied(_) | Fact::Failed(_))) => {
            Verdict::without(unknown, "not known")
        }
        _ => obstacle(facts, "user-namespace", |_| "the initial one".to_owned()),
    }
}

pub(super) fn in_bounding_set(facts: &Facts) -> Verdict {
    if let Some(ExecError::OutsideBounding(caps)) = &facts.subject.exec_error
        && obstacles(facts)
            .iter()
            .all(|found| found.id != "bounding-set")
    {
        return Verdict::blocked(outside(facts, *caps));
    }
    obstacle(facts, "bounding-set", |who| {
        format!("CapBnd {}", who.bounding)
    })
}

/// Not what tracing takes, but the file asks for it.
fn outside(facts: &Facts, caps: CapSet) -> Finding {
    let path = path(facts);
    Finding {
        id: "bounding-set",
        cause: format!(
            "executing {} fails: it asks for capabilities outside the bounding set",
            shown(path)
        ),
        evidence: vec![format!("outside: {caps}")],
        fix: vec![grant(facts, NEEDED.into())],
    }
}

pub(super) fn on_nosuid_mount(facts: &Facts) -> Verdict {
    of_the_file(facts, "nosuid-mount", |_| match facts.binary.nosuid {
        Fact::Known(true) => "nosuid, and no file capabilities are needed".to_owned(),
        _ => format!("{} is not", shown(path(facts))),
    })
}

pub(super) fn without_new_privs(facts: &Facts) -> Verdict {
    obstacle(facts, "no-new-privs", |who| {
        if who.no_new_privs {
            "set, after the capabilities were gained".to_owned()
        } else {
            "not set".to_owned()
        }
    })
}

pub(super) fn has_file_capabilities(facts: &Facts) -> Verdict {
    of_the_file(facts, "file-capabilities-missing", |_| {
        given(facts).map_or("none".to_owned(), |caps| written(*caps))
    })
}

pub(super) fn has_all_file_capabilities(facts: &Facts) -> Verdict {
    of_the_file(facts, "file-capabilities-partial", |_| {
        given(facts).map_or("none".to_owned(), |caps| written(*caps))
    })
}

pub(super) fn has_effective_file_capabilities(facts: &Facts) -> Verdict {
    of_the_file(facts, "file-capabilities-not-effective", |_| {
        given(facts).map_or("none".to_owned(), |caps| written(*caps))
    })
}

pub(super) fn has_readable_file_capabilities(facts: &Facts) -> Verdict {
    of_the_file(facts, "file-capabilities-unknown", |_| {
        "they can be read".to_owned()
    })
}

pub(super) fn keeps_capabilities(facts: &Facts) -> Verdict {
    obstacle(facts, "capabilities-dropped", |who| {
        format!("CapEff {}", who.effective)
    })
}

pub(super) fn can_execute(facts: &Facts) -> Verdict {
    if !facts.subject.simulated {
        return Verdict::not_applicable("it is running");
    }
    let blocked = |cause: String, evidence: Vec<String>| {
        Verdict::blocked(Finding {
            id: "not-executable",
            cause,
            evidence,
            fix: vec![Step::manual(
                "name a program that this user may execute: an ELF file, on a mount without noexec, in \
                 directories that the user can search",
            )],
        })
    };
    match (&facts.subject.exec_error, cannot_carry(facts)) {
        (Some(ExecError::NotExecutable(why)), _) => blocked(
            format!("this user cannot execute {}", shown(path(facts))),
            vec![why.clone()],
        ),
        (_, Some(what)) => blocked(what, vec![format!("{:?}", facts.binary.format)]),
        (Some(ExecError::Unknown(why)), None) => Verdict::Unknown(why.clone()),
        (_, None) => match &facts.binary.path {
            Fact::Known(_) => Verdict::ok(shown(path(facts))),
            unknown => Verdict::without(unknown, "there is no such file"),
        },
    }
}

/// XDP takes CAP_NET_ADMIN, to load as well as to attach; before 6.9 nothing stands for it.
pub(super) fn has_net_admin(facts: &Facts) -> Verdict {
    let Some(who) = subject(facts) else {
        return Verdict::without(&facts.privileges, "the subject's privileges are not known");
    };
    if who.effective.has(Cap::NetAdmin) {
        return Verdict::ok("held");
    }
    let mut fix = grant_more(facts, Cap::NetAdmin);
    if !who.bounding.has(Cap::NetAdmin) {
        fix = vec![Step::Manual {
            what: "start the container with --cap-add NET_ADMIN".to_owned(),
            risk: "whoever is root in the container can then change its network".into(),
        }];
    }
    Verdict::blocked(Finding {
        id: "net-admin-missing",
        cause: "programs on network interfaces take cap_net_admin, which is missing".to_owned(),
        evidence: vec![format!("uid {}, CapEff {}", who.uid, who.effective)],
        fix,
    })
}

#[cfg(test)]
mod tests;
