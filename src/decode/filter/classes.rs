//! Groups of syscalls, as strace forms them: `%file`, `%network` and so on.

use crate::decode::syscalls::Category;
use crate::decode::table::{Entry, Kind, Returns};

/// A group of syscalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Calls that take a path.
    File,
    Network,
    /// Starting, ending, waiting, killing.
    Process,
    Memory,
    Signal,
    /// System V IPC.
    Ipc,
    /// Calls that take or give a descriptor.
    Desc,
}

impl Class {
    /// All, with their names.
    pub(crate) const ALL: [(&'static str, Self); 8] = [
        ("file", Self::File),
        ("network", Self::Network),
        ("net", Self::Network),
        ("process", Self::Process),
        ("memory", Self::Memory),
        ("signal", Self::Signal),
        ("ipc", Self::Ipc),
        ("desc", Self::Desc),
    ];

    /// Whether a syscall is of the group; `entry` is what is known of its arguments.
    pub(crate) fn has(self, name: &str, category: Category, entry: Option<&Entry>) -> bool {
        match self {
            Self::File => takes_path(entry) || OTHER_PATHS.contains(&name),
            Self::Network => {
                category == Category::Network || name == "sendfile" || name == "sendfile64"
            }
            Self::Process => PROCESS.contains(&name),
            Self::Memory => MEMORY.contains(&name),
            Self::Signal => signal(name, category),
            Self::Ipc => {
                ["shm", "sem", "msg"]
                    .iter()
                    .any(|start| name.starts_with(start))
                    || name == "ipc"
            }
            Self::Desc => {
                let socket = category == Category::Network;
                !socket
                    && (takes_descriptor(entry) || OTHER_DESCRIPTORS.contains(&name))
                    && !NO_DESCRIPTORS.contains(&name)
            }
        }
    }
}

fn takes_path(entry: Option<&Entry>) -> bool {
    entry.is_some_and(|entry| {
        entry
            .arguments
            .iter()
            .any(|(_, kind)| matches!(kind, Kind::Path))
    })
}

fn takes_descriptor(entry: Option<&Entry>) -> bool {
    let takes = |kind: &Kind| {
        use Kind::{DirFd, EpollEvents, Fd, FdPair, FdSet, NoFd, Pollfds};
        matches!(
            kind,
            Fd | DirFd | NoFd | FdPair | Pollfds(_) | FdSet | EpollEvents
        )
    };
    entry.is_some_and(|entry| {
        matches!(entry.returns, Returns::Fd) || entry.arguments.iter().any(|(_, kind)| takes(kind))
    })
}

fn signal(name: &str, category: Category) -> bool {
    let more = ["signalfd", "signalfd4", "io_uring_enter"];
    category == Category::Signal && name != "restart_syscall" || more.contains(&name)
}

#[rustfmt::skip]
const OTHER_PATHS: &[&str] = &[
    "chown32", "execveat", "fanotify_mark", "fsconfig", "fstatat64", "getcwd", "getxattrat", "lchown32",
    "listxattrat", "lstat64", "mount_setattr", "oldlstat", "oldstat", "quotactl", "removexattrat",
    "setxattrat", "stat64", "statfs64", "truncate64", "umount", "uselib", "utimensat_time64",
    "open_tree_attr", "file_getattr", "file_setattr",
];

#[rustfmt::skip]
const PROCESS: &[&str] = &[
    "clone", "clone3", "execve", "execveat", "exit", "exit_group", "fork", "kill", "pidfd_send_signal",
    "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "vfork", "wait4", "waitid", "waitpid",
];

#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "brk", "get_mempolicy", "io_destroy", "io_setup", "io_uring_register", "madvise",
    "map_shadow_stack", "mbind", "migrate_pages", "mincore", "mlock", "mlock2", "mlockall", "mmap",
    "mmap2", "move_pages", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
    "pkey_mprotect", "remap_file_pages", "set_mempolicy", "set_mempolicy_home_node", "shmat", "shmdt",
];

#[rustfmt::skip]
const OTHER_DESCRIPTORS: &[&str] = &[
    "bpf", "cachestat", "execveat", "fanotify_init", "fanotify_mark", "fchown32", "fcntl64", "finit_module",
    "fsconfig", "fstat64", "fstatat64", "fstatfs64", "ftruncate64", "getxattrat", "io_uring_register",
    "kexec_file_load", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
    "listxattrat", "_llseek", "memfd_secret", "mount_setattr", "mq_getsetattr", "mq_notify", "mq_open",
    "mq_timedreceive", "mq_timedsend", "_newselect", "oldfstat", "open_by_handle_at", "ppoll_time64",
    "process_madvise", "process_mrelease", "pselect6_time64", "quotactl_fd", "removexattrat", "sendfile64",
    "setxattrat", "timerfd_gettime64", "timerfd_settime64", "utimensat_time64", "file_getattr",
    "file_setattr", "open_tree_attr", "statmount",
];

/// strace leaves these out, though they take or give one.
const NO_DESCRIPTORS: &[&str] = &["close_range", "seccomp", "setns", "statmount"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syscalls::{Abi, Table};

    fn members(class: Class, names: &[&str]) -> Vec<bool> {
        let of = |name: &&str| {
            let mut all = Table::of(Abi::Native).entries();
            let (nr, name, category) = all.find(|(_, known, _)| known == name).unwrap();
            class.has(name, category, Entry::of(Abi::Native, nr))
        };
        names.iter().map(of).collect()
    }

    #[test]
    fn the_groups_are_those_of_strace() {
        let cases: [(Class, &[&str], &[&str]); 7] = [
            (
                Class::File,
                &[
                    "openat",
                    "execve",
                    "getcwd",
                    "rename",
                    "newfstatat",
                    "swapon",
                ],
                &["read", "fstat", "fchdir", "memfd_create"],
            ),
            (
                Class::Network,
                &["socket", "sendfile", "recvmmsg", "getsockopt"],
                &["read", "pipe"],
            ),
            (
                Class::Process,
                &["execve", "kill", "wait4", "exit_group"],
                &["getpid", "setsid", "prctl"],
            ),
            (
                Class::Memory,
                &["mmap", "brk", "shmat", "mlockall"],
                &["shmget", "memfd_create", "pkey_alloc"],
            ),
            (
                Class::Signal,
                &["kill", "rt_sigaction", "signalfd4", "pause"],
                &["restart_syscall", "alarm"],
            ),
            (
                Class::Ipc,
                &["shmget", "semop", "msgrcv"],
                &["pipe", "futex", "mq_open"],
            ),
            (
                Class::Desc,
                &[
                    "read",
                    "openat",
                    "mmap",
                    "epoll_wait",
                    "select",
                    "mq_open",
                    "splice",
                ],
                &["socket", "connect", "stat", "close_range", "setns"],
            ),
        ];
        for (class, inside, outside) in cases {
            let inside_is = members(class, inside);
            assert!(
                inside_is.iter().all(|is| *is),
                "{class:?} {inside:?} {inside_is:?}"
            );
            let outside_is = members(class, outside);
            assert!(
                outside_is.iter().all(|is| !is),
                "{class:?} {outside:?} {outside_is:?}"
            );
        }
    }
}
