//! What stands in the way, why, and what mends it.

use crate::checks::step::Step;

/// One thing that is wrong, for the person who has to mend it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Stable name of the finding.
    pub(crate) id: &'static str,
    /// What is the matter, in a sentence.
    pub(crate) cause: String,
    /// What was seen that says so.
    pub(crate) evidence: Vec<String>,
    /// What mends it: one after the other.
    pub fix: Vec<Step>,
}
