//! JSON lines, schema 1.

use std::ffi::OsString;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::finding::Finding;
use crate::profile::model::{
    Backend, CallCount, End, Losses, Overhead, Process, Run, SyscallProfile,
};
use crate::sys::account::Exit;
use crate::syscalls::Category;

/// Version of the format: changes when a field goes or changes its type.
pub const SCHEMA: u32 = 1;

/// What is known when the command starts.
#[derive(Debug)]
pub struct Metadata<'a> {
    /// Process id of the command.
    pub pid: i32,
    /// As typed.
    pub command: &'a [OsString],
    /// The file behind it.
    pub executable: &'a Path,
    /// Start in milliseconds since 1970.
    pub t0_ms: u64,
    /// The syscall profile: what was asked for, and what came of it.
    pub ebpf: Option<EbpfMetadata<'a>>,
}

/// The syscall profile in `metadata`.
#[derive(Debug)]
pub struct EbpfMetadata<'a> {
    /// `require` or `auto`.
    pub mode: &'static str,
    /// What counts; `None` if nothing could.
    pub backend: Option<&'a Backend>,
    /// Why nothing does.
    pub refused: Option<&'a Finding>,
}

/// The first line.
pub fn metadata(metadata: &Metadata<'_>) -> Value {
    let mut line = json!({
        "kind": "metadata",
        "schema": SCHEMA,
        "tool": {"name": "denet", "version": env!("CARGO_PKG_VERSION")},
        "pid": metadata.pid,
        "cmd": metadata.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>(),
        "executable": metadata.executable.to_string_lossy(),
        "t0_ms": metadata.t0_ms,
        "capabilities": {"syscalls": metadata.ebpf.as_ref().is_some_and(|ebpf| ebpf.backend.is_some())},
    });
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
    }
    line
}

/// The last line. `top` limits each list of syscalls, 0 for all.
pub fn summary(run: &Run, top: usize) -> Value {
    let (usage, wall) = (&run.usage, run.wall.as_secs_f64());
    let cpu = usage.cpu().as_secs_f64();
    let mut line = json!({
        "kind": "summary",
        "total_time_secs": wall,
        "exit": exit(run.exit),
        "ended_by": match run.end {
            End::Command => "command",
            End::Duration => "duration",
            End::Interrupted(_) => "interrupt",
        },
        "sample_count": 0,
        "usage_complete": run.usage_is_whole,
        "cpu_user_secs": usage.user.as_secs_f64(),
        "cpu_system_secs": usage.system.as_secs_f64(),
        "avg_cpu_usage": if wall > 0.0 { 100.0 * cpu / wall } else { 0.0 },
        "peak_mem_rss_kb": usage.max_rss_kb,
        "page_faults_cached": usage.minor_faults,
        "page_faults_disk": usage.major_faults,
        "disk_read_bytes": usage.blocks_in * 512,
        "disk_write_bytes": usage.blocks_out * 512,
    });
    if let Some(profile) = &run.syscalls {
        line["max_processes"] = profile.max_processes.into();
        line["max_threads"] = profile.max_threads.into();
        line["still_running"] = profile
            .still_running()
            .map(|process| json!({"pid": process.pid, "command": process.command}))
            .collect();
        line["ebpf"] = ebpf(profile, top);
    }
    line
}

fn exit(exit: Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({"exit_code": code}),
        Exit::Signal(signal) => json!({"signal": signal}),
    }
}

fn ebpf(profile: &SyscallProfile, top: usize) -> Value {
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
    json!({
        "syscalls": {
            "total": profile.total,
            "by_category": by_category,
            "top_syscalls": first(&profile.calls, top).map(TopCall::from).collect::<Vec<_>>(),
            "analysis": {
                "behavior_classification": analysis.behavior.name(),
                "syscall_rate_per_sec": analysis.rate_per_sec,
                "io_intensity": analysis.io_intensity,
                "memory_intensity": analysis.memory_intensity,
                "cpu_intensity": analysis.cpu_intensity,
                "network_intensity": analysis.network_intensity,
            },
        },
        "processes": profile.processes.iter().map(|one| process(one, top)).collect::<Vec<_>>(),
        "quality": quality(profile.total, &profile.losses),
        "overhead": overhead(&profile.overhead),
    })
}

fn overhead(overhead: &Overhead) -> Value {
    let mut value = json!({"ns_per_syscall": overhead.ns_per_syscall});
    if let Some(share) = overhead.share_of_runtime {
        value["share_of_runtime"] = share.into();
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
    json!({
        "pid": process.pid,
        "command": process.command,
        "total": process.total(),
        "top_syscalls": first(&calls, top).collect::<Vec<_>>(),
    })
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
