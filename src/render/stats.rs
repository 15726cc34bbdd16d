//! What a recording says, for people and for scripts: both of the same [`Statistics`].

mod json;
mod oddities;

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::{memory, mix};
use crate::decode::syscalls::{Abi, Category, Table};
use crate::output::colour::{BAD, FAINT, GOOD, Styled, TITLE, paint};
use crate::output::layout::WIDEST;
use crate::output::layout::{
    bytes, grouped, heading, line, lines, percent, plural, share_of, shortened, signal_name, time,
};
use crate::output::shell::quoted;
use crate::stats::Statistics;
use crate::stats::calls::Calls;
use crate::stats::disagree::disagreements;
use crate::stats::histogram::RESOLUTION;
use crate::stats::series::Series;
use crate::stats::summary::Summary;
use crate::sys::account::Exit;

pub use json::object;

/// Exit codes and signals are named up to so many.
const EXITS_NAMED: usize = 6;

/// Writes the report. `top` limits the table of syscalls, 0 for all.
///
/// # Errors
/// What writing answers.
pub(crate) fn report(
    to: &mut dyn Write,
    of: &Statistics,
    top: usize,
    columns: usize,
) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    let top = if top == 0 { usize::MAX } else { top };
    header(to, of, width)?;
    if of.samples > 0 {
        metrics(to, of, width)?;
    }
    writeln!(to)?;
    machine(to, of, width)?;
    samples(to, of, width)?;
    exits(to, of, width)?;
    totals(to, of, width)?;
    pressure(to, of, width)?;
    hardware(to, of, width)?;
    if let Some(calls) = &of.calls {
        syscalls(to, calls, top)?;
        writeln!(to)?;
        mix(to, calls, width)?;
        quality(to, calls, of.is_whole(), width)?;
    }
    for one in disagreements(of) {
        let text = format!(
            "{}: the summary says {}, but {}: {}",
            one.field,
            figure(one.summary),
            one.why,
            figure(one.samples)
        );
        lines(to, "disagree", paint(BAD, text), width)?;
    }
    oddities::write(to, &of.doubts, width)
}

fn header(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let recording = &of.recording;
    let words: Vec<_> = recording.command.iter().map(|word| quoted(word)).collect();
    let what = match (words.is_empty(), &recording.attached, recording.pid) {
        (false, ..) => words.join(" "),
        (true, Some(attached), _) => attached.clone(),
        (true, None, Some(pid)) => format!("process {pid}"),
        (true, None, None) => "a recording".to_owned(),
    };
    let what = shortened(&what, width.saturating_sub(7));
    heading(to, &what)?;
    match &of.summary {
        Some(summary) => lines(to, "", ended(summary), width),
        None => {
            let up_to = of
                .last_ts_ms
                .map(|ts_ms| format!(" up to {}", at(of, ts_ms)));
            let figures = format!(
                ": no summary; figures are of {}{}",
                plural(of.samples, "sample", "samples"),
                up_to.unwrap_or_default(),
            );
            let mut text = paint(BAD, "truncated") + figures;
            if let Some(exit) = of.own_exit {
                text = text + " · " + exited(exit);
            }
            lines(to, "", text, width)
        }
    }
}

fn exited(exit: Exit) -> Styled {
    match exit {
        Exit::Code(0) => paint(GOOD, "exit 0"),
        Exit::Code(code) => paint(BAD, format!("exit {code}")),
        Exit::Signal(signal) => paint(BAD, format!("killed by {}", signal_name(signal))),
    }
}

