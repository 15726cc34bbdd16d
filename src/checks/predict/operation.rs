//! What a process asks of the kernel.

use super::exec::Executable;
use crate::decode::uapi::maps::MapType;
use crate::decode::uapi::sections::ProgramKind;
use crate::sys::release::Release;

/// One request, with what the answer depends on. What takes several, such as loading a program and
/// attaching it, is several operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `execve(2)`, as far as capabilities go.
    Execve(Executable),
    /// `BPF_MAP_CREATE`.
    MapCreate {
        /// The type of the map.
        map: MapType,
        /// The memory that it takes, without the kernel's own header.
        bytes: u64,
    },
    /// `BPF_MAP_LOOKUP_ELEM`, with a descriptor of the map.
    MapLookup,
    /// `BPF_BTF_LOAD`.
    BtfLoad,
    /// `BPF_PROG_LOAD`.
    ProgLoad(Program),
    /// `BPF_OBJ_GET_INFO_BY_FD` of a program: its instructions.
    ReadInstructions,
    /// `BPF_PROG_GET_NEXT_ID`, `BPF_MAP_GET_NEXT_ID`.
    NextId {
        /// There is one.
        exists: bool,
    },
    /// `BPF_OBJ_PIN` into the root of bpffs.
    Pin,
    /// `BPF_RAW_TRACEPOINT_OPEN`, which attaches `raw_tp`, `tp_btf` and fentry programs.
    RawTracepointOpen {
        /// The kernel has a tracepoint of that name.
        exists: bool,
    },
    /// `BPF_LINK_CREATE`.
    LinkCreate(Link),
    /// `BPF_PROG_ATTACH` to a cgroup.
    CgroupAttach(ProgramKind),
    /// XDP by netlink, on a device that any kernel can serve (`lo`).
    XdpNetlink,
    /// `perf_event_open(2)`.
    PerfEventOpen(PerfEvent),
    /// `PERF_EVENT_IOC_SET_BPF`.
    SetBpf,
    /// Opens a file of tracefs for what it is there for.
    Tracefs(TracefsFile),
    /// Lists the root of debugfs.
    ListDebugfs,
    /// Finds a type in the kernel's BTF, as who attaches by types must before loading.
    KernelType {
        /// The first kernel that describes it.
        since: Release,
    },
    /// Reads `/sys/kernel/btf/vmlinux`.
    ReadKernelBtf,
    /// Reads addresses in `/proc/kallsyms`.
    ReadKallsyms,
}

impl Operation {
    /// The kernel function that serves it.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Execve(_) => "cap_bprm_creds_from_file",
            Self::MapCreate { .. } => "map_create",
            Self::MapLookup => "map_lookup_elem",
            Self::BtfLoad => "bpf_btf_load",
            Self::ProgLoad(_) => "bpf_prog_load",
            Self::ReadInstructions => "bpf_prog_get_info_by_fd",
            Self::NextId { .. } => "bpf_obj_get_next_id",
            Self::Pin => "bpf_obj_do_pin",
            Self::RawTracepointOpen { .. } => "bpf_raw_tracepoint_open",
            Self::LinkCreate(_) => "link_create",
            Self::CgroupAttach(_) => "bpf_prog_attach",
            Self::XdpNetlink => "dev_change_xdp_fd",
            Self::PerfEventOpen(_) => "perf_event_open",
            Self::SetBpf => "perf_event_set_bpf_prog",
            Self::Tracefs(_) | Self::ListDebugfs => "do_dentry_open",
            Self::KernelType { .. } | Self::ReadKernelBtf => "btf_vmlinux_read",
            Self::ReadKallsyms => "s_show",
        }
    }
}

/// A program to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its type.
    pub kind: ProgramKind,
    /// How long it is.
    pub instructions: u32,
    /// A helper that it calls, by number.
    pub calls: Option<u32>,
    /// The verifier finds nothing wrong with it but what the kernel does not have.
    pub valid: bool,
}

impl Program {
    /// A short one that calls nothing.
    pub fn minimal(kind: ProgramKind) -> Self {
        Self {
            kind,
            instructions: 2,
            calls: None,
            valid: true,
        }
    }
}

/// What a link holds on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A perf event.
    PerfEvent,
    /// A cgroup, and the type of program.
    Cgroup(ProgramKind),
    /// A network device.
    Xdp,
}

/// A perf event of one's own process or, with `everywhere`, of a whole CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfEvent {
    /// What is counted.
    pub event: Event,
    /// Of a CPU (`pid` -1), whoever runs there.
    pub everywhere: bool,
    /// In the kernel, too (not `exclude_kernel`).
    pub kernel: bool,
    /// With the data of the tracepoint (`PERF_SAMPLE_RAW`).
    pub raw: bool,
}

/// What a perf event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A clock of the scheduler.
    SoftwareClock,
    /// A tracepoint, by the number that tracefs tells.
    Tracepoint,
    /// A function of the kernel, by the kprobe PMU.
    Kprobe(Symbol),
}

/// A function to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// It is there.
    Present,
    /// The kernel has none of that name.
    Absent,
    /// Probing it would bring the kernel down.
    Blacklisted,
}

/// A file of tracefs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracefsFile {
    /// The root directory, listed.
    Root,
    /// `events`, listed.
    Events,
    /// The `id` of an event.
    Id {
        /// One of `syscalls:*`.
        syscall: bool,
    },
    /// The `format` of an event.
    Format,
    /// `trace`, read.
    Trace,
    /// The `enable` of an event, written.
    Enable,
    /// `trace_marker`, written.
    TraceMarker,
    /// `kprobe_events`: a probe written to it.
    KprobeEvents,
}
