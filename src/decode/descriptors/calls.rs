//! What each call does to descriptors.

use super::super::arguments::sockaddr;
use super::super::call::{Call, PieceData, When};
use super::table::{Refers, Socket};
use super::{Descriptors, Table};

const O_CLOEXEC: u64 = libc::O_CLOEXEC as u64;
const O_TMPFILE: u64 = libc::O_TMPFILE as u64;
const CLOSE_RANGE_UNSHARE: u64 = 2;
const CLOSE_RANGE_CLOEXEC: u64 = 4;

/// Calls that make, close or name descriptors, change the working directory, or start processes that
/// have them: all that [`apply`] knows of, and no others.
#[rustfmt::skip]
const CHANGING: &[&str] = &[
    "accept", "accept4", "bind", "bpf", "chdir", "chroot", "clone", "clone3", "close", "close_range",
    "connect", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "eventfd", "eventfd2",
    "execve", "execveat", "fanotify_init", "fchdir", "fcntl", "fcntl64", "fork", "fsmount", "fsopen",
    "fspick", "getcwd", "getpeername", "getsockname", "inotify_init", "inotify_init1",
    "io_uring_setup", "ioctl", "landlock_create_ruleset", "memfd_create", "memfd_secret", "mq_open",
    "open", "open_by_handle_at", "open_tree", "openat", "openat2", "perf_event_open", "pidfd_getfd",
    "pidfd_open", "pipe", "pipe2", "pivot_root", "signalfd", "signalfd4", "socket", "socketpair",
    "timerfd_create", "unshare", "userfaultfd", "vfork",
];

/// Whether a call that succeeded gave its thread descriptors or a directory of its own.
pub(crate) fn splits(call: &Call<'_>) -> bool {
    let split = libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_NEWNS;
    call.succeeded()
        && match call.name().as_str() {
            "unshare" => call.args[0] & split as u64 != 0,
            "close_range" => call.args[2] & CLOSE_RANGE_UNSHARE != 0,
            _ => false,
        }
}

/// Whether a call of that name can change what is known of descriptors or of the working directory:
/// who leaves such a call out does not know them afterwards.
pub(crate) fn changes(name: &str) -> bool {
    CHANGING.contains(&name)
}

struct Seen<'a> {
    call: &'a Call<'a>,
    result: i64,
    pid: u32,
}

impl<'a> Seen<'a> {
    fn bytes(&self, arg: u8, when: When) -> Option<&'a [u8]> {
        let mut pieces = self.call.pieces.iter();
        match pieces
            .find(|piece| piece.arg == arg && piece.when == when)?
            .data
        {
            PieceData::Bytes { data, .. } => Some(data),
            _ => None,
        }
    }

    fn int(&self, arg: usize) -> i32 {
        self.call.args[arg] as i32
    }

    fn new_fd(&self) -> i32 {
        self.result as i32
    }

    fn two_ints(&self, arg: u8) -> Option<[i32; 2]> {
        let data = self.bytes(arg, When::Exit)?;
        let int = |at: usize| Some(i32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?));
        Some([int(0)?, int(4)?])
    }

    /// The flags of `openat2`, which stand in memory.
    fn how(&self) -> Option<u64> {
        let flags = self.bytes(2, When::Enter)?.get(..8)?;
        Some(u64::from_ne_bytes(flags.try_into().ok()?))
    }
}

pub(super) fn apply(all: &mut Descriptors, pid: u32, call: &Call<'_>) {
    let Some(result) = call.result else {
        return;
    };
    let name = call.name();
    if !changes(&name) {
        return;
    }
    // Linux closes the descriptor even where close fails with EINTR or EIO, but not with EBADF.
    if name == "close" && result != -i64::from(libc::EBADF) {
        all.table(pid).close(call.args[0] as i32);
        return;
    }
    // A connection that is under way is one.
    let connecting = name == "connect" && result == -i64::from(libc::EINPROGRESS);
    if !call.succeeded() && !connecting {
        return;
    }
    take_note(all, &Seen { call, result, pid }, &name);
}

