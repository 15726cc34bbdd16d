//! The unit that the kernel hands memory out in.

use std::io;

/// Bytes of a page.
///
/// # Errors
/// What `sysconf(3)` answers.
pub fn size() -> io::Result<u64> {
    // SAFETY: a query without arguments in memory.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).map_err(|_| io::Error::last_os_error())
}
