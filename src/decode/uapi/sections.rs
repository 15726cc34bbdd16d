//! What the name of a section says of the program in it: libbpf's conventions.

use serde::{Deserialize, Serialize};

use crate::sys::release::Release;

/// A type of program (`enum bpf_prog_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as the kernel names them")]
pub enum ProgramKind {
    SocketFilter,
    Kprobe,
    SchedCls,
    SchedAct,
    Tracepoint,
    Xdp,
    PerfEvent,
    CgroupSkb,
    CgroupSock,
    LwtIn,
    LwtOut,
    LwtXmit,
    SockOps,
    SkSkb,
    CgroupDevice,
    SkMsg,
    RawTracepoint,
    CgroupSockAddr,
    LwtSeg6local,
    LircMode2,
    SkReuseport,
    FlowDissector,
    CgroupSysctl,
    RawTracepointWritable,
    CgroupSockopt,
    Tracing,
    StructOps,
    Extension,
    Lsm,
    SkLookup,
    Syscall,
    Netfilter,
}

impl ProgramKind {
    /// In the order of their numbers, from 1 on.
    const ALL: [Self; 32] = [
        Self::SocketFilter,
        Self::Kprobe,
        Self::SchedCls,
        Self::SchedAct,
        Self::Tracepoint,
        Self::Xdp,
        Self::PerfEvent,
        Self::CgroupSkb,
        Self::CgroupSock,
        Self::LwtIn,
        Self::LwtOut,
        Self::LwtXmit,
        Self::SockOps,
        Self::SkSkb,
        Self::CgroupDevice,
        Self::SkMsg,
        Self::RawTracepoint,
        Self::CgroupSockAddr,
        Self::LwtSeg6local,
        Self::LircMode2,
        Self::SkReuseport,
        Self::FlowDissector,
        Self::CgroupSysctl,
        Self::RawTracepointWritable,
        Self::CgroupSockopt,
        Self::Tracing,
        Self::StructOps,
        Self::Extension,
        Self::Lsm,
        Self::SkLookup,
        Self::Syscall,
        Self::Netfilter,
    ];

    /// The type with this number (`enum bpf_prog_type`); `None` for 0 and what Linux 6.18 does not have.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    pub(crate) fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Loading one takes CAP_PERFMON (`is_perfmon_prog_type`, kernel/bpf/syscall.c).
    pub(crate) fn needs_perfmon(self) -> bool {
        use ProgramKind as Kind;
        matches!(
            self,
            Kind::Kprobe
                | Kind::Tracepoint
                | Kind::PerfEvent
                | Kind::RawTracepoint
                | Kind::RawTracepointWritable
                | Kind::Tracing
                | Kind::Lsm
                | Kind::StructOps
                | Kind::Extension
        )
    }

    /// Loading one takes CAP_NET_ADMIN (`is_net_admin_prog_type`, there too; it held `lirc_mode2` as
    /// well before it was taken off the list).
    pub(crate) fn needs_net_admin(self) -> bool {
        use ProgramKind as Kind;
        matches!(
            self,
            Kind::SchedCls
                | Kind::SchedAct
                | Kind::Xdp
                | Kind::LwtIn
                | Kind::LwtOut
                | Kind::LwtXmit
                | Kind::LwtSeg6local
                | Kind::SkSkb
                | Kind::SkMsg
                | Kind::LircMode2
                | Kind::FlowDissector
                | Kind::CgroupDevice
                | Kind::CgroupSock
                | Kind::CgroupSockAddr
                | Kind::CgroupSockopt
                | Kind::CgroupSysctl
                | Kind::SockOps
                | Kind::Extension
                | Kind::Netfilter
        )
    }

    /// The first kernel that loads one; `None` if that is not known.
    pub(crate) fn since(self) -> Option<Release> {
        let rules = RULES.iter().filter(|rule| rule.kind == self);
        rules.filter_map(|rule| rule.since).min()
    }

    /// The kernel loads one only under a license compatible with the GPL: `bpf_lsm_verify_prog`,
    /// `check_struct_ops_btf_id`.
    pub(crate) fn needs_gpl(self) -> bool {
        matches!(self, Self::Lsm | Self::StructOps)
    }
}

