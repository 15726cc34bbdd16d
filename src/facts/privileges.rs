//! What this process may do: credentials, capability sets, and what takes them away.

use std::{fmt, io};

use super::Fact;

/// A set of capabilities, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSet(pub u64);

/// A capability that matters for eBPF.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// `bpf(2)` (Linux 5.8).
    Bpf,
    /// Tracing programs and perf events (Linux 5.8).
    Perfmon,
    /// Programs and maps of the network.
    NetAdmin,
    /// Stands for the first two, and for the third when loading.
    SysAdmin,
    /// Any file, whatever its mode.
    DacOverride,
    /// Reading any file and searching any directory.
    DacReadSearch,
    /// Addresses of the kernel.
    Syslog,
}

impl Cap {
    const fn number(self) -> u32 {
        match self {
            Self::DacOverride => 1,
            Self::DacReadSearch => 2,
            Self::NetAdmin => 12,
            Self::SysAdmin => 21,
            Self::Syslog => 34,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }

    /// As `setcap(8)` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "cap_bpf",
            Self::Perfmon => "cap_perfmon",
            Self::NetAdmin => "cap_net_admin",
            Self::SysAdmin => "cap_sys_admin",
            Self::DacOverride => "cap_dac_override",
            Self::DacReadSearch => "cap_dac_read_search",
            Self::Syslog => "cap_syslog",
        }
    }
}

impl CapSet {
    /// The set of one.
    pub fn of(cap: Cap) -> Self {
        Self(1 << cap.number())
    }

    /// Is it in the set?
    pub fn has(self, cap: Cap) -> bool {
        self.0 & (1 << cap.number()) != 0
    }

    /// What a set must hold for the syscall profile, and this one does not.
    pub fn lacks_for_tracing(self) -> Vec<Cap> {
        let needed = [Cap::Bpf, Cap::Perfmon].into_iter();
        needed
            .filter(|cap| !self.has(*cap) && !self.has(Cap::SysAdmin))
            .collect()
    }
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Credentials of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Effective user id.
    pub uid: u32,
    /// CapEff.
    pub effective: CapSet,
    /// CapPrm.
    pub permitted: CapSet,
    /// CapBnd.
    pub bounding: CapSet,
    /// NoNewPrivs: file capabilities have no effect.
    pub no_new_privs: bool,
    /// Seccomp: 0 none, 1 strict, 2 filter.
    pub seccomp: u32,
    /// In the initial user namespace: elsewhere capabilities do not reach `bpf(2)`.
    pub initial_user_namespace: Fact<bool>,
}

/// Inode of the initial user namespace: PROC_USER_INIT_INO (include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

impl Privileges {
    /// Those of this process.
    pub fn probe() -> Fact<Self> {
        let namespace = Fact::from(std::fs::read_link("/proc/self/ns/user"))
            .map(|link| link.as_os_str() == INITIAL_USER_NAMESPACE);
        let read = std::fs::read_to_string("/proc/self/status").and_then(|status| {
            parse(&status, namespace).ok_or_else(|| {
                io::Error::other("/proc/self/status: a line is missing or malformed")
            })
        });
        read.into()
    }
}

fn parse(status: &str, initial_user_namespace: Fact<bool>) -> Option<Privileges> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let caps = |name| u64::from_str_radix(field(name)?, 16).ok().map(CapSet);
    Some(Privileges {
        // real, effective, saved, file system
        uid: field("Uid")?.split_whitespace().nth(1)?.parse().ok()?,
        effective: caps("CapEff")?,
        permitted: caps("CapPrm")?,
        bounding: caps("CapBnd")?,
        no_new_privs: field("NoNewPrivs")? != "0",
        // Absent in kernels without CONFIG_SECCOMP.
        seccomp: field("Seccomp").map_or(Some(0), |mode| mode.parse().ok())?,
        initial_user_namespace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status() {
        let status = "Name:\tdenet\nUid:\t1000\t1001\t1000\t1000\nCapInh:\t0000000000000000\n\
            CapPrm:\t000000c000000000\nCapEff:\t0000004000000000\nCapBnd:\t000001ffffffffff\n\
            CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let read = parse(status, Fact::Known(true));
        let privileges = read.as_ref().map(|p| {
            (
                p.uid,
                p.no_new_privs,
                p.seccomp,
                p.effective.has(Cap::Perfmon),
            )
        });
        assert_eq!(privileges, Some((1001, true, 2, true)));
        assert_eq!(
            read.map(|p| p.effective.lacks_for_tracing()),
            Some(vec![Cap::Bpf])
        );
        assert_eq!(parse("Uid:\tx\n", Fact::Absent), None);
        assert!(CapSet(1 << 21).lacks_for_tracing().is_empty());
    }
}
