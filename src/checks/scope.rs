//! The finding about processes that the user may not observe.

use super::finding::Finding;
use super::step::Step;
use crate::facts::scope::CONFIG;

pub(crate) const NOT_YOURS: &str = "not-yours";

/// The refusal of a target that the user may not observe.
pub(crate) fn not_yours(cause: &str, evidence: String) -> Box<Finding> {
    let cause = format!(
        "{cause}: denet gets its privileges from its file, so it shows you only what ptrace(2) would"
    );
    Box::new(Finding {
        id: NOT_YOURS,
        cause,
        evidence: vec![evidence],
        fix: vec![
            Step::Run("run denet with sudo".to_owned()),
            Step::Manual {
                what: format!("or, as root, lift this limit: denet setup --apply --with scope=any (writes {CONFIG})"),
                risk: "everyone who may execute denet then sees the system calls of all users' programs, with arguments"
                    .into(),
            },
        ],
    })
}
