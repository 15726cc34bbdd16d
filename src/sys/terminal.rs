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

/// Does the terminal know how to move its cursor, as far as it says what it is?
pub fn can_move() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name != "dumb")
}
