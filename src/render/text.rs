//! The report that people read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::approximate::approximate;
use super::{memory, mix, usage};
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::decode::syscalls::Category;
use crate::facts::scope::Scope;
use crate::output::colour::{BAD, FAINT, GOOD, Style, Styled, TITLE, paint};
use crate::output::layout::{
    LABEL, WIDEST, bar, behind, bytes, grouped, heading, line, lines, percent, plural, share_of,
    shortened, signal_name, time,
};
use crate::output::shell::quoted_bytes;
use crate::profile::model::{
    CallCount, End, InProgress, Losses, OwnCost, Process, Run, Stopped, SyscallProfile, WhyNot,
};
use crate::sys::account::Exit;

/// Processes that still run are named up to so many.
const RUNNING_NAMED: usize = 10;

fn colour(category: Category) -> Style {
    match category {
        Category::FileIo => Style::new().blue(),
        Category::Memory => Style::new().magenta(),
        Category::Process => Style::new().yellow(),
        Category::Network => Style::new().cyan(),
        Category::Time => Style::new().green(),
        Category::Ipc => Style::new().bright_blue(),
        Category::Security => Style::new().red(),
        Category::Signal => Style::new().bright_magenta(),
        Category::System => Style::new().bright_yellow(),
        Category::Other => Style::new().white(),
    }
}

/// What the report is about, beside the run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// As typed.
    pub(crate) command: &'a [OsString],
    /// What happened.
    pub(crate) run: &'a Run,
    /// Syscalls were to be counted and could not.
    pub(crate) refused: bool,
    /// Whose processes the syscall profile shows, if denet gets its privileges from its file.
    pub(crate) scope: Option<Scope>,
    /// Better ways to count that the kernel did not allow, best first.
    pub(crate) why_not: &'a [WhyNot],
    /// What denet itself used.
    pub(crate) own: OwnCost,
    /// Rows of each table, 0 for all.
    pub(crate) top: usize,
    /// Columns of the terminal.
    pub(crate) columns: usize,
}

/// Writes the report.
///
/// # Errors
/// What writing answers.
pub(crate) fn report(to: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let width = report.columns.clamp(40, WIDEST);
    let top = if report.top == 0 {
        usize::MAX
    } else {
        report.top
    };
    header(to, report, width)?;
    writeln!(to)?;
    usage::usage(to, report.run, width)?;
    usage::busiest(to, &report.run.sums, top, width)?;
    let Some(profile) = &report.run.syscalls else {
        let why = if report.refused {
            "not counted: eBPF cannot be used here, for the reason given at the start"
        } else {
            "not counted (--enable-ebpf counts them)"
        };
        if !report.run.sums.busiest.is_empty() {
            writeln!(to)?;
        }
        lines(to, "syscalls", why, width)?;
        still_running(to, report.run, width)?;
        return own_cost(to, "denet used", &report.own, width);
    };
    syscalls(to, profile, top)?;
    categories(to, profile, width)?;
    if profile.processes.len() > 1 {
        processes(to, profile, top, width)?;
    }
    writeln!(to)?;
    mix(to, profile, width)?;
    quality(to, profile, width)?;
    scope(to, report.scope, profile, width)?;
    in_progress(to, &report.run.in_progress, width)?;
    if let (true, Some(better)) = (profile.losses.skipped_runs > 0, report.why_not.first()) {
        let advice = format!("{} would skip less, but is not to be had:", better.backend);
        lines(to, "better", &advice, width)?;
        finding(to, &better.finding, report.columns)?;
    }
    still_running(to, report.run, width)?;
    let share = profile.overhead.share_of_runtime.map(|share| {
        let share = match share.map(|share| share * 100.0) {
            small if small.most < 0.1 => "less than 0.1%".to_owned(),
            share => approximate(&share, "%"),
        };
        format!(", {share} of the command's CPU time")
    });
    let cost = match profile.overhead.ns_per_syscall {
        Some(ns) => format!(
            "{} per syscall{}; denet used",
            approximate(&ns, " ns"),
            share.unwrap_or_default()
        ),
        None => "per syscall could not be measured; denet used".to_owned(),
    };
    own_cost(to, &cost, &report.own, width)
}

