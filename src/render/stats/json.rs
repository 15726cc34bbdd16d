//! The object `stats`; docs/records.md tells its fields.

use serde_json::{Map, Value, json};

use crate::output::schema::SCHEMA;
use crate::stats::disagree::disagreements;
use crate::stats::doubts::{Doubts, LineNumbers, Names};
use crate::stats::histogram::RESOLUTION;
use crate::stats::series::Series;
use crate::stats::{Statistics, TOTALS};
use crate::sys::account::Exit;

/// What a recording says, as one object. What is not known is absent.
pub fn object(of: &Statistics) -> Value {
    let recording = &of.recording;
    let mut about = known([
        ("tool", recording.tool.as_deref().map(Value::from)),
        ("pid", recording.pid.map(Value::from)),
        ("attached", recording.attached.as_deref().map(Value::from)),
        ("t0_ms", recording.t0_ms.map(Value::from)),
    ]);
    about["schema"] = recording.schema.into();
    about["cmd"] = json!(recording.command);
    for (name, bytes) in &recording.exact {
        about[*name] = bytes.clone();
    }
    let exits = &of.exits;
    let mut object = json!({
        "kind": "stats",
        "schema": SCHEMA,
        "tool": {"name": "denet", "version": env!("CARGO_PKG_VERSION")},
        "recording": about,
        "truncated": !of.is_whole(),
        "samples": samples(of),
        "metrics": metrics(of),
        "totals": totals(of),
        "exits": {
            "total": exits.total,
            "by_code": exits.by_code,
            "by_signal": exits.by_signal,
            "unknown": exits.unknown,
        },
    });
    match of.own_exit {
        Some(Exit::Code(code)) => object["exits"]["of_pid"] = json!({"exit_code": code}),
        Some(Exit::Signal(signal)) => object["exits"]["of_pid"] = json!({"signal": signal}),
        None => {}
    }
    if let Some(perf) = &of.perf {
        let mut counters: Map<String, Value> = perf
            .named()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        counters.extend(
            perf.counted_share
                .map(|share| ("counted_share".to_owned(), share.into())),
        );
        object["perf"] = counters.into();
    }
    if let Some(env) = &of.env {
        object["env"] = env.clone().into();
    }
    if let Some(summary) = &of.summary {
        object["summary"] = summary.record.clone().into();
    }
    if let Some(calls) = &of.calls {
        object["ebpf"] = calls.record.clone().into();
    }
    let found = disagreements(of).into_iter().map(|one| {
        json!({"field": one.field, "summary": one.summary, "samples": one.samples, "why": one.why})
    });
    object["disagreements"] = found.collect();
    object["odd"] = odd(&of.doubts);
    object
}

fn samples(of: &Statistics) -> Value {
    let mut samples = known([
        ("first_ts_ms", of.first_ts_ms.map(Value::from)),
        ("last_ts_ms", of.last_ts_ms.map(Value::from)),
        ("longest_gap_ms", of.longest_gap.map(|(gap, _)| gap.into())),
        (
            "longest_gap_ts_ms",
            of.longest_gap.map(|(_, ts_ms)| ts_ms.into()),
        ),
    ]);
    samples["count"] = of.samples.into();
    samples
}

fn metrics(of: &Statistics) -> Value {
    let all = [
        ("cpu_usage", &of.cpu),
        ("mem_rss_kb", &of.rss),
        ("mem_pss_kb", &of.pss),
        ("process_count", &of.processes),
        ("thread_count", &of.threads),
        ("psi_mem_some_avg10", &of.psi_some),
        ("psi_mem_full_avg10", &of.psi_full),
    ];
    let mut metrics = known(all.map(|(name, series)| (name, one(series))));
    metrics["percentile_resolution"] = RESOLUTION.into();
    metrics
}

fn one(series: &Series) -> Option<Value> {
    (series.count > 0).then(|| {
        known([
            ("samples", Some(series.count.into())),
            ("mean", series.mean().map(Value::from)),
            ("p50", series.percentile(0.5).map(Value::from)),
            ("p95", series.percentile(0.95).map(Value::from)),
            ("peak", series.peak().map(Value::from)),
            ("peak_ts_ms", series.peak_ts_ms().map(Value::from)),
        ])
    })
}

fn totals(of: &Statistics) -> Value {
    let all = TOTALS.into_iter().zip(of.totals);
    let all = all.filter_map(|(name, total)| Some((name.to_owned(), total?.into())));
    let mut totals: Map<String, Value> = all.collect();
    totals.extend(
        of.sampled_calls
            .map(|calls| ("syscalls".to_owned(), calls.into())),
    );
    totals.into()
}

fn odd(doubts: &Doubts) -> Value {
    let mut odd = known([(
        "another_recording_at_line",
        doubts.another_at.map(Value::from),
    )]);
    odd["none"] = doubts.none().into();
    odd["not_json"] = numbers(&doubts.not_json);
    odd["no_record"] = numbers(&doubts.no_record);
    odd["incomplete_last_line"] = doubts.incomplete_last_line.into();
    odd["unknown_kinds"] = names(&doubts.unknown_kinds);
    odd["unknown_fields"] = names(&doubts.unknown_fields);
    odd["wrong_types"] = names(&doubts.wrong_types);
    odd["implausible"] = names(&doubts.implausible);
    odd["fell"] = names(&doubts.fell);
    odd["backwards"] = doubts.backwards.into();
    odd["cut"] = doubts.cut.into();
    odd["after_summary"] = doubts.after_summary.into();
    odd
}

fn numbers(lines: &LineNumbers) -> Value {
    json!({"count": lines.count, "first_lines": lines.first})
}

fn names(names: &Names) -> Value {
    json!({"count": names.total(), "by_name": names.named})
}

/// An object of what is there.
fn known<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields.into_iter();
    let there = there.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
