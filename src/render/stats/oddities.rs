//! What in a recording was not as it should be, in words.

use std::io::{self, Write};

use crate::output::layout::{grouped, lines, plural};
use crate::stats::doubts::{Doubts, LineNumbers, Names};

/// A line for each.
pub(super) fn write(to: &mut dyn Write, doubts: &Doubts, width: usize) -> io::Result<()> {
    for (at, text) in texts(doubts).into_iter().enumerate() {
        lines(to, if at == 0 { "odd" } else { " " }, &text, width)?;
    }
    Ok(())
}

fn texts(doubts: &Doubts) -> Vec<String> {
    let counted = |count: u64, one: &str, many: &str| (count > 0).then(|| plural(count, one, many));
    let texts = [
        skipped(&doubts.not_json, "not JSON"),
        skipped(&doubts.no_record, "no record"),
        doubts
            .incomplete_last_line
            .then(|| "incomplete last line (still being written, or cut off)".to_owned()),
        named(
            &doubts.unknown_kinds,
            "record of an unknown kind, ignored",
            "records of unknown kinds, ignored",
        ),
        named(
            &doubts.unknown_fields,
            "unknown field, ignored",
            "unknown fields, ignored",
        ),
        named(
            &doubts.wrong_types,
            "field of the wrong type, left out",
            "fields of the wrong type, left out",
        ),
        named(
            &doubts.implausible,
            "number that cannot be right, left out",
            "numbers that cannot be right, left out",
        ),
        named(
            &doubts.fell,
            "counter fell that can only rise, the largest value is shown",
            "times a counter fell that can only rise, the largest value is shown",
        ),
        counted(
            doubts.backwards,
            "sample is older than the one before it",
            "samples are older than those before them",
        ),
        counted(
            doubts.cut,
            "record is too large to be kept whole",
            "records are too large to be kept whole",
        ),
        counted(
            doubts.after_summary,
            "record behind the summary is left out",
            "records behind the summary are left out",
        ),
        doubts
            .another_at
            .map(|line| format!("another recording begins in line {line}: it is not read")),
    ];
    texts.into_iter().flatten().collect()
}

fn skipped(numbers: &LineNumbers, what: &str) -> Option<String> {
    let first: Vec<_> = numbers.first.iter().map(u64::to_string).collect();
    let more = numbers.count - numbers.first.len() as u64;
    match (numbers.count, more) {
        (0, _) => None,
        (1, _) => Some(format!("line {} is {what}: skipped", first.join(""))),
        (_, 0) => Some(format!("lines {} are {what}: skipped", first.join(", "))),
        (_, more) => Some(format!(
            "lines {} and {} more are {what}: skipped",
            first.join(", "),
            grouped(more)
        )),
    }
}

fn named(names: &Names, one: &str, many: &str) -> Option<String> {
    if names.total() == 0 {
        return None;
    }
    let mut list: Vec<_> = names
        .named
        .iter()
        .map(|(name, count)| match count {
            1 => name.clone(),
            count => format!("{name} ({}×)", grouped(*count)),
        })
        .collect();
    if names.others > 0 {
        list.push(format!("{} more", grouped(names.others)));
    }
    let counted = plural(names.total(), one, many);
    Some(format!("{counted}: {}", list.join(", ")))
}