/// Whose processes are shown, and of how many the memory was not read.
fn scope(
    to: &mut dyn Write,
    scope: Option<Scope>,
    profile: &SyscallProfile,
    width: usize,
) -> io::Result<()> {
    let Some(scope) = scope else {
        return Ok(());
    };
    let private = profile.processes.iter().filter(|it| it.private).count() as u64;
    let private = match (scope, private) {
        (Scope::Any, _) => String::new(),
        (Scope::Own, 0) => ": only what ptrace(2) would show you".to_owned(),
        (Scope::Own, some) => format!(
            ": only what ptrace(2) would show you; for {}, only calls were counted",
            plural(
                some,
                "process that is not yours",
                "processes that are not yours"
            )
        ),
    };
    lines(to, "scope", format!("{}{private}", scope.name()), width)
}

fn header(to: &mut dyn Write, report: &Report<'_>, width: usize) -> io::Result<()> {
    let words: Vec<_> = report
        .command
        .iter()
        .map(|word| quoted_bytes(word.as_bytes()))
        .collect();
    let command = shortened(&words.join(" "), width.saturating_sub(7));
    heading(to, &command)?;
    let run = report.run;
    let mut ended = match run.exit {
        Some(Exit::Code(0)) => paint(GOOD, "exit 0"),
        Some(Exit::Code(code)) => paint(BAD, format!("exit {code}")),
        Some(Exit::Signal(signal)) => paint(BAD, format!("killed by {}", signal_name(signal))),
        None if run.end == End::Command => "ended".into(),
        None => "runs on".into(),
    };
    match run.end {
        End::Command | End::Unread => {}
        End::Duration => ended = ended + " (--duration is over)",
        End::Interrupted(signal) if run.exit.is_none() => {
            ended = ended + format!(" ({} ended the watch)", signal_name(signal))
        }
        End::Interrupted(signal) => {
            ended = ended + format!(" (then {} ended the wait)", signal_name(signal))
        }
    }
    let cpu = |ns| time(Duration::from_nanos(ns));
    let (user, system) = run.sums.used.user_and_system();
    let used = format!(
        "{}{} CPU ({} user, {} system)",
        usage::at_least(&run.sums),
        cpu(run.sums.used.cpu_ns),
        cpu(user),
        cpu(system)
    );
    let peak = memory::peak(
        run.sums.peak_proportional_kb,
        Some(run.peak_resident_kb()),
        Some(run.max_processes()),
    );
    let used = [
        Some(ended),
        Some(format!("{} wall", time(run.wall)).into()),
        Some(used.into()),
        peak.map(Styled::from),
    ];
    lines(
        to,
        "",
        Styled::joined(used.into_iter().flatten(), " · "),
        width,
    )?;
    stopped(to, &run.stopped, width)?;
    match usage::missing(run) {
        Some(missing) => lines(to, "", paint(FAINT, missing), width),
        None => Ok(()),
    }
}

/// The time in which denet was stopped.
fn stopped(to: &mut dyn Write, stopped: &Stopped, width: usize) -> io::Result<()> {
    if !stopped.is_least && stopped.time.is_zero() {
        return Ok(());
    }
    let least = if stopped.is_least { "at least " } else { "" };
    let meanwhile = if stopped.missed_end {
        "what it observed ended meanwhile, so averages are not known"
    } else if stopped.ran_on.is_zero() {
        "what it observed was stopped too"
    } else {
        "what it observed ran on, so averages include that time"
    };
    let text = format!(
        "denet was stopped for {least}{}, which is no part of the wall time; {meanwhile}",
        time(stopped.time)
    );
    lines(to, "", paint(FAINT, text), width)
}

fn syscalls(to: &mut dyn Write, profile: &SyscallProfile, top: usize) -> io::Result<()> {
    let shown = &profile.calls[..top.min(profile.calls.len())];
    let label = |call: &CallCount| match call.call.foreign_abi() {
        Some(abi) => format!("{} ({abi})", call.name),
        None => call.name.clone(),
    };
    let rest: u64 = profile.calls[shown.len()..]
        .iter()
        .map(|call| call.count)
        .sum();
    let more = format!("{} more", profile.calls.len() - shown.len());
    let names = shown
        .iter()
        .map(|call| label(call).width())
        .max()
        .unwrap_or(0)
        .max(16);
    writeln!(
        to,
        "\n{}",
        paint(
            TITLE,
            format!(
                "{:<names$}  {:>13}  {:>6}  category",
                "syscall", "calls", "share"
            )
        )
    )?;
    let row = |name: &str, count: u64| {
        let share = percent(share_of(count, profile.total));
        format!("{name:<names$}  {:>13}  {share:>6}", grouped(count))
    };
    for call in shown {
        let category = paint(colour(call.category), call.category.name());
        writeln!(to, "{}  {category}", row(&label(call), call.count))?;
    }
    if rest > 0 {
        writeln!(to, "{}", paint(FAINT, row(&more, rest)))?;
    }
    writeln!(to, "{}", paint(TITLE, row("total", profile.total)))
}

