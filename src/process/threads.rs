//! Each thread of a process, with `--threads`.

use std::collections::HashMap;
use std::fs;

use super::metrics;
use super::model::Thread;
use super::stat;
use crate::output::exact::Text;

/// The threads of one process, those that ended included.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    seen: HashMap<u32, Seen>,
    at_ns: Option<u64>,
}

#[derive(Debug)]
struct Seen {
    name: Text,
    first_ns: u64,
    cpu_ns: u64,
    usage: Option<f64>,
    lives: bool,
}

/// Names of ended threads are kept up to so many.
const REMEMBERED: usize = 4096;

impl Threads {
    /// Reads all of them.
    pub(crate) fn look(&mut self, pid: u32, now_ns: u64) {
        let since = self.at_ns.replace(now_ns);
        for seen in self.seen.values_mut() {
            seen.lives = false;
        }
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return;
        };
        for entry in tasks.flatten() {
            let name = entry.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let read = |file: &str| fs::read(format!("/proc/{pid}/task/{tid}/{file}")).ok();
            let Some(cpu_ns) = read("schedstat").and_then(|bytes| stat::scheduled_ns(&bytes))
            else {
                continue;
            };
            let name = read("comm").unwrap_or_default();
            let seen = self.seen.entry(tid).or_insert_with(|| Seen {
                name: Text::default(),
                // A thread that is new since the last look did all its work since.
                first_ns: if since.is_some() { 0 } else { cpu_ns },
                cpu_ns: if since.is_some() { 0 } else { cpu_ns },
                usage: None,
                lives: true,
            });
            let worked = cpu_ns.saturating_sub(seen.cpu_ns);
            seen.usage = since.map(|since| metrics::usage(worked, now_ns.saturating_sub(since)));
            seen.cpu_ns = cpu_ns;
            seen.lives = true;
            seen.name = name.strip_suffix(b"\n").unwrap_or(&name).into();
        }
        if self.seen.len() > REMEMBERED {
            self.seen.retain(|_, seen| seen.lives);
        }
    }

    /// Those that live, as they stand in a record.
    pub(crate) fn shown(&self) -> Vec<Thread> {
        let living = self.seen.iter().filter(|(_, seen)| seen.lives);
        let mut shown: Vec<_> = living
            .map(|(tid, seen)| Thread {
                tid: *tid,
                name: seen.name.clone(),
                cpu_usage: seen.usage,
                syscalls: None,
            })
            .collect();
        shown.sort_by_key(|thread| thread.tid);
        shown
    }

    /// Id, name and CPU time of each, most first.
    pub(crate) fn busiest(&self) -> Vec<(u32, Text, u64)> {
        let mut all: Vec<_> = self
            .seen
            .iter()
            .map(|(tid, seen)| {
                (
                    *tid,
                    seen.name.clone(),
                    seen.cpu_ns - seen.first_ns.min(seen.cpu_ns),
                )
            })
            .collect();
        all.sort_by_key(|(tid, _, cpu_ns)| (std::cmp::Reverse(*cpu_ns), *tid));
        all
    }
}
