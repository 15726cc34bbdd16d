//! How the smoke test went, as a table or as one JSON object.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::text;
use crate::output::colour::{BAD, FAINT, GOOD, Styled, TITLE, paint};
use crate::output::layout::WIDEST;
use crate::output::layout::{behind, grouped, lines, time};
use crate::output::schema::SCHEMA;
use crate::smoke::{NOT_RUN, Outcome, Report, Stage};

/// Columns in front of what a stage did.
const INDENT: usize = 30;

/// Writes the table, the finding if there is one, and the verdict.
///
/// # Errors
/// What writing answers.
pub(crate) fn table(to: &mut dyn Write, report: &Report, columns: usize) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    let title = format!(
        "  {:<7}  {:<7}  {:>8}  what was done",
        "stage", "status", "time"
    );
    writeln!(to, "{}", paint(TITLE, title))?;
    for (stage, outcome) in report.stages() {
        row(to, stage, outcome, width)?;
    }
    writeln!(to)?;
    if let Some((_, finding)) = report.failure() {
        text::finding(to, finding, columns)?;
        writeln!(to)?;
    }
    lines(to, "", verdict(report), width)
}

fn row(
    to: &mut dyn Write,
    stage: Stage,
    outcome: Option<&Outcome>,
    width: usize,
) -> io::Result<()> {
    let name = stage.name();
    let Some(outcome) = outcome else {
        return writeln!(to, "{}", paint(FAINT, format!("· {name:<7}  {NOT_RUN}")));
    };
    let (style, symbol) = match outcome.finding {
        None => (GOOD, '✓'),
        Some(_) => (BAD, '✗'),
    };
    let start = paint(style, symbol)
        + format!(" {name:<7}  ")
        + paint(style, format!("{:<7}", outcome.status()))
        + format!("  {:>8}  ", time(outcome.took));
    behind(to, start, INDENT, &outcome.detail, width)
}

fn verdict(report: &Report) -> Styled {
    let observed = report.observed.unwrap_or_default();
    let counted = format!(
        "{} of {} calls of {} were counted",
        grouped(observed),
        grouped(report.expected()),
        report.syscall
    );
    let (verdict, why) = match report.failure() {
        None => (paint(GOOD, "ok"), counted),
        Some((stage, finding)) => {
            let why = match stage {
                Stage::Observe => counted,
                _ => finding.id.to_owned(),
            };
            (paint(BAD, format!("FAILED at {}", stage.name())), why)
        }
    };
    verdict + format!(": {why} ({})", time(report.took()))
}

/// The same for scripts.
pub fn object(report: &Report) -> Value {
    let stages: Vec<Value> = report.stages().map(stage).collect();
    json!({
        "schema": SCHEMA,
        "tool": {"name": "ebpf_test", "version": env!("CARGO_PKG_VERSION")},
        "syscall": report.syscall,
        "stages": stages,
        "expected": report.expected(),
        "observed": report.observed,
        "ok": report.is_ok(),
    })
}

fn stage((stage, outcome): (Stage, Option<&Outcome>)) -> Value {
    let name = stage.name();
    let Some(outcome) = outcome else {
        return json!({"name": name, "status": NOT_RUN, "detail": null, "ms": null});
    };
    let ms = outcome.took.as_secs_f64() * 1e3;
    let mut value = json!({
        "name": name,
        "status": outcome.status(),
        "detail": outcome.detail,
        "ms": (ms * 1e3).round() / 1e3,
    });
    if let Some(finding) = &outcome.finding {
        value["finding"] = json!(finding);
    }
    value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::checks::smoke;

    fn outcome(detail: &str) -> Outcome {
        Outcome {
            detail: detail.to_owned(),
            took: Duration::from_micros(1234),
            finding: None,
        }
    }

    fn all_ok() -> Report {
        Report {
            syscall: "getpid",
            outcomes: Stage::ALL.map(|_| outcome("done")).to_vec(),
            observed: Some(1137),
        }
    }

    fn failed() -> Report {
        let refused = "BPF_MAP_CREATE denet_observed: Operation not permitted (os error 1)";
        let mut maps = outcome(refused);
        maps.finding = Some(smoke::broken_object(refused.to_owned()));
        Report {
            outcomes: vec![outcome("read"), outcome("types"), maps],
            observed: None,
            ..all_ok()
        }
    }

    fn page(report: &Report) -> String {
        let mut page = Vec::new();
        table(&mut page, report, 80).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(page).unwrap()).to_string()
    }

    #[test]
    fn a_table_of_eight_rows_and_one_verdict() {
        let page = page(&all_ok());
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(lines[1], "✓ object   ok         1.2 ms  done");
        assert_eq!(lines[8], "✓ detach   ok         1.2 ms  done");
        let verdict = "ok: 1,137 of 1,137 calls of getpid were counted (9.9 ms)";
        assert_eq!(lines[9..], ["", verdict]);
    }

    #[test]
    fn a_failure_names_the_stage_the_reason_and_what_was_left_out() {
        let page = page(&failed());
        assert!(
            page.contains("✗ maps     FAILED     1.2 ms  BPF_MAP_CREATE"),
            "{page}"
        );
        assert!(page.contains("· load     not run\n"), "{page}");
        assert!(page.contains("[object-broken]"), "{page}");
        assert!(
            page.ends_with("\n\nFAILED at maps: object-broken (3.7 ms)\n"),
            "{page}"
        );
        assert!(page.lines().all(|line| line.width() <= 80), "{page}");
    }

    #[test]
    fn both_numbers_are_told_when_they_differ() {
        let mut report = all_ok();
        report.observed = Some(1130);
        report.outcomes.truncate(7);
        report.outcomes[6].finding = Some(smoke::broken_object(String::new()));
        let verdict = "FAILED at observe: 1,130 of 1,137 calls of getpid were counted (8.6 ms)\n";
        assert!(page(&report).ends_with(verdict), "{}", page(&report));
    }

    #[test]
    fn scripts_get_every_stage_too() {
        let value = object(&failed());
        assert_eq!(value["stages"].as_array().map(Vec::len), Some(8));
        assert_eq!(value["stages"][0]["ms"], 1.234);
        assert_eq!(value["stages"][2]["finding"]["id"], "object-broken");
        assert_eq!(value["stages"][3]["status"], "not run");
        assert_eq!(
            (&value["observed"], &value["ok"]),
            (&Value::Null, &false.into())
        );
        assert_eq!(object(&all_ok())["ok"], true);
    }
}