/// Of a call that succeeded; says whether it is one that changes anything.
fn take_note(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    files(all, seen, name)
        || others(all, seen, name)
        || sockets(all, seen, name)
        || processes(all, seen, name)
}

fn files(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    let flags = |arg: usize| seen.call.args[arg];
    match name {
        "open" => opened(all, seen, libc::AT_FDCWD, 0, flags(1)),
        "creat" => opened(all, seen, libc::AT_FDCWD, 0, 0),
        "open_tree" => opened(all, seen, seen.int(0), 1, flags(2)),
        "openat" => opened(all, seen, seen.int(0), 1, flags(2)),
        "openat2" => opened(all, seen, seen.int(0), 1, seen.how().unwrap_or(0)),
        "chdir" => {
            let path = seen.bytes(0, When::Enter).map(until_nul);
            let path = path.filter(|path| !path.is_empty());
            let cwd = path.map(|path| all.resolve(seen.pid, libc::AT_FDCWD, path));
            all.process(seen.pid).cwd = cwd.filter(|cwd| cwd.starts_with(b"/"));
        }
        "fchdir" => {
            let cwd = all
                .name(seen.pid, seen.int(0))
                .filter(|name| name.starts_with(b"/"));
            all.process(seen.pid).cwd = cwd;
        }
        "getcwd" => {
            let path = seen.bytes(0, When::Exit).map(until_nul).map(<[u8]>::to_vec);
            if let Some(path) = path.filter(|path| path.starts_with(b"/")) {
                all.process(seen.pid).cwd = Some(path);
            }
        }
        "chroot" | "pivot_root" => all.process(seen.pid).cwd = None,
        _ => return false,
    }
    true
}

