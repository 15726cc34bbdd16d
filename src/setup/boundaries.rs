//! The boundaries between two changes, for tests of what a killed setup leaves.

/// Ends the process at the Nth boundary between two acts, to test what is then found.
#[derive(Debug, Default)]
pub(crate) struct Boundaries {
    /// Which, from 1 on; never without.
    pub(crate) die_at: Option<u32>,
    passed: u32,
}

impl Boundaries {
    /// To die at one of them.
    pub(crate) fn new(die_at: Option<u32>) -> Self {
        Self { die_at, passed: 0 }
    }

    pub(super) fn pass(&mut self) {
        self.passed += 1;
        if self.die_at == Some(self.passed) {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }
}