fn categories(to: &mut dyn Write, profile: &SyscallProfile, width: usize) -> io::Result<()> {
    if profile.total == 0 {
        return Ok(());
    }
    let mut by_size: Vec<(u64, Category)> = Category::ALL
        .iter()
        .map(|category| (profile.by_category[*category as usize], *category))
        .filter(|(count, _)| *count > 0)
        .collect();
    by_size.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let room = width.saturating_sub(18).min(60);
    writeln!(to)?;
    for (count, category) in by_size {
        let share = share_of(count, profile.total);
        let bar = paint(colour(category), bar(share, room));
        writeln!(to, "{:<8}  {:>6}  {bar}", category.name(), percent(share))?;
    }
    Ok(())
}

fn processes(
    to: &mut dyn Write,
    profile: &SyscallProfile,
    top: usize,
    width: usize,
) -> io::Result<()> {
    let all = &profile.processes;
    let shown = &all[..top.min(all.len())];
    let rest: u64 = all[shown.len()..].iter().map(Process::total).sum();
    let title = format!(
        "{:>8}  {:<15}  {:>13}  {:>6}  most frequent",
        "pid", "process", "calls", "share"
    );
    writeln!(to, "\n{}", paint(TITLE, title))?;
    let room = width.saturating_sub(52).max(12);
    for process in shown {
        let mut calls = process.calls.clone();
        calls.sort_by_key(|(call, count)| (std::cmp::Reverse(*count), *call));
        let names: Vec<_> = calls
            .iter()
            .take(4)
            .map(|(call, _)| call.describe().0)
            .collect();
        let pid = match process.pid {
            0 => "?".to_owned(),
            pid => pid.to_string(),
        };
        let name = shortened(&process.command, 15);
        let pad = " ".repeat(15 - name.width().min(15));
        writeln!(
            to,
            "{:>8}  {name}{pad}  {:>13}  {:>6}  {}",
            pid,
            grouped(process.total()),
            percent(share_of(process.total(), profile.total)),
            shortened(&names.join(" "), room),
        )?;
    }
    if shown.len() < all.len() {
        let more = format!("{} more", grouped((all.len() - shown.len()) as u64));
        let share = percent(share_of(rest, profile.total));
        let row = format!("{:>8}  {more:<15}  {:>13}  {share:>6}", "", grouped(rest));
        writeln!(to, "{}", paint(FAINT, row))?;
    }
    let bound = if profile.losses.none() {
        "at most"
    } else {
        "at least"
    };
    writeln!(
        to,
        "{}",
        paint(
            FAINT,
            format!(
                "{}, {bound} {} of them and {} at once{}",
                plural(all.len() as u64, "process", "processes"),
                grouped(profile.max_processes),
                plural(profile.max_threads, "thread", "threads"),
                match all.iter().any(|process| process.pid == 0) {
                    true => "; ids are not known (kernel-without-btf)",
                    false => "",
                }
            )
        )
    )
}

/// The mix of calls. Their classes follow from counts, which do not show what limits a program.
fn mix(to: &mut dyn Write, profile: &SyscallProfile, width: usize) -> io::Result<()> {
    let by_category = Category::ALL
        .iter()
        .map(|category| (category.name(), profile.by_category[*category as usize]));
    match mix::of_calls(by_category, profile.analysis.rate_per_sec) {
        Some(text) => lines(to, "syscalls", text, width),
        None => Ok(()),
    }
}

fn quality(to: &mut dyn Write, profile: &SyscallProfile, width: usize) -> io::Result<()> {
    let losses = &profile.losses;
    let verdict = if losses.none() {
        let seen = grouped(profile.total);
        paint(GOOD, "complete") + format!(": all {seen} syscalls are shown, none was lost")
    } else {
        paint(BAD, "incomplete") + ": " + lost(losses).join("; ")
    };
    lines(to, "quality", verdict, width)
}

