//! Which programs and maps a test has loaded, among those that are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::support::{self, output, stderr, stdout};

/// Kind and id of a program or map.
type Id = (&'static str, u32);

/// Programs and maps whose names begin so, regardless of who loaded them.
pub fn named(prefix: &str) -> BTreeMap<Id, String> {
    let list = |kind: &'static str| {
        let listed = output(Command::new("bpftool").args([kind, "show"]));
        assert!(listed.status.success(), "{}", stderr(&listed));
        let text = stdout(&listed);
        let named = text.lines().filter_map(|line| {
            let (id, rest) = line.split_once(": ")?;
            let is_named = rest.contains(&format!("name {prefix}"));
            is_named.then_some(((kind, id.parse().ok()?), line.to_owned()))
        });
        named.collect::<BTreeMap<_, _>>()
    };
    let mut all = list("prog");
    all.extend(list("map"));
    all
}

/// Maps of each program, by its id.
fn maps_of_programs() -> BTreeMap<u32, Vec<u32>> {
    let listed = output(Command::new("bpftool").args(["prog", "show"]));
    let mut maps = BTreeMap::new();
    let mut program = None;
    for line in stdout(&listed).lines() {
        if !line.starts_with(char::is_whitespace) {
            let (id, _) = line.split_once(':').unwrap_or_default();
            program = id.parse().ok();
        } else if let (Some(id), Some((_, ids))) = (program, line.split_once("map_ids ")) {
            let ids = ids.split_whitespace().next().unwrap_or_default();
            let ids = ids.split(',').filter_map(|id| id.parse().ok());
            maps.insert(id, ids.collect());
        }
    }
    maps
}

/// Programs that processes not started by our tests have open, and the maps of those programs.
fn held_by_others() -> BTreeSet<Id> {
    let (name, value) = support::mark();
    let mark = format!("{name}={value}");
    let is_ours = |process: &Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == mark.as_bytes())
    };
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    let processes = processes.map(|entry| entry.path()).filter(|process| {
        let id = process.file_name().and_then(|name| name.to_str());
        id.is_some_and(|id| id.parse::<u32>().is_ok() && id != own) && !is_ours(process)
    });
    let maps = maps_of_programs();
    let descriptors = processes.flat_map(|process| std::fs::read_dir(process.join("fdinfo")));
    let texts = descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let mut held = BTreeSet::new();
    for text in texts {
        for line in text.lines() {
            let Some((what, id)) = line.split_once(':') else {
                continue;
            };
            match (what, id.trim().parse()) {
                ("prog_id", Ok(id)) => {
                    held.insert(("prog", id));
                    let its = maps.get(&id).into_iter().flatten();
                    held.extend(its.map(|map| ("map", *map)));
                }
                ("map_id", Ok(id)) => {
                    held.insert(("map", id));
                }
                _ => {}
            }
        }
    }
    held
}

/// What somebody else had loaded when a test began: another denet's, or what is pinned.
pub struct Others {
    prefix: &'static str,
    pub ids: BTreeSet<Id>,
}

impl Others {
    pub fn now(prefix: &'static str) -> Self {
        let ids = named(prefix).into_keys().collect();
        Self { prefix, ids }
    }

    /// What was loaded since and still exists, except what processes other than ours hold.
    pub fn joined(&self) -> Vec<String> {
        let mut all = named(self.prefix);
        all.retain(|id, _| !self.ids.contains(id));
        if !all.is_empty() {
            let held = held_by_others();
            all.retain(|id, _| !held.contains(id));
        }
        all.into_values().collect()
    }
}
