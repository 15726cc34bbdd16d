//! Resource limits.

use std::io;

/// Soft limit of locked memory of this process in bytes, `u64::MAX` for none.
///
/// # Errors
/// What `getrlimit(2)` answers.
pub fn memlock() -> io::Result<u64> {
    get().map(|limit| limit.rlim_cur)
}

pub(super) fn get() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live place for the answer.
    match unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the limit of locked memory. Async-signal-safe.
pub(super) fn set(limit: &libc::rlimit) {
    // SAFETY: a live limit. Lowering always succeeds, and denet only goes back.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, limit) };
}
