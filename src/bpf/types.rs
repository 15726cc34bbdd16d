//! What the kernel's own BTF says of a task, for programs that are not to ask a helper.

use std::io;
use std::path::Path;

use super::kernel::KernelError;
use crate::decode::btf::{Btf, Kind};

/// Where the kernel describes its own types.
#[cfg(test)]
pub(crate) const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Offsets in `task_struct`, in bytes, and what `tp_btf` programs are attached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelTypes {
    pub(crate) pid: u32,
    pub(crate) tgid: u32,
    /// The kernel stack pointer of when it last slept, or begins: it points into its own stack.
    pub(crate) sp: u32,
    /// Of a 32-bit word in `thread_info` that marks a 32-bit call.
    pub(crate) compat: u32,
    /// Of `btf_trace_sched_process_{exit,exec,fork}`.
    pub(crate) following: [u32; 3],
    /// What programs at perf events take.
    pub(crate) events: Option<EventTypes>,
    /// What tells how a process ended.
    pub(crate) ends: Option<EndTypes>,
    /// What a walk over all tasks takes.
    pub(crate) walk: Option<WalkTypes>,
    /// What a freed task used.
    pub(crate) usage: Option<UsageTypes>,
}

/// Offsets in `task_struct` of what it used, and what a `tp_btf` program at its end is attached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageTypes {
    /// Of `start_time`, which distinguishes tasks at the same address.
    pub(crate) started: u32,
    /// Of `se.sum_exec_runtime`, `utime`, `stime`, `min_flt` and `maj_flt`.
    pub(crate) of_task: [u32; 5],
    /// Of `rchar`, `wchar`, `read_bytes` and `write_bytes` in `ioac`; 0 if this kernel does not count them.
    pub(crate) of_io: [u32; 4],
    /// `btf_trace_sched_process_free`
    pub(crate) free: u32,
}

/// Offsets of what tells how a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndTypes {
    pub(crate) exit_code: u32,
    pub(crate) signal: u32,
    pub(crate) group_leader: u32,
    /// In `signal_struct`: `flags`, `live`, `group_exit_code`.
    pub(crate) of_signal: [u32; 3],
}

/// Offsets in `task_struct` that a walk over all tasks reads, and what it is attached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkTypes {
    pub(crate) flags: u32,
    pub(crate) exit_state: u32,
    pub(crate) start_time: u32,
    pub(crate) group_leader: u32,
    pub(crate) real_parent: u32,
    /// The function `bpf_iter_task` (Linux 5.8).
    pub(crate) iterator: u32,
}

/// What a program at a perf event has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventTypes {
    /// Offset of the child's id in the record of `sched_process_fork`.
    pub(crate) child_pid: u32,
    /// `bpf_task_from_pid` and `bpf_task_release` (Linux 6.2; for tracepoints 6.12).
    pub(crate) task_functions: [u32; 2],
}

