//! The unit that the kernel hands memory out in.

use std::io;

use nix::unistd::{SysconfVar, sysconf};

/// Bytes of a page.
///
/// # Errors
/// What `sysconf(3)` answers.
pub fn size() -> io::Result<u64> {
    let size = sysconf(SysconfVar::PAGE_SIZE)?;
    let size = size.and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| io::ErrorKind::Unsupported.into())
}
