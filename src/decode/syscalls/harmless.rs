//! Which syscalls can be made for nothing, and with which arguments.
//!
//! Nearly every syscall refuses a call whose arguments are all -1 before it does anything: that is no
//! descriptor, no address, no length, no set of flags. A few want other arguments, and a few do
//! something whatever they are given.

use super::{Abi, Table};

/// A syscall of this machine, with arguments for which the kernel does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Harmless {
    name: &'static str,
    number: i32,
    arguments: [libc::c_long; 6],
}

/// Why a syscall cannot be made for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// There is none of that name.
    #[error("{} has no such syscall{}", .table.name(), like(.similar))]
    Unknown {
        /// Of this machine.
        table: Table,
        /// Names that look like it, the most similar first.
        similar: Vec<&'static str>,
    },
    /// It does something, whatever its arguments.
    #[error("no arguments make it harmless: {0}")]
    Harmful(&'static str),
}

/// What does something, whatever its arguments, or may on some kernel.
const HARMFUL: &[(&[&str], &str)] = &[
    (&["exit", "exit_group"], "it ends the caller"),
    (
        &["clone", "clone3", "fork", "vfork"],
        "it makes another process",
    ),
    (&["execve", "execveat"], "it replaces the caller's program"),
    (
        &["rt_sigreturn", "sigreturn"],
        "outside a signal handler it destroys the caller's registers",
    ),
    (
        &["uprobe", "uretprobe"],
        "only the kernel's own code may make it; others are killed",
    ),
    (&["pause"], "it waits for a signal"),
    (&["reboot"], "it stops the machine"),
    (&["sync"], "it writes out every file system"),
    (&["vhangup"], "it takes the terminal from everyone"),
    (&["setsid"], "it leaves the session and its terminal"),
    (&["alarm"], "it sets or cancels the caller's alarm"),
    (&["umask"], "it sets the caller's file mode mask"),
    (&["eventfd", "inotify_init"], "each call opens a descriptor"),
];

const NOTHING: [libc::c_long; 6] = [-1; 6];

/// What -1 would not keep from doing something.
const ARGUMENTS: &[(&str, [libc::c_long; 6])] = &[
    // Asks where the heap ends.
    ("brk", [0; 6]),
    // No bytes are no module.
    ("init_module", [-1, 0, -1, -1, -1, -1]),
    // No such process, and no such signal; process -1 would be everyone.
    ("kill", [i32::MAX as libc::c_long, -1, -1, -1, -1, -1]),
    // Looks for a queue and makes none.
    ("msgget", [-1, 0, -1, -1, -1, -1]),
];

/// As similar as clap's own suggestions are.
const SIMILAR: f64 = 0.7;

impl Harmless {
    /// The syscall of that name on this machine.
    ///
    /// # Errors
    /// [`Unusable`], if there is none or it is never harmless.
    pub(crate) fn named(name: &str) -> Result<Self, Unusable> {
        let table = Table::of(Abi::Native);
        let found = table.entries().find(|(_, known, _)| *known == name);
        let Some((number, name, _)) = found else {
            return Err(Unusable::Unknown {
                table,
                similar: similar(table, name),
            });
        };
        if let Some((_, why)) = HARMFUL.iter().find(|(names, _)| names.contains(&name)) {
            return Err(Unusable::Harmful(why));
        }
        let special = ARGUMENTS.iter().find(|(special, _)| *special == name);
        Ok(Self {
            name,
            number,
            arguments: special.map_or(NOTHING, |(_, arguments)| *arguments),
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its number on this machine.
    pub(crate) fn number(&self) -> i32 {
        self.number
    }

    /// What to call it with.
    pub(crate) fn arguments(&self) -> [libc::c_long; 6] {
        self.arguments
    }
}

fn similar(table: Table, name: &str) -> Vec<&'static str> {
    let scored = table
        .entries()
        .map(|(_, known, _)| (strsim::jaro_winkler(name, known), known));
    let mut scored: Vec<_> = scored.filter(|(score, _)| *score > SIMILAR).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}

fn like(similar: &[&str]) -> String {
    if similar.is_empty() {
        String::new()
    } else {
        format!("; similar: {}", similar.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_syscall_can_be_made_for_nothing() {
        let table = Table::of(Abi::Native);
        let (usable, refused): (Vec<_>, Vec<_>) = table
            .entries()
            .map(|(_, name, _)| Harmless::named(name))
            .partition(Result::is_ok);
        assert!(usable.len() > 300 && refused.len() < 25, "{refused:?}");
        let getpid = Harmless::named("getpid").unwrap();
        assert_eq!(getpid.name(), "getpid");
        assert_eq!(table.lookup(getpid.number()).unwrap().0, "getpid");
    }

    #[test]
    fn what_would_do_something_is_refused_with_the_reason() {
        for name in [
            "exit_group",
            "clone3",
            "execve",
            "rt_sigreturn",
            "reboot",
            "sync",
        ] {
            assert!(matches!(Harmless::named(name), Err(Unusable::Harmful(_))));
        }
        let said = Harmless::named("exit").unwrap_err().to_string();
        assert_eq!(said, "no arguments make it harmless: it ends the caller");
    }

    #[test]
    fn every_exception_is_a_syscall_and_stands_once() {
        let known: Vec<_> = Table::ALL
            .iter()
            .flat_map(|table| table.entries().map(|(_, name, _)| name))
            .collect();
        let mut exceptions: Vec<_> = HARMFUL.iter().flat_map(|(names, _)| *names).collect();
        exceptions.extend(ARGUMENTS.iter().map(|(name, _)| name));
        let count = exceptions.len();
        exceptions.sort();
        exceptions.dedup();
        assert_eq!(exceptions.len(), count);
        assert!(exceptions.iter().all(|name| known.contains(name)));
    }

    #[test]
    fn nobody_is_signalled() {
        assert_eq!(Harmless::named("kill").unwrap().arguments()[0], 0x7fff_ffff);
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let said = Harmless::named("getpidd").unwrap_err().to_string();
        assert!(said.contains("no such syscall; similar: getpid"), "{said}");
        let said = Harmless::named("xyzzy").unwrap_err().to_string();
        assert!(!said.contains("similar"), "{said}");
    }
}
