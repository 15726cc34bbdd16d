//! The limit of locked memory, which old kernels count eBPF maps and programs against.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

/// The soft and the hard limit of locked memory.
pub(super) fn get() -> io::Result<(rlim_t, rlim_t)> {
    Ok(getrlimit(Resource::RLIMIT_MEMLOCK)?)
}

/// Sets both, where that is allowed: lowering them always is. Async-signal-safe.
pub(super) fn set(soft: rlim_t, hard: rlim_t) {
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
}

/// The limit as far as it could be raised: without one where the process may, else to its hard limit.
/// It is what it was when this is dropped.
#[derive(Debug)]
pub(crate) struct Raised {
    soft: rlim_t,
    hard: rlim_t,
}

impl Raised {
    /// Raises it.
    ///
    /// # Errors
    /// What `getrlimit(2)` answers.
    pub(crate) fn new() -> io::Result<Self> {
        let (soft, hard) = get()?;
        set(hard, hard);
        set(RLIM_INFINITY, RLIM_INFINITY);
        Ok(Self { soft, hard })
    }

    /// Nothing is counted against it any more.
    pub(crate) fn is_unlimited(&self) -> bool {
        get().is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        set(self.soft, self.hard);
    }
}
