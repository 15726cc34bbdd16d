//! `denet monitor xdp` in a network of its own: a known mix is sent, and counted.

mod frames;
mod lab;
mod leaving;
mod pins;
mod refusals;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::need_root;
use frames::Case;
use lab::{FAR, Lab, NEAR, captured, stay_on, within};

const MODES: [&str; 2] = ["generic", "native"];

/// Each a different number of times, so that none can stand for another.
fn mix(cases: &[Case]) -> Vec<&[u8]> {
    let each = cases.iter().enumerate();
    let times = each.map(|(at, case)| std::iter::repeat_n(case.frame.as_slice(), at % 7 + 1));
    times.flatten().collect()
}

/// What has to be counted of it: packets and bytes, by kind.
fn expected(cases: &[Case]) -> BTreeMap<&'static str, (u64, u64)> {
    let mut sums = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        let times = at as u64 % 7 + 1;
        for kind in case.kinds {
            let (packets, bytes) = sums.entry(*kind).or_default();
            *packets += times;
            *bytes += times * case.frame.len() as u64;
        }
    }
    sums
}

fn pair(count: &Value) -> (u64, u64) {
    let number = |name: &str| count[name].as_u64().expect(name);
    (number("packets"), number("bytes"))
}

fn counted(counts: &Value) -> BTreeMap<&str, (u64, u64)> {
    let all = counts.as_object().expect("counts by kind");
    let all = all.iter().map(|(kind, count)| (kind.as_str(), pair(count)));
    all.filter(|(_, count)| count.0 > 0).collect()
}

/// Sends each case alone first: a wrong sum does not say which.
fn check_each(lab: &Lab, mode: &str) {
    let mut monitor = lab.monitor(&[FAR, "--mode", mode]);
    let mut before: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (sent, case) in frames::all().iter().enumerate() {
        lab.send(NEAR, [case.frame.as_slice()]);
        let record = monitor.until(sent as u64 + 1);
        let now = counted(&record["counts"]);
        let added: Vec<&str> = now
            .iter()
            .filter(|(kind, count)| before.get(**kind) != Some(count))
            .map(|(kind, _)| *kind)
            .collect();
        let mut kinds = case.kinds.to_vec();
        kinds.sort_unstable();
        assert_eq!(added, kinds, "{mode}: {}", case.name);
        before = now
            .into_iter()
            .map(|(kind, count)| (kind.to_owned(), count))
            .collect();
    }
    assert_eq!(monitor.interrupt().1, Some(130));
}

#[test]
fn each_frame_is_counted_as_what_it_is() {
    need_root();
    for mode in MODES {
        within(|lab| check_each(lab, mode));
    }
}

#[test]
fn a_known_mix_is_counted_exactly_and_as_the_kernel_does() {
    need_root();
    for mode in MODES {
        within(|lab| {
            let cases = frames::all();
            let mix = mix(&cases);
            let before = lab.statistics(FAR);
            let mut monitor = lab.monitor(&[FAR, "--mode", mode]);
            lab.send(NEAR, mix.iter().copied());
            monitor.until(mix.len() as u64);
            let (summary, code) = monitor.interrupt();
            assert_eq!(code, Some(130));
            assert_eq!(counted(&summary["counts"]), expected(&cases), "{mode}");
            let bytes: usize = mix.iter().map(|frame| frame.len()).sum();
            let sent = (mix.len() as u64, bytes as u64);
            assert_eq!(pair(&summary["frames"]), sent, "{mode}");
            let after = lab.statistics(FAR);
            let kernel = (after.0 - before.0, after.1 - before.1);
            // Where a program runs in its driver, veth counts frames without their Ethernet header
            // (`veth_xdp_rcv`, drivers/net/veth.c).
            let headers = if mode == "native" { sent.0 * 14 } else { 0 };
            assert_eq!((kernel.0, kernel.1 + headers), sent, "{mode}: ip -s link");
        });
    }
}

#[test]
fn nothing_is_dropped_and_nothing_changed() {
    need_root();
    within(|lab| {
        // This one the kernel drops itself (`skb_vlan_untag`, net/core/skbuff.c).
        let cases = frames::all();
        let cases = cases
            .iter()
            .filter(|case| case.name != "a tag without its end");
        let mix: Vec<&[u8]> = cases.map(|case| case.frame.as_slice()).collect();
        let arrives = |mode: Option<&str>| {
            let monitor = mode.map(|mode| lab.monitor(&[FAR, "--mode", mode]));
            let socket = lab.capture(FAR);
            lab.send(NEAR, mix.iter().copied());
            if let Some(mut monitor) = monitor {
                monitor.until(mix.len() as u64);
                monitor.interrupt();
            }
            let mut frames = captured(&socket, mix.len());
            frames.sort();
            frames
        };
        let without = arrives(None);
        assert_eq!(without.len(), mix.len());
        for mode in MODES {
            let with = arrives(Some(mode));
            assert_eq!(with.len(), without.len(), "{mode}");
            assert!(with == without, "{mode}");
        }
    });
}

#[test]
fn several_cpus_at_once_lose_nothing() {
    need_root();
    const EACH: u64 = 50_000;
    within(|lab| {
        let frame = frames::ethernet(frames::IPV4, &frames::ipv4(17, &frames::udp(b"x")));
        let mut monitor = lab.monitor(&[FAR, "--mode", "generic"]);
        std::thread::scope(|scope| {
            for cpu in [0, 1] {
                let frame = frame.as_slice();
                scope.spawn(move || {
                    stay_on(cpu);
                    lab.send(NEAR, std::iter::repeat_n(frame, EACH as usize));
                });
            }
        });
        monitor.until(2 * EACH);
        let (summary, _) = monitor.interrupt();
        let sent = (2 * EACH, 2 * EACH * frame.len() as u64);
        assert_eq!(pair(&summary["counts"]["udp"]), sent);
        assert_eq!(pair(&summary["frames"]), lab.statistics(FAR));
        let cpus = summary["cpus"].as_array().expect("a list");
        let of_cpus: Vec<_> = cpus
            .iter()
            .map(|cpu| (cpu["cpu"].as_u64(), pair(&cpu["counts"]["udp"]).0))
            .collect();
        assert_eq!(of_cpus, [(Some(0), EACH), (Some(1), EACH)]);
    });
}

/// What the sender's kernel, or a network card, keeps beside the frame is not in it.
#[test]
fn tags_beside_the_frame_are_not_counted() {
    need_root();
    for mode in MODES {
        within(|lab| {
            let frame = frames::ethernet(frames::IPV4, &frames::ipv4(17, &frames::udp(b"x")));
            let (sender, _tagging) = lab.tagging(5);
            let mut monitor = lab.monitor(&[FAR, "--mode", mode]);
            lab.send(sender, [frame.as_slice(); 3]);
            monitor.until(3);
            let (summary, _) = monitor.interrupt();
            let expected = (3, 3 * frame.len() as u64);
            let counted = counted(&summary["counts"]);
            assert_eq!(
                counted,
                [("ipv4", expected), ("udp", expected)].into(),
                "{mode}"
            );
        });
    }
}
