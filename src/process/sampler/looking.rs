//! Who is there, and what has each used?

use std::io;

use super::telling::busy_of;
use super::{Books, Known, Sampler};
use crate::process::accounts::{Base, Identity};
use crate::process::ledger::Used;
use crate::process::metrics::{self, Look};
use crate::process::source::{self, IoOf, Raw, Source};
use crate::process::stat::Io;
use crate::process::sums::Busy;
use crate::process::sweeps::Extent;
use crate::process::target::Selection;
use crate::process::threads::Threads;
use crate::sys::{account, processes};

/// A process that did not run since is not read again for so long: its memory may shrink without it.
const STALE_NS: u64 = 1_000_000_000;

impl Sampler {
    pub(super) fn meet_newcomers(&mut self, listed: Option<&[Identity]>) {
        for process in self.newcomers(listed).unwrap_or_default() {
            // Gone already: others tell of it.
            let _ = self.meet(process, false);
        }
    }

    /// Reads everybody, and tells of those that ended.
    pub(super) fn look_around(&mut self, ts_ms: u64) {
        for (pid, known) in self.look() {
            if !known.told {
                self.notice_end(pid, &known.look.raw.stat, None, ts_ms);
            }
            self.remember(known.identity, busy_of(pid, &known));
        }
        self.notice_zombies(ts_ms);
    }

    /// What was last seen of a process.
    pub(super) fn remember(&mut self, process: Identity, busy: Busy) {
        match &mut self.books {
            Books::Inherited { .. } => self.busiest.add(busy),
            Books::Reported { accounts, .. } => accounts.describe(process, busy),
        }
    }

    pub(super) fn newcomers(&mut self, listed: Option<&[Identity]>) -> io::Result<Vec<Identity>> {
        let Some(listed) = listed else {
            let known = &self.known;
            let new = self.population.newcomers(|pid| known.contains_key(&pid))?;
            return Ok(new.into_iter().map(|pid| (pid, 0)).collect());
        };
        let mut new = listed.to_vec();
        if matches!(self.books, Books::Inherited { .. }) {
            new.retain(|(pid, _)| !self.known.contains_key(pid));
            return Ok(new);
        }
        new.retain(|process| {
            self.known
                .get(&process.0)
                .is_none_or(|it| it.identity != *process)
        });
        // Others had these ids before.
        let former = new.iter().map(|(pid, _)| *pid).collect();
        for (pid, known) in self.take_out(former) {
            self.remember(known.identity, busy_of(pid, &known));
        }
        Ok(new)
    }

    /// Begins to look at a process. Those that were there before denet keep to themselves what they
    /// used until now.
    pub(super) fn meet(&mut self, process: Identity, was_there: bool) -> io::Result<()> {
        let (pid, _) = process;
        let io_of = match self.books {
            Books::Inherited { .. } => IoOf::Family,
            Books::Reported { .. } => IoOf::Threads,
        };
        let (source, raw) = Source::open(pid, io_of)?;
        if raw.stat.is_kernel_thread() {
            return Ok(());
        }
        let source = if self.descriptors_left >= source::DESCRIPTORS {
            self.descriptors_left -= source::DESCRIPTORS;
            source
        } else {
            source.unkept()
        };
        let cpu_ns = self.cpu_ns(pid, &raw);
        let look = Look {
            raw,
            cpu_ns,
            at_ns: account::monotonic_ns(),
        };
        let was_there = was_there || look.raw.stat.start_ticks < self.began_ticks;
        let (baseline, carried) = match was_there {
            true => self.leave_out(process, &look),
            false => Default::default(),
        };
        let before = was_there.then(|| look.clone());
        self.sums.processes_seen += 1;
        self.known.insert(
            pid,
            Known {
                identity: process,
                source,
                carried,
                io: None,
                read_ns: look.at_ns,
                rested: false,
                look,
                before,
                baseline,
                usage: None,
                threads: Threads::default(),
                told: false,
                peak_resident_kb: None,
                proportional_kb: None,
            },
        );
        Ok(())
    }

    /// What a process used before denet observed it is not counted; bytes and page faults are if the user wants
    /// them since its start. Returns what is left out of its metrics, and the bytes that are added to them.
    fn leave_out(&mut self, process: Identity, look: &Look) -> (Used, Io) {
        let own = look.own(self.ticks_ns);
        let since_start = self.options.since_process_start;
        let is_command = matches!(self.options.target.selection, Selection::Command(_))
            && self.options.root == Some(process.0);
        match &mut self.books {
            Books::Inherited { .. } => {
                let uncounted = |used: Used| if since_start { used.cpu_only() } else { used };
                let used = used_by(look, self.options.target.descendants, self.ticks_ns);
                self.baseline = self.baseline.plus(uncounted(used));
                (uncounted(own), Io::default())
            }
            Books::Reported { accounts, carried } => {
                accounts.begin(
                    process,
                    match is_command {
                        true => Base::Reported(own),
                        false => Base::Unreported(own),
                    },
                );
                if !since_start {
                    return (own, Io::default());
                }
                let io = source::family_io(process.0).unwrap_or_default();
                let counted = Used {
                    minor_faults: own.minor_faults,
                    major_faults: own.major_faults,
                    ..Used::of_io(io)
                };
                *carried = carried.plus(counted);
                (own.cpu_only(), io)
            }
        }
    }

