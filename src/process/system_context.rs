//! Metrics that belong to no single process: those of the network namespace, the cgroup's pressure, the
//! hardware counters.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::model::{Counters, Metrics};
use super::stat;
use crate::facts::cgroup::{membership, memberships};
use crate::sys::counters::{Counter, Event};

/// A network namespace has many interfaces.
const BUFFER: usize = 64 * 1024;

/// Opened once, read at each sample.
#[derive(Debug, Default)]
pub(crate) struct SystemContext {
    network: Option<(File, (u64, u64))>,
    pressure: Option<File>,
    // Those of each thread, by the field that they are added to.
    counters: Vec<(Hardware, Vec<Counter>)>,
    /// What cannot be read, and why.
    pub(crate) absent: BTreeMap<&'static str, String>,
    /// Hardware counters do not see the kernel.
    pub(crate) counters_user_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hardware {
    Cycles,
    Instructions,
    CacheReferences,
    CacheMisses,
    StalledBackend,
}

/// As `enum perf_hw_id` numbers them.
const HARDWARE: [(Hardware, &str, u64); 5] = [
    (Hardware::Cycles, "cycles", 0),
    (Hardware::Instructions, "instructions", 1),
    (Hardware::CacheReferences, "cache_refs", 2),
    (Hardware::CacheMisses, "cache_misses", 3),
    (Hardware::StalledBackend, "stalled_backend", 8),
];

/// The tasks whose hardware events are counted.
#[derive(Clone, Debug)]
pub(crate) enum Counted {
    /// No process.
    None,
    /// This stopped command, from its exec on.
    FromExec(u32),
    /// These threads, from now on, and those that they start.
    Threads(Vec<u32>),
}

impl SystemContext {
    /// The context of this process: its network namespace, its cgroup (or the one given), its hardware events.
    pub(crate) fn of(pid: u32, cgroup: Option<&Path>, counted: &Counted) -> Self {
        let mut found = Self::default();
        match network(pid) {
            Ok(network) => found.network = Some(network),
            Err(error) => found.miss("network", &error.to_string()),
        }
        match pressure(pid, cgroup) {
            Ok(file) => found.pressure = Some(file),
            Err(why) => found.miss("psi_mem", &why),
        }
        found.count(counted);
        found
    }

    fn miss(&mut self, what: &'static str, why: &str) {
        self.absent.insert(what, why.to_owned());
    }

    fn count(&mut self, counted: &Counted) {
        let (threads, from_exec) = match counted {
            Counted::None => return,
            Counted::FromExec(pid) => (std::slice::from_ref(pid), true),
            Counted::Threads(threads) => (threads.as_slice(), false),
        };
        if threads.is_empty() {
            self.miss("perf", "there was no thread to count in");
            return;
        }
        for (field, name, config) in HARDWARE {
            let open = |tid: &u32| match Counter::open(Event::hardware(config), *tid, from_exec) {
                // It ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => None,
                opened => Some(opened),
            };
            match threads
                .iter()
                .filter_map(open)
                .collect::<io::Result<Vec<_>>>()
            {
                Ok(counters) => {
                    self.counters_user_only |= counters.iter().any(|counter| counter.user_only);
                    self.counters.push((field, counters));
                }
                Err(error) => {
                    let why = format!("perf_event_open {name}: {error}");
                    // One reason for all of them.
                    if self.counters.is_empty() {
                        self.miss("perf", &why);
                        return;
                    }
                    self.miss(name, &why);
                }
            }
        }
    }

    /// The current metrics; all other fields are empty.
    pub(crate) fn read(&self) -> Metrics {
        let network = self.network.as_ref().and_then(|(file, before)| {
            let (received, sent) = stat::network_bytes(&read(file)?)?;
            Some((
                received.saturating_sub(before.0),
                sent.saturating_sub(before.1),
            ))
        });
        Metrics {
            sys_net_rx_bytes: network.map(|(received, _)| received),
            sys_net_tx_bytes: network.map(|(_, sent)| sent),
            psi_mem: self
                .pressure
                .as_ref()
                .and_then(|file| stat::pressure(&read(file)?)),
            perf: self.read_counters(),
            ..Metrics::default()
        }
    }

    fn read_counters(&self) -> Option<Counters> {
        let mut found = Counters::default();
        let mut share = 1.0_f64;
        for (field, counters) in &self.counters {
            let mut sum = Some(0);
            for counter in counters {
                let reading = counter.read().ok()?;
                if reading.enabled_ns > 0 {
                    share = share.min(reading.running_ns as f64 / reading.enabled_ns as f64);
                }
                sum = sum.zip(reading.scaled()).map(|(sum, more)| sum + more);
            }
            let place = match field {
                Hardware::Cycles => &mut found.cycles,
                Hardware::Instructions => &mut found.instructions,
                Hardware::CacheReferences => &mut found.cache_refs,
                Hardware::CacheMisses => &mut found.cache_misses,
                Hardware::StalledBackend => &mut found.stalled_backend,
            };
            *place = sum;
        }
        found.counted_share = Some(share);
        (!self.counters.is_empty()).then_some(found)
    }
}

fn network(pid: u32) -> io::Result<(File, (u64, u64))> {
    let file = File::open(format!("/proc/{pid}/net/dev"))?;
    let bytes = read(&file).as_deref().and_then(stat::network_bytes);
    let bytes = bytes.ok_or_else(|| io::Error::other("/proc/PID/net/dev is not understood"))?;
    Ok((file, bytes))
}

/// A whole small file of the kernel, from its start.
fn read(file: &File) -> Option<Vec<u8>> {
    let mut bytes = vec![0; BUFFER];
    let mut length = 0;
    // The kernel may hand out one line at a time.
    loop {
        match file.read_at(&mut bytes[length..], length as u64).ok()? {
            0 => break,
            more => length += more,
        }
    }
    bytes.truncate(length);
    Some(bytes)
}

fn pressure(pid: u32, cgroup: Option<&Path>) -> Result<File, String> {
    let folder = match cgroup {
        Some(folder) => folder.to_owned(),
        None => cgroup_of(pid)?,
    };
    let path = folder.join("memory.pressure");
    let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    // A kernel that was started with psi=0 has the file, and answers EOPNOTSUPP.
    let mut byte = [0; 1];
    match file.read_at(&mut byte, 0) {
        Ok(_) => Ok(file),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Folder of the cgroup (version 2) that a process is in.
fn cgroup_of(pid: u32) -> Result<PathBuf, String> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let all = memberships(&text).ok_or_else(|| format!("{path}: not understood"))?;
    let own = membership(&all, "").ok_or("no cgroup of version 2")?;
    let mount = cgroup::mounted().ok_or("no cgroup2 is mounted")?;
    // In a container the mount begins at the container's own group.
    let own = Path::new(own.pathname.trim_start_matches('/'));
    let begins = mount.root.trim_start_matches('/');
    Ok(Path::new(&mount.point).join(own.strip_prefix(begins).unwrap_or(own)))
}
