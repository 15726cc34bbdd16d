//! An expression that is not understood.

use std::fmt::{self, Display, Formatter};

use crate::decode::quote::escaped;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterError {
    /// The whole expression.
    pub(crate) expression: String,
    /// Bytes of it in front of the place.
    pub(crate) start: usize,
    /// Bytes of the place.
    pub(crate) length: usize,
    /// What is wrong there.
    pub(crate) message: String,
}

impl std::error::Error for FilterError {}

/// The message, then the expression with the place underlined.
impl Display for FilterError {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.expression.as_bytes();
        let start = self.start.min(bytes.len());
        let end = (start + self.length).min(bytes.len());
        let [before, place, after] =
            [&bytes[..start], &bytes[start..end], &bytes[end..]].map(|part| escaped(part, b""));
        let (indent, marks) = (" ".repeat(before.len()), "^".repeat(place.len().max(1)));
        write!(
            to,
            "{}\n  -e {before}{place}{after}\n     {indent}{marks}",
            self.message
        )
    }
}

/// The known name most like this one, as a question; empty if none is like it.
pub(super) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    const SIMILAR: f64 = 0.8;
    let scored = known.map(|known| (likeness(name, known), known));
    let best = scored
        .filter(|(score, _)| *score > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// Swapped letters are the commonest mistake, a shared beginning the next best hint.
fn likeness(name: &str, known: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(name, known)
        .max(strsim::jaro_winkler(name, known) - 0.05)
}
