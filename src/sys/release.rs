//! The version of a kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Major and minor number, which indicate the features of a kernel. Distributions backport: a feature that can be
/// tried is tried instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Release(pub u32, pub u32);

impl Release {
    /// The release of the running kernel; `None` if it cannot be read.
    pub(crate) fn running() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        Self::parse(text.trim())
    }

    /// Whether the running kernel is this one or newer; false if its version is not known.
    pub fn is_reached(self) -> bool {
        Self::running().is_some_and(|running| running >= self)
    }

    /// `6.1.0-50-cloud-amd64`
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(3, '.');
        let major = numbers.next()?.parse().ok()?;
        Some(Self(major, leading_number(numbers.next()?)?))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The number at the beginning of a text.
pub(crate) fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered() {
        assert!(Release(6, 1) > Release(5, 19));
        assert!(Release(0, 0).is_reached());
        assert!(!Release(u32::MAX, 0).is_reached());
    }
}
