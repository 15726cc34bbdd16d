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
    })
}

/// The last line for people.
pub(crate) fn end(run: &Run, losses: &Losses, unreadable: u64) -> String {
    let ended = match run.end {
        End::Command => "ended",
        End::Duration => "--duration is over",
        End::Interrupted(_) => "interrupted",
        End::Unread => "nobody reads on: ended",
    };
    let mut out = format!("{ended} after {}; ", time(run.wall));
    if losses.none() && unreadable == 0 {
        out += "complete: nothing was lost\n";
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
            unreadable,
            "record not understood",
            "records not understood",
        ),
    ];
    let lost: Vec<_> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| plural(*count, one, many))
        .collect();
    out += &format!("NOT complete, lost: {}\n", lost.join(", "));
    out
}