/// The line of the run report, from what the summary holds.
fn ended(summary: &Summary) -> Styled {
    let early = match summary.ended_by.as_deref() {
        None | Some("command") => None,
        Some("duration") => Some("--duration is over".to_owned()),
        Some("interrupt") => Some("interrupted".to_owned()),
        Some(other) => Some(shortened(other, 20)),
    };
    let cpu = summary.cpu_secs.map(|cpu| {
        let parts = summary.cpu_user_secs.zip(summary.cpu_system_secs);
        let parts = parts
            .map(|(user, system)| format!(" ({} user, {} system)", seconds(user), seconds(system)));
        format!(
            "{}{} CPU{}",
            summary.at_least(),
            seconds(cpu),
            parts.unwrap_or_default()
        )
    });
    let figures = [
        early,
        summary
            .total_time_secs
            .map(|wall| format!("{} wall", seconds(wall))),
        cpu,
        summary
            .avg_cpu_usage
            .map(|average| format!("{average:.0}% of a core")),
        memory::peak(
            summary.peak_mem_pss_kb,
            summary.peak_mem_rss_kb,
            summary.max_processes,
        ),
    ];
    let figures = figures.into_iter().flatten().map(Styled::from);
    let known: Vec<_> = summary
        .exit
        .map(exited)
        .into_iter()
        .chain(figures)
        .collect();
    if known.is_empty() {
        "a summary without figures".into()
    } else {
        Styled::joined(known, " · ")
    }
}

fn metrics(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let title = format!(
        "{:<10}{:>10}  {:>10}  {:>10}  {:>10}  at",
        "", "mean", "p50", "p95", "peak"
    );
    writeln!(to, "\n{}", paint(TITLE, title))?;
    let kb = |kb: f64| bytes((kb * 1024.0) as u64);
    let share = |cpu: f64| format!("{cpu:.1}%");
    row(to, of, "cpu", &of.cpu, &share)?;
    row(to, of, "PSS", &of.pss, &kb)?;
    let is_sum = of.processes.peak().is_some_and(|most| most > 1.0);
    row(
        to,
        of,
        if is_sum { "sum of RSS" } else { "RSS" },
        &of.rss,
        &kb,
    )?;
    let count = |count: f64| {
        if count.fract() == 0.0 {
            grouped(count as u64)
        } else {
            format!("{count:.1}")
        }
    };
    row(to, of, "processes", &of.processes, &count)?;
    row(to, of, "threads", &of.threads, &count)?;
    let text = format!(
        "cpu in percent of a core; means and percentiles are over time, to {:.1}%",
        RESOLUTION * 50.0
    );
    lines(to, "", paint(FAINT, text), width)
}

fn row(
    to: &mut dyn Write,
    of: &Statistics,
    name: &str,
    series: &Series,
    show: &dyn Fn(f64) -> String,
) -> io::Result<()> {
    let (Some(mean), Some(peak)) = (series.mean(), series.peak()) else {
        return Ok(());
    };
    let cell = |value: Option<f64>| value.map_or_else(String::new, show);
    let when = series.peak_ts_ms().map(|ts_ms| at(of, ts_ms));
    let row = format!(
        "{name:<10}{:>10}  {:>10}  {:>10}  {:>10}  {}",
        show(mean),
        cell(series.percentile(0.5)),
        cell(series.percentile(0.95)),
        show(peak),
        when.unwrap_or_default()
    );
    writeln!(to, "{}", row.trim_end())
}

fn samples(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let mut text = if of.samples == 0 {
        "none".to_owned()
    } else {
        grouped(of.samples)
    };
    if let (Some(first), Some(last)) = (of.first_ts_ms, of.last_ts_ms)
        && last > first
    {
        text += &format!(" in {}", millis(last - first));
    }
    if let Some((gap, ts_ms)) = of.longest_gap {
        text += &format!(", at most {} apart (at {})", millis(gap), at(of, ts_ms));
    }
    lines(to, "samples", &text, width)
}

fn machine(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let Some(env) = &of.env else {
        return Ok(());
    };
    let text = |name: &str| {
        let text = env.get(name)?.as_str()?;
        Some(shortened(text, 60))
    };
    let cpus = env.get("cpus_online").and_then(Value::as_u64);
    let parts = [
        text("hostname"),
        text("kernel_release").map(|release| format!("Linux {release}")),
        cpus.map(|cpus| plural(cpus, "CPU", "CPUs")),
        text("cpu_model"),
    ];
    let known: Vec<_> = parts.into_iter().flatten().collect();
    if known.is_empty() {
        return Ok(());
    }
    lines(to, "machine", known.join(", "), width)
}

