//! What the doctor reads of a machine, compared with only reading the kernel's types; its probes,
//! compared with reading without them; and what it reads of an object, compared with the ELF headers alone.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use denet::decode::btf::{Btf, Kind};
use denet::facts::{Facts, Target, object};
use denet::sys::root::Root;
use goblin::elf::Elf;

use crate::median::median;
use crate::table::Row;

const ROUNDS: usize = 11;
const PATH: &str = "/sys/kernel/btf/vmlinux";
const FACTS_LIMIT: f64 = 20.0;
const TYPES_LIMIT: f64 = 1.2;
const PROBES_LIMIT: f64 = 10.0;
const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/objects/net.bpf.o");
const OBJECT_LIMIT: f64 = 8.0;

/// Measures in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let Ok(data) = std::fs::read(PATH) else {
        return Ok(vec![Row::missing("the kernel's types, read", "no BTF")]);
    };
    let bytes = std::fs::read(OBJECT)?;
    let (mut read, mut facts, mut parsed) = (vec![], vec![], vec![]);
    let (mut probed, mut headers, mut inspected) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        read.push(ms(|| std::fs::read(PATH).is_ok())?);
        facts.push(ms(|| Facts::probe().kernel.version.known().is_some())?);
        parsed.push(ms(|| pid_is_found(&data))?);
        probed.push(ms(|| probe_all().probes.is_some())?);
        headers.push(ms(|| black_box(Elf::parse(black_box(&bytes))).is_ok())?);
        inspected.push(ms(|| object::inspect(black_box(&bytes)).is_ok())?);
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
        beside(
            "the kernel's types, one field found",
            &parsed,
            &read,
            "bytes read",
            TYPES_LIMIT,
        ),
        beside(
            "the doctor's facts with every probe of the kernel",
            &probed,
            &facts,
            "without probes",
            PROBES_LIMIT,
        ),
        of_time("an eBPF object, only its ELF headers", &headers),
        beside(
            "an eBPF object, all that the doctor reads of it",
            &inspected,
            &headers,
            "headers",
            OBJECT_LIMIT,
        ),
    ])
}

fn probe_all() -> Facts {
    Facts::with_probes(&Root::default(), &Target::default())
}

fn of_time(what: &str, times: &[f64]) -> Row {
    let ms = median(times.iter().copied());
    let text = match ms < 0.1 {
        true => format!("{:.1} µs", ms * 1e3),
        false => format!("{ms:.1} ms"),
    };
    Row::new(what, text)
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
