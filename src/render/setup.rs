//! Plans, changes and states of `denet setup`, as text and as JSON.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::checks::step::Step;
use crate::output::colour::{BAD, FAINT, GOOD, Styled, TITLE, paint};
use crate::output::layout::WIDEST;
use crate::output::layout::{line, lines};
use crate::setup::command;
use crate::setup::look::{Item, Standing, Survey};
use crate::setup::plan::{PlanOptions, Profile};
use crate::setup::state::{FileState, State, Target, differences};
use crate::setup::status::Line;
use crate::setup::undo::Undone;
use crate::setup::verify::Proof;

/// Version of what `denet setup --json` writes.
pub(crate) const SCHEMA: u32 = 1;

fn width(columns: usize) -> usize {
    columns.clamp(40, WIDEST)
}

fn heading(options: &PlanOptions) -> String {
    let profile = match options.profile {
        Profile::Least => "least",
        Profile::Documented => "documented",
    };
    let user = options
        .user
        .as_ref()
        .map_or(String::new(), |user| format!(", for {user}"));
    format!("denet setup, profile {profile}{user}")
}

/// The plan: what is to be done with what is now, why, what it exposes and what undoes it; then what
/// holds already.
///
/// # Errors
/// What writing answers.
pub(crate) fn plan(
    to: &mut dyn Write,
    found: &Survey,
    options: &PlanOptions,
    columns: usize,
) -> io::Result<()> {
    let width = width(columns);
    writeln!(to, "{}", paint(TITLE, heading(options)))?;
    let (done, open): (Vec<_>, Vec<_>) = found
        .items
        .iter()
        .partition(|item| item.standing == Standing::Holds);
    for (at, item) in open.iter().enumerate() {
        entry(to, at + 1, item, found.image.is_none(), width)?;
    }
    if !done.is_empty() {
        writeln!(to, "\n{}", paint(TITLE, "holds already"))?;
    }
    for item in done {
        let now = item.now.as_ref().map_or(String::new(), State::to_string);
        let held = format!(" {}: {now}", item.action.target);
        line(to, Styled::from("  ") + paint(GOOD, "✓") + held)?;
    }
    for note in &found.notes {
        writeln!(to)?;
        lines(to, "note", note, width)?;
    }
    writeln!(to)?;
    if open.is_empty() {
        return lines(to, "", "Nothing is to be done.", width);
    }
    let whose = found
        .image
        .as_ref()
        .map_or(String::new(), |root| format!(" in {}", root.display()));
    let last = format!("Nothing was changed. To make these changes{whose}, with the same options:");
    advice(to, &last, found.image.as_deref(), "--apply", width)
}

/// What to type for a verb of setup, behind what it is for: to be copied, so never broken.
fn advice(
    to: &mut dyn Write,
    what: &str,
    image: Option<&Path>,
    verb: &str,
    width: usize,
) -> io::Result<()> {
    lines(to, "", what, width)?;
    line(to, format!("  sudo {} {verb}", command(image)))
}

/// The commands are those for this system: in an image they would change the wrong one.
fn entry(
    to: &mut dyn Write,
    number: usize,
    item: &Item,
    live: bool,
    width: usize,
) -> io::Result<()> {
    let action = &item.action;
    let title = format!("{number}. {}", action.target);
    writeln!(to, "\n{}", paint(TITLE, title))?;
    let now = item
        .now
        .as_ref()
        .map_or("unknown".to_owned(), State::to_string);
    lines(to, "now", &now, width)?;
    lines(to, "then", action.wanted.to_string(), width)?;
    if let (Some(State::File(before)), State::File(after)) = (&item.now, &action.wanted) {
        lines(to, "changes", changed(before, after), width)?;
    }
    if let (State::File(_), Ok(text)) = (&action.wanted, std::str::from_utf8(&action.bytes)) {
        content(to, text)?;
    }
    lines(to, "why", action.why, width)?;
    if live {
        commands(to, "by", action.steps.iter().map(Step::text))?;
    }
    let mut risks: Vec<&str> = action.steps.iter().map(Step::risk).collect();
    risks.retain(|risk| !risk.is_empty());
    risks.dedup();
    for risk in risks {
        lines(to, "exposes", risk, width)?;
    }
    if live {
        commands(to, "undo", action.steps.iter().rev().filter_map(Step::undo))?;
    }
    match &item.standing {
        Standing::Conflict(why) => lines(to, "conflict", paint(BAD, why), width),
        Standing::Unknown(why) => lines(to, "unknown", why, width),
        Standing::Holds | Standing::ToDo => Ok(()),
    }
}

