//! What the doctor reads of a machine, beside what only reading or copying the kernel's types takes.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use denet::facts::Facts;
use denet::facts::btf::{Btf, Kind};

use crate::median::median;
use crate::table::Row;

const ROUNDS: usize = 11;
const PATH: &str = "/sys/kernel/btf/vmlinux";
const FACTS_LIMIT: f64 = 20.0;
const TYPES_LIMIT: f64 = 3.0;

/// Measures in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let Ok(data) = std::fs::read(PATH) else {
        return Ok(vec![Row::missing("the kernel's types, read", "no BTF")]);
    };
    let (mut read, mut facts, mut copied, mut parsed) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        read.push(ms(|| std::fs::read(PATH).is_ok())?);
        facts.push(ms(|| Facts::probe().kernel.version.known().is_some())?);
        copied.push(ms(|| !black_box(data.to_vec()).is_empty())?);
        parsed.push(ms(|| pid_is_found(&data))?);
    }
    let beside = |what: &str, times: &[f64], floor: &[f64], of: &str, limit: f64| {
        let ratio = median(times.iter().zip(floor).map(|(time, floor)| time / floor));
        of_time(what, times)
            .times(ratio, of)
            .at_most(limit, "×", ratio)
    };
    Ok(vec![
        of_time("the kernel's types, only read as bytes", &read),
        beside(
            "the doctor's facts of this machine",
            &facts,
            &read,
            "bytes read",
            FACTS_LIMIT,
        ),
        of_time("the kernel's types, only copied", &copied),
        beside(
            "the kernel's types, one field found",
            &parsed,
            &copied,
            "bytes copied",
            TYPES_LIMIT,
        ),
    ])
}

fn of_time(what: &str, times: &[f64]) -> Row {
    Row::new(what, format!("{:.1} ms", median(times.iter().copied())))
}

/// Milliseconds; an error if it did not do what it is for.
fn ms(run: impl FnOnce() -> bool) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    match run() {
        true => Ok(start.elapsed().as_secs_f64() * 1e3),
        false => Err("the kernel's types, or facts, were not read".into()),
    }
}

fn pid_is_found(data: &[u8]) -> bool {
    Btf::parse(data).is_ok_and(|btf| {
        let task = btf.find(Kind::Struct, "task_struct");
        task.is_some() && btf.member_path("task_struct", &["pid"]).is_some()
    })
}
