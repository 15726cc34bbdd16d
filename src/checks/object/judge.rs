//! An object's demands beside what this machine and subject have.

use super::{findings, requirements};
use crate::checks::CHECKS;
use crate::checks::finding::Finding;
use crate::checks::findings as shared;
use crate::checks::goals::{Outcome, Status};
use crate::checks::privileges::{names, obstacles, subject};
use crate::checks::step::Step;
use crate::checks::verdict::{Evidence, Judged, Verdict};
use crate::facts::object::{ObjectError, ObjectFacts};
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

const SECTION: &str = "object";

/// What loads all the same, elsewhere or with care.
const ONLY_WARN: [&str; 6] = [
    "object-license-missing",
    "object-btf-missing",
    "object-maps-legacy",
    "object-section-unknown",
    "object-program-large",
    "object-helper-unknown",
];

fn judged(id: &'static str, title: &'static str, verdict: Verdict) -> Judged {
    Judged {
        id,
        title,
        section: SECTION,
        evidence: Evidence::Inference,
        verdict,
    }
}

/// Everything that is wrong with the object, and with this machine for it.
pub(crate) fn judge(facts: &Facts, object: &ObjectFacts) -> Vec<Judged> {
    let asked = requirements(object);
    let mut all = vec![contents(object)];
    all.extend(findings(object).into_iter().map(|finding| {
        let id = finding.id;
        let verdict = if ONLY_WARN.contains(&id) {
            Verdict::degraded(finding)
        } else {
            Verdict::blocked(finding)
        };
        judged(id, "soundness", verdict)
    }));
    all.push(version(facts, asked.minimum_kernel(), &asked));
    let caps: Vec<Cap> = asked.capabilities.iter().map(|it| it.cap).collect();
    all.extend(capabilities(facts, &caps));
    let types: Vec<&str> = asked
        .kernel_btf
        .iter()
        .filter(|it| it.certain)
        .map(|it| it.reason.as_str())
        .collect();
    if !types.is_empty() {
        all.push(again(
            facts,
            "kernel-without-btf",
            "the kernel's types",
            &types,
        ));
    }
    if asked.needs_tracefs() {
        let of: Vec<&str> = asked
            .attachments
            .iter()
            .filter(|it| it.tracefs)
            .map(|it| it.program.as_str())
            .collect();
        for id in [
            "tracefs-not-mounted",
            "tracefs-unreadable",
            "perf-event-paranoid",
        ] {
            all.push(again(facts, id, "its tracepoints", &of));
        }
    }
    all
}

/// A file that is no eBPF object, or a broken one.
pub(crate) fn unreadable(error: &ObjectError) -> Judged {
    let finding = Finding {
        id: "object-broken",
        cause: "the file is no eBPF object, or a damaged one".to_owned(),
        evidence: vec![error.to_string()],
        fix: vec![Step::manual(
            "compile it again, with clang -g -O2 -target bpf -c, and copy it whole",
        )],
    };
    judged(finding.id, "format", Verdict::blocked(finding))
}

/// What is in it: programs, where they go, maps.
fn contents(object: &ObjectFacts) -> Judged {
    let programs = object
        .programs
        .iter()
        .map(|program| program.section.clone());
    let maps = object.maps.len();
    let license = object.license.known().map_or("none", String::as_str);
    let list: Vec<String> = programs.collect();
    judged(
        "object-contents",
        "contents",
        Verdict::Ok(format!(
            "{} programs ({}), {maps} maps, license {license}",
            list.len(),
            list.join(", ")
        )),
    )
}

fn version(facts: &Facts, needed: Option<Release>, asked: &super::Requirements) -> Judged {
    let id = "kernel-too-old";
    let title = "needs Linux";
    let Some(needed) = needed else {
        return judged(id, title, Verdict::ok("any version that has bpf(2)"));
    };
    let running = facts.kernel.release();
    let newest = asked
        .demands
        .iter()
        .find(|demand| demand.certain && demand.since == Fact::Known(needed));
    let what = newest.map_or(String::new(), |demand| {
        format!("{} ({})", demand.what, demand.of)
    });
    let verdict = match running {
        None => Verdict::without(&facts.kernel.version, "the kernel's version is not known"),
        Some(running) if running >= needed => Verdict::Ok(format!("{needed}, for {what}")),
        Some(running) => {
            let mut finding = shared::kernel_too_old(needed, Some(running), vec![what]);
            finding.fix = vec![Step::manual(format!(
                "boot Linux {needed} or later, unless the distribution took it over (then try it)"
            ))];
            Verdict::blocked(finding)
        }
    };
    judged(id, title, verdict)
}

