//! What the arguments of each syscall are.
//!
//! One entry a syscall, by name: the number tables say what number that is in each ABI. An entry
//! holds for every ABI in which the arguments stand in the same order. [`Entry::of`] knows those
//! that differ.

mod descriptors;
mod files;
mod kind;
mod memory;
mod network;
mod process;
mod signals;
mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(in crate::decode) use kind::EPOLL_EVENT;
pub(crate) use kind::{Kind, Returns};

use super::call::Capture;
use crate::decode::syscalls::{Abi, Table};

/// One argument: its name as the kernel's, and what it is.
pub(crate) type Argument = (&'static str, Kind);

/// What a syscall takes and gives.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// In the order of the registers.
    pub(crate) arguments: &'static [Argument],
    /// What a result that is no error means.
    pub(crate) returns: Returns,
}

/// Most captures of one call.
pub(crate) const MOST_CAPTURES: usize = 4;

const fn entry(name: &'static str, arguments: &'static [Argument], returns: Returns) -> Entry {
    Entry {
        name,
        arguments,
        returns,
    }
}

const PARTS: [&[Entry]; 7] = [
    files::ENTRIES,
    descriptors::ENTRIES,
    memory::ENTRIES,
    network::ENTRIES,
    process::ENTRIES,
    signals::ENTRIES,
    time::ENTRIES,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Entry>> =
    LazyLock::new(|| entries().map(|entry| (entry.name, entry)).collect());

/// All entries.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    PARTS.into_iter().flatten()
}

/// Their arguments stand otherwise in a 32-bit ABI: 64-bit numbers in two registers, one pointer to
/// all arguments, 16-bit ids, other structures.
#[rustfmt::skip]
const NATIVE_ONLY: &[&str] = &[
    "mmap", "select", "pread64", "pwrite64", "readahead", "truncate", "ftruncate", "fadvise64",
    "fallocate", "sync_file_range", "preadv", "pwritev", "preadv2", "pwritev2", "stat", "lstat",
    "fstat", "newfstatat", "statfs", "fstatfs", "getgroups", "setgroups", "getresuid", "getresgid",
    "chown", "fchown", "lchown", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "getrlimit", "shmctl", "fanotify_mark", "io_submit", "io_getevents", "sysinfo", "waitid",
    "rt_sigtimedwait", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "vmsplice", "sigaltstack",
];

/// The others of the same call, whose arguments are the same.
fn same_as(name: &str) -> &str {
    match name {
        "fcntl64" => "fcntl",
        "sendfile64" => "sendfile",
        "umount" => "unlink",
        "clock_gettime64" => "clock_gettime",
        "clock_settime64" => "clock_settime",
        "clock_getres_time64" => "clock_getres",
        "clock_nanosleep_time64" => "clock_nanosleep",
        "futex_time64" => "futex",
        "utimensat_time64" => "utimensat",
        "timerfd_settime64" => "timerfd_settime",
        "timerfd_gettime64" => "timerfd_gettime",
        "ppoll_time64" => "ppoll",
        "ugetrlimit" => "getrlimit",
        name => name,
    }
}

impl Entry {
    /// The entry of a number in an ABI of this machine, if its arguments are known.
    pub(crate) fn of(abi: Abi, nr: i32) -> Option<&'static Self> {
        let (name, _) = Table::of(abi).lookup(nr)?;
        if abi == Abi::Native {
            return BY_NAME.get(name).copied();
        }
        let other = same_as(name);
        // Of the old `clone` only the first three arguments stand where they do on x86-64.
        let differs = NATIVE_ONLY.contains(&name) && other == name || other == "clone";
        BY_NAME.get(other).copied().filter(|_| !differs)
    }

    /// What must be read of the caller's memory for it, at most [`MOST_CAPTURES`], `shown` bytes of
    /// buffers being enough. A pointer that is NULL, or whose call failed, needs no reading.
    pub(crate) fn captures(&self, abi: Abi) -> Vec<Capture> {
        let word = if abi == Abi::Native { 8 } else { 4 };
        let mut captures = Vec::new();
        for (at, (_, kind)) in self.arguments.iter().enumerate() {
            kind.captures(at as u8, word, &mut captures);
        }
        captures.truncate(MOST_CAPTURES);
        captures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_syscall_and_stands_once() {
        let mut names: Vec<_> = entries().map(|entry| entry.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for name in names {
            let known = Table::ALL
                .iter()
                .any(|table| table.entries().any(|(_, known, _)| known == name));
            assert!(known, "{name}");
        }
        assert!(all >= 120, "{all}");
    }

    #[test]
    fn captures_stay_within_the_bound_and_name_arguments_that_are_there() {
        for entry in entries() {
            let mut all = Vec::new();
            for (at, (_, kind)) in entry.arguments.iter().enumerate() {
                kind.captures(at as u8, 8, &mut all);
            }
            assert!(all.len() <= MOST_CAPTURES, "{}: {all:?}", entry.name);
            assert!(entry.arguments.len() <= 6);
            assert!(
                all.iter()
                    .all(|one| usize::from(one.arg) < entry.arguments.len())
            );
        }
    }

    #[test]
    fn the_32_bit_abi_is_read_only_where_it_is_the_same() {
        let of = |name: &str| {
            let mut all = Table::of(Abi::Compat).entries();
            let (nr, ..) = all.find(|(_, known, _)| *known == name).unwrap();
            Entry::of(Abi::Compat, nr).map(|entry| entry.name)
        };
        assert_eq!(of("openat"), Some("openat"));
        assert_eq!(of("clock_gettime64"), Some("clock_gettime"));
        assert_eq!(of("mmap"), None);
        assert_eq!(of("clone"), None);
        assert_eq!(Entry::of(Abi::Native, -1).map(|entry| entry.name), None);
    }
}
