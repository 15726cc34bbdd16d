//! CPUs: how many, how they hang together, how fast they may run.

use std::collections::BTreeSet;
use std::io;

use super::super::machine::count;
use super::gathered::{Gathered, Read, line, named, number, read};
use crate::sys::root::Root;

const CPUS: &str = "/sys/devices/system/cpu";

pub(super) fn gather(root: &Root, to: &mut Gathered) {
    to.put("cpu_model", read(root, "/proc/cpuinfo", model));
    for (name, list) in [("cpus_online", "online"), ("cpus_present", "present")] {
        to.put(name, read(root, &format!("{CPUS}/{list}"), count));
    }
    let numbers = numbered(root, CPUS, "cpu");
    let threads = of_all(root, &numbers, "topology/thread_siblings_list", line);
    let packages = of_all(root, &numbers, "topology/physical_package_id", number);
    to.put("cpu_cores", threads.map(|cores| cores.len()));
    to.put("cpu_sockets", packages.map(|sockets| sockets.len()));
    to.put(
        "smt_active",
        read(root, &format!("{CPUS}/smt/active"), flag),
    );
    let nodes = "/sys/devices/system/node/online";
    to.put("numa_nodes", read(root, nodes, count));
    to.put("cpu_affinity", read(root, "/proc/self/status", affinity));
    frequencies(root, to);
}

fn frequencies(root: &Root, to: &mut Gathered) {
    let policies = numbered(root, &format!("{CPUS}/cpufreq"), "policy");
    let governors = of_all(root, &policies, "scaling_governor", line);
    let governors = governors.map(|all| all.into_iter().collect::<Vec<_>>());
    to.put("cpu_governors", governors);
    let slowest = of_all(root, &policies, "cpuinfo_min_freq", number);
    let fastest = of_all(root, &policies, "cpuinfo_max_freq", number);
    to.put_if_any("cpu_min_khz", slowest.map(|all| all.first().copied()));
    to.put_if_any("cpu_max_khz", fastest.map(|all| all.last().copied()));
}

/// Folders `NAME0`, `NAME1`, … in a folder: at least one.
fn numbered(root: &Root, folder: &str, name: &str) -> Read<Vec<String>> {
    let entries = root
        .read_dir(folder)
        .map_err(|error| named(folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.to_string_lossy();
        let number = entry.strip_prefix(name);
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            found.push(format!("{folder}/{entry}"));
        }
    }
    if found.is_empty() {
        return Err(format!("{folder}: no {name}0"));
    }
    Ok(found)
}

/// The different values of a file in all these folders. A CPU that is switched off has none.
fn of_all<T: Ord>(
    root: &Root,
    folders: &Read<Vec<String>>,
    file: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Read<BTreeSet<T>> {
    let folders = folders.as_ref().map_err(String::clone)?;
    let mut values = BTreeSet::new();
    let mut missing = None;
    for folder in folders {
        let path = format!("{folder}/{file}");
        match root.text(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing = Some(named(&path, &error));
            }
            _ => {
                values.insert(read(root, &path, &parse)?);
            }
        }
    }
    match missing {
        Some(why) if values.is_empty() => Err(why),
        _ => Ok(values),
    }
}

/// What x86, MIPS and POWER call it; Arm has numbers only.
fn model(text: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut names =
        lines.filter(|(name, _)| ["model name", "cpu model", "cpu"].contains(&name.trim()));
    names.find_map(|(_, value)| line(value))
}

fn affinity(text: &str) -> Option<String> {
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    line(list).filter(|list| count(list).is_some())
}

fn flag(text: &str) -> Option<bool> {
    match text.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}