fn exits(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let exits = &of.exits;
    if exits.total == 0 {
        return Ok(());
    }
    let mut ways: Vec<(u64, String)> = Vec::new();
    let codes = exits.by_code.iter();
    ways.extend(codes.map(|(code, count)| (*count, format!("exit {code}"))));
    let signals = exits.by_signal.iter();
    ways.extend(signals.map(|(signal, count)| (*count, signal_name(*signal))));
    ways.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let more: u64 = ways.iter().skip(EXITS_NAMED).map(|(count, _)| count).sum();
    let mut named: Vec<_> = ways
        .iter()
        .take(EXITS_NAMED)
        .map(|(count, way)| format!("{} {way}", grouped(*count)))
        .collect();
    if more > 0 {
        named.push(format!("{} otherwise", grouped(more)));
    }
    if exits.unknown > 0 {
        named.push(format!(
            "{} known to their parents alone",
            grouped(exits.unknown)
        ));
    }
    let ended = plural(exits.total, "process ended", "processes ended");
    lines(to, "exits", format!("{ended}: {}", named.join(", ")), width)
}

/// Those of the summary, and what is not in it as of the last sample.
fn totals(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let total = |at: usize| {
        let summary = of.summary.as_ref();
        summary
            .and_then(|summary| summary.totals[at])
            .or(of.totals[at])
    };
    let say = |at: usize, show: &dyn Fn(u64) -> String, what: &str| {
        total(at).map(|total| format!("{} {what}", show(total)))
    };
    let least = of.summary.as_ref().map_or("", Summary::at_least);
    let both = |to: &mut dyn Write, label, least, parts: [Option<String>; 2]| {
        let known: Vec<_> = parts.into_iter().flatten().collect();
        if known.is_empty() {
            return Ok(());
        }
        lines(to, label, format!("{least}{}", known.join(", ")), width)
    };
    both(
        to,
        "disk",
        least,
        [say(0, &bytes, "read"), say(1, &bytes, "written")],
    )?;
    both(
        to,
        "calls",
        least,
        [
            say(2, &bytes, "read by system calls"),
            say(3, &bytes, "written by them"),
        ],
    )?;
    both(
        to,
        "faults",
        least,
        [
            say(4, &grouped, "served from memory"),
            say(5, &grouped, "from disk"),
        ],
    )?;
    both(
        to,
        "network",
        "",
        [
            say(6, &bytes, "received"),
            say(7, &bytes, "sent by the whole network namespace"),
        ],
    )
}

fn pressure(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let (Some(some), Some(full)) = (of.psi_some.peak(), of.psi_full.peak()) else {
        return Ok(());
    };
    if some == 0.0 {
        return lines(
            to,
            "pressure",
            "no task of the cgroup waited for memory",
            width,
        );
    }
    let mean = of.psi_some.mean().unwrap_or_default();
    let text = format!(
        "tasks of the cgroup waited for memory {mean:.1}% of the time, {some:.1}% of ten seconds at \
         most, all of them {full:.1}%"
    );
    lines(to, "pressure", &text, width)
}

fn hardware(to: &mut dyn Write, of: &Statistics, width: usize) -> io::Result<()> {
    let Some(perf) = &of.perf else {
        return Ok(());
    };
    let mut parts: Vec<_> = perf
        .named()
        .map(|(name, count)| format!("{} {}", grouped(count), name.replace('_', " ")))
        .collect();
    if let [Some(cycles @ 1..), Some(instructions), ..] = perf.counts {
        parts.push(format!(
            "{:.2} per cycle",
            instructions as f64 / cycles as f64
        ));
    }
    if let Some(share) = perf.counted_share.filter(|share| *share < 0.999) {
        parts.push(format!("scaled up from {} of the time", percent(share)));
    }
    if parts.is_empty() {
        return Ok(());
    }
    lines(to, "hardware", parts.join(", "), width)
}