    fn cpu_ns(&self, pid: u32, raw: &Raw) -> u64 {
        processes::cpu_ns(pid).unwrap_or(raw.stat.ticks.sum() * self.ticks_ns)
    }

    /// Reads everybody; returns who is gone.
    pub(super) fn look(&mut self) -> Vec<(u32, Known)> {
        let now = account::monotonic_ns();
        let (inherited, handed_on) = self.read_inherited();
        // First what they inherited, then who lives: whoever lives after that was not inherited before.
        let mut gone = Vec::new();
        let faults = handed_on + self.read_files(now, &mut gone);
        self.read_clocks(now, &mut gone);
        let gone = self.take_out(gone);
        let sum = self.settle(inherited, faults, &gone);
        self.add_up(sum, now);
        gone
    }

    /// What was inherited so far, and how many page faults of that since the last look.
    fn read_inherited(&mut self) -> (Used, u64) {
        let Books::Inherited {
            inherited: Some(inherited),
            before,
            ..
        } = &mut self.books
        else {
            return Default::default();
        };
        let (now, _) = inherited.read();
        let faults = now.minor_faults.saturating_sub(before.minor_faults);
        *before = now;
        (now, faults)
    }

    /// What all used up to now. `faults` is how many page faults were handed on since the last look.
    fn settle(&mut self, inherited: Used, faults: u64, gone: &[(u32, Known)]) -> Used {
        let (descendants, ticks_ns) = (self.options.target.descendants, self.ticks_ns);
        let used_by = |known: &Known| used_by(&known.look, descendants, ticks_ns);
        match &mut self.books {
            Books::Inherited { ledger, .. } => {
                let last_seen: Vec<_> = gone.iter().map(|(_, known)| used_by(known)).collect();
                match descendants {
                    true => ledger.settle(faults, &last_seen),
                    // What is left out is not inherited.
                    false => ledger.keep(&last_seen),
                }
                for known in self.known.values_mut() {
                    let counted = |io| Used::of_io(io).beyond(Used::of_io(known.baseline.io)).io;
                    known.io = known.look.raw.io.map(counted);
                }
                let living = self.known.values().map(used_by);
                living.fold(inherited.plus(ledger.balance()), Used::plus)
            }
            Books::Reported { accounts, carried } => {
                for known in self.known.values_mut() {
                    let used = accounts.seen(known.identity, known.look.own(ticks_ns));
                    let counted = Used::of_io(used.io).plus(Used::of_io(known.carried)).io;
                    known.io = known.look.raw.io.map(|_| counted);
                }
                accounts.total().plus(*carried)
            }
        }
    }

    /// Returns the page faults that were handed on to them.
    fn read_files(&mut self, now: u64, gone: &mut Vec<u32>) -> u64 {
        let mut handed_on = 0;
        for (pid, known) in &mut self.known {
            if known.rests(*pid, now) {
                continue;
            }
            match known.read(now) {
                Ok(faults) => handed_on += faults,
                Err(_) => gone.push(*pid),
            }
        }
        handed_on
    }

    fn read_clocks(&mut self, now: u64, gone: &mut Vec<u32>) {
        for (pid, known) in &mut self.known {
            if known.read_clock(*pid, self.at_ns).is_err() {
                gone.push(*pid);
            }
            let stat = &known.look.raw.stat;
            let resident = (!stat.has_ended()).then_some(stat.resident_pages * self.page_kb);
            known.peak_resident_kb = known.peak_resident_kb.max(resident);
            if self.options.threads {
                known.threads.look(*pid, now);
            }
            match (known.look.raw.io, known.source.io_refused) {
                // Whoever waits to become the command may be hidden until then: the sums hold all of it.
                (Some(_), _) => {
                    self.unread_io.remove(pid);
                }
                (None, Some(why)) => {
                    self.unread_io.insert(*pid, why);
                }
                (None, None) => {}
            }
        }
    }

    fn take_out(&mut self, mut gone: Vec<u32>) -> Vec<(u32, Known)> {
        gone.sort_unstable();
        gone.dedup();
        let gone: Vec<_> = gone
            .into_iter()
            .filter_map(|pid| self.known.remove(&pid).map(|known| (pid, known)))
            .collect();
        for (pid, _) in &gone {
            let is_known = match &self.books {
                // denet waited for the command, and has its bytes.
                Books::Inherited { inherited, .. } => {
                    inherited.is_some() && self.options.root == Some(*pid)
                }
                Books::Reported { .. } => true,
            };
            if is_known {
                self.unread_io.remove(pid);
            }
        }
        let kept = gone.iter().filter(|(_, known)| known.source.is_kept());
        self.descriptors_left += source::DESCRIPTORS * kept.count() as u64;
        gone
    }

