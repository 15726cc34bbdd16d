//! Where the summary and the samples cannot both be right.

use super::statistics::Statistics;
use super::summary::Summary;
use super::values::TOTALS;

/// A figure that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Disagreement {
    /// Its name in the summary.
    pub(crate) field: &'static str,
    /// What the summary says.
    pub(crate) summary: f64,
    /// What follows from the samples.
    pub(crate) samples: f64,
    /// What is wrong with that.
    pub(crate) why: &'static str,
}

const BELOW: &str = "a sample has more";

/// All of them. Samples see only moments: a peak may be higher in the summary, and a total larger.
pub(crate) fn disagreements(of: &Statistics) -> Vec<Disagreement> {
    let Some(summary) = &of.summary else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut add = |field, summary: f64, samples: f64, why| {
        found.push(Disagreement {
            field,
            summary,
            samples,
            why,
        });
    };
    if let Some(count) = summary.sample_count.filter(|count| *count != of.samples) {
        add(
            "sample_count",
            count as f64,
            of.samples as f64,
            "so many samples are in the recording",
        );
    }
    for (field, peak, sampled) in peaks(of, summary) {
        // What is shown of numbers with a point is rounded.
        if let (Some(peak), Some(sampled)) = (peak, sampled)
            && sampled > peak + peak * 1e-9
        {
            add(field, peak, sampled, BELOW);
        }
    }
    for (at, field) in TOTALS.into_iter().enumerate() {
        if let (Some(total), Some(sampled)) = (summary.totals[at], of.totals[at])
            && sampled > total
        {
            add(field, total as f64, sampled as f64, BELOW);
        }
    }
    let calls = of.calls.as_ref();
    if let (Some(total), Some(sampled)) = (calls.and_then(|calls| calls.total), of.sampled_calls)
        && sampled > total
    {
        add("ebpf.syscalls.total", total as f64, sampled as f64, BELOW);
    }
    if let Some(calls) = calls.filter(|calls| !calls.by_category.is_empty()) {
        let sum: u128 = calls
            .by_category
            .iter()
            .map(|(_, count)| u128::from(*count))
            .sum();
        if let Some(total) = calls.total.filter(|total| u128::from(*total) != sum) {
            add(
                "ebpf.syscalls.total",
                total as f64,
                sum as f64,
                "the sum of its categories",
            );
        }
    }
    if let Some((lasted, sampled)) = spans(of, summary) {
        add("total_time_secs", lasted, sampled, "the samples span more");
    }
    if let Some((average, mean)) = averages(of, summary) {
        add(
            "avg_cpu_usage",
            average,
            mean,
            "the mean of the samples, which cover most of the time",
        );
    }
    found
}

type Peak = (&'static str, Option<f64>, Option<f64>);

fn peaks(of: &Statistics, summary: &Summary) -> [Peak; 5] {
    let whole = |number: Option<u64>| number.map(|number| number as f64);
    [
        ("peak_cpu_usage", summary.peak_cpu_usage, of.cpu.peak()),
        (
            "peak_mem_rss_kb",
            whole(summary.peak_mem_rss_kb),
            of.rss.peak(),
        ),
        (
            "peak_mem_pss_kb",
            whole(summary.peak_mem_pss_kb),
            of.pss.peak(),
        ),
        (
            "max_processes",
            whole(summary.max_processes),
            of.processes.peak(),
        ),
        ("max_threads", whole(summary.max_threads), of.threads.peak()),
    ]
}

/// Samples that span a second and a twentieth more than the run lasted: clocks are not that wrong.
fn spans(of: &Statistics, summary: &Summary) -> Option<(f64, f64)> {
    let lasted = summary.total_time_secs? + summary.stopped_secs.unwrap_or(0.0);
    let sampled = (of.last_ts_ms? - of.first_ts_ms?) as f64 / 1e3;
    (sampled > lasted * 1.05 + 1.0).then_some((lasted, sampled))
}

/// Samples that cover nine tenths of the run, but not its CPU time: off by a tenth and five percent
/// of a core.
fn averages(of: &Statistics, summary: &Summary) -> Option<(f64, f64)> {
    const FEWEST: u64 = 10;
    // Of a time in which denet was stopped there are no samples.
    if summary.stopped_secs.is_some_and(|stopped| stopped > 0.0) {
        return None;
    }
    let (average, mean) = (summary.avg_cpu_usage?, of.cpu.mean()?);
    let covered = of.last_ts_ms?.checked_sub(of.recording.t0_ms?)? as f64 / 1e3;
    let enough = of.samples >= FEWEST && covered >= 0.9 * summary.total_time_secs?;
    let off = (mean - average).abs();
    (enough && off > 0.1 * average.max(mean) + 5.0).then_some((average, mean))
}
