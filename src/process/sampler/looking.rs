//! Who is there, and what has each used?

use std::io;

use super::telling::busy_of;
use super::{Known, Sampler};
use crate::process::ledger::Used;
use crate::process::metrics::{self, Look};
use crate::process::source::{self, Raw, Source};
use crate::process::threads::Threads;
use crate::sys::{account, processes};

/// A process that did not run since is not read again for so long: its memory may shrink without it.
const STALE_NS: u64 = 1_000_000_000;

impl Sampler {
    pub(super) fn meet_newcomers(&mut self, listed: Option<&[u32]>) {
        for pid in self.newcomers(listed).unwrap_or_default() {
            // Gone already: others tell of it.
            let _ = self.meet(pid, false);
        }
    }

    /// Reads everybody, and tells of those that ended.
    pub(super) fn look_around(&mut self, ts_ms: u64) {
        for (pid, known) in self.look() {
            if !known.told {
                self.notice_end(pid, &known.look.raw.stat, None, ts_ms);
            }
            self.busiest.add(busy_of(pid, &known));
        }
        self.notice_zombies(ts_ms);
    }

    pub(super) fn newcomers(&mut self, listed: Option<&[u32]>) -> io::Result<Vec<u32>> {
        let known = &self.known;
        self.population
            .newcomers(listed, |pid| known.contains_key(&pid))
    }

    /// Begins to look at a process. Those that were there before denet keep to themselves what they
    /// used until now.
    pub(super) fn meet(&mut self, pid: u32, was_there: bool) -> io::Result<()> {
        let (source, raw) = Source::open(pid)?;
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
        let mut baseline = Used::default();
        if was_there {
            let uncounted = |used: Used| match self.options.since_process_start {
                true => used.cpu_only(),
                false => used,
            };
            self.baseline = self.baseline.plus(uncounted(self.used_by(&look)));
            baseline = uncounted(look.own());
        }
        let before = was_there.then(|| look.clone());
        self.sums.processes_seen += 1;
        self.known.insert(
            pid,
            Known {
                source,
                read_ns: look.at_ns,
                rested: false,
                look,
                before,
                baseline,
                usage: None,
                threads: Threads::default(),
                told: false,
                peak_resident_kb: None,
            },
        );
        Ok(())
    }

    fn used_by(&self, look: &Look) -> Used {
        match self.options.target.descendants {
            true => look.used(self.ticks_ns),
            false => look.own(),
        }
    }

    fn cpu_ns(&self, pid: u32, raw: &Raw) -> u64 {
        processes::cpu_ns(pid).unwrap_or(raw.stat.ticks * self.ticks_ns)
    }

    /// Reads everybody; returns who is gone.
    pub(super) fn look(&mut self) -> Vec<(u32, Known)> {
        let now = account::monotonic_ns();
        let inherited = self.inherited.as_ref().map(|inherited| inherited.read().0);
        let inherited = inherited.unwrap_or_default();
        let handed_on = inherited
            .minor_faults
            .saturating_sub(self.inherited_before.minor_faults);
        self.inherited_before = inherited;
        // First what they inherited, then who lives: whoever lives after that was not inherited before.
        let mut gone = Vec::new();
        let faults = handed_on + self.read_files(now, &mut gone);
        self.read_clocks(now, &mut gone);
        let gone = self.take_out(gone);
        let last_seen: Vec<_> = gone
            .iter()
            .map(|(_, known)| self.used_by(&known.look))
            .collect();
        match self.options.target.descendants {
            true => self.ledger.settle(faults, &last_seen),
            // Nobody inherits who is left out.
            false => self.ledger.keep(&last_seen),
        }
        self.add_up(inherited, now);
        gone
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
        if self.inherited.is_some() {
            // denet waited for the command, and has its bytes.
            let root = self.options.root;
            let root = root.filter(|root| gone.iter().any(|(pid, _)| pid == root));
            root.and_then(|root| self.unread_io.remove(&root));
        }
        let kept = gone.iter().filter(|(_, known)| known.source.is_kept());
        self.descriptors_left += source::DESCRIPTORS * kept.count() as u64;
        gone
    }

    fn add_up(&mut self, inherited: Used, now: u64) {
        let living = self.known.values().map(|known| self.used_by(&known.look));
        let sum = living.fold(inherited.plus(self.ledger.balance()), Used::plus);
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
