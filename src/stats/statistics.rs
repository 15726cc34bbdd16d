//! The fold itself: what each record adds.

use serde_json::{Map, Value};

use super::calls::Calls;
use super::doubts::Doubts;
use super::exits::Exits;
use super::fields::Fields;
use super::first::Recording;
use super::series::Series;
use super::summary::Summary;
use super::values::{MOST, MOST_CPU, MOST_KB, MOST_MS, MOST_TASKS, TOTALS};
use crate::sys::account::Exit;

/// Hardware counters.
const PERF: [&str; 5] = [
    "cycles",
    "instructions",
    "cache_refs",
    "cache_misses",
    "stalled_backend",
];

/// What stands in samples beside [`TOTALS`].
const METRICS: [&str; 9] = [
    "cpu_usage",
    "mem_rss_kb",
    "mem_pss_kb",
    "mem_vms_kb",
    "thread_count",
    "uptime_secs",
    "cpu_core",
    "psi_mem",
    "perf",
];

/// What a recording says.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Its first line.
    pub(crate) recording: Recording,
    /// The machine it was made on.
    pub(crate) env: Option<Map<String, Value>>,
    /// Samples: records `tree` and `sample`.
    pub(crate) samples: u64,
    /// When the first and the last of them were taken, in milliseconds since 1970.
    pub(crate) first_ts_ms: Option<u64>,
    /// See [`Statistics::first_ts_ms`].
    pub(crate) last_ts_ms: Option<u64>,
    /// The longest time between two samples in milliseconds, and when the second of them was taken.
    pub(crate) longest_gap: Option<(u64, u64)>,
    /// Percent of one core.
    pub(crate) cpu: Series,
    /// Resident memory in KiB.
    pub(crate) rss: Series,
    /// Proportional set size in KiB, which is in some samples only.
    pub(crate) pss: Series,
    // When it was last there, or the recording began.
    pss_since: Option<u64>,
    /// Processes.
    pub(crate) processes: Series,
    /// Threads.
    pub(crate) threads: Series,
    /// Percent of time in which some task waited for memory.
    pub(crate) psi_some: Series,
    /// The same of all tasks.
    pub(crate) psi_full: Series,
    /// [`TOTALS`] as of the last sample.
    pub(crate) totals: [Option<u64>; TOTALS.len()],
    /// Hardware counters as of the last sample that had them.
    pub(crate) perf: Option<Perf>,
    /// How processes ended.
    pub(crate) exits: Exits,
    /// How the command ended, by its record.
    pub(crate) own_exit: Option<Exit>,
    /// Syscalls: those of the summary, else as of the last sample that had them.
    pub(crate) calls: Option<Calls>,
    /// Syscalls in all, as of the last sample.
    pub(crate) sampled_calls: Option<u64>,
    /// The last line, of a recording that is whole.
    pub(crate) summary: Option<Summary>,
    /// What was odd.
    pub(crate) doubts: Doubts,
}

/// Hardware counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Perf {
    /// By `PERF`.
    pub(crate) counts: [Option<u64>; PERF.len()],
    /// Share of the time in which they counted.
    pub(crate) counted_share: Option<f64>,
}

impl Statistics {
    /// Of no record but the first.
    pub(super) fn new(recording: Recording) -> Self {
        Self {
            recording,
            env: None,
            samples: 0,
            first_ts_ms: None,
            last_ts_ms: None,
            longest_gap: None,
            // A thousandth of a percent is told apart.
            cpu: Series::with_percentiles(1000.0),
            rss: Series::with_percentiles(1.0),
            pss: Series::with_percentiles(1.0),
            pss_since: None,
            processes: Series::plain(),
            threads: Series::plain(),
            psi_some: Series::plain(),
            psi_full: Series::plain(),
            totals: [None; TOTALS.len()],
            perf: None,
            exits: Exits::default(),
            own_exit: None,
            calls: None,
            sampled_calls: None,
            summary: None,
            doubts: Doubts::default(),
        }
    }

    /// Nothing is missing at the end.
    pub(crate) fn is_whole(&self) -> bool {
        self.summary.is_some()
    }

    /// Adds a record that stands on a line; `false` where another recording begins.
    pub(super) fn add(&mut self, number: u64, record: &Value) -> bool {
        let Some(record) = record.as_object() else {
            self.doubts.no_record.add(number);
            return true;
        };
        let kind = match record.get("kind") {
            None => "(none)",
            Some(kind) => kind.as_str().unwrap_or("(not text)"),
        };
        if kind == "metadata" {
            self.doubts.another_at = Some(number);
            return false;
        }
        if self.summary.is_some() {
            self.doubts.after_summary += 1;
            return true;
        }
        match kind {
            "tree" => self.tree(record),
            "sample" => self.sample(record),
            "exit" => self.exit(record),
            "env" => self.env = Some(record.clone()),
            "summary" => self.end(record),
            other => self.doubts.unknown_kinds.add(other),
        }
        true
    }

    fn tree(&mut self, record: &Map<String, Value>) {
        let mut fields = Fields::of(record, &mut self.doubts);
        fields.known(&[&["kind", "ts_ms", "aggregated"]]);
        let ts_ms = fields.whole("ts_ms", MOST_MS);
        let aggregated = fields.object("aggregated");
        if !record.contains_key("aggregated") {
            self.doubts.wrong_types.add("aggregated (missing)");
        }
        let weight = self.advance(ts_ms);
        let Some(aggregated) = aggregated else {
            return;
        };
        let others = ["process_count", "ebpf"];
        let mut fields = Fields::of(aggregated, &mut self.doubts);
        fields.known(&[&METRICS, &TOTALS, &others]);
        if let Some(processes) = fields.whole("process_count", MOST_TASKS) {
            self.processes.add(processes as f64, weight, ts_ms);
        }
        self.metrics(aggregated, weight, ts_ms);
    }

