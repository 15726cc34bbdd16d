//! Giving up what is no longer needed.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3`: two words each.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up every capability of the calling thread, for good.
///
/// # Errors
/// What `capset(2)` answers.
pub fn drop_all() -> io::Result<()> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let none = [Sets::default(); 2];
    // SAFETY: a header and, as its version demands, two sets.
    match unsafe { libc::syscall(libc::SYS_capset, &header, none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
