//! What a recording says, in memory that does not grow with it: a fold over its records.
//!
//! [`read`] takes one line after the other (`lines`), recognises the first (`first`), parses what
//! matters of each (`pruned`, `fields`) and adds it to [`Statistics`]: each metric as a [`series::Series`]
//! with a [`histogram::Histogram`]. What was odd is counted in [`doubts::Doubts`], and where the summary
//! contradicts the samples, [`disagree`] finds it. Nothing here knows files.

pub(crate) mod calls;
pub(crate) mod disagree;
pub(crate) mod doubts;
mod error;
pub(crate) mod exits;
mod fields;
mod first;
pub(crate) mod histogram;
mod lines;
mod pruned;
pub(crate) mod series;
mod statistics;
pub(crate) mod summary;
mod values;

pub(crate) use error::StatsError;
pub(crate) use statistics::Statistics;
pub(crate) use values::TOTALS;

use std::io::BufRead;

use lines::{Line, Lines};

/// No line of a recording is longer: a sample of a hundred thousand processes takes 40 MB.
pub(crate) const LONGEST_LINE: usize = 64 << 20;

/// Reads a recording to its end, or to where it ends for now.
///
/// # Errors
/// Where it is none, or cannot be read.
pub fn read(from: impl BufRead) -> Result<Statistics, StatsError> {
    read_limited(from, LONGEST_LINE)
}

fn read_limited(from: impl BufRead, longest: usize) -> Result<Statistics, StatsError> {
    let mut lines = Lines::new(from, longest);
    let mut statistics = loop {
        match lines.next()? {
            None => return Err(StatsError::Empty),
            Some(line) if line.is_blank() => {}
            Some(line) => break Statistics::new(first::recognise(&line)?),
        }
    };
    while let Some(line) = lines.next()? {
        if !line.is_blank() && !add(&mut statistics, &line) {
            break;
        }
    }
    Ok(statistics)
}

/// Adds a line; `false` where another recording begins.
fn add(statistics: &mut Statistics, line: &Line<'_>) -> bool {
    match pruned::parse(line.bytes) {
        Ok(parsed) => {
            statistics.doubts.cut += u64::from(parsed.cut);
            statistics.add(line.number, &parsed.value)
        }
        Err(_) if !line.ended => {
            statistics.doubts.incomplete_last_line = true;
            true
        }
        Err(_) => {
            statistics.doubts.not_json.add(line.number);
            true
        }
    }
}

#[cfg(test)]
mod tests;
