//! Adds up what tasks called into what processes called.

use std::collections::{BTreeMap, HashMap};

use super::EndedProcess;
use super::model::{Losses, Process, Snapshot};
use crate::bpf::abi::{
    CELL_COMPAT, CELL_KEY_BITS, CELL_NR_LIMIT, EXIT_KNOWN, EXIT_LAST, EXIT_OF_GROUP, EXIT_PRIVATE,
    SpillKey, Task,
};
use crate::decode::syscalls::{Abi, Call};
use crate::output::exact::Text;
use crate::sys::account::{self, Exit};

/// tgid and start: a process id may be used again.
type Identity = (u32, u64);

#[derive(Debug, Default)]
struct Entry {
    command: Text,
    // Of the task the name is from: the main thread's last word wins.
    named_by_leader: bool,
    running: bool,
    private: bool,
    calls: BTreeMap<Call, u64>,
    end_ns: u64,
    /// Of its leader, or of all together.
    exit: Option<Exit>,
    of_group: bool,
    told: bool,
}

/// The sum so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    processes: HashMap<Identity, Entry>,
    // Start and end of every task.
    threads: Vec<(u64, u64)>,
    // Calls of all ended tasks.
    by_call: BTreeMap<Call, u64>,
    /// Ended processes are to be told of.
    keeps_ended: bool,
    ended: Vec<Identity>,
}

impl Tally {
    /// From now on, `take_ended` tells of ended processes.
    pub(crate) fn keep_ended(&mut self) {
        self.keeps_ended = true;
    }

    /// Processes that ended since last asked.
    pub(crate) fn take_ended(&mut self) -> Vec<EndedProcess> {
        let ended = std::mem::take(&mut self.ended).into_iter();
        // Of two that were the last it may be the later one that knows the leader's name and status.
        let described = ended.filter_map(|identity| {
            let entry = self.processes.get(&identity)?;
            Some(EndedProcess {
                pid: identity.0,
                command: entry.command.clone(),
                start_ns: identity.1,
                end_ns: entry.end_ns,
                exit: entry.exit,
            })
        });
        described.collect()
    }

    /// Calls of all tasks that were added.
    pub(crate) fn by_call(&self) -> &BTreeMap<Call, u64> {
        &self.by_call
    }

    /// Adds a task that ended, or one that lives, once.
    pub(crate) fn add(&mut self, task: &Task) {
        let entry = self
            .processes
            .entry((task.tgid, task.process_start_ns))
            .or_default();
        let leads = task.tid == task.tgid;
        if leads || !entry.named_by_leader {
            entry.command = name_of(&task.comm);
            entry.named_by_leader = leads;
        }
        for cell in task.cells.iter().filter(|cell| **cell != 0) {
            let (call, count) = read_cell(*cell);
            *entry.calls.entry(call).or_default() += count;
            *self.by_call.entry(call).or_default() += count;
        }
        let alive = task.end_ns == 0;
        entry.running |= alive;
        entry.private |= task.exit_flags & EXIT_PRIVATE != 0;
        let end_ns = if alive { u64::MAX } else { task.end_ns };
        entry.end_ns = entry.end_ns.max(end_ns);
        self.threads.push((task.start_ns, end_ns));
        entry.note_end(task, leads);
        // Two that ended at the same moment may both have been the last.
        if self.keeps_ended && !entry.told && is_last(task, leads) {
            entry.told = true;
            self.ended.push((task.tgid, task.process_start_ns));
        }
    }

    /// Adds a count that found no cell in its task.
    pub(crate) fn add_spilled(&mut self, key: SpillKey, count: u64) {
        let entry = self
            .processes
            .entry((key.tgid, key.process_start_ns))
            .or_default();
        *entry.calls.entry(spilled(key)).or_default() += count;
    }

    /// Every process, in the order they started.
    pub(crate) fn finish(self, losses: Losses) -> Snapshot {
        let lives = self
            .processes
            .iter()
            .map(|((_, start), entry)| (*start, entry.end_ns));
        let max_processes = most_at_once(lives.collect());
        let max_threads = most_at_once(self.threads);
        let mut processes: Vec<Process> = self
            .processes
            .into_iter()
            .map(|((pid, start_ns), entry)| Process {
                pid,
                start_ns,
                command: entry.command,
                running: entry.running,
                private: entry.private,
                calls: entry
                    .calls
                    .into_iter()
                    .filter(|(_, count)| *count > 0)
                    .collect(),
            })
            .collect();
        processes.sort_by_key(|process| (process.start_ns, process.pid));
        Snapshot {
            processes,
            losses,
            max_processes,
            max_threads,
        }
    }
}

impl Entry {
    /// As wait(2) will have it: the status that all ended with together, or else the leader's, which the
    /// last one tells as well.
    fn note_end(&mut self, task: &Task, leads: bool) {
        let known = task.exit_flags & EXIT_KNOWN != 0;
        let of_group = task.exit_flags & EXIT_OF_GROUP != 0;
        let last = task.exit_flags & EXIT_LAST != 0;
        if known && (of_group || (leads || last && self.exit.is_none()) && !self.of_group) {
            self.exit = Some(account::exit_of(task.exit_status as i32));
            self.of_group |= of_group;
        }
    }
}

