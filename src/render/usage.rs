//! The part of the report about what processes used.

use std::io::{self, Write};
use std::time::Duration;

use crate::output::colour::{FAINT, TITLE, paint};
use crate::output::layout::{bytes, grouped, lines, percent, plural, share_of, shortened, time};
use crate::process::model::Counters;
use crate::process::sums::{Busy, Sums};
use crate::profile::model::Run;

/// Before a figure that may be too low.
pub(super) fn at_least(sums: &Sums) -> &'static str {
    if sums.is_whole { "" } else { "at least " }
}

/// What may be missing from the figures, and how to get all of it.
pub(super) fn missing(run: &Run) -> Option<String> {
    let sums = &run.sums;
    if sums.is_whole {
        return None;
    }
    if run.syscalls.is_some() {
        return Some(match sums.unreported {
            0 => "The kernel did not report all that processes used: a process or a report was lost, or this \
                  kernel lacks what it takes (--debug shows what)."
                .to_owned(),
            some => format!(
                "The kernel did not report what {} used until the end.",
                plural(some, "process", "processes")
            ),
        });
    }
    let ended = match sums.disowned {
        0 => String::new(),
        some => format!(
            "{} ended and no parent waited for {}: what {} used after the last sample is missing. ",
            plural(some, "process", "processes"),
            if some == 1 { "it" } else { "them" },
            if some == 1 { "it" } else { "they" },
        ),
    };
    Some(format!(
        "{ended}A process that no sample saw among the descendants is missing unless its parent waited for it; \
         --enable-ebpf counts all of them."
    ))
}

/// What was used, beside time and memory.
pub(super) fn usage(to: &mut dyn Write, run: &Run, width: usize) -> io::Result<()> {
    let sums = &run.sums;
    if let Some(active) = run.active.filter(|active| !active.is_zero()) {
        let wall = active.as_secs_f64();
        let average = sums.used.cpu_ns as f64 / 1e7 / wall;
        let peak = sums.peak_cpu_usage.filter(|_| sums.samples > 1);
        let peak = peak.map(|peak| format!(", {peak:.0}% at most"));
        let text = format!(
            "{}{average:.0}% of a core on average{}",
            at_least(sums),
            peak.unwrap_or_default()
        );
        lines(to, "cpu", &text, width)?;
    }
    match &sums.unread_io {
        None => {
            let io = &sums.used.io;
            let least = at_least(sums);
            let text = format!(
                "{least}{} read, {} written; by system calls {} read, {} written",
                bytes(io.read_from_storage),
                bytes(io.written_to_storage),
                bytes(io.read_by_calls),
                bytes(io.written_by_calls),
            );
            lines(to, "disk", &text, width)?;
        }
        Some((count, why)) => {
            let text = format!(
                "unknown: /proc/PID/io of {} could not be read ({why})",
                plural(*count, "process", "processes")
            );
            lines(to, "disk", &text, width)?;
        }
    }
    let outside = &sums.outside;
    if let (Some(received), Some(sent)) = (outside.sys_net_rx_bytes, outside.sys_net_tx_bytes) {
        let text = format!(
            "{} received, {} sent by the whole network namespace",
            bytes(received),
            bytes(sent)
        );
        lines(to, "network", &text, width)?;
    }
    let faults = format!(
        "{}{} served from memory, {} from disk",
        at_least(sums),
        grouped(sums.used.minor_faults),
        grouped(sums.used.major_faults)
    );
    lines(to, "faults", &faults, width)?;
    if let Some(pressure) = outside.psi_mem.filter(|pressure| pressure.some_avg10 > 0.0) {
        let text = format!(
            "{:.1}% of the last 10 s some task of the cgroup waited for memory, {:.1}% all did",
            pressure.some_avg10, pressure.full_avg10
        );
        lines(to, "pressure", &text, width)?;
    }
    if let Some(counters) = &outside.perf {
        hardware(to, counters, width)?;
    }
    if sums.samples > 0 {
        let text = format!(
            "{}, at most {} and {} at once",
            plural(sums.samples, "sample", "samples"),
            plural(sums.max_processes, "process", "processes"),
            plural(sums.max_threads, "thread", "threads"),
        );
        lines(to, "samples", &text, width)?;
    }
    Ok(())
}

