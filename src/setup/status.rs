//! Whether what was set up still holds, and if not, what became of it.

use super::SetupError;
use super::journal::{self, Change};
use super::plan::holds;
use super::state::{State, Target, differences};
use super::system::System;
use crate::sys::root::Root;

/// A target, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) target: Target,
    /// What it was put into.
    pub(crate) wanted: State,
    /// What it is; `None` if it could not be looked at.
    pub(crate) now: Option<State>,
    /// What is wrong, if something is.
    pub(crate) drift: Option<String>,
}

/// Looks at everything that the journal names; `None` if nothing was set up.
///
/// # Errors
/// The journal cannot be read or understood.
pub(crate) fn status(system: &System) -> Result<Option<Vec<Line>>, SetupError> {
    let recorded = journal::read(system.base())?;
    let Some(recorded) = recorded.filter(|recorded| !recorded.changes.is_empty()) else {
        return Ok(None);
    };
    let changes = recorded.changes.iter();
    let mut lines: Vec<Line> = changes.map(|change| line(system, change)).collect();
    if let Some(last) = lines.last_mut()
        && !recorded.complete
        && last.drift.is_none()
    {
        last.drift = Some("setup was interrupted after this".to_owned());
    }
    Ok(Some(lines))
}

fn line(system: &System, change: &Change) -> Line {
    let (now, drift) = match system.observe(&change.target) {
        Ok(now) => {
            let drift = drift(system, change, &now);
            (Some(now), drift)
        }
        Err(error) => (None, Some(format!("could not look: {error}"))),
    };
    Line {
        target: change.target.clone(),
        wanted: change.wanted.clone(),
        now,
        drift,
    }
}

fn drift(system: &System, change: &Change, now: &State) -> Option<String> {
    if change.interrupted && !holds(&change.wanted, now) {
        return Some("setup was interrupted there".to_owned());
    }
    if holds(&change.wanted, now) {
        return None;
    }
    Some(match (&change.target, &change.wanted, now) {
        (_, State::Link(_), State::Absent) => "the unit was disabled".to_owned(),
        (_, _, State::Absent) => "it is gone".to_owned(),
        (_, State::File(wanted), State::File(now)) => {
            format!("changed since: {}", differences(wanted, now).join(", "))
        }
        (Target::Sysctl(key), State::Value(value), now) => match at_boot(&system.tree(), key) {
            Some((file, _)) => format!("it is {now} and not {value}: {file} sets it"),
            None => format!("it is {now} and not {value}"),
        },
        (_, wanted, now) => format!("it is {now}, and should be {wanted}"),
    })
}

/// Where settings are read from at boot, the last file of a name first (`sysctl.d(5)`).
const FOLDERS: [&str; 4] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
];

/// The file that sets this last of all at boot, and to what: files go by their names, wherever they
/// lie, and `/etc/sysctl.conf` comes last where `sysctl --system` reads it.
pub(super) fn at_boot(tree: &Root, key: &str) -> Option<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for folder in FOLDERS {
        for name in tree.read_dir(folder).unwrap_or_default() {
            let name = name.to_string_lossy().into_owned();
            let hidden = files.iter().any(|(known, _)| *known == name);
            if name.ends_with(".conf") && !hidden {
                files.push((name.clone(), format!("{folder}/{name}")));
            }
        }
    }
    files.sort();
    files.push(("sysctl.conf".to_owned(), "/etc/sysctl.conf".to_owned()));
    let value = |(_, path): (String, String)| {
        let value = value_in(tree, &path, key)?;
        Some((path, value))
    };
    files.into_iter().rev().find_map(value)
}

fn value_in(tree: &Root, path: &str, key: &str) -> Option<String> {
    let text = tree.text(path).unwrap_or_default();
    let normal = |name: &str| name.trim().trim_start_matches('-').replace('/', ".");
    text.lines()
        .filter(|line| !line.trim_start().starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .rfind(|(name, _)| normal(name) == key)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    #[test]
    fn the_file_that_wins_is_named() {
        let tree = Tree::with(&[
            ("/etc/sysctl.d/99-denet.conf", "kernel.kptr_restrict = 1\n"),
            ("/usr/lib/sysctl.d/99-z.conf", "kernel/kptr_restrict=2\n"),
            ("/usr/lib/sysctl.d/10-a.conf", "-kernel.kptr_restrict=0\n"),
            ("/etc/sysctl.conf", "# kernel.kptr_restrict=0\n"),
        ]);
        let root = Root::new(tree.at.clone());
        let found = at_boot(&root, "kernel.kptr_restrict");
        let last = ("/usr/lib/sysctl.d/99-z.conf".to_owned(), "2".to_owned());
        assert_eq!(found, Some(last));
        assert_eq!(at_boot(&root, "kernel.other"), None);
    }
}
