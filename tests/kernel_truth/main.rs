//! What `checks::predict` says, beside what real kernels answered: tests/data/kernel-truth.
//!
//! `cargo test --test kernel_truth -- --nocapture` prints the agreement per scenario and operation.
#![expect(clippy::panic, reason = "a test that cannot go on says so")]
#![expect(
    clippy::print_stdout,
    reason = "the agreement is for people to read, too"
)]

mod operations;
mod oracle;
mod scenarios;

use std::collections::BTreeMap;

use denet::checks::predict::{Conditions, Outcome, first_refusal};

use operations::steps;
use oracle::{disagreements, key, rows};
use scenarios::{conditions_of, kernels};

fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::EINVAL => "EINVAL",
        libc::ENOENT => "ENOENT",
        libc::E2BIG => "E2BIG",
        _ => panic!("not in the oracle: errno {errno}"),
    }
}

/// As the oracle writes it, and why.
fn predicted(operation: &str, conditions: &Conditions) -> (String, String) {
    let (operations, marks): (Vec<_>, Vec<_>) = steps(operation).into_iter().unzip();
    let Some((step, refusal)) = first_refusal(&operations, conditions) else {
        return ("ok".to_owned(), "no check refuses it".to_owned());
    };
    let answer = match refusal.outcome {
        Outcome::Errno(errno) => errno_name(errno),
        Outcome::Zeroes => "ZERO",
        Outcome::Ok => panic!("{operation}: {refusal:?} is no refusal"),
    };
    let answer = match marks[step] {
        "" => answer.to_owned(),
        mark => format!("[{mark}:{answer}]"),
    };
    (answer, refusal.because.to_string())
}

#[derive(Default)]
struct Agreement {
    rows: usize,
    agree: usize,
}

impl Agreement {
    fn add(&mut self, agrees: bool) {
        self.rows += 1;
        self.agree += usize::from(agrees);
    }

    fn percent(&self) -> f64 {
        self.agree as f64 * 100.0 / self.rows as f64
    }
}

fn print(title: &str, table: &BTreeMap<String, Agreement>) {
    println!("\n{title:<50} rows  agree");
    for (name, it) in table {
        println!("{name:<50} {:>4} {:>6.2}%", it.rows, it.percent());
    }
}

#[test]
fn kernel_truth() {
    let (kernels, rows) = (kernels(), rows());
    let mut by_scenario: BTreeMap<String, Agreement> = BTreeMap::new();
    let mut by_operation: BTreeMap<String, Agreement> = BTreeMap::new();
    let mut by_kernel: BTreeMap<String, Agreement> = BTreeMap::new();
    let mut overall = Agreement::default();
    let mut differ: BTreeMap<String, String> = BTreeMap::new();
    for row in &rows {
        let (answer, because) = predicted(&row.operation, &conditions_of(row, &kernels));
        let agrees = answer == row.measured;
        if !agrees {
            differ.insert(key(row), format!("predicted {answer}, {because}"));
        }
        let scenario = format!("{} {}", row.scenario, row.boot);
        by_scenario.entry(scenario).or_default().add(agrees);
        by_operation
            .entry(row.operation.clone())
            .or_default()
            .add(agrees);
        by_kernel.entry(row.kernel.clone()).or_default().add(agrees);
        overall.add(agrees);
    }
    print("scenario", &by_scenario);
    print("operation", &by_operation);
    print("kernel", &by_kernel);
    let Agreement { rows, agree } = overall;
    println!("\n{agree} of {rows} rows agree, {:.3}%", overall.percent());

    let known = disagreements();
    let unlisted = differ.iter().filter(|(row, _)| !known.contains_key(*row));
    let unlisted: Vec<_> = unlisted.map(|(row, why)| format!("{row}\t{why}")).collect();
    assert!(
        unlisted.is_empty(),
        "{} disagree and are not listed:\n{}",
        unlisted.len(),
        unlisted.join("\n")
    );
    for (row, reason) in &known {
        assert!(differ.contains_key(row), "listed, but agrees: {row}");
        println!("{row}\t{}\t{reason}", differ[row]);
    }
    assert!(rows > 13_000, "only {rows} rows were read");
    assert!(overall.percent() >= 99.0, "overall");
    for (scenario, it) in &by_scenario {
        assert!(it.percent() >= 97.0, "{scenario}: {:.2}%", it.percent());
    }
}
