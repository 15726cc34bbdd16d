//! `denet setup`: makes a machine ready for profiling without root, and undoes it.
//!
//! [`plan`] decides what is to be changed, and touches nothing. [`apply`] writes each change down in the
//! [`journal`] before it makes it; [`undo`] goes through the journal backwards. Every change is a
//! [`state::Target`] that is put into a [`state::State`], so applying and undoing are the same act.
//! What a journal names is [`validate`]d first.
//! [`status`] looks whether all still holds, and [`verify`] lets the doctor and the smoke test judge, as
//! the user that it is for.

mod accounts;
pub(crate) mod apply;
mod assets;
pub(crate) mod boundaries;
mod group_lock;
pub(crate) mod journal;
pub(crate) mod look;
pub(crate) mod plan;
mod source;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod system;
mod targets;
pub(crate) mod undo;
pub(crate) mod validate;
pub(crate) mod verify;

use std::io;
use std::path::Path;

use journal::JournalError;

use crate::output::escape::printable;
use crate::output::shell::quoted;

/// What is typed for setup of this system, or of the one in an image.
pub(crate) fn command(image: Option<&Path>) -> String {
    image.map_or("denet setup".to_owned(), |root| {
        format!("denet setup --root {}", quoted(&root.display().to_string()))
    })
}

/// Why setup did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// It changes the system.
    #[error("this changes the system: run it with sudo")]
    NotRoot,
    /// What was asked for cannot be.
    #[error("{0}")]
    Refused(String),
    /// Something is in the way; nothing was changed.
    #[error("{}\nnothing was changed", each_on_a_line(.0))]
    Conflicts(Vec<String>),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A change did not work.
    #[error(
        "{}: {}\nthe changes before that are in the journal: \
             `{setup} --apply` continues, `{setup} --rollback` undoes them",
        printable(.what),
        printable(&.source.to_string())
    )]
    Change {
        /// [`command`] for this system.
        setup: String,
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// Looking failed.
    #[error("{what}: {source}")]
    Look {
        /// At what.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
}

fn each_on_a_line(conflicts: &[String]) -> String {
    let conflicts: Vec<_> = conflicts
        .iter()
        .map(|conflict| printable(conflict))
        .collect();
    conflicts.join("\n")
}