fn opened(all: &mut Descriptors, seen: &Seen<'_>, dir_fd: i32, arg: u8, flags: u64) {
    // A file without a name is not the directory that was given for it.
    let has_name = flags & O_TMPFILE != O_TMPFILE;
    let path = seen.bytes(arg, When::Enter).map(until_nul);
    let path = path.filter(|_| has_name);
    let resolved = path.map(|path| all.resolve(seen.pid, dir_fd, path));
    let table = all.table(seen.pid);
    match resolved {
        Some(path) => table.set(seen.new_fd(), Refers::Named(path), flags & O_CLOEXEC != 0),
        None => table.close(seen.new_fd()),
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Descriptors that are no files, and what is done with any.
fn others(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    let args = seen.call.args;
    let new = |word: &str, flags: u64| Some((Refers::word(word), flags & O_CLOEXEC != 0));
    let made = match name {
        "eventfd" => new("anon_inode:[eventfd]", 0),
        "eventfd2" => new("anon_inode:[eventfd]", args[1]),
        "epoll_create" => new("anon_inode:[eventpoll]", 0),
        "epoll_create1" => new("anon_inode:[eventpoll]", args[0]),
        "timerfd_create" => new("anon_inode:[timerfd]", args[1]),
        "signalfd" | "signalfd4" if seen.int(0) != -1 => return true,
        "signalfd" => new("anon_inode:[signalfd]", 0),
        "signalfd4" => new("anon_inode:[signalfd]", args[3]),
        "inotify_init" => new("anon_inode:inotify", 0),
        "inotify_init1" => new("anon_inode:inotify", args[0]),
        "io_uring_setup" => new("anon_inode:[io_uring]", O_CLOEXEC),
        "pidfd_open" => new("anon_inode:[pidfd]", O_CLOEXEC),
        "perf_event_open" => new(
            "anon_inode:[perf_event]",
            if args[4] & 8 != 0 { O_CLOEXEC } else { 0 },
        ),
        "userfaultfd" => new("anon_inode:[userfaultfd]", args[0]),
        "memfd_create" => memfd(seen),
        "memfd_secret" => new("/secretmem", args[0]),
        "fanotify_init" => new("anon_inode:[fanotify]", (args[0] & 1) * O_CLOEXEC),
        "fsopen" | "fspick" => {
            let flags = args[if name == "fsopen" { 1 } else { 2 }];
            new("anon_inode:[fscontext]", (flags & 1) * O_CLOEXEC)
        }
        // With flags it asks for the version.
        "landlock_create_ruleset" if args[2] != 0 => return true,
        "landlock_create_ruleset" => new("anon_inode:[landlock-ruleset]", O_CLOEXEC),
        "bpf" => match bpf_makes(seen.int(0)) {
            Some(word) => new(word, O_CLOEXEC),
            None => return true,
        },
        // What it refers to is not told by what was given.
        "fsmount" | "mq_open" | "open_by_handle_at" | "pidfd_getfd" => None,
        _ => return duplicates(all, seen, name),
    };
    let table = all.table(seen.pid);
    match made {
        Some((refers, close_on_exec)) => table.set(seen.new_fd(), refers, close_on_exec),
        None => table.close(seen.new_fd()),
    }
    true
}

/// What a command of `bpf` makes: the names of `anon_inode_getfd` in `kernel/bpf/syscall.c`.
fn bpf_makes(command: i32) -> Option<&'static str> {
    Some(match command {
        0 => "anon_inode:bpf-map",
        5 => "anon_inode:bpf-prog",
        18 => "anon_inode:btf",
        28 => "anon_inode:bpf_link",
        _ => return None,
    })
}

fn memfd(seen: &Seen<'_>) -> Option<(Refers, bool)> {
    const MFD_CLOEXEC: u64 = 1;
    let name = until_nul(seen.bytes(0, When::Enter)?);
    let name = [b"/memfd:", name, b" (deleted)"].concat();
    Some((Refers::Named(name), seen.call.args[1] & MFD_CLOEXEC != 0))
}

fn duplicates(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    let (fd, args) = (seen.int(0), seen.call.args);
    let table = all.table(seen.pid);
    match name {
        "pipe" | "pipe2" => {
            let flags = if name == "pipe2" { args[1] } else { 0 };
            for fd in seen.two_ints(0).into_iter().flatten() {
                table.set(fd, Refers::word("pipe"), flags & O_CLOEXEC != 0);
            }
        }
        "dup" => table.duplicate(fd, seen.new_fd(), false),
        // A descriptor that is made its own duplicate stays as it is.
        "dup2" if fd == seen.new_fd() => {}
        "dup2" => table.duplicate(fd, seen.new_fd(), false),
        "dup3" => table.duplicate(fd, seen.new_fd(), args[2] & O_CLOEXEC != 0),
        "fcntl" | "fcntl64" => match seen.int(1) {
            libc::F_DUPFD => table.duplicate(fd, seen.new_fd(), false),
            libc::F_DUPFD_CLOEXEC => table.duplicate(fd, seen.new_fd(), true),
            libc::F_SETFD => table.close_on_exec(fd, args[2] & libc::FD_CLOEXEC as u64 != 0),
            _ => {}
        },
        "ioctl" => match args[1] as u32 {
            request if request == libc::FIOCLEX as u32 => table.close_on_exec(fd, true),
            request if request == libc::FIONCLEX as u32 => table.close_on_exec(fd, false),
            _ => {}
        },
        "close_range" => close_range(all, seen),
        _ => return false,
    }
    true
}

fn close_range(all: &mut Descriptors, seen: &Seen<'_>) {
    let bound = |arg: usize| i32::try_from(seen.call.args[arg] as u32).unwrap_or(i32::MAX);
    let flags = seen.call.args[2];
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        unshare(all, seen.pid);
    }
    let table = all.table(seen.pid);
    for fd in table.range(bound(0), bound(1)) {
        if flags & CLOSE_RANGE_CLOEXEC != 0 {
            table.close_on_exec(fd, true);
        } else {
            table.close(fd);
        }
    }
}

fn unshare(all: &mut Descriptors, pid: u32) {
    let own: Table = all.table(pid).clone();
    all.leave(pid);
    all.process(pid).table = all.add(own);
}

