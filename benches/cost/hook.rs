//! Nanoseconds added to a syscall, beside the least that any program on the same hook adds.

use std::error::Error;

use denet::profile::cost::{self, Round};

use crate::cpu::Pinned;
use crate::median::median;
use crate::table::Row;

const ROUNDS: usize = 401;
const OTHER_LIMIT: f64 = 1.1;
const TARGET_LIMIT: f64 = 1.25;

/// Measures, in this process.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let pinned = Pinned::to_last()?;
    let rounds = cost::rounds(ROUNDS)?;
    drop(pinned);
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
