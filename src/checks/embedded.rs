//! The objects within the binary itself.

use super::smoke;
use super::verdict::Verdict;
use crate::facts::Facts;

pub(super) fn are_sound(facts: &Facts) -> Verdict {
    let objects = &facts.objects;
    if objects.is_empty() {
        return Verdict::not_applicable("this binary was built without eBPF");
    }
    let wrong: Vec<String> = objects
        .iter()
        .filter_map(|object| match (&object.problem, object.misaligned_by) {
            (Some(problem), _) => Some(format!("{}: {problem}", object.name)),
            (None, 0) => None,
            (None, by) => Some(format!(
                "{}: {by} bytes beyond an address that is a multiple of 8",
                object.name
            )),
        })
        .collect();
    if !wrong.is_empty() {
        let mut finding = smoke::broken_object(String::new());
        finding.evidence = wrong;
        return Verdict::blocked(finding);
    }
    Verdict::ok("each can be read, and is aligned")
}
