//! Resource limits of the process that looks.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::root::Root;

/// A soft and a hard limit; `None` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What holds.
    pub(crate) soft: Option<u64>,
    /// How far the process may raise it.
    pub(crate) hard: Option<u64>,
}

/// Limits that eBPF runs into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// RLIMIT_MEMLOCK in bytes: before Linux 5.11 maps count.
    pub memlock: Fact<Limit>,
    /// RLIMIT_NOFILE: maps, programs and links are descriptors.
    pub(crate) nofile: Fact<Limit>,
    /// Descriptors that are open now.
    pub(crate) open_files: Fact<u64>,
}

impl Limits {
    pub(crate) fn probe(root: &Root) -> Self {
        let limit = |name| {
            let parse = |text: &str| parse(text, name);
            Fact::read(root, "/proc/self/limits", parse)
        };
        let open = "/proc/self/fd";
        Self {
            memlock: limit("Max locked memory"),
            nofile: limit("Max open files"),
            // The one that reads the directory is gone again.
            open_files: Fact::of(open, root.read_dir(open))
                .map(|names| (names.len() as u64).saturating_sub(u64::from(root.is_live()))),
        }
    }
}

/// `Max locked memory         8388608              unlimited            bytes`. Not by procfs-core, which knows no
/// limit if one of all sixteen is not there, and subtracts below zero on a line of fewer than three words.
pub(super) fn parse(text: &str, name: &str) -> Option<Limit> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_whitespace();
    let mut value = || match words.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Limit {
        soft: value()?,
        hard: value()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_limits() {
        let text = "Limit   Soft Limit  Hard Limit  Units \n\
            Max open files            1024                 524288               files     \n\
            Max locked memory         8388608              unlimited            bytes     \n";
        let files = parse(text, "Max open files").unwrap();
        assert_eq!((files.soft, files.hard), (Some(1024), Some(524_288)));
        let memory = parse(text, "Max locked memory").unwrap();
        assert_eq!((memory.soft, memory.hard), (Some(8 << 20), None));
    }

    #[test]
    fn garbage_is_no_limit() {
        for text in [
            "",
            "Max open files",
            "Max open files 1",
            "Max open files -1 x",
            "\u{fffd}",
        ] {
            assert_eq!(parse(text, "Max open files"), None, "{text:?}");
        }
    }

    #[test]
    fn why_limits_are_not_read_by_procfs_core() {
        use procfs_core::FromRead as _;
        use procfs_core::process;
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert!(process::Limits::from_read(own.as_bytes()).is_ok());
        let cut = own.replace("Max file locks ", "Max of others ");
        assert!(parse(&cut, "Max open files").is_some());
        assert!(process::Limits::from_read(cut.as_bytes()).is_err());
        let odd = format!("\u{fffd}\n{own}");
        assert!(parse(&odd, "Max open files").is_some());
        let theirs =
            std::panic::catch_unwind(|| process::Limits::from_read(odd.as_bytes()).is_ok());
        assert!(!theirs.unwrap_or(false));
    }

    #[test]
    fn own_limits_are_known() {
        let own = Limits::probe(&Root::default());
        assert!(own.memlock.known().is_some() && own.nofile.known().is_some());
        assert!(own.open_files.known().is_some_and(|open| *open >= 3));
    }
}
