//! The records of `denet monitor xdp`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::counters::{Count, Counts, Kind, Rate};
use super::model::{About, Interval, Removed, Whole};
use crate::output::exact::put;
use crate::output::schema::SCHEMA;

fn tool() -> Value {
    json!({"name": "denet", "version": env!("CARGO_PKG_VERSION")})
}

/// The first record.
pub fn metadata(about: &About, t0_ms: u64) -> Value {
    let mut record = json!({
        "kind": "metadata",
        "schema": SCHEMA,
        "tool": tool(),
        "monitor": "xdp",
        "t0_ms": t0_ms,
        "interface": {"name": about.interface, "index": about.index, "up": about.up},
        "mode": about.mode.name(),
        "not_native": about.not_native,
        "program": {"id": about.program, "name": about.program_name},
        "pinned": null,
        "resumed": about.resumed.map(count),
    });
    put_pinned(&mut record, about);
    record
}

fn put_pinned(record: &mut Value, about: &About) {
    if let Some(place) = &about.pinned {
        put(record, "pinned", place.as_os_str());
    }
}

/// The counts since the program was attached, and the rates since the previous record.
pub fn interval(interval: &Interval<'_>, ts_ms: u64) -> Value {
    let (sum, added) = (interval.now.sum(), interval.added());
    let rates = Kind::ALL.into_iter().filter_map(|kind| {
        let rate = Rate::of(added.of(kind), interval.length())?;
        Some((kind.name().to_owned(), self::rate(rate)))
    });
    json!({
        "kind": "xdp",
        "ts_ms": ts_ms,
        "elapsed_secs": interval.now.elapsed.as_secs_f64(),
        "interval_secs": interval.length().as_secs_f64(),
        "frames": count(sum.frames()),
        "rate": Rate::of(added.frames(), interval.length()).map(rate),
        "counts": counts(&sum),
        "rates": rates.collect::<Map<_, _>>(),
        "cpus": cpus(&interval.now.cpus, false),
    })
}

/// The last record: the counts of this run, and in total.
pub fn summary(about: &About, whole: &Whole) -> Value {
    let (added, sum) = (whole.added(), whole.last.sum());
    let mut record = json!({
        "kind": "summary",
        "total_time_secs": whole.last.elapsed.as_secs_f64(),
        "ended_by": whole.end.name(),
        "mode": about.mode.name(),
        "frames": count(added.frames()),
        "counts": counts(&added),
        "since_attached": {"frames": count(sum.frames()), "counts": counts(&sum)},
        "cpus": cpus(&whole.last.cpus, true),
        "stays_attached": about.pinned.is_some() && whole.end.leaves_pinned(),
        "pinned": null,
    });
    put_pinned(&mut record, about);
    record
}

/// The only record of `--unpin`.
pub fn removed(interface: &str, place: &Path, removed: &Removed) -> Value {
    let sum = removed.counted.as_ref().map(Counts::sum);
    let mut record = json!({
        "kind": "unpinned",
        "schema": SCHEMA,
        "tool": tool(),
        "monitor": "xdp",
        "interface": interface,
        "unpinned": null,
        "was_attached": removed.was_attached,
        "left": removed.left,
        "frames": sum.map(|sum| count(sum.frames())),
        "counts": sum.map(|sum| counts(&sum)),
        "cpus": removed.counted.as_ref().map(|all| cpus(all, true)),
    });
    put(&mut record, "unpinned", place.as_os_str());
    record
}

fn count(count: Count) -> Value {
    json!({"packets": count.packets, "bytes": count.bytes})
}

fn rate(rate: Rate) -> Value {
    json!({"packets_per_sec": rate.packets_per_sec, "bytes_per_sec": rate.bytes_per_sec})
}

fn counts(counts: &Counts) -> Value {
    let each = Kind::ALL.into_iter();
    let each = each.map(|kind| (kind.name().to_owned(), count(counts.of(kind))));
    Value::Object(each.collect())
}

/// Only CPUs that received frames; on a machine with hundreds, most receive none.
fn cpus(all: &[Counts], by_kind: bool) -> Vec<Value> {
    let busy = all.iter().enumerate();
    let busy = busy.filter(|(_, cpu)| cpu.frames().packets > 0);
    busy.map(|(at, cpu)| {
        let mut value = json!({"cpu": at, "frames": count(cpu.frames())});
        if by_kind {
            value["counts"] = counts(cpu);
        }
        value
    })
    .collect()
}