    fn add_up(&mut self, sum: Used, now: u64) {
        let before = self.highest;
        // Hundredths of a second are cut off when CPU time is handed on, and given back later.
        self.highest = self.highest.at_least(sum);
        if let Some(since) = self.at_ns {
            let cpu = self.highest.cpu_ns - before.cpu_ns;
            self.usage = Some(metrics::usage(cpu, now.saturating_sub(since)));
        }
        self.at_ns = Some(now);
        let living = || {
            self.known
                .values()
                .filter(|known| !known.look.raw.stat.has_ended())
        };
        let stats = || living().map(|known| &known.look.raw.stat);
        let resident: u64 = stats().map(|stat| stat.resident_pages).sum();
        self.sums.peak_resident_kb = self.sums.peak_resident_kb.max(resident * self.page_kb);
        self.sums.max_processes = self.sums.max_processes.max(living().count() as u64);
        self.sums.max_threads = self
            .sums
            .max_threads
            .max(stats().map(|stat| stat.threads).sum());
    }
}

/// What a process used, with the children that it waited for if descendants are observed.
fn used_by(look: &Look, descendants: bool, ticks_ns: u64) -> Used {
    match descendants {
        true => look.used(ticks_ns),
        false => look.own(ticks_ns),
    }
}

impl Sampler {
    /// Reads the proportional set sizes, if that is due.
    pub(super) fn sweep(&mut self) {
        self.proportional.now_kb = None;
        let mut living = Vec::new();
        for (pid, known) in &mut self.known {
            known.proportional_kb = None;
            if !known.look.raw.stat.has_ended() {
                living.push((*pid, known));
            }
        }
        let resident = living
            .iter()
            .map(|(_, known)| known.look.raw.stat.resident_pages);
        let extent = Extent {
            processes: living.len() as u64,
            pages: resident.sum::<u64>() * self.page_kb / 4,
        };
        let start_ns = account::monotonic_ns();
        if living.is_empty() || !self.proportional.sweeps.is_due(start_ns, extent) {
            return;
        }
        let mut sum = Some(0);
        for (pid, known) in &mut living {
            match source::proportional_kb(*pid) {
                Ok(kb) => {
                    known.proportional_kb = kb;
                    sum = sum.map(|sum| sum + kb.unwrap_or(0));
                }
                Err(error) => {
                    tracing::debug!(pid, %error, "no proportional set size");
                    sum = None;
                }
            }
        }
        let proportional = &mut self.proportional;
        proportional
            .sweeps
            .done(start_ns, account::monotonic_ns(), extent);
        proportional.now_kb = sum;
        proportional.peak_kb = proportional.peak_kb.max(sum);
        proportional.is_partial |= sum.is_none();
    }
}

impl Known {
    /// Who ran before the last look has most likely run again.
    fn rests(&self, pid: u32, now: u64) -> bool {
        self.rested
            && now.saturating_sub(self.read_ns) < STALE_NS
            && processes::cpu_ns(pid).is_ok_and(|cpu_ns| cpu_ns == self.look.cpu_ns)
    }

    /// Returns the page faults that its children handed on to it since.
    fn read(&mut self, now: u64) -> io::Result<u64> {
        let mut raw = self.source.read()?;
        let before = &self.look.raw;
        let faults = raw
            .stat
            .children_minor_faults
            .saturating_sub(before.stat.children_minor_faults);
        // What it cannot show any more, for it ends, is what it showed last.
        let last = if raw.stat.has_ended() {
            before.io
        } else {
            None
        };
        raw.io = raw.io.or(last);
        self.look.raw = raw;
        self.read_ns = now;
        Ok(faults)
    }

    /// Newcomers are taken to have begun at the last look, `since`.
    fn read_clock(&mut self, pid: u32, since: Option<u64>) -> io::Result<()> {
        let at_ns = account::monotonic_ns();
        let cpu_ns = processes::cpu_ns(pid)?;
        self.usage = match &self.before {
            None => since.map(|since| metrics::usage(cpu_ns, at_ns.saturating_sub(since))),
            Some(before) => {
                let cpu = cpu_ns.saturating_sub(before.cpu_ns);
                Some(metrics::usage(cpu, at_ns.saturating_sub(before.at_ns)))
            }
        };
        self.rested = cpu_ns == self.look.cpu_ns;
        self.look.cpu_ns = cpu_ns;
        self.look.at_ns = at_ns;
        self.before = Some(self.look.clone());
        Ok(())
    }
}
