//! Capabilities by system calls: giving up what is no longer needed, and reading those of other processes.

use std::io;

use crate::facts::kernel::Release;
use crate::facts::privileges::{Cap, CapSet};

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
}
