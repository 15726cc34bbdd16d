//! The doctor's report, as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::object;
use super::text;
use crate::checks::answers::told;
use crate::checks::finding::Finding;
use crate::checks::goals::{Outcome, Status};
use crate::checks::report::{Cause, Diagnosis, confidence};
use crate::checks::step::Step;
use crate::checks::verdict::{Judged, Verdict};
use crate::facts::Fact;
use crate::facts::loaded::Loaded;
use crate::facts::probes::{Outcome as Answer, Probe};
use crate::facts::scope::Scope;
use crate::output::colour::{BAD, FAINT, GOOD, Styled, TITLE, WARNING, paint};
use crate::output::layout::WIDEST;
use crate::output::layout::{behind, line, lines};

/// Version of what `ebpf_diag --json` writes.
pub(crate) const SCHEMA: u32 = 1;

/// Columns in front of what a check saw, and in front of a goal's status.
const SEEN: usize = 28;
const STATUS: usize = 22;

/// How many refusals are listed under their cause, where nobody asked for all.
const SYMPTOMS: usize = 3;

/// Writes the report; `verbose` also what does not matter here and every question to the kernel.
///
/// # Errors
/// What writing answers.
pub(crate) fn text(
    to: &mut dyn Write,
    diagnosis: &Diagnosis<'_>,
    verbose: bool,
    columns: usize,
) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    header(to, diagnosis, width)?;
    let causes = diagnosis.causes();
    let mut section = "";
    let shown = diagnosis
        .checks
        .iter()
        .filter(|check| verbose || !matches!(check.verdict, Verdict::NotApplicable(_)));
    for check in shown {
        if check.section != section {
            section = check.section;
            writeln!(to, "\n{}", paint(TITLE, section))?;
        }
        let number = causes.iter().position(|cause| cause.check.id == check.id);
        judged(to, check, number, width)?;
    }
    if let Some((object, asked)) = &diagnosis.object {
        object::contents(to, object, asked, width)?;
    }
    if verbose {
        questions(to, diagnosis, width)?;
        others(to, diagnosis, width)?;
    }
    for (at, cause) in causes.iter().enumerate() {
        finding(to, at + 1, cause, verbose, columns)?;
    }
    if !diagnosis.goals.is_empty() {
        writeln!(to, "\n{}", paint(TITLE, "goals"))?;
    }
    for goal in &diagnosis.goals {
        outcome(to, goal, width)?;
    }
    Ok(())
}

fn header(to: &mut dyn Write, diagnosis: &Diagnosis<'_>, width: usize) -> io::Result<()> {
    let (host, subject) = (&diagnosis.host, &diagnosis.subject);
    let mut machine = format!("Linux {}", host.kernel);
    for part in [&host.distribution, &host.within].into_iter().flatten() {
        machine.push_str(", ");
        machine.push_str(part);
    }
    lines(to, "host", machine, width)?;
    let user = match (&subject.user, subject.uid) {
        (Some(user), Some(uid)) => format!("{user} (uid {uid})"),
        (None, Some(uid)) => format!("uid {uid}"),
        (Some(user), None) => user.clone(),
        (None, None) => "unknown".to_owned(),
    };
    let caps = if subject.caps.is_empty() {
        "no capability that matters here".to_owned()
    } else {
        subject.caps.join(", ")
    };
    lines(to, "user", format!("{user}; {caps}"), width)?;
    match subject.scope {
        Some(Scope::Own) => {
            let more = "own: processes that this user may trace (--explain not-yours)";
            lines(to, "scope", more, width)?;
        }
        Some(Scope::Any) => lines(to, "scope", "any: processes of all users", width)?,
        None => {}
    }
    if let Some(binary) = &subject.binary {
        lines(to, "binary", binary, width)?;
    }
    if subject.simulated {
        let how = "worked out from files: nothing was tried as this user with this binary";
        lines(to, "judged", how, width)?;
    }
    Ok(())
}