/// Where a program hangs, and how it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hook {
    /// A socket's filter, or its group's choice: setsockopt.
    Socket,
    /// A kernel function: a perf event of the kprobe PMU.
    Kprobe,
    /// Many kernel functions: a link.
    KprobeMulti,
    /// A function of a file: a perf event of the uprobe PMU.
    Uprobe,
    /// Many functions of a file: a link.
    UprobeMulti,
    /// A network device's queueing discipline: netlink.
    Tc,
    /// A network device: a link.
    Tcx,
    /// A netkit device: a link.
    Netkit,
    /// A tracepoint as the kernel formats it: a perf event, whose number tracefs tells.
    Tracepoint,
    /// A tracepoint's bare arguments: BPF_RAW_TRACEPOINT_OPEN.
    RawTracepoint,
    /// The same, with types.
    TracepointBtf,
    /// Entry or exit of a kernel function: a trampoline.
    Trampoline,
    /// A function of another eBPF program.
    Replace,
    /// A hook of the security modules.
    Lsm,
    /// A cgroup.
    Cgroup,
    /// What reading a file of bpffs walks over.
    Iterator,
    /// None: user space runs it.
    Run,
    /// A network device: a link, or netlink.
    Xdp,
    /// An entry of a devmap or cpumap.
    XdpMap,
    /// A perf event that its owner opened.
    PerfEvent,
    /// A route: netlink.
    Route,
    /// A map of sockets.
    SockMap,
    /// An infrared device.
    Lirc,
    /// A network namespace.
    Netns,
    /// An interface of function pointers, filled by a map.
    StructOps,
    /// A netfilter hook: a link.
    Netfilter,
}

/// What a section name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The name, or what stands before the `/` where `target`.
    pub(crate) name: &'static str,
    /// `/` and what to attach to may follow.
    pub(crate) target: bool,
    /// The type of program.
    pub(crate) kind: ProgramKind,
    /// Where it hangs.
    pub(crate) hook: Hook,
    /// The first kernel on which that attaches; `None` if that is not verified.
    pub(crate) since: Option<Release>,
}

/// The rule for a section, and what follows its `/`. A leading `?`, which leaves the program
/// unloaded until it is asked for, is not part of the name.
pub(crate) fn rule_of(section: &str) -> Option<(&'static Rule, Option<&str>)> {
    let section = section.strip_prefix('?').unwrap_or(section);
    RULES.iter().find_map(|rule| {
        let rest = section.strip_prefix(rule.name)?;
        match rest.strip_prefix('/') {
            _ if rest.is_empty() => Some((rule, None)),
            Some(target) if rule.target => Some((rule, Some(target))),
            _ => None,
        }
    })
}

/// The rule that a section name resembles: libbpf before 1.0 and aya take `xdp/anything`.
pub(crate) fn resembles(section: &str) -> Option<&'static Rule> {
    let section = section.strip_prefix('?').unwrap_or(section);
    let (before, _) = section.split_once('/')?;
    RULES.iter().find(|rule| rule.name == before)
}

const fn rule(
    name: &'static str,
    target: bool,
    kind: ProgramKind,
    hook: Hook,
    since: Option<Release>,
) -> Rule {
    Rule {
        name,
        target,
        kind,
        hook,
        since,
    }
}

