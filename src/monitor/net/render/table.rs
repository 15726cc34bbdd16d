//! The sums as a table.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::{address, connecting, errno_name, in_progress, remote, socket_type};
use crate::monitor::net::model::{Endpoint, Operation, Seen};
use crate::output::escape::escaped;
use crate::output::layout::{self, grouped, shortened, time};

const HEADER: [&str; 10] = [
    "IN", "OUT", "CALLS", "ERRORS", "PID", "BY", "SOCKET", "LOCAL", "REMOTE", "NOTES",
];
/// How many of these are numbers, and how many precede the columns of variable length.
const NUMBERS: usize = 5;
const FRONT: usize = 7;
/// Indentation of further lines of a row.
const INDENT: usize = 4;

/// How much each process sent and received, by socket and remote end.
///
/// `columns` is the width of the terminal; `None`: as wide as necessary.
pub(crate) fn table(seen: Option<&Seen>, top: usize, columns: Option<usize>) -> String {
    let Some(seen) = seen else {
        return "what was added up could not be read\n".to_owned();
    };
    if seen.endpoints.is_empty() {
        return "nobody used a socket\n".to_owned();
    }
    let all = seen.endpoints.len();
    let shown = if top == 0 { all } else { top.min(all) };
    let shown = &seen.endpoints[..shown];
    let rows: Vec<_> = shown.iter().map(row).collect();
    let mut out = format!("\n{}", layout::table(&HEADER, &rows, NUMBERS));
    if columns.is_some_and(|columns| out.lines().any(|line| line.width() > columns)) {
        out = folded(&rows, columns.unwrap_or(0));
    }
    if all > rows.len() {
        out += &format!("and {} more (--top 0 shows all)\n", all - rows.len());
    }
    out + &total(seen) + "\n"
}

/// Each row on two or more lines, if one line is too long for the terminal.
fn folded(rows: &[Vec<String>], columns: usize) -> String {
    let fronts: Vec<_> = rows.iter().map(|row| row[..FRONT].to_vec()).collect();
    let fronts = layout::table(&HEADER[..FRONT], &fronts, NUMBERS);
    let header = HEADER.map(ToOwned::to_owned).to_vec();
    let mut out = "\n".to_owned();
    for (front, row) in fronts.lines().zip([&header].into_iter().chain(rows)) {
        let [local, remote, notes] = [&row[FRONT], &row[FRONT + 1], &row[FRONT + 2]];
        let mut words = vec![local.clone(), format!("-> {remote}")];
        words.extend(notes.split_terminator(", ").map(ToOwned::to_owned));
        out += &format!("{front}\n");
        for line in filled(&words, columns.saturating_sub(INDENT)) {
            out += &format!("{:INDENT$}{line}\n", "");
        }
    }
    out
}

/// Words broken into lines.
fn filled(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + word.width() <= columns => {
                line.push_str("  ");
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

fn row(it: &Endpoint) -> Vec<String> {
    vec![
        grouped(it.bytes_in),
        grouped(it.bytes_out),
        grouped(it.all_calls()),
        grouped(it.all_errors()),
        it.process.pid.to_string(),
        escaped(&it.command),
        socket_type(it.socket_type),
        shortened(&address(&it.local), 60),
        shortened(&remote(&it.remote, it.peer_inode), 60),
        notes(it),
    ]
}

/// A duration; connecting on the same machine takes microseconds.
fn latency(took: Duration) -> String {
    if took < Duration::from_millis(1) {
        format!("{} µs", took.as_micros())
    } else {
        time(took)
    }
}

/// Notes on connections and errors.
fn notes(it: &Endpoint) -> String {
    let mut notes = Vec::new();
    if it.connects.made == 1 {
        notes.push(format!("connected in {}", latency(it.connects.took)));
    } else if it.connects.made > 1 {
        let mean = it.connects.took / u32::try_from(it.connects.made).unwrap_or(u32::MAX);
        let mean = latency(mean);
        notes.push(format!("connected {} times in {mean}", it.connects.made));
    }
    if it.accepted > 0 {
        notes.push("accepted".to_owned());
    }
    for ((operation, errno), count) in &it.errors {
        let times = if *count == 1 {
            String::new()
        } else {
            format!(" x{count}")
        };
        let what = match operation {
            Operation::GivenUp => "connect given up".to_owned(),
            Operation::ConnectLater => format!(
                "later {}",
                errno_name(i32::try_from(*errno).unwrap_or(i32::MAX))
            ),
            _ => errno_name(i32::try_from(*errno).unwrap_or(i32::MAX)),
        };
        notes.push(format!("{what}{times}"));
    }
    if it.errors_unnamed > 0 {
        notes.push(format!("{} errors unknown", it.errors_unnamed));
    }
    notes.join(", ")
}

fn total(seen: &Seen) -> String {
    let sum = |of: fn(&Endpoint) -> u64| grouped(seen.endpoints.iter().map(of).sum());
    let mut out = format!(
        "{} bytes in, {} bytes out, {} calls\n",
        sum(|it| it.bytes_in),
        sum(|it| it.bytes_out),
        sum(Endpoint::all_calls)
    );
    let warnings = [
        (in_progress(&seen.control), "calls have not returned"),
        (connecting(&seen.control), "connects are not decided"),
        (seen.control.untracked_bytes, "bytes have no row: too many"),
        (
            seen.control.lengths_unknown,
            "lengths are not known: of these messages the whole is counted",
        ),
        (
            seen.control.untracked_calls,
            "calls found no room while they lasted: what they did is not known",
        ),
        (seen.control.unread_calls, "calls could not be read"),
    ];
    for (count, what) in warnings.iter().filter(|(count, _)| *count > 0) {
        out += &format!("{} {what}\n", grouped(*count));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_terminals_get_rows_of_several_lines() {
        let row = |local: &str, notes: &str| {
            let cells = [
                "1", "20", "3", "0", "77", "curl", "tcp", local, "[::1]:80", notes,
            ];
            cells.map(ToOwned::to_owned).to_vec()
        };
        let rows = [row("[::1]:4000", "accepted, EAGAIN"), row("-", "")];
        let wide = folded(&rows, 60);
        assert_eq!(
            wide,
            "\nIN  OUT  CALLS  ERRORS  PID  BY    SOCKET\n    LOCAL  -> REMOTE  NOTES\n \
             1   20      3       0   77  curl  tcp\n    [::1]:4000  -> [::1]:80  accepted  EAGAIN\n \
             1   20      3       0   77  curl  tcp\n    -  -> [::1]:80\n"
        );
        let narrow = folded(&rows, 30);
        assert!(
            narrow.contains("    [::1]:4000  -> [::1]:80\n    accepted  EAGAIN\n"),
            "{narrow}"
        );
    }
}
