//! Hanging a loaded program where it is to run.

use libc::{EINVAL, ENOENT, EOPNOTSUPP, EPERM};

use super::bpf::{Command, enter};
use super::operation::Link;
use super::{Check, Checked, Conditions, require, require_capability};
use crate::decode::uapi::sections::ProgramKind;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

/// It asks for no capability of its own: who holds the program has had it loaded.
pub(super) fn raw_tracepoint_open(exists: bool, c: &Conditions) -> Checked {
    enter(Command::Other, c)?;
    let since = Release(4, 17);
    require(c.since(since), EINVAL, "__sys_bpf", Check::Since(since))?;
    let check = Check::Present("tracepoint");
    require(exists, ENOENT, "bpf_get_raw_tracepoint", check)
}

/// Programs for cgroup_skb may be loaded by anybody, so attaching asks (5.8).
fn may_attach(kind: ProgramKind, errno: i32, c: &Conditions) -> Checked {
    if kind != ProgramKind::CgroupSkb {
        return Ok(());
    }
    require_capability(c.net_admin(), errno, "bpf_prog_attach_check_attach_type", c)
}

fn cgroup_opens(c: &Conditions) -> Checked {
    let check = Check::Present("cgroup v2 hierarchy");
    require(c.cgroup2, ENOENT, "path_openat", check)
}

/// The stub of `cgroup_bpf_prog_attach` and `cgroup_bpf_link_attach`.
fn cgroup_takes_programs(c: &Conditions) -> Checked {
    let check = Check::Config("CONFIG_CGROUP_BPF");
    require(c.built.cgroup_bpf, EINVAL, "cgroup_bpf_prog_attach", check)
}

pub(super) fn cgroup_attach(kind: ProgramKind, c: &Conditions) -> Checked {
    cgroup_opens(c)?;
    enter(Command::Other, c)?;
    if c.since(Release(5, 8)) {
        // bpf_prog_attach makes EINVAL of whatever that answers.
        may_attach(kind, EINVAL, c)?;
    } else {
        require_capability(&[Cap::NetAdmin], EPERM, "bpf_prog_attach", c)?;
    }
    cgroup_takes_programs(c)
}

pub(super) fn link_create(link: Link, c: &Conditions) -> Checked {
    const FUNCTION: &str = "link_create";
    if let Link::Cgroup(_) = link {
        cgroup_opens(c)?;
    }
    enter(Command::Other, c)?;
    let since = Release(5, 7);
    require(c.since(since), EINVAL, "__sys_bpf", Check::Since(since))?;
    if !c.since(Release(5, 8)) {
        require_capability(&[Cap::NetAdmin], EPERM, FUNCTION, c)?;
    }
    let known = |since| require(c.since(since), EINVAL, FUNCTION, Check::Since(since));
    match link {
        Link::PerfEvent => known(Release(5, 15)),
        Link::Xdp => known(Release(5, 9)),
        Link::Cgroup(kind) => {
            if c.since(Release(5, 8)) {
                may_attach(kind, EPERM, c)?;
            }
            cgroup_takes_programs(c)
        }
    }
}

/// `netlink_net_capable`: CAP_SYS_ADMIN does not stand for CAP_NET_ADMIN here.
pub(super) fn xdp_netlink(c: &Conditions) -> Checked {
    require_capability(&[Cap::NetAdmin], EPERM, "rtnetlink_rcv_msg", c)?;
    // Without the driver's help (generic XDP).
    let since = Release(4, 12);
    let known = c.since(since);
    require(known, EOPNOTSUPP, "dev_change_xdp_fd", Check::Since(since))
}
