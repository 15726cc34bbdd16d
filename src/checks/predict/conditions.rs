//! What an answer of the kernel depends on, besides the operation.

use crate::facts::kernel::Lockdown;
use crate::sys::capabilities::{Cap, CapSet};
use crate::sys::release::Release;

/// A version of kernel.org's Linux: the one that the running kernel was made from, which its name need
/// not say (Debian's 5.10.0-46 is a 5.10.2xx; `/proc/version`, Ubuntu's `/proc/version_signature`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// Whose patches the kernel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// None that matter here.
    Mainline,
    /// Debian's.
    Debian,
    /// Ubuntu's, and the number after the dash of its release (`149` of `6.8.0-149-generic`).
    Ubuntu(u32),
}

/// Switches of the kernel's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// `CONFIG_BPF_SYSCALL`.
    pub(crate) bpf_syscall: bool,
    /// `CONFIG_BPF_EVENTS`: programs on tracepoints, kprobes and perf events.
    pub(crate) bpf_events: bool,
    /// `CONFIG_PERF_EVENTS`.
    pub(crate) perf_events: bool,
    /// `CONFIG_KPROBE_EVENTS`.
    pub(crate) kprobe_events: bool,
    /// `CONFIG_FTRACE_SYSCALLS`: the events `syscalls:*`.
    pub(crate) ftrace_syscalls: bool,
    /// `CONFIG_CGROUP_BPF`.
    pub(crate) cgroup_bpf: bool,
}

impl Built {
    /// All of them, as every distribution has it.
    pub const ALL: Self = Self {
        bpf_syscall: true,
        bpf_events: true,
        perf_events: true,
        kprobe_events: true,
        ftrace_syscalls: true,
        cgroup_bpf: true,
    };
}

/// The errno that something answers to a system call before the kernel proper sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denials {
    /// To `bpf(2)`.
    pub bpf: Option<i32>,
    /// To `perf_event_open(2)`.
    pub(crate) perf_event_open: Option<i32>,
}

/// The kernel's lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedDown {
    /// How far it goes.
    pub level: Lockdown,
    /// It was so before tracefs was filled, which then stays empty under confidentiality.
    pub at_boot: bool,
    /// It is the security module of Linux 5.4 (`lockdown` in `/sys/kernel/security/lsm`). What
    /// distributions patched into older kernels refuses other things.
    pub module: bool,
}

/// Owner, group and permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The lowest nine bits of the mode.
    pub mode: u32,
}

/// A mounted tracefs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracefs {
    /// Its root directory, which mount options shape.
    pub root: Inode,
    /// What somebody did to everything in it, later.
    pub opened: Option<Opened>,
}

/// `chgrp -R` and `chmod -R g+…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The group.
    pub gid: u32,
    /// The bits added for it, of `rwx`.
    pub bits: u32,
}

/// All that [`predict`](super::predict) needs to know of the kernel, its settings and the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The version it was made from.
    pub version: Version,
    /// Whose it is.
    pub distribution: Distribution,
    /// How it was built.
    pub built: Built,
    /// `/proc/sys/kernel/cap_last_cap`: what is above it cannot be held. CAP_BPF is 39.
    pub last_cap: u32,
    /// `/sys/kernel/btf/vmlinux` is there.
    pub kernel_btf: bool,

    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: u32,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: i32,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: u32,
    /// Its lockdown.
    pub lockdown: LockedDown,
    /// What security modules deny to this process (SELinux: EACCES).
    pub security_modules: Denials,

    /// Effective user id, in the process's own user namespace.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// CapEff.
    pub effective: CapSet,
    /// CapPrm.
    pub permitted: CapSet,
    /// CapBnd.
    pub bounding: CapSet,
    /// CapAmb.
    pub ambient: CapSet,
    /// In the initial user namespace: capabilities of another do not count.
    pub initial_user_namespace: bool,
    /// NoNewPrivs.
    pub no_new_privs: bool,
    /// What seccomp filters deny.
    pub seccomp: Denials,
    /// RLIMIT_MEMLOCK, in bytes; `u64::MAX` for none.
    pub memlock: u64,

    /// tracefs, where it is mounted.
    pub tracefs: Option<Tracefs>,
    /// The root directory of debugfs, where it is mounted.
    pub debugfs: Option<Inode>,
    /// The root directory of bpffs, where it is mounted.
    pub bpffs: Option<Inode>,
    /// A cgroup v2 hierarchy is mounted.
    pub cgroup2: bool,
}

const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

impl Conditions {
    /// Is it that version of Linux or a later one?
    pub(super) fn since(&self, release: Release) -> bool {
        Release(self.version.0, self.version.1) >= release
    }

    /// Does it have a change of that version, or a stable series' copy of it?
    pub(super) fn has_change(&self, mainline: Release, stable: &[Version]) -> bool {
        let copied = stable.iter().any(|from| {
            (from.0, from.1) == (self.version.0, self.version.1) && self.version >= *from
        });
        copied || self.since(mainline)
    }

    /// Capabilities that this kernel knows: `cap_valid_mask`.
    pub(super) fn known(&self, set: CapSet) -> CapSet {
        let mask = u64::MAX.checked_shr(63_u32.saturating_sub(self.last_cap));
        CapSet(set.0 & mask.unwrap_or(u64::MAX))
    }

    /// `capable()`: effective in the initial user namespace. Any of these.
    pub(super) fn any_of(&self, caps: &[Cap]) -> bool {
        let effective = self.known(self.effective);
        self.initial_user_namespace && caps.iter().any(|cap| effective.has(*cap))
    }

    /// `bpf_capable()`, from when on there is a CAP_BPF.
    pub(super) fn bpf(&self) -> &'static [Cap] {
        if self.last_cap >= CAP_BPF {
            &[Cap::Bpf, Cap::SysAdmin]
        } else {
            &[Cap::SysAdmin]
        }
    }

    /// `perfmon_capable()`, from when on there is a CAP_PERFMON.
    pub(super) fn perfmon(&self) -> &'static [Cap] {
        if self.last_cap >= CAP_PERFMON {
            &[Cap::Perfmon, Cap::SysAdmin]
        } else {
            &[Cap::SysAdmin]
        }
    }

    /// CAP_NET_ADMIN for `bpf(2)`: from 6.9 on `bpf_token_capable` lets CAP_SYS_ADMIN stand for it.
    pub(super) fn net_admin(&self) -> &'static [Cap] {
        if self.since(Release(6, 9)) {
            &[Cap::NetAdmin, Cap::SysAdmin]
        } else {
            &[Cap::NetAdmin]
        }
    }

    /// The lockdown of Linux 5.4 and later, at this level or above.
    pub(super) fn locked_down(&self, level: Lockdown) -> bool {
        self.lockdown.module && self.lockdown.level >= level
    }

    /// A lockdown that a distribution patched into an older kernel. It has one level.
    pub(super) fn locked_down_by_patch(&self) -> bool {
        !self.lockdown.module && self.lockdown.level != Lockdown::None
    }
}
