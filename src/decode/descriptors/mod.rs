//! What descriptors refer to: known from what processes had when the trace began and from each
//! call that changed it. What was not seen is unknown, never guessed.

pub(crate) mod calls;
mod table;

use std::collections::HashMap;

use super::call::Call;
pub(crate) use table::Refers;
use table::Table;

/// The descriptors of all processes that are followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Descriptors {
    processes: HashMap<u32, Process>,
    tables: HashMap<u64, Table>,
    next_table: u64,
    /// What is asked for is of this time.
    as_of_ns: u64,
    /// What is taken note of happened now.
    now_ns: u64,
}

#[derive(Clone, Debug, Default)]
struct Process {
    /// Which table: processes may share one.
    table: u64,
    /// Its working directory, where that is known.
    cwd: Option<Vec<u8>>,
    /// Another process changes that too.
    shares_cwd: bool,
    /// Its threads do not have the same descriptors and directory any more: nothing is known of whose.
    is_split: bool,
}

impl Descriptors {
    /// What is asked next is asked as of `start_ns`, when a call began; what is taken note of next
    /// happened at `end_ns`.
    pub(crate) fn during(&mut self, start_ns: u64, end_ns: u64) {
        (self.as_of_ns, self.now_ns) = (start_ns, end_ns);
    }

    /// What is asked next is asked as of the end of that call.
    pub(crate) fn after(&mut self) {
        self.as_of_ns = self.now_ns;
    }

    /// A process had this descriptor: `link` is what `/proc/PID/fd/FD` points at. Whether `execve`
    /// closes it is told by `close_on_exec`.
    pub(crate) fn seed(&mut self, pid: u32, fd: i32, link: &[u8], close_on_exec: bool) {
        self.table(pid)
            .set(fd, Refers::from_link(link), close_on_exec);
    }

    /// A process had this working directory: what `/proc/PID/cwd` points at.
    pub(crate) fn seed_cwd(&mut self, pid: u32, path: &[u8]) {
        self.process(pid).cwd = Some(path.to_vec());
    }

    /// What a descriptor of a process refers to, where that is known: a path, `TCP 127.0.0.1:80`,
    /// `pipe:[123]`. Nothing where it has changed since the time that is asked for.
    pub(crate) fn name(&self, pid: u32, fd: i32) -> Option<Vec<u8>> {
        let process = self.processes.get(&pid).filter(|it| !it.is_split)?;
        let table = self.tables.get(&process.table)?;
        table.at(fd, self.as_of_ns).map(Refers::name)
    }

    /// Working directory of a process, where that is known.
    pub(crate) fn cwd(&self, pid: u32) -> Option<&[u8]> {
        let process = self.processes.get(&pid).filter(|it| !it.is_split)?;
        process.cwd.as_deref().filter(|_| !process.shares_cwd)
    }

    /// A thread of a process has descriptors or a directory of its own from now on.
    pub(crate) fn split(&mut self, pid: u32) {
        self.process(pid).is_split = true;
    }

    /// Two processes have one working directory from now on.
    fn share_cwd(&mut self, one: u32, other: u32) {
        for pid in [one, other] {
            self.process(pid).shares_cwd = true;
        }
    }

    /// A process or thread began. Threads of a process that is known need not be told.
    /// `shares` says that it uses its parent's descriptors (`CLONE_FILES`) rather than a copy.
    pub(crate) fn started(&mut self, parent: u32, child: u32, shares: bool) {
        if parent == child || self.processes.contains_key(&child) {
            return;
        }
        let Some(process) = self.processes.get(&parent).cloned() else {
            return;
        };
        let table = if shares {
            process.table
        } else {
            let copy = self.tables.get(&process.table).cloned().unwrap_or_default();
            self.add(copy)
        };
        let begun = Process {
            table,
            // `fork` copies the directory; `share_cwd` is told of others.
            shares_cwd: false,
            cwd: process.cwd.filter(|_| !process.shares_cwd),
            is_split: process.is_split,
        };
        self.processes.insert(child, begun);
    }

    /// A process runs another program: what was marked so is closed, and no table is shared.
    pub(crate) fn executed(&mut self, pid: u32) {
        let mut own = self.table(pid).clone();
        own.exec();
        let table = self.add(own);
        self.leave(pid);
        let process = self.process(pid);
        process.table = table;
        if std::mem::take(&mut process.is_split) {
            // Which thread's they are is not known.
            process.cwd = None;
            self.tables.insert(table, Table::default());
        }
        if std::mem::take(&mut self.process(pid).shares_cwd) {
            self.process(pid).cwd = None;
        }
    }

    /// A process ended.
    pub(crate) fn ended(&mut self, pid: u32) {
        self.leave(pid);
        self.processes.remove(&pid);
    }

    /// Takes note of what a call of a process did, if it succeeded.
    pub(crate) fn apply(&mut self, pid: u32, call: &Call<'_>) {
        calls::apply(self, pid, call);
    }

    /// A path as seen from `dir_fd`, where that is known; else as it was given.
    fn resolve(&self, pid: u32, dir_fd: i32, path: &[u8]) -> Vec<u8> {
        if path.starts_with(b"/") {
            return path.to_vec();
        }
        let base = match dir_fd {
            libc::AT_FDCWD => self.cwd(pid).map(<[u8]>::to_vec),
            fd => self.name(pid, fd).filter(|name| name.starts_with(b"/")),
        };
        match base {
            Some(base) if path.is_empty() => base,
            Some(base) => joined(&base, path),
            None => path.to_vec(),
        }
    }

    fn process(&mut self, pid: u32) -> &mut Process {
        if !self.processes.contains_key(&pid) {
            let table = self.add(Table::default());
            let process = Process {
                table,
                ..Process::default()
            };
            self.processes.insert(pid, process);
        }
        self.processes.entry(pid).or_default()
    }

    fn table(&mut self, pid: u32) -> &mut Table {
        let table = self.process(pid).table;
        let now_ns = self.now_ns;
        let table = self.tables.entry(table).or_default();
        table.now_ns = now_ns;
        table
    }

    fn add(&mut self, table: Table) -> u64 {
        self.next_table += 1;
        self.tables.insert(self.next_table, table);
        self.next_table
    }

    /// A process no longer uses its table, which goes if no other does.
    fn leave(&mut self, pid: u32) {
        let Some(table) = self.processes.get(&pid).map(|process| process.table) else {
            return;
        };
        let users = self
            .processes
            .values()
            .filter(|process| process.table == table);
        if users.count() == 1 {
            self.tables.remove(&table);
        }
    }
}

/// `.` goes, for the kernel does not keep it in a path; `..` stays, for a link may stand before it.
fn joined(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut whole = base.to_vec();
    for part in path.split(|byte| *byte == b'/') {
        if part.is_empty() || part == b"." {
            continue;
        }
        if whole.last() != Some(&b'/') {
            whole.push(b'/');
        }
        whole.extend(part);
    }
    whole
}

#[cfg(test)]
mod tests;