/// Did the process end with this task? Where nobody told, with its leader.
fn is_last(task: &Task, leads: bool) -> bool {
    let ended = task.end_ns != 0;
    ended
        && if task.exit_flags & EXIT_KNOWN != 0 {
            task.exit_flags & EXIT_LAST != 0
        } else {
            leads
        }
}

/// Which call a count without a cell is of.
pub(crate) fn spilled(key: SpillKey) -> Call {
    let abi = if key.compat == 0 {
        Abi::Native
    } else {
        Abi::Compat
    };
    Call { abi, nr: key.nr }
}

pub(crate) fn read_cell(cell: u64) -> (Call, u64) {
    let key = cell as u32 & ((1 << CELL_KEY_BITS) - 1);
    let abi = if key & CELL_COMPAT == 0 {
        Abi::Native
    } else {
        Abi::Compat
    };
    let nr = (key & (CELL_NR_LIMIT - 1)) as i32;
    (Call { abi, nr }, cell >> CELL_KEY_BITS)
}

fn name_of(comm: &[u8]) -> Text {
    let end = comm
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(comm.len());
    comm[..end].into()
}

/// Most intervals that hold one common moment; an end and a start at the same moment do not meet.
fn most_at_once(lives: Vec<(u64, u64)>) -> u64 {
    let mut turns: Vec<(u64, i64)> = lives
        .into_iter()
        .flat_map(|(start, end)| [(start, 1), (end, -1)])
        .collect();
    turns.sort_unstable();
    let mut alive = 0_i64;
    let most = turns.into_iter().map(|(_, change)| {
        alive += change;
        alive
    });
    most.max().unwrap_or(0).max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(tid: u32, tgid: u32, name: &str, cells: &[(u32, u64)]) -> Task {
        let mut task = Task {
            tid,
            tgid,
            start_ns: 5,
            process_start_ns: 5,
            end_ns: 9,
            regs: 0,
            exit_status: 0,
            exit_flags: 0,
            comm: [0; 16],
            events: 0,
            call: 0,
            displaced: 0,
            cells: [0; crate::bpf::abi::CELLS],
        };
        task.comm[..name.len()].copy_from_slice(name.as_bytes());
        for (cell, (key, count)) in task.cells.iter_mut().zip(cells) {
            *cell = count << CELL_KEY_BITS | u64::from(*key);
        }
        task
    }

    fn native(nr: i32) -> Call {
        Call {
            abi: Abi::Native,
            nr,
        }
    }

    #[test]
    fn threads_add_up_to_their_process() {
        let mut tally = Tally::default();
        tally.add(&task(8, 7, "worker", &[(0, 3), (39, 2)]));
        tally.add(&task(7, 7, "main", &[(39, 40), (CELL_COMPAT | 20, 1)]));
        tally.add(&task(9, 7, "worker", &[(39, 1 << 50)]));
        let key = SpillKey {
            process_start_ns: 5,
            tgid: 7,
            nr: -5,
            compat: 0,
            _pad: 0,
        };
        tally.add_spilled(key, 6);
        let snapshot = tally.finish(Losses::default());
        let [process] = snapshot.processes.as_slice() else {
            unreachable!("one process")
        };
        assert_eq!(
            (process.pid, &*process.command, process.running),
            (7, "main", false)
        );
        let compat = Call {
            abi: Abi::Compat,
            nr: 20,
        };
        let expected = [
            (native(-5), 6),
            (native(0), 3),
            (native(39), 42 + (1 << 50)),
            (compat, 1),
        ];
        assert_eq!(process.calls, expected);
        assert_eq!(process.total(), 6 + 3 + 42 + (1 << 50) + 1);
        assert_eq!((snapshot.max_processes, snapshot.max_threads), (1, 3));
    }

    #[test]
    fn of_two_last_threads_the_leader_tells_how_it_ended() {
        let last = |tid, status| Task {
            exit_status: status,
            exit_flags: EXIT_KNOWN | EXIT_LAST,
            ..task(tid, 7, "a", &[])
        };
        let mut tally = Tally::default();
        tally.keep_ended();
        // The other one looked before the leader had set its status.
        tally.add(&last(8, 0));
        tally.add(&last(7, 3 << 8));
        let ended = tally.take_ended();
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!(ended[0].exit, Some(account::exit_of(3 << 8)));
        assert_eq!(tally.take_ended(), []);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let mut tally = Tally::default();
        tally.add(&task(7, 7, "a", &[(1, 1)]));
        let later = Task {
            start_ns: 9,
            process_start_ns: 9,
            end_ns: 0,
            ..task(7, 7, "b", &[(1, 2)])
        };
        tally.add(&later);
        let snapshot = tally.finish(Losses::default());
        let seen: Vec<_> = snapshot
            .processes
            .iter()
            .map(|p| (&*p.command, p.total(), p.running))
            .collect();
        assert_eq!(seen, [("a", 1, false), ("b", 2, true)]);
        assert_eq!(snapshot.max_processes, 1);
    }
}
