//! The syscall profile of a record: `ebpf`.

use serde_json::{Map, Value};

use super::doubts::Doubts;
use super::fields::Fields;
use super::values::MOST;

/// Syscalls since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) total: Option<u64>,
    /// By category, as they are named there.
    pub(crate) by_category: Vec<(String, u64)>,
    /// The most frequent ones: name, table where it is not the machine's own, count.
    pub(crate) top: Vec<(String, Option<String>, u64)>,
    /// Calls per second.
    pub(crate) rate_per_sec: Option<f64>,
    /// Nothing was lost.
    pub(crate) complete: Option<bool>,
    /// What was lost, by name, without those that are zero.
    pub(crate) losses: Vec<(String, u64)>,
    /// As it stands in the record, without the lists of processes.
    pub(crate) record: Map<String, Value>,
}

/// Fields of `analysis`.
const TEXTS: [&str; 2] = ["behavior_classification", "basis"];
const INTENSITIES: [&str; 4] = [
    "io_intensity",
    "memory_intensity",
    "network_intensity",
    "cpu_intensity",
];

/// Fields of `quality` that count losses.
const LOSSES: [&str; 5] = [
    "lost",
    "map_full",
    "records_lost",
    "unfollowed",
    "skipped_runs",
];

/// More than a million million calls a second nobody makes.
const MOST_RATE: f64 = 1e12;

impl Calls {
    pub(super) fn of(record: &Map<String, Value>, doubts: &mut Doubts) -> Self {
        let mut calls = Self {
            record: record.clone(),
            ..Self::default()
        };
        let mut fields = Fields::of(record, doubts);
        if let Some(quality) = fields.object("quality") {
            let mut quality = fields.within(quality);
            let lost = LOSSES.map(|name| (name.to_owned(), quality.whole(name, MOST).unwrap_or(0)));
            calls.losses = lost.into_iter().filter(|(_, count)| *count > 0).collect();
            calls.complete = quality.flag("complete");
        }
        let Some(syscalls) = fields.object("syscalls") else {
            return calls;
        };
        let mut syscalls = fields.within(syscalls);
        calls.total = syscalls.whole("total", MOST);
        if let Some(categories) = syscalls.object("by_category") {
            let mut counts = syscalls.within(categories);
            let named = categories.keys();
            let named = named.filter_map(|name| Some((name.clone(), counts.whole(name, MOST)?)));
            calls.by_category = named.collect();
        }
        if let Some(analysis) = syscalls.object("analysis") {
            let mut analysis = syscalls.within(analysis);
            calls.rate_per_sec = analysis.number("syscall_rate_per_sec", MOST_RATE);
            // Not shown, but an invalid one is reported.
            for name in TEXTS {
                analysis.text(name);
            }
            for name in INTENSITIES {
                analysis.number(name, 1.0);
            }
        }
        for call in syscalls.list("top_syscalls") {
            if let Some(call) = syscalls.one_of("top_syscalls", call) {
                let mut call = syscalls.within(call);
                let (name, count) = (call.text("name"), call.whole("count", MOST));
                if let (Some(name), Some(count)) = (name, count) {
                    calls.top.push((name, call.text("abi"), count));
                }
            }
        }
        calls
    }
}
