//! In a build without the feature `ebpf` there is no object to begin with.

use super::{Failure, Options, Report, Stage};
use crate::checks::finding::Finding;
use crate::checks::step::Step;

pub(super) fn run(_: &Options, report: &mut Report) -> Option<()> {
    report.stage(Stage::Object, || {
        Err(Failure {
            detail: "none in this binary".to_owned(),
            finding: Box::new(Finding {
                id: "built-without-ebpf",
                cause: "this ebpf_test was built without eBPF".to_owned(),
                evidence: vec!["cargo feature ebpf: off".to_owned()],
                fix: vec![Step::Run("cargo build --release".to_owned())],
            }),
        })
    })
}
