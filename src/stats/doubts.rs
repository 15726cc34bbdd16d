//! What in a recording was not as it should be: counted, and named as far as there is room.

use std::collections::BTreeMap;

/// So many names, or lines, are told apart.
const NAMED: usize = 8;
/// Characters of a name.
const LONGEST: usize = 40;

/// Everything that was odd.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts {
    /// Lines that are no JSON.
    pub(crate) not_json: LineNumbers,
    /// Lines that are JSON, but no object.
    pub(crate) no_record: LineNumbers,
    /// The last line has no end and is no JSON.
    pub(crate) incomplete_last_line: bool,
    /// Records of kinds that this denet does not know.
    pub(crate) unknown_kinds: Names,
    /// Fields of known kinds that it does not know.
    pub(crate) unknown_fields: Names,
    /// Fields of another type than the schema says.
    pub(crate) wrong_types: Names,
    /// Fields with a number that cannot be right: they are left out.
    pub(crate) implausible: Names,
    /// Counters that fell, though they only ever rise: the largest value is taken.
    pub(crate) fell: Names,
    /// Samples from before the sample before.
    pub(crate) backwards: u64,
    /// Records larger than what is kept of one.
    pub(crate) cut: u64,
    /// Records behind the summary.
    pub(crate) after_summary: u64,
    /// The line where another recording begins, which is not read.
    pub(crate) another_at: Option<u64>,
}

impl Doubts {
    /// There are none that concern what is recorded. What is not known is not wrong.
    pub(crate) fn none(&self) -> bool {
        self.not_json.count == 0
            && self.no_record.count == 0
            && !self.incomplete_last_line
            && [&self.wrong_types, &self.implausible, &self.fell]
                .iter()
                .all(|names| names.total() == 0)
            && self.backwards + self.cut + self.after_summary == 0
            && self.another_at.is_none()
    }
}

/// How many lines, and which were the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineNumbers {
    pub(crate) count: u64,
    /// The first ones.
    pub(crate) first: Vec<u64>,
}

impl LineNumbers {
    /// Counts a line.
    pub(crate) fn add(&mut self, number: u64) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(number);
        }
    }
}

/// How often, by name, as far as there is room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Those that found room.
    pub(crate) named: BTreeMap<String, u64>,
    /// All others together.
    pub(crate) others: u64,
}

impl Names {
    /// Counts one.
    pub(crate) fn add(&mut self, name: &str) {
        let short: String = name.chars().take(LONGEST).collect();
        if self.named.len() < NAMED || self.named.contains_key(&short) {
            *self.named.entry(short).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// All together.
    pub(crate) fn total(&self) -> u64 {
        self.named.values().sum::<u64>() + self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_limited_but_all_are_counted() {
        let (mut names, mut lines) = (Names::default(), LineNumbers::default());
        for number in 0..1000 {
            names.add(&format!("{number}{}", "é".repeat(1000)));
            lines.add(number);
        }
        names.add(&format!("0{}", "é".repeat(1000)));
        assert_eq!((names.named.len(), names.total()), (NAMED, 1001));
        assert_eq!((lines.first.len(), lines.count), (NAMED, 1000));
    }
}
