//! The record `env`: the machine that a recording was made on. What is absent there is absent, and what
//! could not be read is listed with the reason. docs/records.md tells each field.
//!
//! The environment of the command is not part of it: passwords stand there.

mod cpus;
mod gathered;
mod place;

use std::io;

use procfs_core::{ExplicitSystemInfo, FromBufReadSI as _, KernelStats};
use serde_json::{Value, json};

use super::kernel::Kernel;
use super::{limits, machine};
use crate::sys::clock;
use crate::sys::page;
use crate::sys::root::Root;
use gathered::{Gathered, Read, line, named, number, of_fact, read, read_line};

/// What procfs-core makes of CPU times, which are not used here.
const UNUSED: ExplicitSystemInfo = ExplicitSystemInfo {
    boot_time_secs: 0,
    ticks_per_second: 1,
    page_size: 1,
    is_little_endian: true,
};

/// The record, of the machine whose tree this is.
pub fn env_record(root: &Root) -> Value {
    let mut to = Gathered::default();
    system(root, &mut to);
    cpus::gather(root, &mut to);
    memory(root, &mut to);
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    to.put("clocksource", of_fact(clock, machine::clocksource(root)));
    place::gather(root, &mut to);
    limits_of(root, &mut to);
    to.put("psi_available", pressure(root));
    let paranoid = "/proc/sys/kernel/perf_event_paranoid";
    let level = read(root, paranoid, |text| text.trim().parse::<i64>().ok());
    to.put("perf_event_paranoid", level);
    to.into_record("env")
}

fn system(root: &Root, to: &mut Gathered) {
    let kernel = |name: &str| format!("/proc/sys/kernel/{name}");
    to.put_text("hostname", read_line(root, &kernel("hostname")));
    to.put("kernel_release", read(root, &kernel("osrelease"), line));
    to.put("kernel_version", read(root, &kernel("version"), line));
    to.put("architecture", architecture(root, &kernel("arch")));
    let distribution = Kernel::probe(root).distribution;
    let distribution = of_fact("/etc/os-release", distribution).map(|distribution| {
        let mut named = json!({"id": distribution.id});
        if let Some(version) = distribution.version {
            named["version"] = version.into();
        }
        if let Some(name) = distribution.name {
            named["name"] = name.into();
        }
        named
    });
    to.put("distribution", distribution);
    let boot = read(root, "/proc/stat", |text| {
        let stat = KernelStats::from_buf_read(text.as_bytes(), &UNUSED).ok()?;
        Some(stat.btime).filter(|seconds| *seconds > 0)
    });
    let unshifted = Some(root)
        .filter(|root| root.is_live())
        .and_then(|_| clock::booted_at_secs());
    to.put("boot_time_secs", unshifted.map_or(boot, Ok));
}

/// The kernel's, which before Linux 6.1 is in no file: there that of denet, which runs on it.
fn architecture(root: &Root, path: &str) -> Read<String> {
    match root.text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && root.is_live() => {
            Ok(std::env::consts::ARCH.to_owned())
        }
        _ => read(root, path, line),
    }
}

fn memory(root: &Root, to: &mut Gathered) {
    let thp = "/sys/kernel/mm/transparent_hugepage/enabled";
    let chosen = |text: &str| line(text.split_once('[')?.1.split_once(']')?.0);
    to.put("thp", read(root, thp, chosen));
    // Not by procfs-core, which needs 17 fields of which gVisor lacks six, and panics where the name of a field
    // ends in other than ASCII.
    for (name, label) in [
        ("memory_total_kb", "MemTotal:"),
        ("swap_total_kb", "SwapTotal:"),
    ] {
        let total = read(root, "/proc/meminfo", |text| {
            let line = text.lines().find_map(|line| line.strip_prefix(label))?;
            number(line.trim().strip_suffix("kB")?)
        });
        to.put(name, total);
    }
    let size = if root.is_live() {
        page::size().map_err(|error| named("sysconf", &error))
    } else {
        let path = "/proc/self/auxv";
        let read = root.read(path).map_err(|error| named(path, &error));
        read.and_then(|block| page_size(&block).ok_or_else(|| format!("{path}: no AT_PAGESZ")))
    };
    to.put("page_size_bytes", size);
}

/// AT_PAGESZ in an auxiliary vector of pairs of 64-bit words.
fn page_size(block: &[u8]) -> Option<u64> {
    const AT_PAGESZ: u64 = 6;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_ne_bytes);
    let (pairs, _) = block.as_chunks::<16>();
    let pair = pairs
        .iter()
        .find(|pair| word(&pair[..8]) == Some(AT_PAGESZ))?;
    word(&pair[8..]).filter(|size| size.is_power_of_two())
}

fn limits_of(root: &Root, to: &mut Gathered) {
    for (name, label) in [
        ("limit_nofile", "Max open files"),
        ("limit_nproc", "Max processes"),
        ("limit_stack_bytes", "Max stack size"),
    ] {
        let parse = |text: &str| limits::parse(text, label);
        let limit = read(root, "/proc/self/limits", parse);
        to.put(name, limit.map(|limit| json!(limit)));
    }
}

/// Built in and switched on. Booted with `psi=0` the files are there, and open(2) answers EOPNOTSUPP.
fn pressure(root: &Root) -> Read<bool> {
    let path = "/proc/pressure/memory";
    match root.text(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(named(path, &error)),
    }
}

#[cfg(test)]
mod tests;
