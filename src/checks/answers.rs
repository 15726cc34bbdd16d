//! Where what the kernel answers and what is known of it part.

use super::CHECKS;
use super::predict::Check;
use super::verdict::Verdict;
use crate::backends::table::Backend;
use crate::backends::table::{GOALS, Goal};
use crate::checks::finding::Finding;
use crate::checks::goals::{Shown, UNEXPLAINED};
use crate::checks::step::Step;
use crate::facts::Facts;
use crate::facts::probes::{Outcome, Probe};

const CONTRADICTED: &str = "facts-contradicted";

/// Some check has found what prevents this backend.
fn is_explained(backend: &Backend, facts: &Facts) -> bool {
    let bearing = |id: &str| backend.checks(facts).any(|check| check == id);
    CHECKS
        .iter()
        .filter(|check| ![UNEXPLAINED, CONTRADICTED].contains(&check.id) && bearing(check.id))
        .any(|check| (check.judge)(facts).finding().is_some())
}

/// This kernel is older than what the backend requires: nothing went wrong.
fn came_later(backend: &Backend, facts: &Facts) -> bool {
    let inferred = backend.inferred(facts);
    matches!(inferred, Shown::Inferred(Some(refusal)) if matches!(refusal.because.check, Check::Since(_)))
}

/// What a probe was answered, for people.
pub(crate) fn told(probe: &Probe) -> String {
    let answer = match &probe.outcome {
        Outcome::Ok => match probe.events {
            Some(events) => format!("saw {} of {} events", events.seen, events.made),
            None => "ok".to_owned(),
        },
        Outcome::Refused { name, .. } => name.clone(),
        Outcome::Failed(why) => why.clone(),
        Outcome::NotAttempted(why) => format!("not tried: {why}"),
    };
    format!("{}: {answer}", probe.id)
}

/// What prevents a backend, for people.
fn refusals(backend: &Backend, facts: &Facts) -> Vec<String> {
    match backend.shown(facts) {
        Shown::Refused(probes) if probes.is_empty() => {
            let why = facts.subject.exec_error.as_ref();
            why.map(|why| format!("execve: {why}"))
                .into_iter()
                .collect()
        }
        Shown::Refused(probes) => probes.into_iter().flat_map(with_words).collect(),
        Shown::Inferred(Some(refusal)) => vec![format!("{}: {}", backend.name, refusal.because)],
        Shown::Done | Shown::Inferred(None) | Shown::Unknown => Vec::new(),
    }
}

fn with_words(probe: &Probe) -> Vec<String> {
    let log = probe.log.iter().flat_map(|log| log.lines());
    let words = log.map(|line| format!("verifier: {line}"));
    std::iter::once(told(probe)).chain(words).collect()
}

/// Goals for which no backend is available.
fn closed(facts: &Facts) -> impl Iterator<Item = &'static Goal> {
    GOALS.iter().filter(|goal| {
        goal.backends_here(facts).all(|backend| {
            matches!(
                backend.shown(facts),
                Shown::Refused(_) | Shown::Inferred(Some(_))
            )
        })
    })
}

pub(super) fn are_explained(facts: &Facts) -> Verdict {
    let mut evidence: Vec<String> = Vec::new();
    for goal in closed(facts) {
        let of_goal = || goal.backends_here(facts);
        // Something has to be named that closes the goal.
        let named = of_goal().any(|backend| is_explained(backend, facts));
        for line in of_goal()
            .filter(|it| !(is_explained(it, facts) || named && came_later(it, facts)))
            .flat_map(|backend| refusals(backend, facts))
        {
            if !evidence.contains(&line) {
                evidence.push(line);
            }
        }
    }
    if evidence.is_empty() {
        return Verdict::ok("no refusal without a cause");
    }
    Verdict::blocked(Finding {
        id: UNEXPLAINED,
        cause: "the kernel refuses it, and nothing that is known explains why".to_owned(),
        evidence,
        fix: vec![Step::manual(
            "run again with --debug, and look at the kernel log (dmesg) for a security module's word",
        )],
    })
}

pub(super) fn agree_with_facts(facts: &Facts) -> Verdict {
    if facts.probes.is_none() {
        return Verdict::not_applicable("nothing was tried");
    }
    let mut evidence = Vec::new();
    for backend in GOALS.iter().flat_map(|goal| goal.backends_here(facts)) {
        let (Shown::Done, Shown::Inferred(Some(refusal))) =
            (backend.shown(facts), backend.inferred(facts))
        else {
            continue;
        };
        // What was tried is smaller than what the backend requires.
        if matches!(refusal.because.check, Check::Memlock { .. }) {
            continue;
        }
        let line = format!("{}: works, although {}", backend.name, refusal.because);
        if !evidence.contains(&line) {
            evidence.push(line);
        }
    }
    if evidence.is_empty() {
        return Verdict::ok("as it follows from the facts");
    }
    Verdict::degraded(Finding {
        id: CONTRADICTED,
        cause: "the kernel does what its version and settings say that it refuses: a backport, or a fact \
                that was read wrongly"
            .to_owned(),
        evidence,
        fix: vec![Step::manual(
            "nothing needs mending; what the kernel does counts. Please report it, with ebpf_diag --save-facts",
        )],
    })
}
