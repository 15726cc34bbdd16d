//! docs/records.md names every field that is written.

use denet::facts::host::env_record;
use denet::process::model::{
    Aggregated, Counters, Exited, Member, Metrics, Pressure, Thread, Tree,
};
use denet::render::csv::COLUMNS;
use denet::sys::root::Root;
use serde_json::{Value, json};

use super::root;

/// The text under a heading.
fn section(name: &str) -> String {
    let path = root().join("docs/records.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let heading = format!("\n## {name}\n");
    let Some((_, rest)) = text.split_once(&heading) else {
        panic!("{path:?} has no section {name}");
    };
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// Every name in a value, however deep; what is behind a name in `by_name` is data.
fn names(value: &Value, to: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                to.push(name.clone());
                let data = [
                    "by_name",
                    "by_code",
                    "by_signal",
                    "by_category",
                    "unread",
                    "absent",
                ];
                // These are records of their own.
                let records = ["summary", "env", "ebpf", "perf"];
                let stats = object.get("kind") == Some(&"stats".into());
                let elsewhere = stats && records.contains(&name.as_str());
                if !elsewhere && !data.contains(&name.as_str()) {
                    names(value, to);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, to)),
        _ => {}
    }
}

fn told(sections: &[&str], value: &Value) {
    let text: String = sections.iter().map(|name| section(name)).collect();
    let mut all = Vec::new();
    names(value, &mut all);
    assert!(!all.is_empty());
    for name in all {
        // Described once for all names, at the beginning.
        let name = name.strip_suffix("_bytes_b64").unwrap_or(&name);
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not in {sections:?}"
        );
    }
}

/// Everything is there: what is added to the model has to be added here, and told there.
fn metrics() -> Metrics {
    Metrics {
        cpu_usage: Some(1.0),
        mem_rss_kb: Some(1),
        mem_pss_kb: Some(1),
        mem_vms_kb: Some(1),
        disk_read_bytes: Some(1),
        disk_write_bytes: Some(1),
        syscall_read_bytes: Some(1),
        syscall_write_bytes: Some(1),
        page_faults_cached: Some(1),
        page_faults_disk: Some(1),
        sys_net_rx_bytes: Some(1),
        sys_net_tx_bytes: Some(1),
        thread_count: Some(1),
        uptime_secs: Some(1.0),
        cpu_core: Some(1),
        psi_mem: Some(Pressure {
            some_avg10: 1.0,
            full_avg10: 1.0,
        }),
        perf: Some(Counters {
            cycles: Some(1),
            instructions: Some(1),
            cache_refs: Some(1),
            cache_misses: Some(1),
            stalled_backend: Some(1),
            counted_share: Some(1.0),
        }),
    }
}

#[test]
fn every_field_of_the_model_is_told() {
    told(&["Metrics"], &json!(metrics()));
    let member = Member {
        pid: 1,
        command: b"\xff"[..].into(),
        metrics: metrics(),
        syscalls: Some(1),
        threads: vec![Thread {
            tid: 1,
            name: b"\xff"[..].into(),
            cpu_usage: Some(1.0),
            syscalls: Some(1),
        }],
    };
    let tree = Tree {
        ts_ms: 1,
        parent: Some(member.clone()),
        children: vec![member],
        aggregated: Aggregated {
            metrics: metrics(),
            process_count: 1,
            ebpf: Some(json!({})),
        },
    };
    told(&["`tree`", "Metrics"], &json!(tree));
    let exited = Exited {
        ts_ms: 1,
        pid: 1,
        command: b"\xff"[..].into(),
        exit_code: Some(0),
        signal: Some(1),
        lifetime_ms: Some(1.0),
    };
    told(&["`exit`"], &json!(exited));
}

#[test]
fn every_column_is_told_in_its_order() {
    let text = section("CSV");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let written = COLUMNS.iter().map(|column| column.name);
    assert!(rows.eq(written), "docs/records.md and COLUMNS differ");
}

#[test]
fn every_field_of_a_recording_is_told() {
    let path = root().join("tests/data/recordings/whole.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    for line in text.lines() {
        let record: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let kind = record["kind"].as_str().unwrap_or_default();
        let own = format!("`{kind}`");
        told(&[&own, "Metrics", "`summary`"], &record);
    }
    let statistics = denet::stats::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    told(&["`stats`"], &denet::render::stats::object(&statistics));
}

#[test]
fn every_field_about_the_machine_is_told() {
    let record = env_record(&Root::default());
    told(&["`env`"], &record);
    let unread = record["unread"].as_object().into_iter().flatten();
    for (name, _) in unread {
        assert!(section("`env`").contains(&format!("`{name}`")), "{name}");
    }
}
