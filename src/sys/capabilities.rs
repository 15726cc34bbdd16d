//! Capabilities of this process beyond what `/proc` says: giving up what is no longer needed.

use std::io;

use crate::facts::privileges::CapSet;

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

/// Gives up every capability of the calling thread but these, for good. They must be held.
///
/// # Errors
/// What `capset(2)` answers.
pub fn keep_only(kept: CapSet) -> io::Result<()> {
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

/// How this process' capabilities behave (`capabilities(7)`, securebits).
///
/// # Errors
/// What `prctl(2)` answers.
pub fn securebits() -> io::Result<u32> {
    // SAFETY: PR_GET_SECUREBITS takes nothing.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) };
    u32::try_from(bits).map_err(|_| io::Error::last_os_error())
}
