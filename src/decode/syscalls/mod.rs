//! What a syscall number is called, and what kind of thing it asks for.

pub(crate) mod harmless;
mod table;

use std::sync::LazyLock;

use table::{Row, SYSCALLS};

/// What a syscall is about; each is in exactly one category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Files, directories, descriptors, readiness, io_uring.
    FileIo,
    /// Mappings, brk, protection, advice, NUMA policy.
    Memory,
    /// Life cycle, scheduling, ids of processes and threads, limits, wait.
    Process,
    /// Sockets.
    Network,
    /// Clocks, timers, sleeping.
    Time,
    /// System V and POSIX queues, semaphores, shared memory, pipes, futex, eventfd.
    Ipc,
    /// Permissions, ownership, credentials, capabilities, keys, seccomp, Landlock, LSM.
    Security,
    /// Signals.
    Signal,
    /// Host configuration and information, modules, reboot, bpf, perf.
    System,
    /// What no table knows.
    Other,
}

impl Category {
    /// All of them, in the order of the output.
    pub(crate) const ALL: [Self; 10] = [
        Self::FileIo,
        Self::Memory,
        Self::Process,
        Self::Network,
        Self::Time,
        Self::Ipc,
        Self::Security,
        Self::Signal,
        Self::System,
        Self::Other,
    ];

    /// As in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FileIo => "file_io",
            Self::Memory => "memory",
            Self::Process => "process",
            Self::Network => "network",
            Self::Time => "time",
            Self::Ipc => "ipc",
            Self::Security => "security",
            Self::Signal => "signal",
            Self::System => "system",
            Self::Other => "other",
        }
    }
}

/// Through which entry a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// The machine's own 64-bit one.
    Native,
    /// The 32-bit one: `int 0x80` and 32-bit programs.
    Compat,
}

/// A number table of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// x86-64.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM, EABI.
    Arm,
}

impl Table {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Self; 4] = [Self::X86_64, Self::I386, Self::Arm64, Self::Arm];

    /// The table that names calls through this entry on the machine that denet was built for.
    pub const fn of(abi: Abi) -> Self {
        match (abi, cfg!(target_arch = "aarch64")) {
            (Abi::Native, false) => Self::X86_64,
            (Abi::Compat, false) => Self::I386,
            (Abi::Native, true) => Self::Arm64,
            (Abi::Compat, true) => Self::Arm,
        }
    }

    /// As the kernel calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// Name and category of a number, if the table knows it.
    pub fn lookup(self, nr: i32) -> Option<(&'static str, Category)> {
        let row = BY_NUMBER[self as usize].get(usize::try_from(nr).ok()?)?;
        row.map(|(name, category, _)| (*name, *category))
    }

    /// Every number with its name and category, in the table's order.
    pub fn entries(self) -> impl Iterator<Item = (i32, &'static str, Category)> {
        SYSCALLS
            .iter()
            .map(move |(name, category, numbers)| (numbers[self as usize], *name, *category))
            .filter(|(nr, ..)| *nr >= 0)
    }
}

static BY_NUMBER: LazyLock<[Vec<Option<&'static Row>>; 4]> = LazyLock::new(|| {
    Table::ALL.map(|table| {
        let mut rows = Vec::new();
        for row in SYSCALLS {
            if let Ok(nr) = usize::try_from(row.2[table as usize]) {
                rows.resize(rows.len().max(nr + 1), None);
                rows[nr] = Some(row);
            }
        }
        rows
    })
});

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Call {
    /// Through which entry.
    pub(crate) abi: Abi,
    /// The number, as the caller gave it: any value at all.
    pub(crate) nr: i32,
}

impl Call {
    /// Name and category; `syscall_9999` where no table knows the number.
    pub(crate) fn describe(self) -> (String, Category) {
        match Table::of(self.abi).lookup(self.nr) {
            Some((name, category)) => (name.to_owned(), category),
            None => (format!("syscall_{}", self.nr), Category::Other),
        }
    }

    /// Name of the table, where it is not the machine's own.
    pub(crate) fn foreign_abi(self) -> Option<&'static str> {
        (self.abi == Abi::Compat).then(|| Table::of(Abi::Compat).name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_and_every_number_stands_once() {
        let names: HashSet<_> = SYSCALLS.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), SYSCALLS.len());
        for table in Table::ALL {
            let numbers: Vec<_> = table.entries().map(|(nr, ..)| nr).collect();
            assert_eq!(
                numbers.iter().collect::<HashSet<_>>().len(),
                numbers.len(),
                "{table:?}"
            );
            for (nr, name, category) in table.entries() {
                assert_eq!(table.lookup(nr), Some((name, category)));
                assert_ne!(category, Category::Other, "{name}");
            }
        }
    }

    #[test]
    fn every_number_up_to_the_last_of_linux_7_2_is_known() {
        // The kernel's tables have these holes.
        let hole = |table, nr| match table {
            Table::X86_64 => (337..424).contains(&nr),
            Table::I386 => [222, 223, 251, 285, 415].contains(&nr) || (387..393).contains(&nr),
            Table::Arm64 => (244..260).contains(&nr) || (295..424).contains(&nr),
            Table::Arm => true,
        };
        for table in Table::ALL {
            let unknown: Vec<_> = (0..=471)
                .filter(|nr| table.lookup(*nr).is_none() && !hole(table, *nr))
                .collect();
            assert_eq!(unknown, [0; 0], "{table:?}");
            assert_eq!(table.entries().map(|(nr, ..)| nr).max(), Some(471));
        }
    }

    #[test]
    fn the_same_number_differs_by_table() {
        assert_eq!(Table::I386.lookup(20), Some(("getpid", Category::Process)));
        assert_eq!(Table::X86_64.lookup(20), Some(("writev", Category::FileIo)));
        assert_eq!(
            Table::Arm64.lookup(172),
            Some(("getpid", Category::Process))
        );
        assert_eq!(Table::X86_64.lookup(-1), None);
        let odd = Call {
            abi: Abi::Native,
            nr: -5,
        };
        assert_eq!(odd.describe(), ("syscall_-5".to_owned(), Category::Other));
    }
}
