//! Making the changes of a plan: each is written down, made, looked at, and written down as done.

use std::io;

use super::SetupError;
use super::boundaries::Boundaries;
use super::journal::Journal;
use super::look::{Item, Standing, Survey, survey};
use super::plan::{PlanOptions, holds};
use super::state::{State, Target};
use super::system::System;
use super::targets::state;
use super::undo::clear;
use crate::sys::place::Entry;

/// Makes all changes that are missing; tells of each before it is made. What was surveyed.
///
/// # Errors
/// Not root, something is in the way (nothing was changed then), or a change failed (what was done
/// stands in the journal).
pub(crate) fn apply(
    system: &System,
    options: &PlanOptions,
    boundaries: &mut Boundaries,
    mut tell: impl FnMut(&Item),
) -> Result<Survey, SetupError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(SetupError::NotRoot);
    }
    finish_interrupted(system)?;
    let found = unobstructed(system, options)?;
    let begun = super::journal::read(system.base())?;
    if todo(&found).is_empty() && begun.is_none_or(|begun| begun.complete) {
        return Ok(found);
    }
    let mut journal = Journal::open(system.base())?;
    // Another setup may have finished in the meantime.
    let found = unobstructed(system, options)?;
    let todo = todo(&found);
    for item in &todo {
        tell(item);
        change(system, &mut journal, item, boundaries)?;
    }
    journal.complete()?;
    boundaries.pass();
    system.reload_units(todo.iter().map(|item| &item.action.target));
    Ok(found)
}

/// The survey, if there are no conflicts.
fn unobstructed(system: &System, options: &PlanOptions) -> Result<Survey, SetupError> {
    let found = survey(system, options)?;
    let conflicts: Vec<String> = found.items.iter().filter_map(obstacle).collect();
    match conflicts.is_empty() {
        true => Ok(found),
        false => Err(SetupError::Conflicts(conflicts)),
    }
}

fn todo(found: &Survey) -> Vec<&Item> {
    let items = found.items.iter();
    items
        .filter(|item| item.standing == Standing::ToDo)
        .collect()
}

fn obstacle(item: &Item) -> Option<String> {
    match &item.standing {
        Standing::Conflict(why) | Standing::Unknown(why) => Some(why.clone()),
        Standing::Holds | Standing::ToDo => None,
    }
}

/// Takes away what a killed setup left half written; the plan then says what is missing.
fn finish_interrupted(system: &System) -> Result<(), SetupError> {
    if super::journal::read(system.base())?.is_none() {
        return Ok(());
    }
    let mut journal = Journal::open(system.base())?;
    let changes: Vec<_> = journal
        .changes()
        .iter()
        .filter(|change| system.has(&change.target))
        .cloned()
        .collect();
    for change in changes {
        let failed = |source| SetupError::Change {
            setup: system.command(),
            what: change.target.to_string(),
            source,
        };
        clear(system, &change).map_err(failed)?;
        if !change.interrupted {
            continue;
        }
        let now = system.observe(&change.target).map_err(failed)?;
        if holds(&change.wanted, &now) {
            journal.done(&change.target)?;
        }
    }
    Ok(())
}

fn change(
    system: &System,
    journal: &mut Journal,
    item: &Item,
    boundaries: &mut Boundaries,
) -> Result<(), SetupError> {
    let (target, wanted) = (&item.action.target, &item.action.wanted);
    let failed = |source| SetupError::Change {
        setup: system.command(),
        what: target.to_string(),
        source: explained(source),
    };
    let (before, content) = now(system, target).map_err(failed)?;
    journal.begin(target, &before, &content, wanted)?;
    boundaries.pass();
    system
        .put(target, wanted, &item.action.bytes)
        .map_err(failed)?;
    boundaries.pass();
    let after = system.observe(target).map_err(failed)?;
    if !holds(wanted, &after) {
        let what = format!("it should be {wanted}, and is {after}");
        return Err(failed(io::Error::other(what)));
    }
    journal.done(target)?;
    boundaries.pass();
    Ok(())
}

/// What is there, with the content of a file.
fn now(system: &System, target: &Target) -> io::Result<(State, Vec<u8>)> {
    if let Target::Path(path) = target {
        let entry: Option<Entry> = system.look(path)?;
        return Ok(entry.map_or((State::Absent, Vec::new()), |entry| {
            let (state, bytes) = state(&entry);
            (state, bytes.to_vec())
        }));
    }
    Ok((system.observe(target)?, Vec::new()))
}

fn explained(error: io::Error) -> io::Error {
    let hint = match error.raw_os_error() {
        Some(libc::ENOTSUP) => {
            "the file system has no extended attributes, so no file capabilities: choose another --prefix"
        }
        Some(libc::EROFS) => "the file system is mounted read-only",
        Some(libc::ENOSPC) => "no space is left on the device",
        _ => return error,
    };
    io::Error::new(error.kind(), hint)
}