/// `number`: of its finding, from 0 on.
fn judged(
    to: &mut dyn Write,
    check: &Judged,
    number: Option<usize>,
    width: usize,
) -> io::Result<()> {
    let named = |finding: &Finding| match number {
        Some(number) => format!("{} ({})", finding.id, number + 1),
        None => finding.id.to_owned(),
    };
    let (symbol, seen) = match &check.verdict {
        Verdict::Ok(seen) => (paint(GOOD, "✓"), seen.clone()),
        Verdict::NotApplicable(why) => (paint(FAINT, "·"), why.clone()),
        Verdict::Degraded(finding) => (paint(WARNING, "!"), named(finding)),
        Verdict::Blocked(finding) => (paint(BAD, "✗"), named(finding)),
        Verdict::Unknown(why) => (paint(FAINT, "?"), format!("could not look: {why}")),
    };
    let title = format!(" {:1$}", check.title, SEEN - 4);
    let start = Styled::from("  ") + symbol + title;
    behind(to, start, SEEN, seen, width)
}

/// Every probe: what was asked, what came of it, and the verifier's last words.
fn questions(to: &mut dyn Write, diagnosis: &Diagnosis<'_>, width: usize) -> io::Result<()> {
    let mut asked = diagnosis.asked().peekable();
    if asked.peek().is_some() {
        writeln!(to, "\n{}", paint(TITLE, "asked of the kernel"))?;
    }
    for probe in asked {
        let symbol = match (&probe.outcome, probe.works()) {
            (_, true) => paint(GOOD, "✓"),
            (Answer::NotAttempted(_), _) => paint(FAINT, "·"),
            _ => paint(BAD, "✗"),
        };
        let seen = format!(
            "{} ({}, {} us)",
            told(probe),
            probe.operation,
            probe.duration_us
        );
        let start = Styled::from("  ") + symbol + " ";
        behind(to, start, 4, seen, width)?;
        for said in probe.log.iter().flat_map(|log| log.lines()) {
            line(to, format!("      {said}"))?;
        }
    }
    Ok(())
}

/// Programs of others, and where they hang.
fn others(to: &mut dyn Write, diagnosis: &Diagnosis<'_>, width: usize) -> io::Result<()> {
    let Some(loaded) = &diagnosis.facts.loaded else {
        return Ok(());
    };
    writeln!(to, "\n{}", paint(TITLE, "loaded by others"))?;
    let programs = match &loaded.programs {
        Fact::Known(programs) => programs,
        Fact::Absent => return writeln!(to, "  nothing"),
        Fact::Denied(why) | Fact::Failed(why) => {
            return behind(to, "  ? ", 4, format!("could not look: {why}"), width);
        }
    };
    if programs.is_empty() {
        writeln!(to, "  nothing")?;
    }
    for program in programs {
        let links = loaded.links.known().map_or(&[][..], Vec::as_slice);
        let places: Vec<String> = links
            .iter()
            .filter(|link| link.program == program.id)
            .map(|link| format!("{:?}", link.at))
            .chain(holders(loaded, program.id))
            .collect();
        let kind = program
            .kind
            .map_or("unknown type".to_owned(), |kind| format!("{kind:?}"));
        let seen = format!(
            "program {} {} ({kind}, uid {}) {}",
            program.id,
            program.name,
            program.uid,
            places.join(", ")
        );
        behind(to, "  · ", 4, seen, width)?;
    }
    Ok(())
}

fn holders(loaded: &Loaded, program: u32) -> Vec<String> {
    let holders = loaded.holders.known().map_or(&[][..], Vec::as_slice);
    let held = holders.iter().filter(|holder| holder.program == program);
    held.map(|holder| {
        format!(
            "{} {} by {} (pid {})",
            holder.how, holder.at, holder.command, holder.pid
        )
    })
    .collect()
}

fn finding(
    to: &mut dyn Write,
    number: usize,
    cause: &Cause<'_>,
    verbose: bool,
    columns: usize,
) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    let style = if matches!(cause.check.verdict, Verdict::Blocked(_)) {
        BAD
    } else {
        WARNING
    };
    writeln!(
        to,
        "\n{}",
        paint(style, format!("{number}. {}", cause.finding.id))
    )?;
    lines(to, "cause", &cause.finding.cause, width)?;
    text::evidence_and_fix(to, cause.finding, width)?;
    let undo: Vec<String> = cause.finding.fix.iter().filter_map(Step::undo).collect();
    for (at, command) in undo.iter().rev().enumerate() {
        let label = if at == 0 { "undo" } else { "" };
        line(to, format!("{label:10}{command}"))?;
    }
    if !cause.concerns.is_empty() {
        lines(to, "concerns", cause.concerns.join(", "), width)?;
    }
    if !cause.symptoms.is_empty() {
        let most = if verbose { usize::MAX } else { SYMPTOMS };
        let mut listed = cause
            .symptoms
            .iter()
            .take(most)
            .cloned()
            .collect::<Vec<_>>();
        let more = cause.symptoms.len() - listed.len();
        if more > 0 {
            listed.push(format!("{more} more"));
        }
        lines(to, "so also", listed.join(", "), width)?;
    }
    writeln!(to, "{:10}ebpf_diag --explain {}", "more", cause.finding.id)
}