fn sockets(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    let table = all.table(seen.pid);
    let close_on_exec = |kind: i32| kind & libc::SOCK_CLOEXEC != 0;
    let socket = || Socket::new(seen.int(0), seen.int(1), seen.int(2));
    let address = |arg: u8, when| seen.bytes(arg, when).and_then(sockaddr::short);
    match name {
        "socket" => table.set(
            seen.new_fd(),
            Refers::Socket(socket()),
            close_on_exec(seen.int(1)),
        ),
        "socketpair" => {
            for fd in seen.two_ints(3).into_iter().flatten() {
                table.set(fd, Refers::Socket(socket()), close_on_exec(seen.int(1)));
            }
        }
        "bind" => with_socket(table, seen, |socket| socket.local = address(1, When::Enter)),
        "getsockname" => with_socket(table, seen, |socket| {
            socket.local = address(1, When::Exit).or(socket.local.take());
        }),
        "connect" => with_socket(table, seen, |socket| socket.peer = address(1, When::Enter)),
        "getpeername" => with_socket(table, seen, |socket| {
            socket.peer = address(1, When::Exit).or(socket.peer.take());
        }),
        "accept" | "accept4" => {
            let flags = if name == "accept4" { seen.int(3) } else { 0 };
            let mut accepted = table.socket(seen.int(0)).cloned();
            if let Some(socket) = &mut accepted {
                socket.peer = address(1, When::Exit);
            }
            let fd = seen.new_fd();
            match accepted {
                Some(socket) => table.set(fd, Refers::Socket(socket), close_on_exec(flags)),
                None => table.close(fd),
            }
        }
        _ => return false,
    }
    true
}

fn with_socket(table: &mut Table, seen: &Seen<'_>, change: impl FnOnce(&mut Socket)) {
    if let Some(socket) = table.socket(seen.int(0)) {
        change(socket);
    }
}

fn processes(all: &mut Descriptors, seen: &Seen<'_>, name: &str) -> bool {
    let clone_files = libc::CLONE_FILES as u64;
    let child = u32::try_from(seen.result).ok().filter(|child| *child > 0);
    match (name, child) {
        // In the child there is no child.
        ("fork" | "vfork" | "clone" | "clone3", None) => {}
        ("fork" | "vfork", Some(child)) => all.started(seen.pid, child, false),
        ("clone", Some(child)) => cloned(all, seen.pid, child, seen.call.args[0]),
        ("clone3", Some(child)) => {
            let flags = seen
                .bytes(0, When::Enter)
                .and_then(|args| args.get(..8)?.try_into().ok());
            if let Some(flags) = flags.map(u64::from_ne_bytes) {
                cloned(all, seen.pid, child, flags);
            }
        }
        ("execve" | "execveat", _) => all.executed(seen.pid),
        ("unshare", _) => {
            if seen.call.args[0] & clone_files != 0 {
                unshare(all, seen.pid);
            }
        }
        _ => return false,
    }
    true
}

/// Threads are their process, which is known already.
fn cloned(all: &mut Descriptors, parent: u32, child: u32, flags: u64) {
    if flags & libc::CLONE_THREAD as u64 == 0 {
        all.started(parent, child, flags & libc::CLONE_FILES as u64 != 0);
        if flags & libc::CLONE_FS as u64 != 0 {
            all.share_cwd(parent, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syscalls::{Abi, Table};

    #[test]
    fn the_list_is_what_is_taken_note_of() {
        let mut seen_names = Vec::new();
        for abi in [Abi::Native, Abi::Compat] {
            for (nr, name, _) in Table::of(abi).entries() {
                let call = Call {
                    abi,
                    nr,
                    args: [0; 6],
                    result: Some(1),
                    pieces: &[],
                };
                let seen = Seen {
                    call: &call,
                    result: 1,
                    pid: 1,
                };
                let noted = take_note(&mut Descriptors::default(), &seen, name) || name == "close";
                assert_eq!(noted, changes(name), "{name}");
                seen_names.push(name);
            }
        }
        for name in CHANGING {
            assert!(seen_names.contains(name), "no table has {name}");
        }
    }
}
