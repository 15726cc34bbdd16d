//! Looks at a set of processes again and again. What is read becomes metrics in `metrics`, whose number
//! is whose in `ledger`. `looking` reads, `telling` says what came of it.

mod looking;
mod telling;

use std::collections::{BTreeMap, HashMap};
use std::io;

use telling::busy_of;

use super::accounts::{Accounts, Identity, TaskSums};
use super::cgroup;
use super::discovery;
use super::ends::{Ended, Ends};
use super::inherited::Inherited;
use super::ledger::{Ledger, Used};
use super::metrics::Look;
use super::model::{Exited, Tree};
use super::population::Population;
use super::source::{self, Raw, Source};
use super::stat::Io;
use super::sums::{Busiest, Sums};
use super::sweeps::Sweeps;
use super::system_context::SystemContext;
use super::target::{Selection, Target};
use super::threads::Threads;
use crate::sys::{clock, page, processes};

/// Descriptors that stay free for everything else.
const SPARE_DESCRIPTORS: u64 = 64;

/// What to look at, and how closely.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What to observe.
    pub(crate) target: Target,
    /// The process that the others descend from, if there is one.
    pub(crate) root: Option<u32>,
    /// denet is the parent of orphans.
    pub(crate) adopts: bool,
    /// Each thread.
    pub(crate) threads: bool,
    /// Bytes and page faults from the processes' own start.
    pub(crate) since_process_start: bool,
    /// The kernel tells of each end ([`Sampler::told_of`]): what is noticed here is late, and not all.
    pub(crate) exits_are_reported: bool,
    /// The kernel reports what each task used ([`Sampler::freed`]).
    pub(crate) usage_is_reported: bool,
}

/// The kernel's reports of what tasks used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reports {
    /// All tasks were followed, and no report was lost.
    pub(crate) all_followed: bool,
    /// Processes that ended, and of a task of which no report came.
    pub(crate) missing: u64,
}

/// How it is known what processes used that have ended.
#[derive(Debug)]
enum Books {
    /// From what their parents inherit when they wait for them.
    Inherited {
        inherited: Option<Inherited>,
        before: Used,
        ledger: Ledger,
    },
    /// From the kernel's reports of each task.
    Reported {
        accounts: Accounts,
        // What is counted although it was used before denet began to look.
        carried: Used,
    },
}

/// One process, as long as it is seen.
#[derive(Debug)]
struct Known {
    identity: Identity,
    source: Source,
    look: Look,
    before: Option<Look>,
    // When its files were read.
    read_ns: u64,
    // It did not run between the last two looks.
    rested: bool,
    // What it had used when denet began to look.
    baseline: Used,
    // Bytes that are counted, beside those that were read just now.
    carried: Io,
    // Bytes that are counted of it, where they may be read.
    io: Option<Io>,
    usage: Option<f64>,
    threads: Threads,
    // Its end was told.
    told: bool,
    peak_resident_kb: Option<u64>,
    // Of the last sample, if it was read for that.
    proportional_kb: Option<u64>,
}

/// Proportional set sizes.
#[derive(Debug, Default)]
struct Proportional {
    sweeps: Sweeps,
    // Of all processes in the last sample, if all were read for that.
    now_kb: Option<u64>,
    peak_kb: Option<u64>,
    // Some process could not be read in a sweep.
    is_partial: bool,
}

/// The looking.
#[derive(Debug)]
pub(crate) struct Sampler {
    options: Options,
    population: Population,
    known: HashMap<u32, Known>,
    books: Books,
    baseline: Used,
    highest: Used,
    at_ns: Option<u64>,
    usage: Option<f64>,
    descriptors_left: u64,
    ticks_ns: u64,
    page_kb: u64,
    // Who started earlier was there before denet began to look.
    began_ticks: i64,
    unread_io: HashMap<u32, io::ErrorKind>,
    context: SystemContext,
    busiest: Busiest,
    ends: Ends,
    // The command was read after it had ended, and before it was waited for.
    root_was_read: bool,
    // Processes and threads that the machine had started when denet began to look.
    started: Option<u64>,
    // No process or thread began between the start of the command and its end.
    ran_alone: bool,
    proportional: Proportional,
    sums: Sums,
}

