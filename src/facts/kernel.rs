//! What the running kernel forbids to everyone.

use std::io;

use super::Fact;
use crate::sys::limits;

/// How far the kernel protects itself from root (`kernel_lockdown(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lockdown {
    /// Not at all.
    None,
    /// It cannot be changed.
    Integrity,
    /// Nor read.
    Confidentiality,
}

/// A kernel's version, as far as features go by it. Distributions backport: where a feature can be
/// tried, trying decides.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Release(pub u32, pub u32);

impl Release {
    /// That of the running kernel.
    pub fn probe() -> Fact<Self> {
        let read = std::fs::read_to_string("/proc/sys/kernel/osrelease").and_then(|text| {
            let malformed = || io::Error::other(format!("no version: {text}"));
            parse_release(&text).ok_or_else(malformed)
        });
        read.into()
    }

    /// The running kernel is this one or newer. One whose version is not known counts as old.
    pub fn is_reached(self) -> bool {
        Self::probe()
            .known()
            .is_some_and(|running| *running >= self)
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// `6.1.0-50-cloud-amd64`: the first two numbers.
fn parse_release(text: &str) -> Option<Release> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(Release(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Major and minor number.
    pub release: Fact<Release>,
    /// RLIMIT_MEMLOCK of this process in bytes, `u64::MAX` for none: before 5.11 maps count.
    pub memlock: Fact<u64>,
    /// Its lockdown; `Absent` without that LSM or without securityfs.
    pub lockdown: Fact<Lockdown>,
}

impl Kernel {
    /// Reads it.
    pub fn probe() -> Self {
        let text = Fact::from(std::fs::read_to_string("/sys/kernel/security/lockdown"));
        Self {
            release: Release::probe(),
            memlock: limits::memlock().into(),
            lockdown: text.map(|text| parse(&text)),
        }
    }
}

/// `[none] integrity confidentiality`: the one in brackets holds.
fn parse(text: &str) -> Lockdown {
    if text.contains("[confidentiality]") {
        Lockdown::Confidentiality
    } else if text.contains("[integrity]") {
        Lockdown::Integrity
    } else {
        Lockdown::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(parse_release("6.1.0-50-cloud-amd64\n"), Some(Release(6, 1)));
        assert_eq!(parse_release("5.10-rc1"), Some(Release(5, 10)));
        assert_eq!(parse_release("linux"), None);
        assert!(Release(6, 1) > Release(5, 19));
    }

    #[test]
    fn reads_the_bracketed_word() {
        assert_eq!(parse("[none] integrity confidentiality\n"), Lockdown::None);
        assert_eq!(
            parse("none integrity [confidentiality]\n"),
            Lockdown::Confidentiality
        );
    }
}
