//! Does eBPF work here? One small program goes through every stage of its life.
//!
//! It counts the calls of one syscall by one task: this one, which makes a known number of them.
//! `stages` has the effects; here is what comes of them.

#[cfg(feature = "ebpf")]
mod stages;
#[cfg(not(feature = "ebpf"))]
#[path = "unbuilt.rs"]
mod stages;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::checks::finding::Finding;
use crate::decode::syscalls::harmless::Harmless;

/// What is called and looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The syscall that is made and counted.
    pub(crate) call: Harmless,
    /// Where the kernel describes its own types.
    pub(crate) btf: PathBuf,
}

/// Calls that are made, one lot after the other: a count that is always the same is no count.
pub(crate) const ROUNDS: [u64; 2] = [1000, 137];

/// A stage of the program's life. Each needs all those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The object in this binary is read.
    Object,
    /// Types: the object's own, and the kernel's if it has any.
    Btf,
    /// Maps are made, and the one with the count is mapped into memory.
    Maps,
    /// The kernel verifies the program.
    Load,
    /// The program learns whose calls to count, and is attached.
    Attach,
    /// The calls are made.
    Trigger,
    /// The count is compared.
    Observe,
    /// The link is closed; what is called from then on is not counted.
    Detach,
}

impl Stage {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Object,
        Self::Btf,
        Self::Maps,
        Self::Load,
        Self::Attach,
        Self::Trigger,
        Self::Observe,
        Self::Detach,
    ];

    /// As in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Btf => "btf",
            Self::Maps => "maps",
            Self::Load => "load",
            Self::Attach => "attach",
            Self::Trigger => "trigger",
            Self::Observe => "observe",
            Self::Detach => "detach",
        }
    }
}

/// A stage that was gone through.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// What it did, or what was refused.
    pub(crate) detail: String,
    /// How long that took.
    pub(crate) took: Duration,
    /// Why it failed, if it did.
    pub(crate) finding: Option<Finding>,
}

impl Outcome {
    /// As in the output.
    pub(crate) fn status(&self) -> &'static str {
        if self.finding.is_none() {
            "ok"
        } else {
            "FAILED"
        }
    }
}

/// What the output says of a stage that a failure before it left out.
pub(crate) const NOT_RUN: &str = "not run";

/// How the test went.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Name of the syscall.
    pub(crate) syscall: &'static str,
    /// Outcomes of the stages that were run, in the order of [`Stage::ALL`]: only the last can have failed.
    pub(crate) outcomes: Vec<Outcome>,
    /// Calls that the program counted; `None` if it did not come to that.
    pub(crate) observed: Option<u64>,
}

impl Report {
    /// Calls that the program has to count.
    pub(crate) fn expected(&self) -> u64 {
        ROUNDS.iter().sum()
    }

    /// Every stage with its outcome, if it was run.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (Stage, Option<&Outcome>)> {
        let outcomes = self.outcomes.iter().map(Some);
        Stage::ALL
            .into_iter()
            .zip(outcomes.chain(std::iter::repeat(None)))
    }

    /// The stage that failed, and why.
    pub(crate) fn failure(&self) -> Option<(Stage, &Finding)> {
        self.stages()
            .find_map(|(stage, outcome)| Some((stage, outcome?.finding.as_ref()?)))
    }

    /// Every stage was run, and none failed.
    pub(crate) fn is_ok(&self) -> bool {
        self.outcomes.len() == Stage::ALL.len() && self.failure().is_none()
    }

    /// From the first stage to the last that was run.
    pub(crate) fn took(&self) -> Duration {
        self.outcomes.iter().map(|outcome| outcome.took).sum()
    }

    /// Runs the next stage; `None` if it failed, and then no other may follow.
    fn stage<T>(
        &mut self,
        stage: Stage,
        run: impl FnOnce() -> Result<(T, String), Failure>,
    ) -> Option<T> {
        debug_assert_eq!(Stage::ALL.get(self.outcomes.len()), Some(&stage));
        let start = Instant::now();
        let result = run();
        let took = start.elapsed();
        tracing::debug!(?stage, ?took, failed = result.is_err(), "stage");
        let (value, detail, finding) = match result {
            Ok((value, detail)) => (Some(value), detail, None),
            Err(Failure { detail, finding }) => (None, detail, Some(*finding)),
        };
        self.outcomes.push(Outcome {
            detail,
            took,
            finding,
        });
        value
    }
}

/// Why a stage failed.
struct Failure {
    detail: String,
    finding: Box<Finding>,
}

/// Goes through all stages, or up to the first that fails. Nothing stays loaded.
pub(crate) fn run(options: &Options) -> Report {
    let mut report = Report {
        syscall: options.call.name(),
        outcomes: Vec::with_capacity(Stage::ALL.len()),
        observed: None,
    };
    // What failed is in the report.
    let _ = stages::run(options, &mut report);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            syscall: "getpid",
            outcomes: Vec::new(),
            observed: None,
        }
    }

    fn failing() -> Failure {
        Failure {
            detail: "refused".to_owned(),
            finding: Box::new(crate::checks::smoke::broken_object(String::new())),
        }
    }

    #[test]
    fn a_failure_leaves_out_what_follows() {
        let mut report = report();
        let first = report.stage(Stage::Object, || Ok((7, "read".to_owned())));
        assert_eq!(first, Some(7));
        let second: Option<()> = report.stage(Stage::Btf, || Err(failing()));
        assert_eq!(second, None);
        let seen: Vec<_> = report
            .stages()
            .map(|(_, outcome)| outcome.map_or(NOT_RUN, Outcome::status))
            .collect();
        assert_eq!(seen[..3], ["ok", "FAILED", "not run"]);
        assert_eq!(seen.len(), 8);
        assert_eq!(report.failure().map(|(stage, _)| stage), Some(Stage::Btf));
        assert!(!report.is_ok());
    }

    #[test]
    fn only_the_whole_way_is_ok() {
        let mut report = report();
        for stage in Stage::ALL {
            assert!(!report.is_ok());
            report.stage(stage, || Ok(((), String::new())));
        }
        assert!(report.is_ok());
    }

    #[test]
    fn the_rounds_differ() {
        assert_ne!(ROUNDS[0], ROUNDS[1]);
    }
}
