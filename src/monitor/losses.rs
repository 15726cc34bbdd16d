//! How many events were lost, and how the observation ended.

use serde_json::{Value, json};

use crate::output::layout::{plural, time};
use crate::profile::model::{End, Losses, Run};

/// Numbers of lost events, by where they were lost.
pub(crate) fn fields(losses: &Losses) -> Value {
    json!({
        "events": losses.events,
        "calls": losses.calls,
        "map_full": losses.map_full,
        "records": losses.records,
        "unfollowed": losses.unfollowed,
        "skipped_runs": losses.skipped_runs,
        "unseen": losses.unseen,
    })
}

/// Why what was reported may not be all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Missing<'a> {
    pub(crate) losses: Losses,
    /// Records that could not be understood.
    pub(crate) unreadable: u64,
    /// What the monitor itself knows that its sums lack, in the singular and the plural.
    pub(crate) of_sums: &'a [(u64, &'static str, &'static str)],
}

impl Missing<'_> {
    /// Nothing is missing.
    pub(crate) fn none(&self) -> bool {
        let of_sums = self.of_sums.iter().all(|(count, ..)| *count == 0);
        self.losses.none() && self.unreadable == 0 && of_sums
    }
}

/// The last line for people. `written`: every record was.
pub(crate) fn end(run: &Run, missing: &Missing<'_>, written: bool) -> String {
    let Missing {
        losses,
        unreadable,
        of_sums,
    } = *missing;
    let ended = match run.end {
        End::Command => "ended",
        End::Duration => "--duration is over",
        End::Interrupted(_) => "interrupted",
        End::Unread => "the reader closed the pipe: ended",
    };
    let mut out = format!("{ended} after {}; ", time(run.wall));
    if missing.none() {
        out += match written {
            true => "complete: nothing was lost\n",
            false => "NOT complete: not all records could be written\n",
        };
        return out;
    }
    let parts = [
        (losses.events, "event found no room", "events found no room"),
        (losses.calls, "call", "calls"),
        (
            losses.map_full,
            "entry of a full table",
            "entries of full tables",
        ),
        (losses.records, "ended thread", "ended threads"),
        (
            losses.unfollowed,
            "thread not followed",
            "threads not followed",
        ),
        (
            losses.skipped_runs,
            "run that the kernel skipped",
            "runs that the kernel skipped",
        ),
        (
            losses.unseen,
            "call in progress that could not be shown",
            "calls in progress that could not be shown",
        ),
        (
            unreadable,
            "record not understood",
            "records not understood",
        ),
    ];
    let lost: Vec<_> = parts
        .iter()
        .chain(of_sums)
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| plural(*count, one, many))
        .collect();
    out += &format!("NOT complete, lost: {}\n", lost.join(", "));
    out
}
