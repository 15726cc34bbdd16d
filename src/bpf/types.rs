//! What the kernel's own BTF says of a task, for programs that are not to ask a helper.

use std::io;
use std::path::Path;

use super::kernel::KernelError;
use crate::facts::btf::{Btf, Kind};

/// Where the kernel describes its own types.
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
}

/// What a program at a perf event has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventTypes {
    /// Offset of the child's id in the record of `sched_process_fork`.
    pub(crate) child_pid: u32,
    /// `bpf_task_from_pid` and `bpf_task_release` (Linux 6.2; for tracepoints 6.12).
    pub(crate) task_functions: [u32; 2],
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
        })
    }
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
