//! What a backend requires of the kernel, and which probe shows it.

use crate::decode::uapi::helpers::helper;
use crate::decode::uapi::maps::map_type;
use crate::decode::uapi::sections::ProgramKind;
use crate::sys::release::Release;

/// Numbers of `enum bpf_map_type`.
pub(crate) mod map {
    pub(crate) const HASH: u32 = 1;
    pub(crate) const ARRAY: u32 = 2;
    pub(crate) const PERCPU_ARRAY: u32 = 6;
    pub(crate) const STACK_TRACE: u32 = 7;
    pub(crate) const RINGBUF: u32 = 27;
}

/// Numbers of helpers.
pub(crate) mod call {
    pub(crate) const GET_STACKID: u32 = 27;
    pub(crate) const PROBE_READ_USER: u32 = 112;
    pub(crate) const PROBE_READ_KERNEL: u32 = 113;
    pub(crate) const PROBE_READ_USER_STR: u32 = 114;
    pub(crate) const GET_CURRENT_TASK_BTF: u32 = 158;
    pub(crate) const XDP_LOAD_BYTES: u32 = 189;
}

/// One requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A map of this type (number) and size in bytes.
    Map(u32, u64),
    /// A program, and a helper that it calls, by number.
    Program(ProgramKind, Option<u32>),
    /// A type of the kernel, which this version introduced.
    Type(Release),
    /// The kernel's types. Without them only commands that denet starts can be observed.
    TypesForRunning,
    /// A program that walks over tasks, to find the running ones.
    TaskWalk,
    /// `BPF_RAW_TRACEPOINT_OPEN` of this, `raw_tp/sys_enter` or `tp_btf/sys_enter`.
    RawTracepoint(&'static str),
    /// A perf event of a tracepoint, on whole CPUs.
    TracepointEvent,
    /// A perf event of the software clock, on whole CPUs, in the kernel.
    KernelSamples,
    /// A program at such an event.
    SampledProgram,
    /// Hardware cycles of the own process, outside the kernel.
    OwnCycles,
    /// A link to a network device.
    XdpLink,
}

impl Requirement {
    /// The id of the probe that shows it. Probes that attach a program also load it; loading an XDP program has a
    /// probe of its own, since only root can try to attach one.
    pub(crate) fn probe(self) -> Option<String> {
        let named = |id: &str| Some(id.to_owned());
        match self {
            Self::Map(map::ARRAY, _) => named("map:array_1mib"),
            Self::Map(number, _) => Some(format!("map:{}", map_type(number)?.name)),
            Self::Program(ProgramKind::Xdp, None) => named("program:xdp"),
            Self::Program(_, calls) => Some(format!("helper:{}", helper(calls?)?.name)),
            Self::TaskWalk => named("attach:iter/task"),
            Self::RawTracepoint(hook) => Some(format!("attach:{hook}")),
            Self::TracepointEvent => named("attach:tp/raw_syscalls/sys_enter"),
            Self::KernelSamples => named("perf:kernel"),
            Self::SampledProgram => named("attach:perf_event"),
            Self::OwnCycles => named("perf:cycles"),
            Self::XdpLink => named("attach:xdp"),
            Self::Type(_) | Self::TypesForRunning => None,
        }
    }
}
