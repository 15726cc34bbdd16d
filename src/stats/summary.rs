//! The last line of a recording that is whole.

use serde_json::{Map, Value};

use super::doubts::Doubts;
use super::fields::Fields;
use super::values::{MOST, MOST_CPU, MOST_KB, MOST_MS, MOST_TASKS, TOTALS};
use crate::sys::account::Exit;

/// Figures of the whole life; `None` for what is not in it, or cannot be right.
#[derive(Clone, Debug, Default)]
/// Named as in docs/records.md.
pub(crate) struct Summary {
    pub(crate) total_time_secs: Option<f64>,
    pub(crate) stopped_secs: Option<f64>,
    pub(crate) exit: Option<Exit>,
    pub(crate) ended_by: Option<String>,
    pub(crate) sample_count: Option<u64>,
    pub(crate) usage_complete: Option<bool>,
    pub(crate) cpu_secs: Option<f64>,
    pub(crate) cpu_user_secs: Option<f64>,
    pub(crate) cpu_system_secs: Option<f64>,
    pub(crate) avg_cpu_usage: Option<f64>,
    pub(crate) peak_cpu_usage: Option<f64>,
    pub(crate) peak_mem_rss_kb: Option<u64>,
    pub(crate) peak_mem_pss_kb: Option<u64>,
    pub(crate) max_processes: Option<u64>,
    pub(crate) max_threads: Option<u64>,
    /// By [`TOTALS`].
    pub(crate) totals: [Option<u64>; TOTALS.len()],
    /// As it stands in the recording, without the lists of processes and the syscalls.
    pub(crate) record: Map<String, Value>,
}

const KNOWN: [&str; 21] = [
    "kind",
    "total_time_secs",
    "stopped_secs",
    "stopped_is_least",
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
    "peak_mem_pss_kb",
    "max_processes",
    "max_threads",
    "psi_mem",
    "perf",
    "quality",
    "ebpf",
];

impl Summary {
    /// Before a figure of what processes used.
    pub(crate) fn at_least(&self) -> &'static str {
        match self.usage_complete {
            Some(false) => "at least ",
            Some(true) | None => "",
        }
    }

    pub(super) fn of(record: &Map<String, Value>, doubts: &mut Doubts) -> Self {
        const MOST_SECS: f64 = MOST_MS as f64 / 1e3;
        let mut fields = Fields::of(record, doubts);
        fields.known(&[&KNOWN, &TOTALS]);
        // Not summed up, but an invalid one is reported.
        fields.flag("stopped_is_least");
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
            stopped_secs: fields.number("stopped_secs", MOST_SECS),
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
            peak_mem_pss_kb: fields.whole("peak_mem_pss_kb", MOST_KB),
            max_processes: fields.whole("max_processes", MOST_TASKS),
            max_threads: fields.whole("max_threads", MOST_TASKS),
            totals: TOTALS.map(|name| fields.whole(name, MOST)),
            record: kept,
        }
    }
}
