//! Width of the terminal behind a descriptor.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Columns of the terminal, `None` where there is none.
pub fn columns(fd: BorrowedFd<'_>) -> Option<usize> {
    // SAFETY: an all-zero winsize is a valid place for the answer.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
