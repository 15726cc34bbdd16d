//! Nanoseconds added to a syscall, beside the least that any program on the same hook adds.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::Command;

use denet::profile::cost::{self, Round};

use crate::cpu;
use crate::median::median;
use crate::table::Row;

/// The argument for [`print_rounds`].
pub const HOOK_ROUNDS: &str = "--hook-rounds";

/// Where code and stacks lie differs from process to process, and can cost as much as a program.
const PROCESSES: usize = 9;
const ROUNDS: usize = 60;
const OTHER_LIMIT: f64 = 1.1;
const TARGET_LIMIT: f64 = 1.25;

/// Measures, in processes of its own.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rounds = Vec::new();
    for _ in 0..PROCESSES {
        rounds.extend(in_new_process()?);
    }
    let added = |ns: fn(&Round) -> f64| median(rounds.iter().map(|round| ns(round) - round.bare));
    let times_empty = |ns: fn(&Round) -> f64| {
        median(
            rounds
                .iter()
                .map(|round| (ns(round) - round.bare) / (round.empty - round.bare)),
        )
    };
    let bare = median(rounds.iter().map(|round| round.bare));
    let row = |what: &str, ns: fn(&Round) -> f64| Row::new(what, format!("+{:.0} ns", added(ns)));
    let limited = |what: &str, ns: fn(&Round) -> f64, limit: f64| {
        let ratio = times_empty(ns);
        row(what, ns)
            .times(ratio, "empty hook")
            .at_most(limit, "×", ratio)
    };
    Ok(vec![
        Row::new("`getppid`, nothing attached", format!("{bare:.0} ns")),
        row("an empty program on raw_tp/sys_enter", |round| round.empty).times(1.0, "empty hook"),
        limited(
            "denet, a process that is not followed",
            |round| round.other,
            OTHER_LIMIT,
        ),
        limited(
            "denet, the followed process",
            |round| round.target,
            TARGET_LIMIT,
        ),
    ])
}

fn in_new_process() -> Result<Vec<Round>, Box<dyn Error>> {
    let bench = std::env::current_exe()?;
    let output = Command::new("taskset")
        .args(["-c", &cpu::last()?])
        .arg(bench)
        .arg(HOOK_ROUNDS)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().trim_start_matches("cost: ").into());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .map(parsed)
        .collect()
}

/// Measures in this process and prints a line for each round.
pub fn print_rounds() -> Result<(), Box<dyn Error>> {
    for Round {
        bare,
        empty,
        other,
        target,
    } in cost::rounds(ROUNDS)?
    {
        writeln!(io::stdout(), "{bare} {empty} {other} {target}")?;
    }
    Ok(())
}

fn parsed(line: &str) -> Result<Round, Box<dyn Error>> {
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    match numbers[..] {
        [bare, empty, other, target] => Ok(Round {
            bare,
            empty,
            other,
            target,
        }),
        _ => Err(format!("not a round: {line}").into()),
    }
}
