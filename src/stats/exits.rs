//! How processes ended.

use std::collections::BTreeMap;

use crate::sys::account::Exit;

/// There are 256 exit codes and 64 signals; more are not told apart.
const NAMED: usize = 400;

/// Ends, by what they were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exits {
    pub(crate) total: u64,
    /// By exit code.
    pub(crate) by_code: BTreeMap<i32, u64>,
    /// By signal.
    pub(crate) by_signal: BTreeMap<i32, u64>,
    /// Of which only their parent learnt how.
    pub(crate) unknown: u64,
}

impl Exits {
    /// Counts one.
    pub(crate) fn add(&mut self, exit: Option<Exit>) {
        self.total += 1;
        let (to, key) = match exit {
            Some(Exit::Code(code)) => (&mut self.by_code, code),
            Some(Exit::Signal(signal)) => (&mut self.by_signal, signal),
            None => return self.unknown += 1,
        };
        if to.len() < NAMED || to.contains_key(&key) {
            *to.entry(key).or_default() += 1;
        } else {
            self.unknown += 1;
        }
    }
}
