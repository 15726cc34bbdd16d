//! Conclusions from counts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{Analysis, Behavior, CallCount, Estimate, Overhead, Snapshot, SyscallProfile};
use crate::decode::syscalls::{Call, Category};

/// Turns what was seen into the profile.
///
/// `wall` and `cpu` are the command's, the former perhaps not known and the latter perhaps not whole; `ns_per_syscall` is what a counted call cost it,
/// where that is known.
pub(crate) fn profile(
    snapshot: Snapshot,
    wall: Option<Duration>,
    cpu: Duration,
    cpu_is_whole: bool,
    ns_per_syscall: Option<Estimate>,
) -> SyscallProfile {
    let mut sums: BTreeMap<Call, u64> = BTreeMap::new();
    for (call, count) in snapshot.processes.iter().flat_map(|process| &process.calls) {
        *sums.entry(*call).or_default() += count;
    }
    let Kinds {
        total,
        by_category,
        calls,
    } = kinds(sums);
    let mut processes = snapshot.processes;
    processes.sort_by_key(|process| (std::cmp::Reverse(process.total()), process.start_ns));
    let share = |ns: f64| ratio(ns * total as f64 / 1e9, cpu.as_secs_f64()).min(1.0);
    SyscallProfile {
        total,
        by_category,
        calls,
        processes,
        losses: snapshot.losses,
        max_processes: snapshot.max_processes,
        max_threads: snapshot.max_threads,
        analysis: analyse(total, &by_category, wall, cpu),
        overhead: Overhead {
            ns_per_syscall,
            share_of_runtime: ns_per_syscall
                .filter(|_| cpu_is_whole)
                .map(|ns| ns.map(share)),
        },
    }
}

/// Counts by kind of call.
struct Kinds {
    total: u64,
    by_category: [u64; Category::ALL.len()],
    calls: Vec<CallCount>,
}

fn kinds(sums: BTreeMap<Call, u64>) -> Kinds {
    let mut by_category = [0; Category::ALL.len()];
    let mut calls: Vec<CallCount> = sums
        .into_iter()
        .map(|(call, count)| {
            let (name, category) = call.describe();
            by_category[category as usize] += count;
            CallCount {
                call,
                name,
                category,
                count,
            }
        })
        .collect();
    calls.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    let total = by_category.iter().sum();
    Kinds {
        total,
        by_category,
        calls,
    }
}

