//! Capabilities: sets of them, giving up what is no longer needed, and reading those of other processes.

use std::sync::LazyLock;
use std::{fmt, io};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::release::Release;

/// A set of capabilities, one bit each; serialised as in `/proc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CapSet(pub u64);

/// A capability that matters for eBPF, or for the files that denet reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// `bpf(2)` (Linux 5.8).
    Bpf,
    /// Tracing programs and perf events (Linux 5.8).
    Perfmon,
    /// Network programs and maps.
    NetAdmin,
    /// Includes the first two, and for loading the third.
    SysAdmin,
    /// Addresses of kernel symbols, and the kernel log.
    Syslog,
    /// Raising hard limits.
    SysResource,
    /// Bypassing the permissions of all files.
    DacOverride,
    /// Reading all files.
    DacReadSearch,
}

impl Cap {
    const fn known(self) -> caps::Capability {
        match self {
            Self::Bpf => caps::Capability::CAP_BPF,
            Self::Perfmon => caps::Capability::CAP_PERFMON,
            Self::NetAdmin => caps::Capability::CAP_NET_ADMIN,
            Self::SysAdmin => caps::Capability::CAP_SYS_ADMIN,
            Self::Syslog => caps::Capability::CAP_SYSLOG,
            Self::SysResource => caps::Capability::CAP_SYS_RESOURCE,
            Self::DacOverride => caps::Capability::CAP_DAC_OVERRIDE,
            Self::DacReadSearch => caps::Capability::CAP_DAC_READ_SEARCH,
        }
    }

    /// Its name, as `setcap(8)` writes it.
    pub(crate) fn name(self) -> &'static str {
        &NAMES[self.known() as usize]
    }
}

/// The name of each bit, as `setcap(8)` accepts it; the number for bits that have no name yet.
static NAMES: LazyLock<[String; 64]> = LazyLock::new(|| {
    let mut names = std::array::from_fn(|number| number.to_string());
    for known in caps::all() {
        names[usize::from(known.index())] = known.to_string().to_lowercase();
    }
    names
});

impl CapSet {
    /// The set with one capability.
    pub fn of(cap: Cap) -> Self {
        Self(cap.known().bitmask())
    }

    /// All capabilities up to the one with this number.
    pub(crate) fn up_to(last: u32) -> Self {
        Self(u64::MAX >> 63_u32.saturating_sub(last))
    }

    /// Whether the set contains it.
    pub(crate) fn has(self, cap: Cap) -> bool {
        self.0 & cap.known().bitmask() != 0
    }

    /// Whether the set is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The name of each, as `setcap(8)` accepts it; the number for those that have no name yet.
    pub(crate) fn names(self) -> Vec<String> {
        let bits = NAMES.iter().enumerate();
        let held = bits.filter(|(number, _)| self.0 & (1 << number) != 0);
        held.map(|(_, name)| name.clone()).collect()
    }

    /// The capabilities that the syscall profile needs and this set lacks.
    pub(crate) fn lacks_for_tracing(self) -> Vec<Cap> {
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

/// Since this version the kernel requires CAP_BPF only for creating maps and loading programs, not for reading maps.
const READS_UNPRIVILEGED: Release = Release(5, 19);

/// Once everything is attached, descriptors and mapped memory are enough, except on kernels that require
/// CAP_BPF for reading maps. Root keeps its capabilities: it could get them back.
pub(crate) fn give_up() {
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

/// Permanently drops all capabilities of the calling thread except these, including those that have no name yet.
/// Capabilities that the thread does not have are not added.
///
/// # Errors
/// The error of `capget(2)` or `capset(2)`, as text only.
pub fn keep_only(kept: CapSet) -> io::Result<()> {
    use caps::CapSet::{Effective, Inheritable, Permitted};
    let failed = |error: caps::errors::CapsError| io::Error::other(error.to_string());
    let mut held = caps::read(None, Permitted).map_err(failed)?;
    held.retain(|cap| kept.0 & cap.bitmask() != 0);
    caps::set(None, Effective, &held).map_err(failed)?;
    caps::set(None, Permitted, &held).map_err(failed)?;
    caps::clear(None, Inheritable).map_err(failed)
}

/// The permitted capabilities of a process, within its own user namespace. The crate `caps` is not used: it
/// omits those that have no name yet, and the error number.
///
/// # Errors
/// ESRCH if there is no such process.
pub(crate) fn permitted(pid: u32) -> io::Result<CapSet> {
    let pid = Pid::from_raw(pid as i32).ok_or(rustix::io::Errno::SRCH)?;
    let sets = rustix::thread::capabilities(Some(pid))?;
    Ok(CapSet(sets.permitted.bits()))
}

/// The flags that control how this process's capabilities behave (`capabilities(7)`, securebits).
///
/// # Errors
/// The error of `prctl(2)`.
pub(crate) fn securebits() -> io::Result<u32> {
    Ok(rustix::thread::capabilities_secure_bits()?.bits())
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
    #[test]
    fn sets_have_names_and_numbers() {
        assert_eq!(
            CapSet(1 | 1 << 13 | 1 << 39 | 1 << 41 | 1 << 63).names(),
            ["cap_chown", "cap_net_raw", "cap_bpf", "41", "63"]
        );
        assert_eq!(CapSet::of(Cap::DacReadSearch), CapSet(1 << 2));
        assert_eq!(Cap::NetAdmin.name(), "cap_net_admin");
    }
}
