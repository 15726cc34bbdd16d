//! What became of a check.

use crate::checks::finding::Finding;
use crate::facts::Fact;

/// What a check says of the facts. "Could not look" is neither good nor bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be; what was seen.
    Ok(String),
    /// It does not matter here; why.
    NotApplicable(String),
    /// It works, with less or at a price.
    Degraded(Box<Finding>),
    /// It stands in the way.
    Blocked(Box<Finding>),
    /// Nobody could look; why.
    Unknown(String),
}

impl Verdict {
    /// As it should be.
    pub(super) fn ok(seen: impl Into<String>) -> Self {
        Self::Ok(seen.into())
    }

    /// It does not matter here.
    pub(super) fn not_applicable(why: impl Into<String>) -> Self {
        Self::NotApplicable(why.into())
    }

    /// It stands in the way.
    pub(super) fn blocked(finding: Finding) -> Self {
        Self::Blocked(Box::new(finding))
    }

    /// It works, with less.
    pub(super) fn degraded(finding: Finding) -> Self {
        Self::Degraded(Box::new(finding))
    }

    /// What is to be said where a fact is not known; `absent` is why it does not exist.
    pub(super) fn without<T>(fact: &Fact<T>, absent: &str) -> Self {
        Self::Unknown(match fact {
            Fact::Denied(why) | Fact::Failed(why) => why.clone(),
            Fact::Known(_) | Fact::Absent => absent.to_owned(),
        })
    }

    /// The finding, where there is one.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Degraded(finding) | Self::Blocked(finding) => Some(finding),
            Self::Ok(_) | Self::NotApplicable(_) | Self::Unknown(_) => None,
        }
    }

    /// Stable name, for scripts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::NotApplicable(_) => "not_applicable",
            Self::Degraded(_) => "degraded",
            Self::Blocked(_) => "blocked",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// By what a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Evidence {
    /// Files of the kernel and settings, read.
    Facts,
    /// What the kernel's own rules make of them.
    Inference,
    /// What the kernel answered when it was asked to do it.
    Probe,
}

/// A check, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Stable name: of the check, of the finding it makes, and of its page in docs/troubleshooting.
    pub id: &'static str,
    /// What it looks at.
    pub(crate) title: &'static str,
    /// Under which heading it stands.
    pub(crate) section: &'static str,
    /// By what it goes.
    pub(crate) evidence: Evidence,
    /// What it said.
    pub verdict: Verdict,
}
