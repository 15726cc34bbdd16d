//! A sample in one line, for whoever watches.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use crate::output::layout::{bytes, grouped, plural};
use crate::process::model::{Metrics, Tree};

/// What a sample and the one before it say, in the order of importance: as much as fits into `width`
/// columns. `pss_kb` is the proportional set size of all processes as it was last read.
pub(crate) fn line(
    tree: &Tree,
    before: Option<&Tree>,
    pss_kb: Option<u64>,
    elapsed: Duration,
    width: usize,
) -> String {
    let now = &tree.aggregated.metrics;
    let earlier = before.map(|before| {
        (
            &before.aggregated.metrics,
            tree.ts_ms.saturating_sub(before.ts_ms),
        )
    });
    let rate = |field: fn(&Metrics) -> Option<u64>| -> Option<f64> {
        let (earlier, ms) = earlier?;
        let more = field(now)?.saturating_sub(field(earlier)?);
        (ms > 0).then(|| more as f64 * 1000.0 / ms as f64)
    };
    let calls = |tree: &Tree| tree.aggregated.ebpf.as_ref()?["syscalls"]["total"].as_u64();
    let calls_per_sec = before.and_then(|before| {
        let more = calls(tree)?.saturating_sub(calls(before)?);
        let ms = tree.ts_ms.saturating_sub(before.ts_ms);
        (ms > 0).then(|| more * 1000 / ms)
    });
    let processes = plural(tree.aggregated.process_count, "process", "processes");
    let rss = match tree.aggregated.process_count {
        1 => "RSS",
        _ => "sum of RSS",
    };
    let of =
        |what: &str, rate: Option<f64>| rate.map(|rate| format!("{what} {}/s", bytes(rate as u64)));
    let parts = [
        Some(format!("{:.1} s", elapsed.as_secs_f64())),
        now.cpu_usage.map(|usage| format!("CPU {usage:.0}%")),
        pss_kb.map(|kb| format!("PSS {}", bytes(kb * 1024))),
        now.mem_rss_kb
            .map(|kb| format!("{rss} {}", bytes(kb * 1024))),
        calls_per_sec.map(|rate| format!("{} syscalls/s", grouped(rate))),
        Some(processes),
        of("read", rate(|metrics| metrics.disk_read_bytes)),
        of("written", rate(|metrics| metrics.disk_write_bytes)),
        now.thread_count
            .map(|threads| plural(threads, "thread", "threads")),
        of("received", rate(|metrics| metrics.sys_net_rx_bytes)),
        of("sent", rate(|metrics| metrics.sys_net_tx_bytes)),
    ];
    let mut line = String::new();
    for part in parts.into_iter().flatten() {
        let separator = if line.is_empty() { "" } else { " · " };
        if line.width() + separator.width() + part.width() > width {
            break;
        }
        line += separator;
        line += &part;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::model::Aggregated;

    fn tree(ts_ms: u64, read: u64, calls: u64) -> Tree {
        let metrics = Metrics {
            cpu_usage: Some(198.7),
            mem_rss_kb: Some(3 << 20),
            disk_read_bytes: Some(read),
            thread_count: Some(34),
            ..Metrics::default()
        };
        Tree {
            ts_ms,
            aggregated: Aggregated {
                metrics,
                process_count: 12,
                ebpf: Some(serde_json::json!({"syscalls": {"total": calls}})),
            },
            ..Tree::default()
        }
    }

    #[test]
    fn the_most_important_fits_first() {
        let (before, now) = (tree(1000, 0, 0), tree(1500, 5 << 20, 1000));
        let after = Duration::from_millis(1234);
        let of = |width| line(&now, Some(&before), Some(2 << 20), after, width);
        assert_eq!(
            of(200),
            "1.2 s · CPU 199% · PSS 2.0 GiB · sum of RSS 3.0 GiB · 2,000 syscalls/s · 12 processes · read 10.0 MiB/s · 34 threads"
        );
        assert_eq!(of(40), "1.2 s · CPU 199% · PSS 2.0 GiB");
        assert_eq!(of(6), "1.2 s");
        assert_eq!(of(3), "");
    }

    #[test]
    fn what_was_not_read_is_not_shown() {
        let mut now = tree(1500, 0, 0);
        now.aggregated.metrics = Metrics::default();
        now.aggregated.ebpf = None;
        assert_eq!(
            line(&now, None, None, Duration::ZERO, 80),
            "0.0 s · 12 processes"
        );
    }
}