fn hardware(to: &mut dyn Write, counters: &Counters, width: usize) -> io::Result<()> {
    let of =
        |what: &str, count: Option<u64>| count.map(|count| format!("{} {what}", grouped(count)));
    let per_cycle = counters
        .instructions
        .zip(counters.cycles)
        .filter(|(_, cycles)| *cycles > 0);
    let per_cycle = per_cycle.map(|(instructions, cycles)| {
        format!("{:.2} per cycle", instructions as f64 / cycles as f64)
    });
    let estimated = counters.counted_share.filter(|share| *share < 0.999);
    let parts = [
        of("cycles", counters.cycles),
        of("instructions", counters.instructions),
        per_cycle,
        of("cache references", counters.cache_refs),
        of("missed", counters.cache_misses),
        of("cycles stalled", counters.stalled_backend),
        estimated.map(|share| format!("scaled up from {} of the time", percent(share))),
    ];
    let text: Vec<_> = parts.into_iter().flatten().collect();
    lines(to, "hardware", text.join(", "), width)
}

/// Who used the CPU, where more than one process was seen.
pub(super) fn busiest(to: &mut dyn Write, sums: &Sums, top: usize, width: usize) -> io::Result<()> {
    let threads = |busy: &Busy| !busy.threads.is_empty();
    if sums.busiest.len() < 2 && !sums.busiest.iter().any(threads) {
        return Ok(());
    }
    let title = format!(
        "{:>8}  {:>10}  {:>6}  {:>10}  process",
        "pid", "CPU", "share", "peak RSS"
    );
    writeln!(to, "\n{}", paint(TITLE, title))?;
    for busy in sums.busiest.iter().take(top) {
        let share = percent(share_of(busy.cpu_ns, sums.used.cpu_ns).min(1.0));
        writeln!(
            to,
            "{:>8}  {:>10}  {share:>6}  {:>10}  {}",
            busy.pid,
            time(Duration::from_nanos(busy.cpu_ns)),
            busy.peak_resident_kb
                .map_or_else(|| "unknown".to_owned(), |peak| bytes(peak * 1024)),
            shortened(&busy.command, width.saturating_sub(42)),
        )?;
        for (tid, name, cpu_ns) in busy.threads.iter().take(top) {
            let share = percent(share_of(*cpu_ns, sums.used.cpu_ns).min(1.0));
            let row = format!(
                "{tid:>8}  {:>10}  {share:>6}  {:>10}    {}",
                time(Duration::from_nanos(*cpu_ns)),
                "",
                shortened(name, width.saturating_sub(44)),
            );
            writeln!(to, "{}", paint(FAINT, row))?;
        }
    }
    let rest = sums.busiest.len().saturating_sub(top);
    let unnamed = sums
        .processes_seen
        .saturating_sub(sums.busiest.len() as u64)
        + rest as u64;
    let shown: u64 = sums.busiest.iter().take(top).map(|busy| busy.cpu_ns).sum();
    let rest = sums.used.cpu_ns.saturating_sub(shown);
    let more = match unnamed {
        0 => "ended children, between samples".to_owned(),
        some => format!("{} more, and between samples", grouped(some)),
    };
    let share = percent(share_of(rest, sums.used.cpu_ns));
    let row = format!(
        "{:>8}  {:>10}  {share:>6}  {:>10}  {more}",
        "",
        time(Duration::from_nanos(rest)),
        "",
    );
    if unnamed > 0 || share_of(rest, sums.used.cpu_ns) > 0.001 {
        writeln!(to, "{}", paint(FAINT, row))?;
    }
    Ok(())
}