impl Sampler {
    /// Takes the first sample: what was used up to now is not counted. `inherited` is given if this process is
    /// the parent of the command, and the command's children are sampled as well; `listed` as in
    /// [`Sampler::sample`].
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn new(
        options: Options,
        context: SystemContext,
        inherited: Option<Inherited>,
        listed: Option<&[Identity]>,
    ) -> io::Result<Self> {
        let ticks_ns = 1_000_000_000 / processes::ticks_per_second();
        let before = inherited.as_ref().map(|inherited| inherited.read().0);
        let before = before.unwrap_or_default();
        let is_reported = options.usage_is_reported;
        let mut sampler = Self {
            population: Population::new(options.target.clone(), options.root, options.adopts),
            known: HashMap::new(),
            books: match is_reported {
                true => Books::Reported {
                    accounts: Accounts::default(),
                    carried: Used::default(),
                },
                false => Books::Inherited {
                    inherited,
                    before,
                    ledger: Ledger::default(),
                },
            },
            baseline: if is_reported { Used::default() } else { before },
            highest: Used::default(),
            at_ns: None,
            usage: None,
            descriptors_left: processes::raise_open_files().saturating_sub(SPARE_DESCRIPTORS),
            ticks_ns,
            page_kb: page::size()? / 1024,
            began_ticks: clock::since_boot_ns()? / ticks_ns as i64,
            unread_io: HashMap::new(),
            context,
            busiest: Busiest::default(),
            ends: Ends::new(options.exits_are_reported),
            root_was_read: false,
            started: discovery::started(),
            ran_alone: false,
            proportional: Proportional::default(),
            sums: Sums::default(),
            options,
        };
        if let Some(root) = sampler.options.root {
            let of_root = listed.and_then(|listed| listed.iter().find(|(pid, _)| *pid == root));
            sampler.meet(of_root.copied().unwrap_or((root, 0)), true)?;
        }
        for process in sampler.newcomers(listed)? {
            // Gone already: then it was not there when denet began to look.
            let _ = sampler.meet(process, true);
        }
        sampler.look();
        Ok(sampler)
    }

    /// Bytes that the waiting command reads, or wrote, before it becomes what it is, are not its own.
    pub(crate) fn leave_out_of_root(&mut self, read: u64, written: u64) {
        let root = self.options.root;
        let Some(root) = root.and_then(|pid| self.known.get_mut(&pid)) else {
            return;
        };
        // What could be read of it is in its baseline already.
        let written = if root.look.raw.io.is_some() {
            0
        } else {
            written
        };
        let io = Io {
            read_by_calls: read,
            written_by_calls: written,
            ..Io::default()
        };
        let used = Used::of_io(io);
        match &mut self.books {
            Books::Inherited { .. } => self.baseline = self.baseline.plus(used),
            Books::Reported { accounts, .. } => accounts.leave_out(root.identity, used),
        }
        root.baseline = root.baseline.plus(used);
    }

    /// This process has ended and will be waited for next: what it used itself can be read for the last
    /// time.
    pub(crate) fn about_to_be_reaped(&mut self, pid: u32) {
        let is_root = self.options.root == Some(pid);
        if is_root {
            self.ran_alone = self.started.is_some() && discovery::started() == self.started;
        }
        let is_inherited = matches!(self.books, Books::Inherited { .. });
        let Some(known) = self.known.get_mut(&pid) else {
            return;
        };
        if let (Ok(cpu_ns), Ok(raw)) = (processes::cpu_ns(pid), known.source.read()) {
            known.look.cpu_ns = cpu_ns;
            let io = raw.io.or(known.look.raw.io);
            known.look.raw = Raw { io, ..raw };
            // Without its bytes, those that the kernel reports are waited for.
            self.root_was_read |= is_root && (known.look.raw.io.is_some() || is_inherited);
            if let Books::Reported { accounts, .. } = &mut self.books {
                accounts.seen(known.identity, known.look.own(self.ticks_ns));
            }
        }
    }

