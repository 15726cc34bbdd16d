//! JSON lines, schema 1.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::checks::finding::Finding;
use crate::decode::syscalls::Category;
use crate::facts::scope::Scope;
use crate::output::exact::{Text, put, put_list};
use crate::output::schema::SCHEMA;
use crate::process::model::{Exited, Metrics, Tree};
use crate::process::sums::Busy;
use crate::profile::model::{
    ActiveBackend, BegunCall, CallCount, End, Losses, Overhead, Process, Run, SyscallProfile,
};
use crate::sys::account::Exit;

/// What is known when the command starts.
#[derive(Debug)]
pub(crate) struct Metadata<'a> {
    /// Process id of the command, or of who was attached to; `None` where that is not one process.
    pub(crate) pid: Option<u32>,
    /// As typed, or as the process was started.
    pub(crate) command: &'a [OsString],
    /// The file behind it, where that may be known.
    pub(crate) executable: Option<&'a Path>,
    /// The cgroup, or the machine, that was attached to.
    pub(crate) attached: Option<&'a Text>,
    /// When denet began to look, in milliseconds since 1970.
    pub(crate) t0_ms: u64,
    /// What cannot be measured, and why.
    pub(crate) absent: &'a BTreeMap<&'static str, String>,
    /// The syscall profile: what was asked for, and what came of it.
    pub(crate) ebpf: Option<EbpfMetadata<'a>>,
}

/// The syscall profile in `metadata`.
#[derive(Debug)]
pub(crate) struct EbpfMetadata<'a> {
    /// `require` or `auto`.
    pub(crate) mode: &'static str,
    /// What counts; `None` if nothing could.
    pub(crate) backend: Option<&'a ActiveBackend>,
    /// Why nothing does.
    pub(crate) refused: Option<&'a Finding>,
    /// Whose processes denet shows, if it gets its privileges from its file.
    pub(crate) scope: Option<Scope>,
}

/// The first line.
pub(crate) fn metadata(metadata: &Metadata<'_>) -> Value {
    let mut line = json!({
        "kind": "metadata",
        "schema": SCHEMA,
        "tool": {"name": "denet", "version": env!("CARGO_PKG_VERSION")},
        "pid": metadata.pid,
        "cmd": null,
        "executable": null,
        "t0_ms": metadata.t0_ms,
        "capabilities": {
            "syscalls": metadata.ebpf.as_ref().is_some_and(|ebpf| ebpf.backend.is_some()),
            "network": !metadata.absent.contains_key("network"),
            "psi_mem": !metadata.absent.contains_key("psi_mem"),
            "perf": !metadata.absent.contains_key("perf"),
        },
        "absent": metadata.absent,
    });
    put_list(
        &mut line,
        "cmd",
        metadata.command.iter().map(OsString::as_os_str),
    );
    if let Some(executable) = metadata.executable {
        put(&mut line, "executable", executable.as_os_str());
    }
    if let Some(attached) = metadata.attached {
        put(&mut line, "attached", attached.clone());
    }
    if let Some(ebpf) = &metadata.ebpf {
        let backend = ebpf.backend.map(|backend| {
            json!({"syscalls": backend.syscalls, "follow": backend.follow, "latency": null})
        });
        let why_not = match (ebpf.refused, ebpf.backend) {
            (Some(finding), _) => json!([finding]),
            (None, Some(backend)) => json!(backend.why_not),
            (None, None) => json!([]),
        };
        line["ebpf"] = json!({
            "mode": ebpf.mode,
            "backend": backend,
            "why_not": why_not,
        });
        if let Some(scope) = ebpf.scope {
            line["ebpf"]["scope"] = scope.name().into();
        }
    }
    line
}

/// Why the watching ended.
pub(crate) fn ended_by(end: End) -> &'static str {
    match end {
        End::Command => "command",
        End::Duration => "duration",
        End::Interrupted(_) => "interrupt",
        End::Unread => "unread",
    }
}

/// How a process ended; null where that is not known.
pub(crate) fn exit_status(status: Option<Exit>) -> Value {
    status.map_or(Value::Null, exit)
}

/// A sample of all processes, as a line: there may be thousands in it.
pub(crate) fn tree(tree: &Tree) -> String {
    let record = Tagged {
        kind: "tree",
        record: tree,
    };
    serde_json::to_string(&record).unwrap_or_default()
}