/// BPF and PERFMON have obstacles of their own; others are asked for by name.
fn capabilities(facts: &Facts, caps: &[Cap]) -> Vec<Judged> {
    let title = "needs capabilities";
    let Some(who) = subject(facts) else {
        let why = Verdict::without(&facts.privileges, "the subject's privileges are not known");
        return vec![judged("file-capabilities-missing", title, why)];
    };
    let stands_for =
        |cap: &Cap| who.effective.has(Cap::SysAdmin) && matches!(cap, Cap::Bpf | Cap::Perfmon);
    let lacking: Vec<Cap> = caps
        .iter()
        .copied()
        .filter(|cap| !who.effective.has(*cap) && !stands_for(cap))
        .collect();
    if lacking.is_empty() {
        let seen = if caps.is_empty() {
            "none".to_owned()
        } else {
            names(caps)
        };
        return vec![judged("capabilities-dropped", title, Verdict::Ok(seen))];
    }
    let mut all = Vec::new();
    if lacking
        .iter()
        .any(|cap| matches!(cap, Cap::Bpf | Cap::Perfmon))
    {
        let found = obstacles(facts).into_iter();
        all.extend(found.map(|finding| judged(finding.id, title, Verdict::blocked(finding))));
    }
    let others: Vec<Cap> = lacking
        .into_iter()
        .filter(|cap| !matches!(cap, Cap::Bpf | Cap::Perfmon))
        .collect();
    if !others.is_empty() {
        let finding = Finding {
            id: "net-admin-missing",
            cause: format!("the object takes {}, which is missing", names(&others)),
            evidence: vec![format!("uid {}, CapEff {}", who.uid, who.effective)],
            fix: vec![Step::manual(format!(
                "load it as root, or with a loader whose file has {} as well",
                names(&others)
            ))],
        };
        all.push(judged(finding.id, title, Verdict::blocked(finding)));
    }
    all
}

/// A check of the machine, for the sake of this object.
fn again(facts: &Facts, id: &'static str, title: &'static str, of: &[&str]) -> Judged {
    let check = CHECKS.iter().find(|check| check.id == id);
    let verdict = check.map_or(Verdict::NotApplicable(String::new()), |check| {
        (check.judge)(facts)
    });
    let verdict = match verdict {
        // What denet does without, the object does not.
        Verdict::Degraded(mut finding) => {
            finding
                .evidence
                .push(format!("needed by {}", of.join(", ")));
            Verdict::Blocked(finding)
        }
        other => other,
    };
    judged(id, title, verdict)
}

/// Whether the object loads and attaches here.
pub(crate) fn outcome(judged: &[Judged]) -> Outcome {
    let ids = |fits: fn(&Verdict) -> bool| -> Vec<&'static str> {
        let fitting = judged.iter().filter(|check| fits(&check.verdict));
        fitting.map(|check| check.id).collect()
    };
    let blocked = ids(|verdict| matches!(verdict, Verdict::Blocked(_)));
    let unknown = ids(|verdict| matches!(verdict, Verdict::Unknown(_)));
    let degraded = ids(|verdict| matches!(verdict, Verdict::Degraded(_)));
    let (status, because) = match (&blocked[..], &unknown[..], &degraded[..]) {
        ([_, ..], ..) => (Status::Blocked, blocked),
        (_, [_, ..], _) => (Status::Unknown, unknown),
        (.., [_, ..]) => (Status::Degraded, degraded),
        _ => (Status::Ready, Vec::new()),
    };
    Outcome {
        id: "object",
        title: "the object",
        status,
        via: None,
        proven: false,
        because,
    }
}
