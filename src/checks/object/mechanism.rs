//! How a program gets to its hook, and what that takes besides the loaded program.

use crate::decode::uapi::sections::Hook;
use crate::sys::capabilities::Cap;

/// A way to attach.
pub(super) struct Mechanism {
    /// In words.
    pub(super) words: &'static str,
    /// It reads the event's number in tracefs.
    pub(super) tracefs: bool,
    /// The kernel looks the target up in its own BTF.
    pub(super) kernel_btf: bool,
    /// What attaching is known to take besides the program.
    pub(super) capability: Option<Cap>,
}

const fn way(words: &'static str) -> Mechanism {
    Mechanism {
        words,
        tracefs: false,
        kernel_btf: false,
        capability: None,
    }
}

const fn typed(words: &'static str) -> Mechanism {
    Mechanism {
        kernel_btf: true,
        ..way(words)
    }
}

const fn takes(cap: Cap, words: &'static str) -> Mechanism {
    Mechanism {
        capability: Some(cap),
        ..way(words)
    }
}

/// bpf(2), perf_event_open(2), tc-bpf(8), Documentation/bpf/libbpf/program_types.rst. Measured: raw
/// tracepoints and trampolines take no tracefs and no capability but those of loading, the kprobe
/// PMU takes no tracefs (4.18 to 7.2); links of xdp, tcx, netfilter and network namespaces take no
/// capability (6.18).
pub(super) fn mechanism(hook: Hook) -> Mechanism {
    match hook {
        Hook::Socket => way("setsockopt(SO_ATTACH_BPF) on a socket of one's own"),
        Hook::Kprobe => takes(Cap::Perfmon, "a perf event of the kprobe PMU"),
        Hook::KprobeMulti => way("a link to many kernel functions"),
        Hook::Uprobe => takes(Cap::Perfmon, "a perf event of the uprobe PMU"),
        Hook::UprobeMulti => way("a link to many functions of a file"),
        Hook::Tracepoint => Mechanism {
            tracefs: true,
            ..takes(
                Cap::Perfmon,
                "a perf event of the tracepoint's number in tracefs",
            )
        },
        Hook::PerfEvent => takes(Cap::Perfmon, "a perf event"),
        Hook::RawTracepoint => way("BPF_RAW_TRACEPOINT_OPEN"),
        Hook::TracepointBtf => typed("BPF_RAW_TRACEPOINT_OPEN, by the tracepoint's type"),
        Hook::Trampoline => typed("a trampoline at the kernel function's entry"),
        Hook::Lsm => typed("a trampoline at the security hook (lsm=…,bpf)"),
        Hook::Iterator => typed("a link, whose descriptor or pinned file is read"),
        Hook::StructOps => typed("a map of the interface's type"),
        Hook::Replace => way("in the place of another program's function"),
        Hook::Run => way("none: BPF_PROG_TEST_RUN"),
        Hook::Tc => takes(Cap::NetAdmin, "netlink: a clsact queueing discipline"),
        Hook::Tcx => way("a tcx link to a network device"),
        Hook::Netkit => way("a link to a netkit device"),
        Hook::Xdp => way("a link to a network device, or netlink"),
        Hook::XdpMap => way("an entry of a devmap or cpumap"),
        Hook::Cgroup => takes(Cap::NetAdmin, "BPF_PROG_ATTACH or a link to a cgroup v2"),
        Hook::Route => takes(Cap::NetAdmin, "netlink: a route"),
        Hook::SockMap => way("BPF_PROG_ATTACH to a map of sockets"),
        Hook::Lirc => way("BPF_PROG_ATTACH to /dev/lirc"),
        Hook::Netns => way("a link to a network namespace"),
        Hook::Netfilter => way("a link to a netfilter hook"),
    }
}