    /// denet waited for this process: it is gone, and this is how it ended.
    pub(crate) fn reaped(&mut self, ended: Ended, ts_ms: u64) {
        // A command that ended before the first sample is known by the name of what it was forked from.
        if let (Some(known), Some(name)) = (self.known.get_mut(&ended.pid), &ended.command) {
            known.look.raw.stat.command.clone_from(name);
        }
        if self.options.exits_are_reported {
            self.ends.learnt(&ended);
            return;
        }
        let (mut start_ticks, mut command) = (ended.start_ticks, ended.command);
        if let Some(known) = self.known.get_mut(&ended.pid) {
            if std::mem::replace(&mut known.told, true) {
                return;
            }
            let stat = &known.look.raw.stat;
            start_ticks = start_ticks.or(Some(stat.start_ticks));
            command = command.or_else(|| Some(stat.command.clone()));
        }
        let mut exited = Exited {
            ts_ms,
            pid: ended.pid,
            command: command.unwrap_or_default(),
            lifetime_ms: start_ticks.and_then(|ticks| self.lifetime_ms(ticks)),
            ..Exited::default()
        };
        exited.set_exit(ended.exit);
        self.ends.noticed(exited);
    }

    /// What cannot be measured around the processes, and why.
    pub(crate) fn absent(&self) -> &BTreeMap<&'static str, String> {
        &self.context.absent
    }

    /// The process that the others descend from, if there is one.
    pub(crate) fn root(&self) -> Option<u32> {
        self.options.root
    }

    /// The kernel tells of ends, by the ids of `/proc`.
    pub(crate) fn is_told_of_ends(&self) -> bool {
        self.options.exits_are_reported
    }

    /// Processes that lived when last looked at.
    pub(crate) fn living(&self) -> usize {
        let living = self
            .known
            .values()
            .filter(|known| !known.look.raw.stat.has_ended());
        living.count()
    }

    /// The kernel reported an end, whether or not a sample saw its process.
    pub(crate) fn told_of(&mut self, exited: Exited, start_ns: u64) {
        if let Books::Reported { accounts, .. } = &mut self.books {
            accounts.name((exited.pid, start_ns), &exited.command);
        }
        self.ends.told_of(exited);
    }

    /// The kernel reported what tasks of a process used that are no more.
    pub(crate) fn freed(&mut self, process: Identity, tasks: TaskSums) {
        if let Books::Reported { accounts, .. } = &mut self.books {
            accounts.freed(process, tasks);
        }
        // What was read of the command did not contain the bytes of this thread.
        self.root_was_read &= self.options.root != Some(process.0);
    }

    /// Whether what was read of a process last contains all that it used. `unfreed` is how many of its tasks
    /// ended and are not freed.
    pub(crate) fn has_read(&self, process: Identity, unfreed: u32) -> bool {
        let known = self.known.get(&process.0);
        match known.filter(|known| known.identity == process) {
            // Until it is waited for, the main thread is not freed.
            Some(known) => unfreed == u32::from(known.look.raw.stat.thread_has_ended()),
            None => self.options.root == Some(process.0) && self.root_was_read && unfreed <= 1,
        }
    }

    /// Whether nothing that the processes used can be missing from the sums, as far as the samples show. A process
    /// that ended between two samples, and which no process waited for, leaves no trace; so all of them are known
    /// to be there only if none began.
    fn is_whole(&self) -> bool {
        let root = self.options.root;
        let lives = root.and_then(|root| self.known.get(&root));
        let lives = lives.is_some_and(|known| !known.look.raw.stat.has_ended());
        match (
            &self.options.target.selection,
            self.options.target.descendants,
        ) {
            (Selection::Command(_), true) => self.ran_alone,
            (_, true) => false,
            (_, false) => self.root_was_read || lives,
        }
    }

    /// Members of a cgroup that were not seen before.
    pub(crate) fn unknown_members(&self) -> Option<Vec<u32>> {
        let Selection::Cgroup(folder) = &self.options.target.selection else {
            return None;
        };
        let mut members = cgroup::members(folder).ok()?;
        members.retain(|pid| !self.known.contains_key(pid));
        Some(members)
    }

    /// What everybody used so far.
    pub(crate) fn used(&self) -> Used {
        self.highest.beyond(self.baseline)
    }

    /// Ends that were noticed since last asked.
    pub(crate) fn take_exits(&mut self) -> Vec<Exited> {
        self.ends.take()
    }

    /// Takes a sample. `listed` are the live processes, if the follower supplied them. The sample's time
    /// `now_ms` is read next to the clock that its CPU usage is computed from, after new processes were
    /// read, which takes longer the more there are.
    pub(crate) fn sample(
        &mut self,
        listed: Option<&[Identity]>,
        now_ms: impl FnOnce() -> u64,
    ) -> Tree {
        self.meet_newcomers(listed);
        let ts_ms = now_ms();
        self.look_around(ts_ms);
        self.sweep();
        self.sums.samples += 1;
        let highest = self.sums.peak_cpu_usage.unwrap_or(0.0);
        self.sums.peak_cpu_usage = self.usage.map(|usage| usage.max(highest));
        self.tree(ts_ms)
    }

    /// Looks for the last time. `listed` as in [`Sampler::sample`], with those that have ended and were not waited
    /// for.
    pub(crate) fn look_last(&mut self, listed: Option<&[Identity]>, ts_ms: u64) {
        self.meet_newcomers(listed);
        self.look_around(ts_ms);
        if matches!(self.books, Books::Inherited { .. }) {
            // Twice: what was handed on while the first look was taken shows in the second.
            self.look_around(ts_ms);
        }
    }

    /// What it all came to. `reports` is what is known of the kernel's reports of what tasks used.
    pub(crate) fn finish(mut self, reports: Reports) -> (Sums, Vec<Exited>) {
        self.sums.is_whole = match &self.books {
            Books::Inherited { .. } => self.is_whole(),
            Books::Reported { .. } => reports.all_followed && reports.missing == 0,
        };
        self.sums.unreported = reports.missing;
        let mut known: Vec<_> = std::mem::take(&mut self.known).into_iter().collect();
        known.sort_by_key(|(pid, known)| (known.look.raw.stat.start_ticks, *pid));
        for (pid, known) in known {
            if !known.look.raw.stat.has_ended() {
                let command = known.look.raw.stat.command.clone();
                self.sums.still_running.push((pid, command));
            }
            let high_water = source::peak_resident_kb(pid);
            let mut busy = busy_of(pid, &known);
            busy.peak_resident_kb = busy.peak_resident_kb.max(high_water);
            let highest = busy.peak_resident_kb.unwrap_or(0);
            self.sums.peak_resident_kb = self.sums.peak_resident_kb.max(highest);
            self.remember(known.identity, busy);
        }
        match self.books {
            Books::Inherited { ledger, .. } => self.sums.disowned = ledger.disowned,
            Books::Reported { accounts, carried } => {
                self.highest = self.highest.at_least(accounts.total().plus(carried));
                self.sums.processes_seen = accounts.count();
                accounts.into_busy().for_each(|busy| self.busiest.add(busy));
            }
        }
        self.sums.used = self.highest.beyond(self.baseline);
        let peak = self.proportional.peak_kb;
        self.sums.peak_proportional_kb = peak.filter(|_| !self.proportional.is_partial);
        self.sums.outside = self.context.read();
        self.sums.busiest = std::mem::take(&mut self.busiest).sorted();
        self.sums.io_is_whole = self.unread_io.is_empty();
        let why = self.unread_io.values().next();
        self.sums.unread_io = why.map(|why| (self.unread_io.len() as u64, why.to_string()));
        (self.sums, self.ends.take())
    }
}
