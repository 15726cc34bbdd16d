//! Going through the journal backwards: what setup changed is put back, what others changed since is
//! left alone.

use std::io;

use super::SetupError;
use super::boundaries::Boundaries;
use super::journal::{self, Change, Journal};
use super::state::{State, Target};
use super::system::{NOT_OF_AN_IMAGE, System};

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is as it was before.
    Restored,
    /// It was so already.
    WasSo,
    /// It was left as it is; why.
    Left(String),
}

/// Undoes everything; tells what becomes of each target. `false` if there was nothing to undo.
///
/// # Errors
/// Not root, the journal cannot be used, or a target cannot be put back: the journal is kept then.
pub(crate) fn rollback(
    system: &System,
    boundaries: &mut Boundaries,
    mut tell: impl FnMut(&Target, &Undone),
) -> Result<bool, SetupError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(SetupError::NotRoot);
    }
    if journal::read(system.base())?.is_none() {
        journal::clear(system.base())?;
        return Ok(false);
    }
    let journal = Journal::open(system.base())?;
    let changes = journal.changes().to_vec();
    for change in changes.iter().rev() {
        let undone = undo(system, &journal, change)?;
        tell(&change.target, &undone);
        boundaries.pass();
    }
    system.reload_units(changes.iter().map(|change| &change.target));
    journal.remove()?;
    Ok(true)
}

fn undo(system: &System, journal: &Journal, change: &Change) -> Result<Undone, SetupError> {
    let target = &change.target;
    if !system.has(target) {
        return Ok(Undone::Left(NOT_OF_AN_IMAGE.to_owned()));
    }
    let failed = |source| SetupError::Change {
        setup: system.command(),
        what: target.to_string(),
        source,
    };
    clear(system, change).map_err(failed)?;
    let now = system.observe(target).map_err(failed)?;
    if now == change.before {
        return Ok(Undone::WasSo);
    }
    // A path is changed completely or not at all: anything else was put there by another process.
    let is_half_done = change.interrupted && !matches!(target, Target::Path(_));
    let ours = now == change.wanted || is_half_done;
    if !ours {
        return Ok(Undone::Left(format!(
            "it was changed since, and is {now} now"
        )));
    }
    let content = match &change.before {
        State::File(file) => journal.content(&file.digest)?,
        _ => Vec::new(),
    };
    match system.put(target, &change.before, &content) {
        // Something of somebody else's is in that directory, or uses that mount.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EBUSY)) => {
            Ok(Undone::Left(error.to_string()))
        }
        done => done.map(|()| Undone::Restored).map_err(failed),
    }
}

/// Removes what a kill left of a change. The journal does not record at which change a rollback was killed, so
/// this is done for every change. A failure is an error only for a change that is known to have been interrupted.
pub(super) fn clear(system: &System, change: &Change) -> io::Result<()> {
    match system.clear(&change.target) {
        Err(error) if !change.interrupted => {
            tracing::debug!(%error, target = %change.target, "cannot remove what a kill may have left");
            Ok(())
        }
        cleared => cleared,
    }
}
