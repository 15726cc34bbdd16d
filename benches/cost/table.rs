//! The one table that is printed.

use std::fmt::{self, Display, Formatter};

/// One line of it.
#[derive(Debug)]
pub struct Row {
    what: String,
    measured: String,
    beside: String,
    budget: Option<Budget>,
}

#[derive(Debug)]
struct Budget {
    limit: String,
    kept: bool,
}

impl Row {
    /// What was measured, and how much it is.
    pub fn new(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            beside: String::new(),
            budget: None,
        }
    }

    /// What could not be measured here, and why.
    pub fn missing(what: impl Into<String>, reason: impl Display) -> Self {
        let one_line = reason.to_string().replace(['\n', '|'], " ");
        Self::new(what, format!("not measured: {one_line}"))
    }

    /// So many times something else.
    pub fn times(mut self, ratio: f64, of: &str) -> Self {
        let digits = if ratio < 10.0 { 2 } else { 0 };
        self.beside = format!("{ratio:.digits$} × {of}");
        self
    }

    /// The most that `value` may be; `unit` follows the number.
    pub fn at_most(mut self, limit: f64, unit: &str, value: f64) -> Self {
        self.budget = Some(Budget {
            limit: format!("≤ {limit} {unit}"),
            kept: value <= limit,
        });
        self
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (limit, verdict) = match &self.budget {
            None => ("", ""),
            Some(Budget { limit, kept: true }) => (limit.as_str(), "ok"),
            Some(Budget { limit, kept: false }) => (limit.as_str(), "**MISSED**"),
        };
        writeln!(
            f,
            "| {} | {} | {} | {limit} | {verdict} |",
            self.what, self.measured, self.beside
        )
    }
}

/// All lines.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// How many budgets were missed.
    pub fn missed(&self) -> usize {
        self.0
            .iter()
            .filter(|row| row.budget.as_ref().is_some_and(|budget| !budget.kept))
            .count()
    }
}

impl Extend<Row> for Table {
    fn extend<T: IntoIterator<Item = Row>>(&mut self, rows: T) {
        self.0.extend(rows);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| cost | measured | beside | budget | |")?;
        writeln!(f, "|---|---:|---:|---:|---|")?;
        self.0.iter().try_for_each(|row| row.fmt(f))
    }
}
