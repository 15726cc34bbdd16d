//! What real kernels answered, and where the prediction is known to differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One line of the oracle.
pub struct Row {
    pub kernel: String,
    pub scenario: String,
    pub boot: String,
    pub operation: String,
    pub measured: String,
}

pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn rows() -> Vec<Row> {
    let folder = data().join("kernel-truth");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
    let files: BTreeSet<_> = entries.flatten().map(|entry| entry.path()).collect();
    let tables = files
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "tsv"));
    tables.flat_map(|path| rows_of(&read(path))).collect()
}

fn rows_of(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("kernel\tdistribution\tscenario\tboot\toperation\tresult")
    );
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [kernel, _, scenario, boot, operation, measured] = <[String; 6]>::try_from(fields)
            .unwrap_or_else(|fields| panic!("not six fields: {fields:?}"));
        Row {
            kernel,
            scenario,
            boot,
            operation,
            measured,
        }
    };
    lines.map(row).collect()
}

/// Rows of which it is known why the prediction fails.
pub fn disagreements() -> BTreeMap<String, String> {
    let text = read(&data().join("kernel-truth-disagreements.tsv"));
    let split = |line: &str| {
        let (row, reason) = line.rsplit_once('\t').expect("a reason");
        assert!(!reason.is_empty(), "no reason: {row}");
        (row.to_owned(), reason.to_owned())
    };
    text.lines().skip(1).map(split).collect()
}

pub fn key(row: &Row) -> String {
    let fields = [&row.kernel, &row.scenario, &row.boot, &row.operation];
    let fields: Vec<_> = fields.iter().map(|it| it.as_str()).collect();
    format!("{}\t{}", fields.join("\t"), row.measured)
}