fn in_progress(to: &mut dyn Write, found: &InProgress, width: usize) -> io::Result<()> {
    let mut text = String::new();
    if !found.calls.is_empty() {
        let mut groups: BTreeMap<String, u64> = BTreeMap::new();
        for call in &found.calls {
            let object = call.object.as_ref().map(|it| format!(" {}", it.name));
            let group = format!("{}{}", call.name, object.unwrap_or_default());
            *groups.entry(group).or_default() += 1;
        }
        let mut groups: Vec<_> = groups.iter().collect();
        groups.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let more = groups.len().saturating_sub(RUNNING_NAMED);
        let named = groups.iter().take(RUNNING_NAMED);
        let mut parts: Vec<_> = named
            .map(|(group, count)| format!("{} {group}", grouped(**count)))
            .collect();
        if more > 0 {
            parts.push(format!("{more} more kinds"));
        }
        text = format!(
            "{}: in progress when denet attached, not counted",
            parts.join(", ")
        );
    }
    if found.unseen > 0 {
        let threads = plural(found.unseen, "thread", "threads");
        let separator = if text.is_empty() { "" } else { "; " };
        text += &format!("{separator}what {threads} waited in could not be read");
    }
    match text.is_empty() {
        true => Ok(()),
        false => lines(to, "before", &text, width),
    }
}

fn lost(losses: &Losses) -> Vec<String> {
    let say = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", grouped(count)));
    [
        say(losses.calls, "syscalls were counted as lost"),
        say(losses.map_full, "insertions found a map full"),
        say(losses.records, "ended tasks found the ring buffer full"),
        say(
            losses.unfollowed,
            "threads were not followed, or not from the start",
        ),
        say(
            losses.skipped_runs,
            "runs of an eBPF program were skipped by the kernel",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn still_running(to: &mut dyn Write, run: &Run, width: usize) -> io::Result<()> {
    // Who was attached to runs on as a matter of course.
    if run.attached && run.end != End::Command {
        return Ok(());
    }
    let running: Vec<_> = run
        .still_running()
        .into_iter()
        .map(|(pid, command)| format!("{command} ({pid})"))
        .collect();
    if running.is_empty() {
        return Ok(());
    }
    let more = running.len().saturating_sub(RUNNING_NAMED);
    let mut names = running[..running.len() - more].join(", ");
    if more > 0 {
        names += &format!(" and {} more", grouped(more as u64));
    }
    let until = match (run.end, run.exit) {
        (End::Command, Some(_)) => "watched until the command ended (--wait-all waits for them)",
        (End::Command, None) => "watched until the process ended (--wait-all waits for them)",
        (End::Duration, _) => "watched until --duration was over",
        (End::Interrupted(_), _) => "watched until the signal came",
        (End::Unread, _) => "watched until nobody read on",
    };
    lines(to, "running", format!("{names}: {until}"), width)
}

fn own_cost(to: &mut dyn Write, what: &str, own: &OwnCost, width: usize) -> io::Result<()> {
    let rss = own
        .peak_rss_kb
        .map(|kb| format!(", {} of memory", bytes(kb * 1024)));
    let maps = own
        .map_bytes
        .map(|size| format!(", {} in the kernel", bytes(size)));
    let used = format!(
        "{what} {} CPU{}{}",
        time(own.cpu),
        rss.unwrap_or_default(),
        maps.unwrap_or_default()
    );
    lines(to, "cost", &used, width)
}

/// Writes a finding: cause, evidence, fix, risk.
///
/// # Errors
/// What writing answers.
pub(crate) fn finding(to: &mut dyn Write, finding: &Finding, columns: usize) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    lines(
        to,
        "cause",
        format!("{} [{}]", finding.cause, finding.id),
        width,
    )?;
    evidence_and_fix(to, finding, width)
}

/// What was seen, what mends it and what that gives away.
pub(super) fn evidence_and_fix(
    to: &mut dyn Write,
    finding: &Finding,
    width: usize,
) -> io::Result<()> {
    for (at, text) in finding.evidence.iter().enumerate() {
        let label = format!("{:LABEL$}", if at == 0 { "evidence" } else { "" });
        behind(to, label, LABEL, text, width)?;
    }
    let mut risks: Vec<&str> = Vec::new();
    for (at, step) in finding.fix.iter().enumerate() {
        let label = format!("{:LABEL$}", if at == 0 { "fix" } else { "" });
        match step {
            Step::Manual { what, .. } => behind(to, label, LABEL, what, width)?,
            // Commands are to be copied: never broken.
            _ => line(to, label + &step.text())?,
        }
        if !step.risk().is_empty() && !risks.contains(&step.risk()) {
            risks.push(step.risk());
        }
    }
    for risk in risks {
        lines(to, "risk", risk, width)?;
    }
    Ok(())
}
