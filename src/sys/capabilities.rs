//! Capabilities: sets of them, giving up what is no longer needed, and reading those of other processes.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::release::Release;

/// A set of capabilities, a bit each; saved as `/proc` writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CapSet(pub u64);

/// A capability that matters for eBPF, or for the files that are read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Addresses of kernel symbols, and the kernel log.
    Syslog,
    /// Limits beyond the hard ones.
    SysResource,
    /// Permissions of all files are ignored.
    DacOverride,
    /// Every file may be read.
    DacReadSearch,
}

impl Cap {
    const ALL: [Self; 8] = [
        Self::Bpf,
        Self::Perfmon,
        Self::NetAdmin,
        Self::SysAdmin,
        Self::Syslog,
        Self::SysResource,
        Self::DacOverride,
        Self::DacReadSearch,
    ];

    const fn number(self) -> u32 {
        match self {
            Self::DacOverride => 1,
            Self::DacReadSearch => 2,
            Self::NetAdmin => 12,
            Self::SysAdmin => 21,
            Self::SysResource => 24,
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
            Self::Syslog => "cap_syslog",
            Self::SysResource => "cap_sys_resource",
            Self::DacOverride => "cap_dac_override",
            Self::DacReadSearch => "cap_dac_read_search",
        }
    }
}

impl CapSet {
    /// The set of one.
    pub fn of(cap: Cap) -> Self {
        Self(1 << cap.number())
    }

    /// All capabilities up to the one with this number.
    pub fn up_to(last: u32) -> Self {
        Self(u64::MAX >> 63_u32.saturating_sub(last))
    }

    /// Is it in the set?
    pub fn has(self, cap: Cap) -> bool {
        self.0 & (1 << cap.number()) != 0
    }

    /// There is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The name of each, as `setcap(8)` takes it; the number of those that have none here.
    pub fn names(self) -> Vec<String> {
        let held = (0..u64::BITS).filter(|number| self.0 & (1 << number) != 0);
        let name = |number: u32| {
            let known = Cap::ALL.into_iter().find(|cap| cap.number() == number);
            known.map_or_else(|| number.to_string(), |cap| cap.name().to_owned())
        };
        held.map(name).collect()
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

impl From<CapSet> for String {
    fn from(set: CapSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for CapSet {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words each.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Kernels from here on ask for CAP_BPF only to make maps and to load programs, not to read maps.
const READS_UNPRIVILEGED: Release = Release(5, 19);

/// Once everything is attached, descriptors and mapped memory are enough, except on kernels that ask for
/// CAP_BPF to read maps. Root keeps its capabilities: it could get them back.
pub fn give_up() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let kept = match READS_UNPRIVILEGED.is_reached() {
        true => CapSet::default(),
        false => CapSet::of(Cap::Bpf),
    };
    let given_up = keep_only(kept);
    tracing::debug!(%kept, error = ?given_up.err(), "capabilities given up");
}

/// Gives up every capability of the calling thread but these, for good. Those that are not held stay so.
///
/// # Errors
/// What `capset(2)` answers.
pub fn keep_only(kept: CapSet) -> io::Result<()> {
    let kept = CapSet(kept.0 & permitted(std::process::id())?.0);
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let half = |word: u64| Sets {
        effective: word as u32,
        permitted: word as u32,
        inheritable: 0,
    };
    let sets = [half(kept.0), half(kept.0 >> 32)];
    // SAFETY: a header and, as its version demands, two sets.
    match unsafe { libc::syscall(libc::SYS_capset, &header, sets.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The permitted capabilities of a process, within its own user namespace.
///
/// # Errors
/// ESRCH if there is no such process.
pub fn permitted(pid: u32) -> io::Result<CapSet> {
    let header = Header {
        version: VERSION_3,
        pid: pid as i32,
    };
    let mut sets = [Sets {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: a header and, as its version demands, places for two sets.
    match unsafe { libc::syscall(libc::SYS_capget, &header, sets.as_mut_ptr()) } {
        0 => Ok(CapSet(
            u64::from(sets[1].permitted) << 32 | u64::from(sets[0].permitted),
        )),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How this process' capabilities behave (`capabilities(7)`, securebits).
///
/// # Errors
/// What `prctl(2)` answers.
pub fn securebits() -> io::Result<u32> {
    // SAFETY: PR_GET_SECUREBITS takes nothing.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) };
    u32::try_from(bits).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permitted_capabilities_are_those_in_proc() {
        let own = std::process::id();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
        let said = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        assert_eq!(permitted(own).unwrap(), CapSet(said));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(permitted(pid).is_err());
    }

    #[test]
    fn sets_are_saved_as_proc_writes_them() {
        let text = serde_json::to_string(&CapSet(0xc0 << 32)).unwrap();
        assert_eq!(text, r#""000000c000000000""#);
        assert_eq!(
            serde_json::from_str::<CapSet>(&text).unwrap(),
            CapSet(0xc0 << 32)
        );
        assert!(serde_json::from_str::<CapSet>(r#""all""#).is_err());
        assert_eq!(CapSet::up_to(40), CapSet(0x1ff_ffff_ffff));
        assert_eq!(CapSet::up_to(63), CapSet(u64::MAX));
        assert_eq!(CapSet::up_to(99), CapSet(u64::MAX));
    }
}
