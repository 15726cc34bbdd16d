//! Width of the terminal behind a descriptor.

use std::os::fd::BorrowedFd;

/// Columns of the terminal, `None` where there is none.
pub(crate) fn columns(fd: BorrowedFd<'_>) -> Option<usize> {
    let (columns, _) = terminal_size::terminal_size_of(fd)?;
    Some(usize::from(columns.0))
}

/// Does the terminal know how to move its cursor, as far as it says what it is?
pub(crate) fn can_move() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name != "dumb")
}
