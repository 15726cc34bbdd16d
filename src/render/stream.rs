//! What all streams have in common: what was lost, and how it ended.

use serde_json::{Value, json};

use super::layout::{grouped, plural, time};
use crate::output::escape::printable;
use crate::profile::model::{End, Losses, Run};

/// What was lost, each kind beside where.
pub fn losses(losses: &Losses) -> Value {
    json!({
        "events": losses.events,
        "calls": losses.calls,
        "map_full": losses.map_full,
        "records": losses.records,
        "unfollowed": losses.unfollowed,
        "skipped_runs": losses.skipped_runs,
    })
}

/// The last words for people.
pub fn end(run: &Run, losses: &Losses, unreadable: u64) -> String {
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

/// Rows below a header, the first `numbers` columns to the right, the rest to the left.
pub fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let shown = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let width = |column: usize| {
        let of_rows = rows.iter().map(|row| row[column].width());
        of_rows.chain([header[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let gap = " ".repeat(width.saturating_sub(cell.width()));
                if column < numbers {
                    format!("{gap}{cell}")
                } else {
                    format!("{cell}{gap}")
                }
            });
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let mut out = line(&mut header.iter().copied());
    for row in &rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}

/// As people write large numbers.
pub fn number(count: u64) -> String {
    grouped(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["7".to_owned(), "ls".to_owned()],
            vec!["1,000".to_owned(), "\u{7}".to_owned()],
        ];
        assert_eq!(
            table(&["COUNT", "NAME"], &rows, 1),
            "COUNT  NAME\n    7  ls\n1,000  \\x07\n"
        );
    }
}