/// A sample of the one process, where its descendants are left out.
pub(crate) fn sample(tree: &Tree) -> Value {
    let mut line = json!({"kind": "sample", "ts_ms": tree.ts_ms});
    let Some(parent) = &tree.parent else {
        return line;
    };
    let around = &tree.aggregated.metrics;
    let metrics = Metrics {
        sys_net_rx_bytes: around.sys_net_rx_bytes,
        sys_net_tx_bytes: around.sys_net_tx_bytes,
        psi_mem: around.psi_mem,
        perf: around.perf,
        ..parent.metrics.clone()
    };
    line["pid"] = parent.pid.into();
    put(&mut line, "command", parent.command.clone());
    for (name, value) in tagged("sample", &metrics).as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    if !parent.threads.is_empty() {
        line["threads"] = json!(parent.threads);
    }
    if let Some(ebpf) = &tree.aggregated.ebpf {
        line["ebpf"] = ebpf.clone();
    }
    line
}

/// A process that ended.
pub(crate) fn exited(exited: &Exited) -> Value {
    tagged("exit", exited)
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    record: &'a T,
}

fn tagged(kind: &'static str, record: &impl Serialize) -> Value {
    // Plain data with names for keys: there is nothing in it that JSON could not hold.
    serde_json::to_value(Tagged { kind, record }).unwrap_or_default()
}

/// The last line. `top` limits each list of syscalls and of processes, 0 for all.
pub(crate) fn summary(run: &Run, top: usize) -> Value {
    let (sums, wall) = (&run.sums, run.wall.as_secs_f64());
    let cpu = sums.used.cpu_ns as f64 / 1e9;
    let (user, system) = sums.used.user_and_system();
    let mut line = json!({
        "kind": "summary",
        "total_time_secs": wall,
        "exit": exit_status(run.exit),
        "ended_by": ended_by(run.end),
        "sample_count": sums.samples,
        "usage_complete": sums.is_whole,
        "cpu_secs": cpu,
        "cpu_user_secs": user as f64 / 1e9,
        "cpu_system_secs": system as f64 / 1e9,
        "peak_mem_rss_kb": run.peak_resident_kb(),
        "page_faults_cached": sums.used.minor_faults,
        "page_faults_disk": sums.used.major_faults,
    });
    if let Some(active) = run.active.map(|active| active.as_secs_f64()) {
        let average = if active > 0.0 {
            100.0 * cpu / active
        } else {
            0.0
        };
        line["avg_cpu_usage"] = average.into();
    }
    let stopped = &run.stopped;
    line["stopped_secs"] = stopped.time.as_secs_f64().into();
    if stopped.is_least {
        line["stopped_is_least"] = true.into();
    }
    if let Some(peak) = sums.peak_proportional_kb {
        line["peak_mem_pss_kb"] = peak.into();
    }
    if sums.io_is_whole {
        line["disk_read_bytes"] = sums.used.io.read_from_storage.into();
        line["disk_write_bytes"] = sums.used.io.written_to_storage.into();
        line["syscall_read_bytes"] = sums.used.io.read_by_calls.into();
        line["syscall_write_bytes"] = sums.used.io.written_by_calls.into();
    }
    if let Some(peak) = sums.peak_cpu_usage.filter(|_| sums.samples > 0) {
        line["peak_cpu_usage"] = peak.into();
    }
    let outside = tagged("outside", &sums.outside);
    for name in ["sys_net_rx_bytes", "sys_net_tx_bytes", "psi_mem", "perf"] {
        if let Some(value) = outside.get(name) {
            line[name] = value.clone();
        }
    }
    line["max_processes"] = run.max_processes().into();
    line["max_threads"] = run.max_threads().into();
    line["processes"] = first(&sums.busiest, top).map(busy).collect();
    line["quality"] = json!({
        "processes_seen": sums.processes_seen,
        "processes_disowned": sums.disowned,
        "usage_unreported": sums.unreported,
        "io_unread": sums.unread_io.as_ref().map(|(count, why)| json!({"processes": count, "why": why})),
    });
    let running = run.still_running();
    line["still_running"] = running
        .iter()
        .map(|(pid, command)| named(json!({"pid": pid}), "command", command))
        .collect();
    if let Some(profile) = &run.syscalls {
        line["ebpf"] = ebpf(profile, top);
        if run.attached {
            line["ebpf"]["in_progress_at_attach"] = json!(run.in_progress.by_name());
            line["ebpf"]["in_progress"] = run.in_progress.calls.iter().map(begun).collect();
            line["ebpf"]["in_progress_unseen"] = run.in_progress.unseen.into();
        }
    }
    line
}

/// A record with one more string.
fn named(mut record: Value, name: &str, text: &Text) -> Value {
    put(&mut record, name, text.clone());
    record
}

fn begun(call: &BegunCall) -> Value {
    let object = call.object.as_ref();
    json!({
        "pid": call.pid,
        "tid": call.tid,
        "command": call.command,
        "name": call.name,
        "object": object.map(|object| json!({"kind": object.kind, "name": object.name})),
    })
}