fn syscalls(to: &mut dyn Write, calls: &Calls, top: usize) -> io::Result<()> {
    const LONGEST_NAME: usize = 40;
    let named: Vec<_> = calls
        .top
        .iter()
        .take(top)
        .map(|(name, abi, count)| {
            let abi = abi.as_ref().map(|abi| format!(" ({abi})"));
            let label = format!("{name}{}", abi.unwrap_or_default());
            (shortened(&label, LONGEST_NAME), name, *count)
        })
        .collect();
    let total = calls.total.unwrap_or(0);
    let names = named
        .iter()
        .map(|(label, ..)| label.width())
        .max()
        .unwrap_or(0)
        .max(16);
    let title = format!(
        "{:<names$}  {:>13}  {:>6}  category",
        "syscall", "calls", "share"
    );
    writeln!(to, "\n{}", paint(TITLE, title))?;
    let row = |label: &str, count: u64| {
        let pad = " ".repeat(names - label.width());
        let share = calls.total.map(|total| percent(share_of(count, total)));
        format!(
            "{label}{pad}  {:>13}  {:>6}",
            grouped(count),
            share.unwrap_or_default()
        )
    };
    for (label, name, count) in &named {
        let category = category(name).map(|category| category.name());
        let row = row(label, *count);
        let row = format!("{row}  {}", category.unwrap_or_default());
        line(to, row.trim_end())?;
    }
    let shown: u128 = named.iter().map(|(.., count)| u128::from(*count)).sum();
    let rest = u64::try_from(shown)
        .ok()
        .and_then(|shown| total.checked_sub(shown));
    if let Some(rest @ 1..) = rest {
        writeln!(to, "{}", paint(FAINT, row("others", rest)))?;
    }
    if let Some(total) = calls.total {
        writeln!(to, "{}", paint(TITLE, row("total", total)))?;
    }
    Ok(())
}

/// By its name: in which table does not matter, categories are the same.
fn category(name: &str) -> Option<Category> {
    [Table::of(Abi::Native), Table::of(Abi::Compat)]
        .into_iter()
        .flat_map(Table::entries)
        .find_map(|(_, known, category)| (known == name).then_some(category))
}

fn mix(to: &mut dyn Write, calls: &Calls, width: usize) -> io::Result<()> {
    let by_category = calls.by_category.iter();
    let named = by_category.map(|(name, count)| (name.as_str(), *count));
    match mix::of_calls(named, calls.rate_per_sec) {
        Some(text) => lines(to, "syscalls", text, width),
        None => Ok(()),
    }
}

fn quality(to: &mut dyn Write, calls: &Calls, is_whole: bool, width: usize) -> io::Result<()> {
    let losses: Vec<_> = calls
        .losses
        .iter()
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    let text = match (calls.complete, losses.is_empty()) {
        (Some(true), true) if is_whole => paint(GOOD, "complete") + ": no syscall was lost",
        (Some(true), true) => {
            "no syscall was lost up to the last sample; what came later is missing".into()
        }
        (None, true) => "not recorded".into(),
        (Some(false), true) => paint(BAD, "incomplete"),
        (_, false) => paint(BAD, "incomplete") + ": " + losses.join(", "),
    };
    lines(to, "quality", text, width)
}

/// Since denet began to look.
fn at(of: &Statistics, ts_ms: u64) -> String {
    let start = of.recording.t0_ms.or(of.first_ts_ms).unwrap_or(ts_ms);
    match ts_ms.checked_sub(start) {
        Some(passed) => millis(passed),
        None => format!("{} before the start", millis(start - ts_ms)),
    }
}

fn millis(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), time)
}

fn figure(number: f64) -> String {
    if number.fract() == 0.0 && number < 1e18 {
        grouped(number as u64)
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests;
