//! CPUs and clocks.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::clock;
use crate::sys::root::Root;

/// What per-CPU maps are multiplied by, and what times are told by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// CPUs that may ever be there: as many copies has a per-CPU map.
    pub(crate) cpus_possible: Fact<u32>,
    /// CPUs that run.
    pub(crate) cpus_online: Fact<u32>,
    /// What the kernel reads time from: `tsc` is fast, `hpet` and `acpi_pm` are not.
    pub(crate) clocksource: Fact<String>,
    /// How long the machine was suspended, in nanoseconds; only the running kernel can tell.
    pub(crate) suspended_ns: Fact<i64>,
}

impl Machine {
    pub(crate) fn probe(root: &Root) -> Self {
        let cpus = |name| Fact::read(root, &format!("/sys/devices/system/cpu/{name}"), count);
        Self {
            cpus_possible: cpus("possible"),
            cpus_online: cpus("online"),
            clocksource: clocksource(root),
            suspended_ns: if root.is_live() {
                Fact::of("clock_gettime", clock::suspended_ns())
            } else {
                Fact::Failed("clocks are in no file".to_owned())
            },
        }
    }
}

pub(super) fn clocksource(root: &Root) -> Fact<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    Fact::read(root, path, |text| {
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    })
}

/// `0-3,8`: how many.
pub(super) fn count(list: &str) -> Option<u32> {
    let mut cpus = 0_u32;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        cpus = cpus.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_cpus() {
        assert_eq!(count("0\n"), Some(1));
        assert_eq!(count("0-3,8,10-11\n"), Some(7));
        for text in ["", "3-0", "a", "0-", "0-4294967295", "1,,2"] {
            assert_eq!(count(text), None, "{text:?}");
        }
    }

    #[test]
    fn this_machine_has_cpus_and_clocks() {
        let here = Machine::probe(&Root::default());
        assert!(here.cpus_online.known().is_some_and(|online| *online > 0));
        assert!(here.suspended_ns.known().is_some());
    }
}
