//! What cannot be shown is counted, and the output says so.

use serde_json::Value;

use crate::need_root;
use crate::support::{counts, denet, output, stderr, summary, workload};

fn limited(max_tasks: &str, arguments: &[&str]) -> Value {
    let options = [
        "--enable-ebpf",
        "--json",
        "--top",
        "0",
        "--wait-all",
        "--max-tasks",
        max_tasks,
        "run",
        "--",
    ];
    let output = output(denet(options).arg(workload()).args(arguments));
    assert!(output.status.success(), "{}", stderr(&output));
    summary(&output)
}

#[test]
fn more_tasks_than_memory() {
    need_root();
    let summary = limited("2", &["live", "40", "1"]);
    let quality = &summary["ebpf"]["quality"];
    assert_eq!(quality["complete"], false, "{quality}");
    assert!(quality["map_full"].as_u64() > Some(0), "{quality}");
    // Nothing is only almost counted: what is shown and what is lost make the whole.
    let lost = quality["lost"].as_u64().expect("a count");
    let shown: u64 = counts(&summary).values().sum();
    let whole = limited("4096", &["live", "40", "1"]);
    assert_eq!(whole["ebpf"]["quality"]["complete"], true, "{whole}");
    assert_eq!(lost + shown, counts(&whole).values().sum::<u64>());
    assert_eq!(quality["entered"].as_u64(), Some(lost + shown));
}

#[test]
fn the_report_says_how_much_was_lost() {
    need_root();
    let output = output(
        denet(["--enable-ebpf", "--max-tasks", "2", "run", "--"])
            .arg(workload())
            .args(["live", "40", "1"]),
    );
    let text = stderr(&output);
    assert!(
        text.contains("incomplete: ") && text.contains("syscalls were counted as lost"),
        "{text}"
    );
}
