//! What the whole time has come to. Plain data, but for what is remembered of the ended.

use super::ledger::Used;
use super::model::Metrics;
use crate::output::exact::Text;

/// What the whole time has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Samples taken.
    pub(crate) samples: u64,
    /// CPU, page faults and bytes of everybody, those that ended included.
    pub(crate) used: Used,
    /// Nothing can be missing from `used`.
    pub(crate) is_whole: bool,
    /// With eBPF, how many processes ended without a report of what they used to their end.
    pub(crate) unreported: u64,
    /// Bytes are known of all of them.
    pub(crate) io_is_whole: bool,
    /// Highest `cpu_usage` between two samples.
    pub(crate) peak_cpu_usage: Option<f64>,
    /// Most resident memory at once, in KiB.
    pub(crate) peak_resident_kb: u64,
    /// Largest proportional set size of all together that was read, in KiB; `None` if some could not be read.
    pub(crate) peak_proportional_kb: Option<u64>,
    /// Most processes at once.
    pub(crate) max_processes: u64,
    /// Most threads at once.
    pub(crate) max_threads: u64,
    /// Processes seen.
    pub(crate) processes_seen: u64,
    /// Of those, how many ended without anybody to account for their last moments.
    pub(crate) disowned: u64,
    /// Processes of which a metric could not be read, and why.
    pub(crate) unread_io: Option<(u64, String)>,
    /// The network namespace and hardware counters, in the end.
    pub(crate) outside: Metrics,
    /// Those that used most CPU time, the first one most.
    pub(crate) busiest: Vec<Busy>,
    /// Those that lived in the end, the first one first.
    pub(crate) still_running: Vec<(u32, Text)>,
}

/// A process and its part in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Busy {
    pub(crate) pid: u32,
    /// Name of its main thread, as last seen.
    pub(crate) command: Text,
    /// CPU time that it was seen to use.
    pub(crate) cpu_ns: u64,
    /// Most resident memory that was seen; `None` of whom nothing was seen but the end.
    pub(crate) peak_resident_kb: Option<u64>,
    /// Its threads by CPU time, with `--threads`.
    pub(crate) threads: Vec<(u32, Text, u64)>,
}

/// How many of the busiest are remembered.
const BUSIEST: usize = 100;

/// Those that used most, of however many.
#[derive(Debug, Default)]
pub(crate) struct Busiest(Vec<Busy>);

impl Busiest {
    /// Remembers one, if it is among them.
    pub(crate) fn add(&mut self, busy: Busy) {
        self.0.push(busy);
        if self.0.len() >= 2 * BUSIEST {
            self.0.sort_by_key(|busy| std::cmp::Reverse(busy.cpu_ns));
            self.0.truncate(BUSIEST);
        }
    }

    /// All of them, the busiest first.
    pub(crate) fn sorted(mut self) -> Vec<Busy> {
        self.0.sort_by_key(|busy| std::cmp::Reverse(busy.cpu_ns));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_of_many() {
        let mut busiest = Busiest::default();
        for pid in 0..10_000 {
            let cpu_ns = u64::from(pid) * 7919 % 10_007;
            busiest.add(Busy {
                pid,
                cpu_ns,
                ..Busy::default()
            });
        }
        let sorted = busiest.sorted();
        assert!(sorted.len() < 2 * BUSIEST && sorted.is_sorted_by(|a, b| a.cpu_ns >= b.cpu_ns));
        assert_eq!(sorted[0].cpu_ns, 10_006);
    }
}
