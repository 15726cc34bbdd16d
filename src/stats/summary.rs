//! The last line of a recording that is whole.

use serde_json::{Map, Value};

use super::doubts::Doubts;
use super::fields::Fields;
use super::values::{MOST, MOST_CPU, MOST_KB, MOST_MS, MOST_TASKS, TOTALS};
use crate::sys::account::Exit;

/// Figures of the whole life; `None` for what is not in it, or cannot be right.
#[derive(Clone, Debug, Default)]
#[expect(
    missing_docs,
    reason = "named as in the record, which docs/records.md tells"
)]
pub struct Summary {
    pub total_time_secs: Option<f64>,
    pub exit: Option<Exit>,
    pub ended_by: Option<String>,
    pub sample_count: Option<u64>,
    pub usage_complete: Option<bool>,
    pub cpu_secs: Option<f64>,
    pub cpu_user_secs: Option<f64>,
    pub cpu_system_secs: Option<f64>,
    pub avg_cpu_usage: Option<f64>,
    pub peak_cpu_usage: Option<f64>,
    pub peak_mem_rss_kb: Option<u64>,
    pub max_processes: Option<u64>,
    pub max_threads: Option<u64>,
    /// By [`TOTALS`].
    pub totals: [Option<u64>; TOTALS.len()],
    /// As it stands in the recording, without the lists of processes and the syscalls.
    pub record: Map<String, Value>,
}

const KNOWN: [&str; 18] = [
    "kind",
    "total_time_secs",
    "exit",
    "ended_by",
    "sample_count",
    "usage_complete",
    "cpu_secs",
    "cpu_user_secs",
    "cpu_system_secs",
    "avg_cpu_usage",
    "peak_cpu_usage",
    "peak_mem_rss_kb",
    "max_processes",
    "max_threads",
    "psi_mem",
    "perf",
    "quality",
    "ebpf",
];

impl Summary {
    pub(super) fn of(record: &Map<String, Value>, doubts: &mut Doubts) -> Self {
        const MOST_SECS: f64 = MOST_MS as f64 / 1e3;
        let mut fields = Fields::of(record, doubts);
        fields.known(&[&KNOWN, &TOTALS]);
        // Of a cgroup or a whole machine nothing exits.
        let exit = match record.get("exit") {
            None | Some(Value::Null) => None,
            Some(_) => fields.object("exit"),
        };
        let mut kept = record.clone();
        kept.shift_remove("kind");
        kept.shift_remove("ebpf");
        Self {
            total_time_secs: fields.number("total_time_secs", MOST_SECS),
            exit: exit.and_then(|exit| fields.within(exit).exit()),
            ended_by: fields.text("ended_by"),
            sample_count: fields.whole("sample_count", MOST),
            usage_complete: fields.flag("usage_complete"),
            cpu_secs: fields.number("cpu_secs", MOST_SECS),
            cpu_user_secs: fields.number("cpu_user_secs", MOST_SECS),
            cpu_system_secs: fields.number("cpu_system_secs", MOST_SECS),
            avg_cpu_usage: fields.number("avg_cpu_usage", MOST_CPU),
            peak_cpu_usage: fields.number("peak_cpu_usage", MOST_CPU),
            peak_mem_rss_kb: fields.whole("peak_mem_rss_kb", MOST_KB),
            max_processes: fields.whole("max_processes", MOST_TASKS),
            max_threads: fields.whole("max_threads", MOST_TASKS),
            totals: TOTALS.map(|name| fields.whole(name, MOST)),
            record: kept,
        }
    }
}
