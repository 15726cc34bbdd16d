//! What goals ask for is what denet's commands load.

use super::{Ask, GOALS};
use crate::decode::uapi::maps::map_type;
use crate::monitor::trace::abi::RawCall;
use crate::monitor::trace::plan::{RING_BYTES, SLOTS};
use crate::monitor::{exec, net};

fn largest(goal: &str, kind: &str) -> u64 {
    let goal = GOALS.iter().find(|it| it.id == goal).unwrap();
    let sizes: Vec<u64> = goal
        .ways
        .iter()
        .map(|way| {
            let maps = way.asks.iter().filter_map(|ask| match ask {
                Ask::Map(number, bytes) if map_type(*number).unwrap().name == kind => Some(*bytes),
                _ => None,
            });
            maps.max().unwrap()
        })
        .collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    sizes[0]
}

#[test]
fn ring_buffers_are_as_large_as_each_command_makes_them() {
    let ring = |goal| largest(goal, "ringbuf");
    assert_eq!(ring("exec-monitor"), u64::from(exec::listener::RING_BYTES));
    assert_eq!(
        ring("network-monitor"),
        u64::from(net::listener::RING_BYTES_WITHOUT_EVENTS)
    );
    assert_eq!(ring("syscall-trace"), u64::from(RING_BYTES));
    let calls = u64::from(SLOTS) * size_of::<RawCall>() as u64;
    let asked = largest("syscall-trace", "array");
    assert!(calls <= asked && asked < calls + (2 << 20), "{calls}");
}

/// Who runs already is found by a walk; only ways that say so do without.
#[test]
fn whole_machines_are_watched_by_walking_over_tasks() {
    for id in ["exec-monitor", "network-monitor", "syscall-trace"] {
        let goal = GOALS.iter().find(|it| it.id == id).unwrap();
        for way in goal.ways {
            let walks = way.asks.iter().any(|ask| matches!(ask, Ask::Type(_)));
            assert_eq!(walks, !way.name.ends_with("commands only"), "{}", way.name);
            let typed = way
                .checks
                .iter()
                .any(|group| group.contains(&"kernel-without-btf"));
            assert!(typed, "{}", way.name);
        }
    }
}
