//! docs/monitor-xdp.md names every field that is written.

use std::time::Duration;

use denet::facts::interfaces::XdpMode;
use denet::monitor::xdp::counters::{Count, Counts, Kind};
use denet::monitor::xdp::model::{About, End, Interval, Reading, Removed, Whole};
use denet::monitor::xdp::records;
use serde_json::Value;

use super::root;

fn reading(seconds: u64) -> Reading {
    let one = Count {
        packets: seconds,
        bytes: seconds,
    };
    Reading {
        elapsed: Duration::from_secs(seconds),
        cpus: vec![Counts([one; Kind::ALL.len()])],
    }
}

/// Every name in a value, however deep.
fn names(value: &Value, to: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                to.push(name.clone());
                names(value, to);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, to)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_frame_counters_is_told() {
    let about = About {
        interface: "eth0".to_owned(),
        index: 2,
        up: true,
        mode: XdpMode::Generic,
        not_native: Some("EOPNOTSUPP".to_owned()),
        program: 1,
        program_name: "denet_xdp".to_owned(),
        pinned: Some("/sys/fs/bpf/x".into()),
        resumed: Some(Count::default()),
    };
    let (before, now) = (reading(0), reading(1));
    let interval = Interval {
        before: &before,
        now: &now,
    };
    let whole = Whole {
        first: before.clone(),
        last: now.clone(),
        end: End::Duration,
    };
    let removed = Removed {
        counted: Some(now.cpus.clone()),
        was_attached: true,
        left: Some("x".to_owned()),
    };
    let records = [
        records::metadata(&about, 1),
        records::interval(&interval, 1),
        records::summary(&about, &whole),
        records::removed("eth0", "/x".as_ref(), &removed),
    ];
    let path = root().join("docs/monitor-xdp.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (_, text) = text.split_once("\n## Records\n").unwrap_or_default();
    for record in &records {
        let kind = record["kind"].as_str().unwrap_or_default();
        let (_, own) = text.split_once(&format!("\n`{kind}`")).unwrap_or_default();
        let mut all = Vec::new();
        names(record, &mut all);
        assert!(all.len() > 5 && !own.is_empty(), "{kind}");
        for name in all {
            assert!(text.contains(&format!("`{name}`")), "{kind}: {name}");
        }
    }
}
