//! Looks at a set of processes again and again. What is read becomes metrics in `metrics`, whose number
//! is whose in `ledger`. `looking` reads, `telling` says what came of it.

mod looking;
mod telling;

use std::collections::{BTreeMap, HashMap};
use std::io;

use telling::busy_of;

use super::cgroup;
use super::ends::{Ended, Ends};
use super::inherited::Inherited;
use super::ledger::{Ledger, Used};
use super::metrics::Look;
use super::model::{Exited, Tree};
use super::population::Population;
use super::source::{self, Raw, Source};
use super::stat::Io;
use super::sums::{Busiest, Sums};
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
}

/// One process, as long as it is seen.
#[derive(Debug)]
struct Known {
    source: Source,
    look: Look,
    before: Option<Look>,
    // When its files were read.
    read_ns: u64,
    // It did not run between the last two looks.
    rested: bool,
    // What it had used when denet began to look.
    baseline: Used,
    usage: Option<f64>,
    threads: Threads,
    // Its end was told.
    told: bool,
    peak_resident_kb: Option<u64>,
}

/// The looking.
#[derive(Debug)]
pub(crate) struct Sampler {
    options: Options,
    population: Population,
    known: HashMap<u32, Known>,
    inherited: Option<Inherited>,
    inherited_before: Used,
    ledger: Ledger,
    baseline: Used,
    highest: Used,
    at_ns: Option<u64>,
    usage: Option<f64>,
    descriptors_left: u64,
    ticks_ns: u64,
    page_kb: u64,
    // Who started earlier was there before denet began to look.
    began_ticks: u64,
    unread_io: HashMap<u32, io::ErrorKind>,
    context: SystemContext,
    busiest: Busiest,
    ends: Ends,
    unseen_orphans: u64,
    sums: Sums,
}

impl Sampler {
    /// Takes the first sample: what was used up to now is not counted. `inherited` is given if this process is
    /// the parent of the command, and the command's children are sampled as well.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn new(
        options: Options,
        context: SystemContext,
        inherited: Option<Inherited>,
    ) -> io::Result<Self> {
        let ticks_ns = 1_000_000_000 / processes::ticks_per_second();
        let mut sampler = Self {
            population: Population::new(options.target.clone(), options.root, options.adopts),
            known: HashMap::new(),
            inherited,
            inherited_before: Used::default(),
            ledger: Ledger::default(),
            baseline: Used::default(),
            highest: Used::default(),
            at_ns: None,
            usage: None,
            descriptors_left: processes::raise_open_files().saturating_sub(SPARE_DESCRIPTORS),
            ticks_ns,
            page_kb: page::size()? / 1024,
            began_ticks: clock::since_boot_ns()? / ticks_ns,
            unread_io: HashMap::new(),
            context,
            busiest: Busiest::default(),
            ends: Ends::new(options.exits_are_reported),
            unseen_orphans: 0,
            sums: Sums::default(),
            options,
        };
        if let Some(inherited) = &sampler.inherited {
            sampler.inherited_before = inherited.read().0;
            sampler.baseline = sampler.inherited_before;
        }
        if let Some(root) = sampler.options.root {
            sampler.meet(root, true)?;
        }
        let newcomers = sampler.newcomers(None)?;
        for pid in newcomers {
            // Gone already: then it was not there when denet began to look.
            let _ = sampler.meet(pid, true);
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
        let used = Used {
            io,
            ..Used::default()
        };
        self.baseline = self.baseline.plus(used);
        root.baseline = root.baseline.plus(used);
    }

    /// This process has ended and will be waited for next: what it used itself can be read for the last
    /// time.
    pub(crate) fn about_to_be_reaped(&mut self, pid: u32) {
        let Some(known) = self
            .known
            .get_mut(&pid)
            .filter(|_| !self.options.target.descendants)
        else {
            return;
        };
        if let (Ok(cpu_ns), Ok(raw)) = (processes::cpu_ns(pid), known.source.read()) {
            known.look.cpu_ns = cpu_ns;
            let io = raw.io.or(known.look.raw.io);
            known.look.raw = Raw { io, ..raw };
        }
    }

    /// denet waited for this process: it is gone, and this is how it ended.
    pub(crate) fn reaped(&mut self, ended: Ended, ts_ms: u64) {
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

    /// A process ended whose parent is nobody that is watched: if it was never seen here, neither is what
    /// it used.
    pub(crate) fn orphaned(&mut self, pid: u32) {
        let root = self.options.root;
        if !self.known.contains_key(&pid) && root != Some(pid) {
            self.unseen_orphans += 1;
        }
    }

    /// The kernel told of an end, whether or not its process was ever seen here.
    pub(crate) fn told_of(&mut self, exited: Exited) {
        self.ends.told_of(exited);
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
    pub(crate) fn sample(&mut self, listed: Option<&[u32]>, now_ms: impl FnOnce() -> u64) -> Tree {
        self.meet_newcomers(listed);
        let ts_ms = now_ms();
        self.look_around(ts_ms);
        self.sums.samples += 1;
        let highest = self.sums.peak_cpu_usage.unwrap_or(0.0);
        self.sums.peak_cpu_usage = self.usage.map(|usage| usage.max(highest));
        self.tree(ts_ms)
    }

    /// What it all came to; looks once more. `listed` as in [`Sampler::sample`].
    pub(crate) fn finish(mut self, listed: Option<&[u32]>, ts_ms: u64) -> (Sums, Vec<Exited>) {
        self.meet_newcomers(listed);
        // Twice: what was handed on while the first look was taken shows in the second.
        self.look_around(ts_ms);
        self.look_around(ts_ms);
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
            self.busiest.add(busy);
        }
        self.sums.used = self.highest.beyond(self.baseline);
        self.sums.disowned = self.ledger.disowned + self.unseen_orphans;
        self.sums.outside = self.context.read();
        self.sums.busiest = std::mem::take(&mut self.busiest).sorted();
        self.sums.io_is_whole = self.unread_io.is_empty();
        let why = self.unread_io.values().next();
        self.sums.unread_io = why.map(|why| (self.unread_io.len() as u64, why.to_string()));
        (self.sums, self.ends.take())
    }
}