/// `section_defs` of libbpf 1.5 (tools/lib/bpf/libbpf.c; Documentation/bpf/libbpf/program_types.rst).
#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("socket", false, ProgramKind::SocketFilter, Hook::Socket, Some(Release(3, 19))),
    rule("sk_reuseport", false, ProgramKind::SkReuseport, Hook::Socket, Some(Release(4, 19))),
    rule("sk_reuseport/migrate", false, ProgramKind::SkReuseport, Hook::Socket, Some(Release(5, 14))),
    rule("kprobe", true, ProgramKind::Kprobe, Hook::Kprobe, Some(Release(4, 1))),
    rule("kretprobe", true, ProgramKind::Kprobe, Hook::Kprobe, Some(Release(4, 1))),
    rule("ksyscall", true, ProgramKind::Kprobe, Hook::Kprobe, Some(Release(4, 1))),
    rule("kretsyscall", true, ProgramKind::Kprobe, Hook::Kprobe, Some(Release(4, 1))),
    rule("kprobe.multi", true, ProgramKind::Kprobe, Hook::KprobeMulti, Some(Release(5, 18))),
    rule("kretprobe.multi", true, ProgramKind::Kprobe, Hook::KprobeMulti, Some(Release(5, 18))),
    rule("kprobe.session", true, ProgramKind::Kprobe, Hook::KprobeMulti, Some(Release(6, 10))),
    rule("uprobe", true, ProgramKind::Kprobe, Hook::Uprobe, Some(Release(4, 3))),
    rule("uretprobe", true, ProgramKind::Kprobe, Hook::Uprobe, Some(Release(4, 3))),
    rule("usdt", true, ProgramKind::Kprobe, Hook::Uprobe, Some(Release(4, 3))),
    rule("uprobe.s", true, ProgramKind::Kprobe, Hook::Uprobe, Some(Release(6, 0))),
    rule("uretprobe.s", true, ProgramKind::Kprobe, Hook::Uprobe, Some(Release(6, 0))),
    rule("uprobe.multi", true, ProgramKind::Kprobe, Hook::UprobeMulti, Some(Release(6, 6))),
    rule("uretprobe.multi", true, ProgramKind::Kprobe, Hook::UprobeMulti, Some(Release(6, 6))),
    rule("uprobe.multi.s", true, ProgramKind::Kprobe, Hook::UprobeMulti, Some(Release(6, 6))),
    rule("uretprobe.multi.s", true, ProgramKind::Kprobe, Hook::UprobeMulti, Some(Release(6, 6))),
    rule("uprobe.session", true, ProgramKind::Kprobe, Hook::UprobeMulti, None),
    rule("uprobe.session.s", true, ProgramKind::Kprobe, Hook::UprobeMulti, None),
    rule("tc", false, ProgramKind::SchedCls, Hook::Tc, Some(Release(4, 1))),
    rule("classifier", false, ProgramKind::SchedCls, Hook::Tc, Some(Release(4, 1))),
    rule("action", false, ProgramKind::SchedAct, Hook::Tc, Some(Release(4, 1))),
    rule("tc/ingress", false, ProgramKind::SchedCls, Hook::Tcx, Some(Release(6, 6))),
    rule("tc/egress", false, ProgramKind::SchedCls, Hook::Tcx, Some(Release(6, 6))),
    rule("tcx/ingress", false, ProgramKind::SchedCls, Hook::Tcx, Some(Release(6, 6))),
    rule("tcx/egress", false, ProgramKind::SchedCls, Hook::Tcx, Some(Release(6, 6))),
    rule("netkit/primary", false, ProgramKind::SchedCls, Hook::Netkit, Some(Release(6, 7))),
    rule("netkit/peer", false, ProgramKind::SchedCls, Hook::Netkit, Some(Release(6, 7))),
    rule("tracepoint", true, ProgramKind::Tracepoint, Hook::Tracepoint, Some(Release(4, 7))),
    rule("tp", true, ProgramKind::Tracepoint, Hook::Tracepoint, Some(Release(4, 7))),
    rule("raw_tracepoint", true, ProgramKind::RawTracepoint, Hook::RawTracepoint, Some(Release(4, 17))),
    rule("raw_tp", true, ProgramKind::RawTracepoint, Hook::RawTracepoint, Some(Release(4, 17))),
    rule("raw_tracepoint.w", true, ProgramKind::RawTracepointWritable, Hook::RawTracepoint, Some(Release(5, 2))),
    rule("raw_tp.w", true, ProgramKind::RawTracepointWritable, Hook::RawTracepoint, Some(Release(5, 2))),
    rule("tp_btf", true, ProgramKind::Tracing, Hook::TracepointBtf, Some(Release(5, 5))),
    rule("fentry", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 5))),
    rule("fexit", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 5))),
    rule("fmod_ret", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 7))),
    rule("fentry.s", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 10))),
    rule("fexit.s", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 10))),
    rule("fmod_ret.s", true, ProgramKind::Tracing, Hook::Trampoline, Some(Release(5, 10))),
    rule("freplace", true, ProgramKind::Extension, Hook::Replace, Some(Release(5, 6))),
    rule("lsm", true, ProgramKind::Lsm, Hook::Lsm, Some(Release(5, 7))),
    rule("lsm.s", true, ProgramKind::Lsm, Hook::Lsm, Some(Release(5, 10))),
    rule("lsm_cgroup", true, ProgramKind::Lsm, Hook::Cgroup, Some(Release(6, 0))),
    rule("iter", true, ProgramKind::Tracing, Hook::Iterator, Some(Release(5, 8))),
    rule("iter.s", true, ProgramKind::Tracing, Hook::Iterator, None),
    rule("syscall", false, ProgramKind::Syscall, Hook::Run, Some(Release(5, 14))),
    rule("xdp", false, ProgramKind::Xdp, Hook::Xdp, Some(Release(4, 8))),
    rule("xdp.frags", false, ProgramKind::Xdp, Hook::Xdp, Some(Release(5, 18))),
    rule("xdp/devmap", false, ProgramKind::Xdp, Hook::XdpMap, Some(Release(5, 8))),
    rule("xdp.frags/devmap", false, ProgramKind::Xdp, Hook::XdpMap, Some(Release(5, 18))),
    rule("xdp/cpumap", false, ProgramKind::Xdp, Hook::XdpMap, Some(Release(5, 9))),
    rule("xdp.frags/cpumap", false, ProgramKind::Xdp, Hook::XdpMap, Some(Release(5, 18))),
    rule("perf_event", false, ProgramKind::PerfEvent, Hook::PerfEvent, Some(Release(4, 9))),
    rule("lwt_in", false, ProgramKind::LwtIn, Hook::Route, Some(Release(4, 10))),
    rule("lwt_out", false, ProgramKind::LwtOut, Hook::Route, Some(Release(4, 10))),
    rule("lwt_xmit", false, ProgramKind::LwtXmit, Hook::Route, Some(Release(4, 10))),
    rule("lwt_seg6local", false, ProgramKind::LwtSeg6local, Hook::Route, Some(Release(4, 18))),
    rule("sockops", false, ProgramKind::SockOps, Hook::Cgroup, Some(Release(4, 13))),
    rule("sk_skb", false, ProgramKind::SkSkb, Hook::SockMap, Some(Release(4, 14))),
    rule("sk_skb/stream_parser", false, ProgramKind::SkSkb, Hook::SockMap, Some(Release(4, 14))),
    rule("sk_skb/stream_verdict", false, ProgramKind::SkSkb, Hook::SockMap, Some(Release(4, 14))),
    rule("sk_skb/verdict", false, ProgramKind::SkSkb, Hook::SockMap, Some(Release(5, 13))),
    rule("sk_msg", false, ProgramKind::SkMsg, Hook::SockMap, Some(Release(4, 17))),
    rule("lirc_mode2", false, ProgramKind::LircMode2, Hook::Lirc, Some(Release(4, 18))),
    rule("flow_dissector", false, ProgramKind::FlowDissector, Hook::Netns, Some(Release(4, 20))),
    rule("sk_lookup", false, ProgramKind::SkLookup, Hook::Netns, Some(Release(5, 9))),
    rule("cgroup_skb/ingress", false, ProgramKind::CgroupSkb, Hook::Cgroup, Some(Release(4, 10))),
    rule("cgroup_skb/egress", false, ProgramKind::CgroupSkb, Hook::Cgroup, Some(Release(4, 10))),
    rule("cgroup/skb", false, ProgramKind::CgroupSkb, Hook::Cgroup, Some(Release(4, 10))),
    rule("cgroup/sock", false, ProgramKind::CgroupSock, Hook::Cgroup, Some(Release(4, 10))),
    rule("cgroup/sock_create", false, ProgramKind::CgroupSock, Hook::Cgroup, Some(Release(4, 10))),
    rule("cgroup/sock_release", false, ProgramKind::CgroupSock, Hook::Cgroup, Some(Release(5, 9))),
    rule("cgroup/post_bind4", false, ProgramKind::CgroupSock, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/post_bind6", false, ProgramKind::CgroupSock, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/bind4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/bind6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/connect4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/connect6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 17))),
    rule("cgroup/sendmsg4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 18))),
    rule("cgroup/sendmsg6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(4, 18))),
    rule("cgroup/recvmsg4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 2))),
    rule("cgroup/recvmsg6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 2))),
    rule("cgroup/getpeername4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 8))),
    rule("cgroup/getpeername6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 8))),
    rule("cgroup/getsockname4", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 8))),
    rule("cgroup/getsockname6", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, Some(Release(5, 8))),
    rule("cgroup/connect_unix", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, None),
    rule("cgroup/sendmsg_unix", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, None),
    rule("cgroup/recvmsg_unix", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, None),
    rule("cgroup/getpeername_unix", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, None),
    rule("cgroup/getsockname_unix", false, ProgramKind::CgroupSockAddr, Hook::Cgroup, None),
    rule("cgroup/sysctl", false, ProgramKind::CgroupSysctl, Hook::Cgroup, Some(Release(5, 2))),
    rule("cgroup/getsockopt", false, ProgramKind::CgroupSockopt, Hook::Cgroup, Some(Release(5, 3))),
    rule("cgroup/setsockopt", false, ProgramKind::CgroupSockopt, Hook::Cgroup, Some(Release(5, 3))),
    rule("cgroup/dev", false, ProgramKind::CgroupDevice, Hook::Cgroup, Some(Release(4, 15))),
    rule("struct_ops", true, ProgramKind::StructOps, Hook::StructOps, Some(Release(5, 6))),
    rule("struct_ops.s", true, ProgramKind::StructOps, Hook::StructOps, None),
    rule("netfilter", false, ProgramKind::Netfilter, Hook::Netfilter, Some(Release(6, 4))),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Option<(&'static str, Hook, Option<&str>)> {
        rule_of(section).map(|(rule, target)| (rule.name, rule.hook, target))
    }

    #[test]
    fn types_of_programs_are_numbered_as_in_the_header() {
        assert_eq!(ProgramKind::from_number(6), Some(ProgramKind::Xdp));
        assert_eq!(
            ProgramKind::from_number(17),
            Some(ProgramKind::RawTracepoint)
        );
        assert_eq!(ProgramKind::from_number(26), Some(ProgramKind::Tracing));
        assert_eq!(ProgramKind::from_number(32), Some(ProgramKind::Netfilter));
        for number in 1..=32 {
            let kind = ProgramKind::from_number(number).unwrap();
            assert_eq!(kind.number(), number);
        }
        assert_eq!(ProgramKind::from_number(0), None);
        assert_eq!(ProgramKind::from_number(33), None);
    }

    #[test]
    fn names_are_read_as_libbpf_reads_them() {
        assert_eq!(
            read("raw_tp/sys_enter"),
            Some(("raw_tp", Hook::RawTracepoint, Some("sys_enter")))
        );
        assert_eq!(
            read("tp/syscalls/sys_enter_openat"),
            Some(("tp", Hook::Tracepoint, Some("syscalls/sys_enter_openat")))
        );
        assert_eq!(read("?kprobe"), Some(("kprobe", Hook::Kprobe, None)));
        assert_eq!(
            read("kprobe.multi/tcp_*"),
            Some(("kprobe.multi", Hook::KprobeMulti, Some("tcp_*")))
        );
        assert_eq!(read("xdp/devmap"), Some(("xdp/devmap", Hook::XdpMap, None)));
        assert_eq!(read("xdp/mine"), None);
        assert_eq!(read("kprobes"), None);
        assert_eq!(read(""), None);
        assert_eq!(resembles("xdp/mine").map(|rule| rule.name), Some("xdp"));
        assert_eq!(resembles("nothing/of/ours"), None);
    }

    #[test]
    fn no_name_is_there_twice() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(RULES[..index].iter().all(|other| other.name != rule.name));
        }
    }
}
