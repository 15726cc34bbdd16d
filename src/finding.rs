//! What stands in the way, why, and what mends it.

/// One thing that is wrong, for the person who has to mend it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Stable name of the finding.
    pub id: &'static str,
    /// What is the matter, in a sentence.
    pub cause: String,
    /// What was seen that says so.
    pub evidence: Vec<String>,
    /// What to do: a command each, or a sentence where no command does it.
    pub fix: Vec<String>,
    /// What the fix gives away; empty if nothing.
    pub risk: String,
}