fn changed(before: &FileState, after: &FileState) -> String {
    let found = differences(before, after);
    format!("{}; what is there is kept for --rollback", found.join(", "))
}

/// A new file is all of it new; comments say what it is for, and are left out.
fn content(to: &mut dyn Write, text: &str) -> io::Result<()> {
    let said = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    for line in said {
        writeln!(to, "{:10}{}", "", paint(GOOD, format!("+{line}")))?;
    }
    Ok(())
}

fn commands(to: &mut dyn Write, label: &str, all: impl Iterator<Item = String>) -> io::Result<()> {
    for (at, command) in all.enumerate() {
        // Commands are to be copied: never broken.
        let label = if at == 0 { label } else { "" };
        line(to, paint(FAINT, format!("{label:10}")) + command)?;
    }
    Ok(())
}

/// What is being done now.
///
/// # Errors
/// What writing answers.
pub(crate) fn doing(to: &mut dyn Write, item: &Item, columns: usize) -> io::Result<()> {
    let action = &item.action;
    lines(
        to,
        "",
        format!("{}: {}", action.target, action.wanted),
        width(columns),
    )
}

/// What was done, and whether it works.
///
/// # Errors
/// What writing answers.
pub(crate) fn applied(
    to: &mut dyn Write,
    found: &Survey,
    proofs: &[Proof],
    user: Option<&str>,
    columns: usize,
) -> io::Result<()> {
    let width = width(columns);
    let done = found
        .items
        .iter()
        .filter(|item| item.standing == Standing::ToDo)
        .count();
    let held = found.items.len() - done;
    writeln!(to, "{done} changes made, {held} were so already")?;
    for note in &found.notes {
        lines(to, "note", note, width)?;
    }
    verified(to, proofs, width)?;
    match user {
        Some(user) if done > 0 => {
            let what =
                format!("{user} belongs to the group from the next login on; to undo all of it:");
            advice(to, &what, found.image.as_deref(), "--rollback", width)
        }
        _ => Ok(()),
    }
}

fn verified(to: &mut dyn Write, proofs: &[Proof], width: usize) -> io::Result<()> {
    for proof in proofs {
        let last = proof.said.iter().rfind(|line| !line.trim().is_empty());
        let last = last.map_or("", |line| line.trim());
        let (symbol, word) = if proof.ok {
            (paint(GOOD, "✓"), "")
        } else {
            (paint(BAD, "✗"), "failed: ")
        };
        let text = format!(" {}: {word}{last}", proof.command);
        lines(to, "", symbol + text, width)?;
        if !proof.ok {
            for said in &proof.said {
                line(to, format!("    {said}"))?;
            }
        }
    }
    Ok(())
}

/// What became of each change.
///
/// # Errors
/// What writing answers.
pub(crate) fn undone(
    to: &mut dyn Write,
    any: bool,
    all: &[(Target, Undone)],
    columns: usize,
) -> io::Result<()> {
    let width = width(columns);
    if !any {
        return writeln!(to, "nothing was set up here, so nothing is to be undone");
    }
    for (target, undone) in all {
        let (symbol, what) = match undone {
            Undone::Restored => (paint(GOOD, "✓"), "as it was before".to_owned()),
            Undone::WasSo => (paint(GOOD, "✓"), "was as before already".to_owned()),
            Undone::Left(why) => (paint(BAD, "!"), format!("left alone: {why}")),
        };
        lines(to, "", symbol + format!(" {target}: {what}"), width)?;
    }
    Ok(())
}

