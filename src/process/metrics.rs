//! From what was read to metrics. Pure.

use super::ledger::Used;
use super::model::Metrics;
use super::source::Raw;
use super::stat::Io;

/// A process as it was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Of its files.
    pub(crate) raw: Raw,
    /// Of its clock: its own CPU time, all threads'.
    pub(crate) cpu_ns: u64,
    /// `CLOCK_MONOTONIC` of the clock's reading.
    pub(crate) at_ns: u64,
}

impl Look {
    /// What it used itself since it began; its I/O as it was read.
    pub(crate) fn own(&self, ticks_ns: u64) -> Used {
        let stat = &self.raw.stat;
        Used {
            cpu_ns: self.cpu_ns,
            user_ns: stat.ticks.user * ticks_ns,
            system_ns: stat.ticks.system * ticks_ns,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            io: self.raw.io.unwrap_or_default(),
        }
    }

    /// What it and the children that it waited for used since it began.
    pub(crate) fn used(&self, ticks_ns: u64) -> Used {
        let stat = &self.raw.stat;
        let ticks = stat.children_ticks;
        self.own(ticks_ns).plus(Used {
            cpu_ns: ticks.sum() * ticks_ns,
            user_ns: ticks.user * ticks_ns,
            system_ns: ticks.system * ticks_ns,
            minor_faults: stat.children_minor_faults,
            major_faults: stat.children_major_faults,
            io: Io::default(),
        })
    }
}

/// CPU time over wall time, in percent of one core.
pub(crate) fn usage(cpu_ns: u64, wall_ns: u64) -> f64 {
    if wall_ns == 0 {
        return 0.0;
    }
    100.0 * cpu_ns as f64 / wall_ns as f64
}

/// Of one process. `usage` is that since the look before, `baseline` what is not counted, `io` what is.
pub(crate) fn of_process(
    look: &Look,
    baseline: &Used,
    io: Option<Io>,
    usage: Option<f64>,
    since_boot_ns: Option<i64>,
    ticks_ns: u64,
    page_kb: u64,
) -> Metrics {
    let stat = &look.raw.stat;
    let uptime =
        since_boot_ns.map(|now| (now - stat.start_ticks * ticks_ns as i64).max(0) as f64 / 1e9);
    let io = |field: fn(&Io) -> u64| io.as_ref().map(field);
    Metrics {
        cpu_usage: usage,
        mem_rss_kb: Some(stat.resident_pages * page_kb),
        mem_vms_kb: Some(stat.virtual_bytes / 1024),
        disk_read_bytes: io(|io| io.read_from_storage),
        disk_write_bytes: io(|io| io.written_to_storage),
        syscall_read_bytes: io(|io| io.read_by_calls),
        syscall_write_bytes: io(|io| io.written_by_calls),
        // Its own: those of its children have owners of their own.
        page_faults_cached: Some(stat.minor_faults.saturating_sub(baseline.minor_faults)),
        page_faults_disk: Some(stat.major_faults.saturating_sub(baseline.major_faults)),
        thread_count: Some(stat.threads),
        uptime_secs: uptime,
        cpu_core: Some(stat.cpu),
        ..Metrics::default()
    }
}

/// Of all together: what they have now added up, what they used taken from the account of all, which
/// also knows those that ended.
pub(crate) fn of_all<'a>(
    members: impl Iterator<Item = &'a Metrics>,
    used: &Used,
    io_is_whole: bool,
) -> Metrics {
    let mut sum = Metrics {
        mem_rss_kb: Some(0),
        mem_vms_kb: Some(0),
        thread_count: Some(0),
        ..Metrics::default()
    };
    let add = |sum: &mut Option<u64>, more: Option<u64>| {
        *sum = sum.zip(more).map(|(sum, more)| sum + more);
    };
    for member in members {
        add(&mut sum.mem_rss_kb, member.mem_rss_kb);
        add(&mut sum.mem_vms_kb, member.mem_vms_kb);
        add(&mut sum.thread_count, member.thread_count);
    }
    let io = |bytes: u64| io_is_whole.then_some(bytes);
    Metrics {
        disk_read_bytes: io(used.io.read_from_storage),
        disk_write_bytes: io(used.io.written_to_storage),
        syscall_read_bytes: io(used.io.read_by_calls),
        syscall_write_bytes: io(used.io.written_by_calls),
        page_faults_cached: Some(used.minor_faults),
        page_faults_disk: Some(used.major_faults),
        ..sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::{Stat, Ticks};

    fn look(cpu_ns: u64, io: Option<Io>) -> Look {
        let stat = Stat {
            minor_faults: 10,
            children_minor_faults: 90,
            children_ticks: Ticks { user: 1, system: 2 },
            resident_pages: 5,
            virtual_bytes: 8192,
            threads: 2,
            start_ticks: 100,
            ..Stat::default()
        };
        Look {
            raw: Raw { stat, io },
            cpu_ns,
            at_ns: 0,
        }
    }

    #[test]
    fn what_was_used_includes_the_children_that_it_waited_for() {
        let used = look(7, None).used(10_000_000);
        assert_eq!((used.cpu_ns, used.minor_faults), (30_000_007, 100));
    }

    #[test]
    fn a_metric_that_was_not_read_is_absent() {
        let of = |io| {
            of_process(
                &look(7, io),
                &Used::default(),
                io,
                None,
                Some(2_000_000_000),
                10_000_000,
                4,
            )
        };
        let without = of(None);
        assert_eq!((without.disk_read_bytes, without.cpu_usage), (None, None));
        assert_eq!(
            (without.mem_rss_kb, without.mem_vms_kb),
            (Some(20), Some(8))
        );
        assert_eq!(
            (without.uptime_secs, without.page_faults_cached),
            (Some(1.0), Some(10))
        );
        let with = of(Some(Io {
            read_from_storage: 5,
            ..Io::default()
        }));
        assert_eq!(
            (with.disk_read_bytes, with.disk_write_bytes),
            (Some(5), Some(0))
        );
        let all = of_all([&without, &with].into_iter(), &Used::default(), false);
        assert_eq!(
            (all.mem_rss_kb, all.thread_count, all.disk_read_bytes),
            (Some(40), Some(4), None)
        );
    }

    #[test]
    fn usage_is_percent_of_a_core() {
        assert_eq!(usage(2_000_000, 1_000_000), 200.0);
        assert_eq!(usage(1, 0), 0.0);
    }
}