/// The profile up to now, without its processes.
pub(crate) fn so_far(
    counts: &super::Counts,
    wall: Option<Duration>,
    cpu: Duration,
) -> SyscallProfile {
    let Kinds {
        total,
        by_category,
        calls,
    } = kinds(counts.by_call.clone());
    SyscallProfile {
        total,
        by_category,
        calls,
        processes: Vec::new(),
        losses: counts.losses,
        max_processes: 0,
        max_threads: 0,
        analysis: analyse(total, &by_category, wall, cpu),
        overhead: Overhead::default(),
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn analyse(total: u64, by_category: &[u64], wall: Option<Duration>, cpu: Duration) -> Analysis {
    let share = |category: Category| ratio(by_category[category as usize] as f64, total as f64);
    let mut analysis = Analysis {
        behavior: Behavior::Unknown,
        rate_per_sec: wall.map(|wall| ratio(total as f64, wall.as_secs_f64())),
        io_intensity: share(Category::FileIo),
        memory_intensity: share(Category::Memory),
        network_intensity: share(Category::Network),
        cpu_intensity: wall.map(|wall| ratio(cpu.as_secs_f64(), wall.as_secs_f64()).min(1.0)),
    };
    analysis.behavior = classify(total, wall, &analysis);
    analysis
}

/// Runs shorter than this say nothing about behaviour.
const SHORTEST: Duration = Duration::from_millis(100);

/// The first rule that matches.
fn classify(total: u64, wall: Option<Duration>, analysis: &Analysis) -> Behavior {
    let Analysis {
        io_intensity: io,
        memory_intensity: memory,
        ..
    } = *analysis;
    let (Some(wall), Some(rate), Some(cpu)) = (wall, analysis.rate_per_sec, analysis.cpu_intensity)
    else {
        return Behavior::Unknown;
    };
    if wall < SHORTEST || total == 0 {
        Behavior::Unknown
    } else if io > 0.6 && rate > 100.0 {
        Behavior::IoBound
    } else if analysis.network_intensity > 0.4 {
        Behavior::NetworkBound
    } else if memory > 0.3 {
        Behavior::MemoryBound
    } else if rate < 50.0 && cpu > 0.5 {
        Behavior::CpuBound
    } else if io > 0.2 && memory > 0.1 {
        Behavior::Mixed
    } else {
        Behavior::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::syscalls::Abi;
    use crate::profile::model::Process;

    fn class(counts: &[(Category, u64)], wall_ms: u64, cpu_ms: u64) -> Behavior {
        let mut by_category = [0; Category::ALL.len()];
        for (category, count) in counts {
            by_category[*category as usize] = *count;
        }
        let total = by_category.iter().sum();
        let (wall, cpu) = (
            Duration::from_millis(wall_ms),
            Duration::from_millis(cpu_ms),
        );
        analyse(total, &by_category, Some(wall), cpu).behavior
    }

    #[test]
    fn every_rule_in_its_order() {
        use Category::{FileIo, Memory, Network, Process};
        assert_eq!(
            class(&[(FileIo, 900), (Process, 100)], 99, 10),
            Behavior::Unknown
        );
        assert_eq!(class(&[], 1000, 900), Behavior::Unknown);
        assert_eq!(
            class(&[(FileIo, 700), (Memory, 300)], 1000, 10),
            Behavior::IoBound
        );
        assert_eq!(
            class(&[(FileIo, 61), (Memory, 39)], 1000, 10),
            Behavior::MemoryBound
        );
        assert_eq!(
            class(&[(FileIo, 500), (Network, 410), (Memory, 90)], 1000, 10),
            Behavior::NetworkBound
        );
        assert_eq!(
            class(&[(Memory, 301), (Process, 699)], 1000, 10),
            Behavior::MemoryBound
        );
        assert_eq!(class(&[(Process, 49)], 1000, 501), Behavior::CpuBound);
        assert_eq!(class(&[(Process, 49)], 1000, 500), Behavior::Unknown);
        assert_eq!(class(&[(Process, 51)], 1000, 900), Behavior::Unknown);
        assert_eq!(
            class(&[(FileIo, 210), (Memory, 110), (Process, 680)], 1000, 10),
            Behavior::Mixed
        );
    }

    #[test]
    fn sums_agree() {
        let call = |abi, nr| Call { abi, nr };
        let process = |pid, calls: &[(Call, u64)]| Process {
            pid,
            start_ns: 1,
            command: "".into(),
            private: false,
            running: false,
            calls: calls.to_vec(),
        };
        let snapshot = Snapshot {
            processes: vec![
                process(
                    1,
                    &[(call(Abi::Native, 0), 5), (call(Abi::Native, 9999), 1)],
                ),
                process(2, &[(call(Abi::Native, 0), 7), (call(Abi::Compat, 3), 2)]),
            ],
            ..Snapshot::default()
        };
        let run = |snapshot, ns_per_syscall| {
            let (wall, cpu) = (Duration::from_secs(1), Duration::from_millis(1));
            profile(snapshot, Some(wall), cpu, true, ns_per_syscall)
        };
        let unmeasured = run(snapshot.clone(), None);
        assert_eq!(unmeasured.overhead, Overhead::default());
        let ns = Estimate {
            least: 50.0,
            about: 100.0,
            most: 1e9,
        };
        let profile = run(snapshot, Some(ns));
        assert_eq!(profile.total, 15);
        assert_eq!(profile.by_category.iter().sum::<u64>(), 15);
        assert_eq!(profile.calls.iter().map(|call| call.count).sum::<u64>(), 15);
        assert_eq!(
            profile.processes.iter().map(Process::total).sum::<u64>(),
            15
        );
        assert_eq!(profile.by_category[Category::Other as usize], 1);
        assert_eq!(profile.processes[0].pid, 2);
        let share = profile.overhead.share_of_runtime.unwrap();
        assert!((share.least - 0.00075).abs() < 1e-9 && (share.about - 0.0015).abs() < 1e-9);
        assert_eq!(share.most, 1.0);
    }
}
