//! Samples as a table: RFC 4180, a header and then a row for each. docs/records.md tells the columns.

use crate::process::model::{Counters, Metrics, Pressure, Tree};

/// A column: its name in the header, and its field in a row, `None` for an empty one.
pub struct Column {
    /// As in the records, parts of parts joined by `_`.
    pub name: &'static str,
    field: fn(&Tree) -> Option<String>,
}

/// A column of a metric of all processes.
macro_rules! metric {
    ($name:ident) => {
        Column {
            name: stringify!($name),
            field: |tree| metrics(tree).$name.and_then(Number::text),
        }
    };
}

/// A column of a part of `perf`.
macro_rules! perf {
    ($name:literal, $part:ident) => {
        Column {
            name: $name,
            field: |tree| {
                let counters: Counters = metrics(tree).perf?;
                counters.$part.and_then(Number::text)
            },
        }
    };
}

/// A column of a part of `psi_mem`.
macro_rules! pressure {
    ($name:literal, $part:ident) => {
        Column {
            name: $name,
            field: |tree| {
                let pressure: Pressure = metrics(tree).psi_mem?;
                pressure.$part.text()
            },
        }
    };
}

/// All columns, in their order. New ones come last.
pub const COLUMNS: [Column; 26] = [
    Column {
        name: "ts_ms",
        field: |tree| tree.ts_ms.text(),
    },
    metric!(cpu_usage),
    metric!(mem_rss_kb),
    metric!(mem_vms_kb),
    metric!(disk_read_bytes),
    metric!(disk_write_bytes),
    metric!(syscall_read_bytes),
    metric!(syscall_write_bytes),
    metric!(page_faults_cached),
    metric!(page_faults_disk),
    metric!(sys_net_rx_bytes),
    metric!(sys_net_tx_bytes),
    metric!(thread_count),
    metric!(uptime_secs),
    metric!(cpu_core),
    pressure!("psi_mem_some_avg10", some_avg10),
    pressure!("psi_mem_full_avg10", full_avg10),
    perf!("perf_cycles", cycles),
    perf!("perf_instructions", instructions),
    perf!("perf_cache_refs", cache_refs),
    perf!("perf_cache_misses", cache_misses),
    perf!("perf_stalled_backend", stalled_backend),
    perf!("perf_counted_share", counted_share),
    Column {
        name: "process_count",
        field: |tree| tree.aggregated.process_count.text(),
    },
    Column {
        name: "syscalls",
        field: |tree| {
            let ebpf = tree.aggregated.ebpf.as_ref()?;
            ebpf["syscalls"]["total"].as_u64()?.text()
        },
    },
    metric!(mem_pss_kb),
];

fn metrics(tree: &Tree) -> &Metrics {
    &tree.aggregated.metrics
}

/// Something that is written as a number.
trait Number {
    /// `None` for what is none, though its type is that of numbers.
    fn text(self) -> Option<String>;
}

impl Number for u64 {
    fn text(self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Number for u32 {
    fn text(self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Number for f64 {
    fn text(self) -> Option<String> {
        self.is_finite().then(|| self.to_string())
    }
}

/// The fields of a sample; empty ones where there is no figure.
pub(crate) fn row(tree: &Tree) -> impl Iterator<Item = String> {
    let field = |column: &Column| (column.field)(tree).unwrap_or_default();
    COLUMNS.iter().map(field)
}

/// The header.
pub(crate) fn header() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|column| column.name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::process::model::Aggregated;

    /// Every metric is there, each another number. A field that is added has to be added here.
    fn full() -> Tree {
        Tree {
            ts_ms: 1_700_000_000_123,
            parent: None,
            children: Vec::new(),
            aggregated: Aggregated {
                metrics: Metrics {
                    cpu_usage: Some(150.25),
                    mem_rss_kb: Some(2),
                    mem_pss_kb: Some(25),
                    mem_vms_kb: Some(3),
                    disk_read_bytes: Some(4),
                    disk_write_bytes: Some(5),
                    syscall_read_bytes: Some(6),
                    syscall_write_bytes: Some(7),
                    page_faults_cached: Some(8),
                    page_faults_disk: Some(9),
                    sys_net_rx_bytes: Some(10),
                    sys_net_tx_bytes: Some(u64::MAX),
                    thread_count: Some(12),
                    uptime_secs: Some(13.5),
                    cpu_core: Some(14),
                    psi_mem: Some(Pressure {
                        some_avg10: 15.5,
                        full_avg10: 16.5,
                    }),
                    perf: Some(Counters {
                        cycles: Some(17),
                        instructions: Some(18),
                        cache_refs: Some(19),
                        cache_misses: Some(20),
                        stalled_backend: Some(21),
                        counted_share: Some(0.5),
                    }),
                },
                process_count: 23,
                ebpf: Some(json!({"syscalls": {"total": 24}})),
            },
        }
    }

    fn written(trees: &[Tree]) -> Vec<Vec<String>> {
        let header = header().map(str::to_owned).collect();
        let rows = trees.iter().map(|tree| row(tree).collect());
        std::iter::once(header).chain(rows).collect()
    }

    #[test]
    fn a_row_says_what_the_record_says_in_its_order() {
        let tree = full();
        let mut expected = vec![("ts_ms".to_owned(), json!(tree.ts_ms))];
        let record = serde_json::to_value(&tree.aggregated).unwrap();
        for (name, value) in record.as_object().unwrap() {
            match value {
                Value::Object(parts) if name != "ebpf" => {
                    let named = |(part, value): (&String, &Value)| {
                        (format!("{name}_{part}"), value.clone())
                    };
                    expected.extend(parts.iter().map(named));
                }
                Value::Object(_) => expected.push(("syscalls".to_owned(), json!(24))),
                value => expected.push((name.clone(), value.clone())),
            }
        }
        let rows = written(&[tree]);
        let (names, fields) = (&rows[0], &rows[1]);
        assert_eq!(names.len(), COLUMNS.len());
        // New columns come last, new fields of records do not.
        let older = names[..COLUMNS.len() - 1].iter();
        let in_order = expected.iter().filter(|(name, _)| name != "mem_pss_kb");
        assert!(older.eq(in_order.map(|(name, _)| name)), "{names:?}");
        for (name, value) in &expected {
            let at = names.iter().position(|named| named == name).unwrap();
            let field: Value = serde_json::from_str(&fields[at]).unwrap();
            assert_eq!(field.as_f64(), value.as_f64(), "{name}");
        }
        assert_eq!(expected.len(), COLUMNS.len());
        assert_eq!(fields[11], u64::MAX.to_string());
    }

    #[test]
    fn what_is_absent_or_no_number_is_empty() {
        let mut odd = Tree::default();
        odd.aggregated.metrics.cpu_usage = Some(f64::NAN);
        odd.aggregated.metrics.perf = Some(Counters::default());
        odd.aggregated.ebpf = Some(json!({"syscalls": {"total": "many"}}));
        let rows = written(&[Tree::default(), odd, full()]);
        assert_eq!(rows.len(), 4);
        for row in &rows[1..3] {
            assert_eq!(row.len(), COLUMNS.len());
            let known: Vec<_> = row.iter().filter(|field| !field.is_empty()).collect();
            assert_eq!(known, ["0", "0"], "ts_ms and process_count");
        }
        assert!(rows[3].iter().all(|field| !field.is_empty()));
    }
}