    fn sample(&mut self, record: &Map<String, Value>) {
        let mut fields = Fields::of(record, &mut self.doubts);
        let others = ["kind", "ts_ms", "pid", "command", "syscalls", "ebpf"];
        fields.known(&[&METRICS, &TOTALS, &others]);
        let ts_ms = fields.whole("ts_ms", MOST_MS);
        let weight = self.advance(ts_ms);
        self.metrics(record, weight, ts_ms);
    }

    /// The time that a sample stands for: since the one before, or since the start.
    fn advance(&mut self, ts_ms: Option<u64>) -> u64 {
        self.samples += 1;
        let Some(now) = ts_ms else {
            self.doubts.wrong_types.add("ts_ms (missing)");
            return 0;
        };
        let before = self.last_ts_ms;
        let since = before.or(self.recording.t0_ms).unwrap_or(now);
        if before.is_some_and(|before| now < before) {
            self.doubts.backwards += 1;
            return 0;
        }
        self.first_ts_ms = self.first_ts_ms.or(ts_ms);
        self.last_ts_ms = ts_ms;
        let passed = now.saturating_sub(since);
        if before.is_some() && self.longest_gap.is_none_or(|(gap, _)| passed > gap) {
            self.longest_gap = Some((passed, now));
        }
        passed
    }

    fn metrics(&mut self, record: &Map<String, Value>, weight: u64, ts_ms: Option<u64>) {
        let mut fields = Fields::of(record, &mut self.doubts);
        if let Some(cpu) = fields.number("cpu_usage", MOST_CPU) {
            self.cpu.add(cpu, weight, ts_ms);
        }
        if let Some(rss) = fields.whole("mem_rss_kb", MOST_KB) {
            self.rss.add(rss as f64, weight, ts_ms);
        }
        if let Some(pss) = fields.whole("mem_pss_kb", MOST_KB) {
            let since = self.pss_since.or(self.recording.t0_ms);
            let passed = ts_ms
                .zip(since)
                .map(|(now, since)| now.saturating_sub(since));
            self.pss_since = ts_ms.or(self.pss_since);
            self.pss.add(pss as f64, passed.unwrap_or(weight), ts_ms);
        }
        if let Some(threads) = fields.whole("thread_count", MOST_TASKS) {
            self.threads.add(threads as f64, weight, ts_ms);
        }
        // Not shown, but wrong is wrong.
        fields.whole("mem_vms_kb", MOST_KB);
        fields.whole("cpu_core", MOST_TASKS);
        fields.number("uptime_secs", MOST_MS as f64 / 1e3);
        let new = TOTALS.map(|name| fields.whole(name, MOST));
        if let Some(psi) = fields.object("psi_mem") {
            let mut psi = fields.within(psi);
            if let Some(some) = psi.number("some_avg10", 100.0) {
                self.psi_some.add(some, weight, ts_ms);
            }
            if let Some(full) = psi.number("full_avg10", 100.0) {
                self.psi_full.add(full, weight, ts_ms);
            }
        }
        if let Some(perf) = fields.object("perf") {
            self.perf = Some(Perf::of(&mut fields.within(perf)));
        }
        let calls = fields.object("ebpf");
        for (at, new) in new.into_iter().enumerate() {
            rise(&mut self.totals[at], new, TOTALS[at], &mut self.doubts);
        }
        if let Some(calls) = calls {
            let calls = Calls::of(calls, &mut self.doubts);
            let (total, doubts) = (calls.total, &mut self.doubts);
            rise(
                &mut self.sampled_calls,
                total,
                "ebpf.syscalls.total",
                doubts,
            );
            self.calls = Some(calls);
        }
    }

    fn exit(&mut self, record: &Map<String, Value>) {
        let mut fields = Fields::of(record, &mut self.doubts);
        let known = [
            "kind",
            "ts_ms",
            "pid",
            "command",
            "exit_code",
            "signal",
            "lifetime_ms",
        ];
        fields.known(&[&known]);
        let pid = fields.whole("pid", MOST_TASKS);
        fields.whole("ts_ms", MOST_MS);
        fields.number("lifetime_ms", MOST_MS as f64);
        let exit = fields.exit();
        self.exits.add(exit);
        if pid.is_some() && pid == self.recording.pid {
            self.own_exit = exit.or(self.own_exit);
        }
    }

    fn end(&mut self, record: &Map<String, Value>) {
        let summary = Summary::of(record, &mut self.doubts);
        let mut fields = Fields::of(record, &mut self.doubts);
        if let Some(perf) = fields.object("perf") {
            self.perf = Some(Perf::of(&mut fields.within(perf)));
        }
        if let Some(calls) = fields.object("ebpf") {
            self.calls = Some(Calls::of(calls, &mut self.doubts));
        }
        self.summary = Some(summary);
    }
}

/// A counter that only rises.
fn rise(counter: &mut Option<u64>, new: Option<u64>, name: &str, doubts: &mut Doubts) {
    match (*counter, new) {
        (Some(before), Some(now)) if now < before => doubts.fell.add(name),
        (_, Some(now)) => *counter = Some(now),
        (_, None) => {}
    }
}

impl Perf {
    pub(super) fn of(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            counts: PERF.map(|name| fields.whole(name, MOST)),
            counted_share: fields.number("counted_share", 1.0),
        }
    }

    /// A counter by its name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = PERF.into_iter().zip(self.counts);
        counts.filter_map(|(name, count)| Some((name, count?)))
    }
}