/// Asks the kernel's BTF, in `/sys/kernel/btf/vmlinux` or another file.
///
/// # Errors
/// There is no such file, or it is malformed.
pub(crate) fn with<T>(path: &Path, ask: impl FnOnce(&Btf<'_>) -> T) -> Result<T, KernelError> {
    let failed = |error| KernelError::new(format!("BTF {}", path.display()), error);
    let bytes = std::fs::read(path).map_err(failed)?;
    let btf = Btf::parse(bytes).map_err(|error| failed(io::Error::other(error)))?;
    Ok(ask(&btf))
}

/// What a `tp_btf` program at this tracepoint is attached by.
///
/// # Errors
/// As [`with`], or there is no such tracepoint.
pub(crate) fn tracepoint(path: &Path, name: &str) -> Result<u32, KernelError> {
    let name = format!("btf_trace_{name}");
    let id = with(path, |btf| btf.find(Kind::Typedef, &name))?;
    id.map(|id| id.0).ok_or_else(|| {
        KernelError::new(
            format!("BTF {}", path.display()),
            io::Error::other(format!("no {name}")),
        )
    })
}

#[cfg(target_arch = "x86_64")]
const SP: [&str; 2] = ["thread", "sp"];
#[cfg(target_arch = "x86_64")]
const COMPAT: [&str; 2] = ["thread_info", "status"];
#[cfg(target_arch = "aarch64")]
const SP: [&str; 3] = ["thread", "cpu_context", "sp"];
#[cfg(target_arch = "aarch64")]
const COMPAT: [&str; 2] = ["thread_info", "flags"];

impl KernelTypes {
    /// Reads them from `/sys/kernel/btf/vmlinux` or another file.
    ///
    /// # Errors
    /// There is no such file, it is malformed, or a type is missing in it.
    pub(crate) fn read(path: &Path) -> Result<Self, KernelError> {
        let failed = |error| KernelError::new(format!("BTF {}", path.display()), error);
        let bytes = std::fs::read(path).map_err(failed)?;
        let btf = Btf::parse(bytes).map_err(|error| failed(io::Error::other(error)))?;
        let missing = |what: &str| failed(io::Error::other(format!("no {what}")));
        let offset = |path: &[&str]| {
            btf.member_path("task_struct", path)
                .ok_or_else(|| missing(&format!("task_struct.{}", path.join("."))))
        };
        let tracepoint = |name: &str| {
            let name = format!("btf_trace_{name}");
            let id = btf.find(Kind::Typedef, &name);
            id.map(|id| id.0).ok_or_else(|| missing(&name))
        };
        Ok(Self {
            pid: offset(&["pid"])?,
            tgid: offset(&["tgid"])?,
            sp: offset(&SP)?,
            compat: offset(&COMPAT)?,
            following: [
                tracepoint("sched_process_exit")?,
                tracepoint("sched_process_exec")?,
                tracepoint("sched_process_fork")?,
            ],
            events: event_types(&btf),
            ends: end_types(&btf),
            walk: walk_types(&btf),
            usage: usage_types(&btf),
        })
    }
}

fn end_types(btf: &Btf<'_>) -> Option<EndTypes> {
    let of_task = |name| btf.member_path("task_struct", &[name]);
    let of_signal = |name| btf.member_path("signal_struct", &[name]);
    Some(EndTypes {
        exit_code: of_task("exit_code")?,
        signal: of_task("signal")?,
        group_leader: of_task("group_leader")?,
        of_signal: [
            of_signal("flags")?,
            // An atomic_t: a number.
            of_signal("live")?,
            of_signal("group_exit_code")?,
        ],
    })
}

fn walk_types(btf: &Btf<'_>) -> Option<WalkTypes> {
    let offset = |name| btf.member_path("task_struct", &[name]);
    Some(WalkTypes {
        flags: offset("flags")?,
        exit_state: offset("exit_state")?,
        start_time: offset("start_time")?,
        group_leader: offset("group_leader")?,
        real_parent: offset("real_parent")?,
        iterator: btf.find(Kind::Function, "bpf_iter_task")?.0,
    })
}

fn usage_types(btf: &Btf<'_>) -> Option<UsageTypes> {
    let of_task = |path: &[&str]| btf.member_path("task_struct", path);
    let of_io = |name| of_task(&["ioac", name]).unwrap_or_default();
    Some(UsageTypes {
        started: of_task(&["start_time"])?,
        of_task: [
            of_task(&["se", "sum_exec_runtime"])?,
            of_task(&["utime"])?,
            of_task(&["stime"])?,
            of_task(&["min_flt"])?,
            of_task(&["maj_flt"])?,
        ],
        of_io: ["rchar", "wchar", "read_bytes", "write_bytes"].map(of_io),
        free: btf.find(Kind::Typedef, "btf_trace_sched_process_free")?.0,
    })
}

fn event_types(btf: &Btf<'_>) -> Option<EventTypes> {
    let function = |name| Some(btf.find(Kind::Function, name)?.0);
    let child_pid = btf.member_path("trace_event_raw_sched_process_fork", &["child_pid"])?;
    Some(EventTypes {
        // Those that ebpf/lifecycle.bpf.c reads.
        child_pid: Some(child_pid).filter(|offset| [20, 44].contains(offset))?,
        task_functions: [
            function("bpf_task_from_pid")?,
            function("bpf_task_release")?,
        ],
    })
}