fn busy(busy: &Busy) -> Value {
    let mut line = named(json!({"pid": busy.pid}), "command", &busy.command);
    line["cpu_secs"] = (busy.cpu_ns as f64 / 1e9).into();
    if let Some(peak) = busy.peak_resident_kb {
        line["peak_mem_rss_kb"] = peak.into();
    }
    if !busy.threads.is_empty() {
        let thread = |(tid, name, cpu_ns): &(u32, Text, u64)| {
            let mut thread = named(json!({"tid": tid}), "name", name);
            thread["cpu_secs"] = (*cpu_ns as f64 / 1e9).into();
            thread
        };
        line["threads"] = busy.threads.iter().map(thread).collect();
    }
    line
}

fn exit(exit: Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({"exit_code": code}),
        Exit::Signal(signal) => json!({"signal": signal}),
    }
}

/// The syscall profile in a sample: what was counted since the start, and what was lost.
pub(crate) fn ebpf_so_far(profile: &SyscallProfile, top: usize) -> Value {
    json!({
        "syscalls": syscalls(profile, top),
        "quality": quality(profile.total, &profile.losses),
    })
}

fn ebpf(profile: &SyscallProfile, top: usize) -> Value {
    json!({
        "syscalls": syscalls(profile, top),
        "processes": profile.processes.iter().map(|one| process(one, top)).collect::<Vec<_>>(),
        "quality": quality(profile.total, &profile.losses),
        "overhead": overhead(&profile.overhead),
    })
}

fn syscalls(profile: &SyscallProfile, top: usize) -> Value {
    let by_category: Map<String, Value> = Category::ALL
        .iter()
        .map(|category| {
            (
                category.name().to_owned(),
                profile.by_category[*category as usize].into(),
            )
        })
        .collect();
    let analysis = &profile.analysis;
    let mut analysed = json!({
        "behavior_classification": analysis.behavior.name(),
        "basis": "counts",
        "io_intensity": analysis.io_intensity,
        "memory_intensity": analysis.memory_intensity,
        "network_intensity": analysis.network_intensity,
    });
    if let Some(rate) = analysis.rate_per_sec {
        analysed["syscall_rate_per_sec"] = rate.into();
    }
    if let Some(intensity) = analysis.cpu_intensity {
        analysed["cpu_intensity"] = intensity.into();
    }
    json!({
        "total": profile.total,
        "by_category": by_category,
        "top_syscalls": first(&profile.calls, top).map(TopCall::from).collect::<Vec<_>>(),
        "analysis": analysed,
    })
}

fn overhead(overhead: &Overhead) -> Value {
    let mut value = json!({});
    if let Some(ns) = overhead.ns_per_syscall {
        value["ns_per_syscall"] = ns.about.into();
        value["ns_per_syscall_least"] = ns.least.into();
        value["ns_per_syscall_most"] = ns.most.into();
    }
    if let Some(share) = overhead.share_of_runtime {
        value["share_of_runtime"] = share.about.into();
    }
    value
}

fn quality(total: u64, losses: &Losses) -> Value {
    json!({
        "entered": total + losses.calls,
        "lost": losses.calls,
        "map_full": losses.map_full,
        "records_lost": losses.records,
        "unfollowed": losses.unfollowed,
        "skipped_runs": losses.skipped_runs,
        "complete": losses.none(),
    })
}

fn process(process: &Process, top: usize) -> Value {
    let mut calls: Vec<TopCall> = process
        .calls
        .iter()
        .map(|(call, count)| TopCall {
            name: call.describe().0,
            count: *count,
            abi: call.foreign_abi(),
        })
        .collect();
    calls.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    let mut line = json!({
        "pid": process.pid,
        "command": null,
        "total": process.total(),
        "top_syscalls": first(&calls, top).collect::<Vec<_>>(),
    });
    put(&mut line, "command", process.command.clone());
    if let (0, Some(line)) = (process.pid, line.as_object_mut()) {
        line.remove("pid");
    }
    if process.private {
        line["private"] = true.into();
    }
    line
}

fn first<T>(all: &[T], top: usize) -> impl Iterator<Item = &T> {
    all.iter().take(if top == 0 { usize::MAX } else { top })
}

#[derive(Serialize)]
struct TopCall {
    name: String,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    abi: Option<&'static str>,
}

impl From<&CallCount> for TopCall {
    fn from(count: &CallCount) -> Self {
        Self {
            name: count.name.clone(),
            count: count.count,
            abi: count.call.foreign_abi(),
        }
    }
}