/// Whether what was set up holds.
///
/// # Errors
/// What writing answers.
pub(crate) fn status(
    to: &mut dyn Write,
    found: Option<&[Line]>,
    proofs: &[Proof],
    image: Option<&Path>,
    columns: usize,
) -> io::Result<()> {
    let width = width(columns);
    let Some(found) = found else {
        let setup = command(image);
        let text = format!("nothing was set up here; `{setup}` lists what it would do");
        return line(to, text);
    };
    for line in found {
        let (symbol, what) = match &line.drift {
            None => (paint(GOOD, "✓"), line.wanted.to_string()),
            Some(drift) => (paint(BAD, "✗"), drift.clone()),
        };
        lines(to, "", symbol + format!(" {}: {what}", line.target), width)?;
    }
    verified(to, proofs, width)?;
    if found.iter().any(|line| line.drift.is_some()) {
        advice(
            to,
            "To mend it, with the same options:",
            image,
            "--apply",
            width,
        )?;
    }
    Ok(())
}

fn object(fields: Value) -> Value {
    let mut whole = json!({
        "schema": SCHEMA,
        "tool": {"name": "denet", "version": env!("CARGO_PKG_VERSION")},
    });
    if let (Value::Object(whole), Value::Object(fields)) = (&mut whole, fields) {
        whole.extend(fields);
    }
    whole
}

/// The plan for scripts.
pub(crate) fn plan_json(found: &Survey, options: &PlanOptions) -> Value {
    object(json!({
        "profile": if options.profile == Profile::Least { "least" } else { "documented" },
        "user": options.user,
        "root": found.image,
        "steps": items(found),
        "notes": found.notes,
    }))
}

/// A step in an image has no command: denet alone makes the change there.
fn step_json(step: &Step, live: bool) -> Value {
    let mut whole = json!(step);
    if !live {
        for name in ["command", "rollback"] {
            whole[name] = Value::Null;
        }
    }
    whole
}

fn items(found: &Survey) -> Vec<Value> {
    let step = |step: &Step| step_json(step, found.image.is_none());
    let item = |item: &Item| {
        let (standing, problem) = match &item.standing {
            Standing::Holds => ("holds", None),
            Standing::ToDo => ("todo", None),
            Standing::Conflict(why) => ("conflict", Some(why)),
            Standing::Unknown(why) => ("unknown", Some(why)),
        };
        json!({
            "target": item.action.target.to_string(),
            "standing": standing,
            "problem": problem,
            "now": item.now.as_ref().map(State::to_string),
            "then": item.action.wanted.to_string(),
            "why": item.action.why,
            "steps": item.action.steps.iter().map(step).collect::<Vec<_>>(),
        })
    };
    found.items.iter().map(item).collect()
}

fn proofs_json(proofs: &[Proof]) -> Vec<Value> {
    let one = |proof: &Proof| json!({"command": proof.command, "ok": proof.ok, "said": proof.said});
    proofs.iter().map(one).collect()
}

/// What was done, for scripts.
pub(crate) fn applied_json(found: &Survey, proofs: &[Proof]) -> Value {
    object(json!({
        "steps": items(found),
        "notes": found.notes,
        "verified": proofs_json(proofs),
    }))
}

/// What became of each change, for scripts.
pub(crate) fn undone_json(all: &[(Target, Undone)]) -> Value {
    let one = |(target, undone): &(Target, Undone)| {
        let (what, why) = match undone {
            Undone::Restored => ("restored", None),
            Undone::WasSo => ("was_so", None),
            Undone::Left(why) => ("left_alone", Some(why)),
        };
        json!({"target": target.to_string(), "undone": what, "why": why})
    };
    object(json!({"undone": all.iter().map(one).collect::<Vec<_>>()}))
}

/// Whether what was set up holds, for scripts.
pub(crate) fn status_json(found: Option<&[Line]>, proofs: &[Proof]) -> Value {
    let one = |line: &Line| {
        json!({
            "target": line.target.to_string(),
            "wanted": line.wanted.to_string(),
            "now": line.now.as_ref().map(State::to_string),
            "drift": line.drift,
        })
    };
    object(json!({
        "applied": found.is_some(),
        "targets": found.map(|lines| lines.iter().map(one).collect::<Vec<_>>()),
        "verified": proofs_json(proofs),
    }))
}

#[cfg(test)]
mod tests;
