//! The limit of locked memory, which old kernels count eBPF maps and programs against.

use std::io;

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

/// Sets the limit of locked memory, where that is allowed: lowering it always is. Async-signal-safe.
pub(super) fn set(limit: &libc::rlimit) {
    // SAFETY: a live limit.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, limit) };
}

/// The limit as far as it could be raised: without one where the process may, else to its hard limit.
/// It is what it was when this is dropped.
#[derive(Debug)]
pub struct Raised {
    before: libc::rlimit,
}

impl Raised {
    /// Raises it.
    ///
    /// # Errors
    /// What `getrlimit(2)` answers.
    pub fn new() -> io::Result<Self> {
        let before = get()?;
        set(&libc::rlimit {
            rlim_cur: before.rlim_max,
            ..before
        });
        set(&libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        });
        Ok(Self { before })
    }

    /// Nothing is counted against it any more.
    pub fn is_unlimited(&self) -> bool {
        get().is_ok_and(|limit| limit.rlim_cur == libc::RLIM_INFINITY)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        set(&self.before);
    }
}
