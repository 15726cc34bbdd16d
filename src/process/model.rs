//! What is known of processes at one moment, and of their ends. Plain data, as it is written into
//! records: a metric that could not be read is absent, never zero.

use serde::{Deserialize, Serialize};

use crate::output::exact::{self, Text};
use crate::sys::account::Exit;

/// What one process uses, or all of them together.
///
/// Bytes and page faults add up from when denet began to look (`--since-process-start`: from the
/// process' own start); `cpu_usage` is that of the time since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Percent of one core: 200 is two cores busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Resident memory in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_rss_kb: Option<u64>,
    /// Proportional set size in KiB: each page counts by the share that the process has in it. Read in some samples
    /// only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_pss_kb: Option<u64>,
    /// Address space in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_vms_kb: Option<u64>,
    /// Bytes that storage had to be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes: Option<u64>,
    /// Bytes that were made to be written to storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_write_bytes: Option<u64>,
    /// Bytes that `read(2)` and its like returned, from whatever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall_read_bytes: Option<u64>,
    /// Bytes that `write(2)` and its like took, to whatever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall_write_bytes: Option<u64>,
    /// Page faults served without I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults_cached: Option<u64>,
    /// Page faults that waited for I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults_disk: Option<u64>,
    /// Bytes that the network namespace received, whoever in it asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sys_net_rx_bytes: Option<u64>,
    /// Bytes that the network namespace sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sys_net_tx_bytes: Option<u64>,
    /// Threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_count: Option<u64>,
    /// Seconds since the process started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_secs: Option<f64>,
    /// The CPU that it ran on last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_core: Option<u32>,
    /// Time lost for want of memory, in the cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi_mem: Option<Pressure>,
    /// Hardware counters, of the process and all that it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perf: Option<Counters>,
}

/// Pressure stall information: percent of the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some task waited.
    pub some_avg10: f64,
    /// All tasks waited.
    pub full_avg10: f64,
}

/// Hardware counters since denet began to look, scaled up where the CPU could not count all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// CPU cycles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Instructions retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Accesses to the last level of cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_refs: Option<u64>,
    /// Those of them that missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_misses: Option<u64>,
    /// Cycles in which nothing was ready to execute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled_backend: Option<u64>,
    /// Share of the time in which they counted, 0 to 1: below 1 the numbers are estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_share: Option<f64>,
}

/// A thread, with `--threads`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Thread {
    /// Thread id.
    pub tid: u32,
    /// Its name.
    #[serde(flatten, serialize_with = "exact::name")]
    pub name: Text,
    /// Percent of one core since the sample before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Syscalls so far, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls: Option<u64>,
}

/// One process in a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    #[serde(flatten, serialize_with = "exact::command")]
    pub command: Text,
    /// What it uses.
    pub metrics: Metrics,
    /// Syscalls so far, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls: Option<u64>,
    /// Its threads, with `--threads`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<Thread>,
}

/// All processes of a tree at one moment: the record `tree`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tree {
    /// Milliseconds since 1970.
    pub ts_ms: u64,
    /// The command, or the process attached to; absent once it has ended, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Member>,
    /// Its descendants, oldest first.
    pub children: Vec<Member>,
    /// All together, those that ended included.
    pub aggregated: Aggregated,
}

/// A tree's sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Aggregated {
    /// What all of them use.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Processes that live.
    pub process_count: u64,
    /// Syscalls since the start, where they are counted: as `ebpf` in the summary, without `processes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebpf: Option<serde_json::Value>,
}

/// A process that ended: the record `exit`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Exited {
    /// Milliseconds since 1970 at its end, or when that was noticed.
    pub ts_ms: u64,
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    #[serde(flatten, serialize_with = "exact::command")]
    pub command: Text,
    /// What it exited with; absent where only its parent learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Milliseconds it lived, where its start is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_ms: Option<f64>,
}

impl Exited {
    /// How it ended, if that is known.
    pub(crate) fn set_exit(&mut self, exit: Option<Exit>) {
        (self.exit_code, self.signal) = match exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
    }

    /// How it ended, if that is known.
    pub(crate) fn exit(&self) -> Option<Exit> {
        let signal = self.signal.map(Exit::Signal);
        signal.or(self.exit_code.map(Exit::Code))
    }
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// `file`, `directory`, `device`, `pipe`, `socket`, `anon_inode`, `descriptors`, `path`, `futex` or
    /// `process`.
    pub kind: &'static str,
    /// A path, a word as in `/proc/PID/fd`, the ends of a socket, an address, or a process id.
    pub name: String,
}