fn outcome(to: &mut dyn Write, goal: &Outcome, width: usize) -> io::Result<()> {
    let word = match goal.status {
        Status::Ready => paint(GOOD, "READY"),
        Status::Degraded => paint(WARNING, "DEGRADED"),
        Status::Unknown => paint(FAINT, "UNKNOWN"),
        Status::Blocked => paint(BAD, "BLOCKED"),
    };
    let via = goal.via.map_or(String::new(), |via| format!(" via {via}"));
    let because = goal.because.join(", ");
    let by = match (goal.status, because.is_empty()) {
        (Status::Ready, _) | (_, true) => String::new(),
        (Status::Degraded, _) => format!(": {because}"),
        (Status::Unknown, _) => format!(": {because} could not be looked at"),
        (Status::Blocked, _) => format!(" by {because}"),
    };
    let start = format!("  {:1$}", goal.title, STATUS - 2);
    behind(to, start, STATUS, word + via + by, width)
}

/// The same for scripts.
pub(crate) fn json(diagnosis: &Diagnosis<'_>) -> Value {
    let goals: Vec<Value> = diagnosis.goals.iter().map(goal).collect();
    let checks: Vec<Value> = diagnosis.checks.iter().map(check).collect();
    let causes: Vec<Value> = diagnosis
        .causes()
        .iter()
        .map(|cause| {
            json!({
                "id": cause.finding.id,
                "concerns": cause.concerns,
                "symptoms": cause.symptoms,
            })
        })
        .collect();
    let count = |name: &str| {
        let all = diagnosis.checks.iter();
        all.filter(|check| check.verdict.name() == name).count()
    };
    json!({
        "schema": SCHEMA,
        "tool": {"name": "ebpf_diag", "version": env!("CARGO_PKG_VERSION")},
        "host": diagnosis.host,
        "subject": diagnosis.subject,
        "goals": goals,
        "causes": causes,
        "checks": checks,
        "object": diagnosis.object.as_ref().map(|(object, asked)| {
            json!({"contents": object, "requirements": asked})
        }),
        "probes": diagnosis.asked().map(question).collect::<Vec<_>>(),
        "summary": {
            "status": diagnosis.status().name(),
            "ok": count("ok"),
            "not_applicable": count("not_applicable"),
            "degraded": count("degraded"),
            "blocked": count("blocked"),
            "unknown": count("unknown"),
        },
    })
}

fn goal(goal: &Outcome) -> Value {
    json!({
        "id": goal.id,
        "title": goal.title,
        "status": goal.status.name(),
        "via": goal.via,
        "confidence": if goal.proven { "probed" } else { "inferred" },
        "blocked_by": goal.because,
    })
}

fn check(judged: &Judged) -> Value {
    let mut line = json!({
        "id": judged.id,
        "title": judged.title,
        "section": judged.section,
        "status": judged.verdict.name(),
        "confidence": confidence(judged.evidence),
        "evidence": [],
        "cause": null,
        "fixes": [],
        "doc": format!("docs/troubleshooting/{}.md", judged.id),
    });
    match &judged.verdict {
        Verdict::Ok(seen) | Verdict::NotApplicable(seen) | Verdict::Unknown(seen) => {
            line["evidence"] = json!([seen]);
        }
        Verdict::Degraded(finding) | Verdict::Blocked(finding) => {
            line["evidence"] = json!(finding.evidence);
            line["cause"] = json!(finding.cause);
            line["fixes"] = json!(finding.fix);
        }
    }
    line
}

fn question(probe: &Probe) -> Value {
    json!(probe)
}
