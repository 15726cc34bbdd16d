//! Kernel probes give true results and leave nothing behind.
#![expect(
    clippy::print_stdout,
    reason = "rows of the break-it matrix are for people to read"
)]

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use denet::facts::interfaces::{Interface, XdpMode, XdpProgram};
use denet::facts::probes::{Outcome, Probe, Probes};
use denet::facts::{Fact, Facts, Target, loaded::Loaded};
use denet::sys::capabilities::{Cap, CapSet};
use denet::sys::root::Root;
use denet::sys::{capabilities, namespace, netlink};

use crate::support::wait::wait_until;
use crate::support::xdp_object;

/// One at a time: who asks raises the process' limit of locked memory meanwhile, and loads programs of
/// one name.
fn alone() -> MutexGuard<'static, ()> {
    static ASKING: Mutex<()> = Mutex::new(());
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn asked() -> (Facts, Probes) {
    crate::need_root();
    let mut facts = Facts::with_probes(&Root::default(), &Target::default());
    let probes = facts
        .probes
        .take()
        .expect("the own process on this machine");
    (facts, probes)
}

/// Everything that denet needs on every kernel it supports, locked down or not.
#[test]
fn what_denet_uses_works_here() {
    let _alone = alone();
    let (_, probes) = asked();
    let needed = [
        "btf:load",
        "map:array",
        "map:hash",
        "map:ringbuf",
        "program:raw_tracepoint",
        "helper:bpf_get_current_comm",
        "helper:bpf_ringbuf_output",
        "attach:raw_tp/sys_enter",
        "attach:raw_tp/sched_process_fork",
        "attach:raw_tp/sched_process_exec",
        "attach:raw_tp/sched_process_exit",
        "helper:bpf_probe_read_user_str",
        "attach:raw_tp/sys_exit",
        "attach:raw_tp/signal_deliver",
        "attach:raw_tp/inet_sock_set_state",
        "attach:iter/task",
    ];
    for id in needed {
        let probe = probes.get(id).expect("asked");
        assert!(probe.works(), "{probe:?}");
    }
    let enter = probes
        .get("attach:raw_tp/sys_enter")
        .and_then(|probe| probe.events);
    assert_eq!(
        enter.map(|events| events.seen),
        Some(25),
        "one thread's calls"
    );
    let events = |id: &str| {
        let events = probe(&probes, id).events.expect("some were made");
        (events.made, events.seen)
    };
    assert_eq!(events("attach:raw_tp/signal_deliver"), (2, 2));
    assert_eq!(events("attach:raw_tp/inet_sock_set_state"), (2, 2));
    assert!(events("attach:raw_tp/sys_exit").1 >= 25);
    assert!(events("attach:iter/task").1 > 1);
}

#[test]
fn asking_leaves_nothing_and_its_durations_are_true() {
    let _alone = alone();
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("own").count();
    let before = descriptors();
    let counting = || {
        let programs = Loaded::probe().programs;
        let Fact::Known(programs) = programs else {
            panic!("{programs:?}")
        };
        let named = programs.into_iter().filter(|it| it.name == "count");
        named.map(|it| it.id).collect::<BTreeSet<_>>()
    };
    // Another doctor's may be there.
    let others = counting();
    let start = Instant::now();
    let (facts, probes) = asked();
    let around = start.elapsed().as_micros();
    assert!(u128::from(probes.duration_us) <= around, "{around}");
    for probe in &probes.all {
        assert!(probe.duration_us <= probes.duration_us, "{probe:?}");
    }
    assert!(
        descriptors() < before + 10,
        "others of these tests have some"
    );
    let limit = facts.limits.memlock;
    assert_eq!(
        Facts::probe().limits.memlock,
        limit,
        "raised, and not put back"
    );
    let ours = || counting().difference(&others).next().is_some();
    wait_until("no program is left", || !ours());
}

fn probe<'a>(probes: &'a Probes, id: &str) -> &'a Probe {
    probes.get(id).expect("asked")
}

fn refused(probe: &Probe, names: &[&str]) -> bool {
    matches!(&probe.outcome, Outcome::Refused { name, .. } if names.contains(&name.as_str()))
}

#[test]
fn root_samples_and_filters_packets() {
    let _alone = alone();
    let network = || std::fs::read_link("/proc/thread-self/ns/net").expect("own");
    let before = network();
    let (_, probes) = asked();
    for id in [
        "perf:software",
        "perf:kernel",
        "attach:perf_event",
        "attach:xdp",
    ] {
        let probe = probe(&probes, id);
        assert!(probe.works(), "{probe:?}");
    }
    let datagrams = probe(&probes, "attach:xdp").events;
    assert_eq!(
        datagrams.map(|events| (events.made, events.seen)),
        Some((25, 25)),
        "nobody else sends there"
    );
    assert_eq!(network(), before);
    let cycles = probe(&probes, "perf:cycles");
    let known = ["cpu", "cpu_core", "armv8_pmuv3_0"];
    let devices = std::path::Path::new("/sys/bus/event_source/devices");
    if known.iter().any(|name| devices.join(name).exists()) {
        assert!(cycles.works(), "{cycles:?}");
    } else {
        assert!(refused(cycles, &["ENOENT", "EOPNOTSUPP"]), "{cycles:?}");
    }
}

/// What a file with these two capabilities would hold, in a thread: it can take them off for good.
#[test]
fn two_capabilities_sample_and_filter_no_packets() {
    let _alone = alone();
    crate::need_root();
    crate::least::raise_memlock();
    let asked = std::thread::spawn(|| {
        let two = CapSet(CapSet::of(Cap::Bpf).0 | CapSet::of(Cap::Perfmon).0);
        capabilities::keep_only(two).expect("held by root");
        Facts::with_probes(&Root::default(), &Target::default())
    });
    let facts = asked.join().expect("asked");
    let probes = facts.probes.expect("the own process");
    let xdp = probe(&probes, "attach:xdp");
    assert!(refused(xdp, &["EPERM"]), "{xdp:?}");
    assert!(xdp.operation.starts_with("BPF_PROG_LOAD"), "{xdp:?}");
    // Debian's patch asks for CAP_SYS_ADMIN from 3 on.
    let patched = facts.sysctls.perf_event_paranoid.known() > Some(&2);
    for id in ["perf:software", "perf:kernel", "attach:perf_event"] {
        let probe = probe(&probes, id);
        if patched {
            assert!(refused(probe, &["EACCES"]), "{probe:?}");
        } else {
            assert!(probe.works(), "{probe:?}");
        }
    }
}

/// Without CAP_SYS_ADMIN there is no network namespace to try it in, and no other is touched.
#[test]
fn xdp_is_not_tried_on_what_is_somebody_s() {
    let _alone = alone();
    crate::need_root();
    crate::least::raise_memlock();
    let asked = std::thread::spawn(|| {
        let two = CapSet(CapSet::of(Cap::Bpf).0 | CapSet::of(Cap::NetAdmin).0);
        capabilities::keep_only(two).expect("held by root");
        Facts::with_probes(&Root::default(), &Target::default())
    });
    let probes = asked.join().expect("asked").probes.expect("own process");
    let xdp = probe(&probes, "attach:xdp");
    assert!(
        matches!(&xdp.outcome, Outcome::NotAttempted(why) if why.contains("CLONE_NEWNET")),
        "{xdp:?}"
    );
}

/// Loads a program that lets everything pass; its number.
fn loaded() -> (Ebpf, u32) {
    let mut ebpf = EbpfLoader::new().load(&xdp_object()).expect("an object");
    let program = ebpf.program_mut("pass").expect("the one in it");
    let program: &mut Xdp = program.try_into().expect("for XDP");
    program.load().expect("valid");
    let id = program.info().expect("loaded").id();
    (ebpf, id)
}

#[test]
fn an_xdp_program_is_seen_where_it_is() {
    crate::need_root();
    crate::least::raise_memlock();
    let loopback = || {
        let all = Interface::probe_all(&Root::default());
        let Fact::Known(all) = all else {
            panic!("{all:?}")
        };
        let [lo] = all.as_slice() else {
            panic!("not alone: {all:?}")
        };
        lo.clone()
    };
    let (empty, full, id) = std::thread::spawn(move || {
        let (ebpf, id) = loaded();
        namespace::enter_new_network().expect("allowed to root");
        let empty = loopback();
        netlink::raise(netlink::LOOPBACK).expect("our own");
        let program = ebpf.program("pass").expect("the one in it");
        let program = program.fd().expect("loaded").as_fd();
        let generic = 1 << 1;
        netlink::attach_xdp(netlink::LOOPBACK, program, generic).expect("free");
        (empty, loopback(), id)
    })
    .join()
    .expect("no panic");
    assert_eq!((empty.index, empty.name.as_str()), (1, "lo"));
    assert_eq!((empty.up, empty.xdp), (false, Fact::Known(Vec::new())));
    let seen = XdpProgram {
        mode: XdpMode::Generic,
        program: id,
    };
    assert_eq!((full.up, full.xdp), (true, Fact::Known(vec![seen])));
    wait_until("the namespace is gone", || !is_loaded(id));
}

/// On a loopback of its own, where a program sits that somebody put there; then again when it is gone.
#[test]
fn the_doctor_names_an_interface_that_is_taken_and_leaves_it() {
    crate::need_root();
    crate::least::raise_memlock();
    let (taken, free) = std::thread::spawn(|| {
        let (ebpf, _) = loaded();
        namespace::enter_new_network().expect("allowed to root");
        netlink::raise(netlink::LOOPBACK).expect("our own");
        let program = ebpf.program("pass").expect("the one in it");
        let program = program.fd().expect("loaded").as_fd();
        let generic = 1 << 1;
        netlink::attach_xdp(netlink::LOOPBACK, program, generic).expect("free");
        let taken = doctor();
        let all = Interface::probe_all(&Root::default());
        let Fact::Known(all) = all else {
            panic!("{all:?}")
        };
        assert_eq!(
            all[0].xdp.known().map(Vec::len),
            Some(1),
            "it is left there"
        );
        namespace::enter_new_network().expect("allowed to root");
        (taken, doctor())
    })
    .join()
    .expect("no panic");
    assert_eq!(taken["causes"][0]["id"], "xdp-busy", "{taken}");
    assert_eq!(taken["goals"][0]["status"], "degraded", "{taken}");
    let evidence = taken["checks"]
        .as_array()
        .and_then(|checks| checks.iter().find(|check| check["id"] == "xdp-busy"))
        .map(|check| check["evidence"][0].to_string());
    assert!(
        evidence.is_some_and(|it| it.contains("lo: XDP program")),
        "{taken}"
    );
    assert_eq!(free["goals"][0]["status"], "ready", "{free}");
    println!("row another XDP program on the interface: xdp-busy first; that program is gone");
}

/// In the network namespace of the thread that calls.
fn doctor() -> serde_json::Value {
    let mut command = std::process::Command::new(crate::support::EBPF_DIAG);
    let done = crate::support::output(command.args(["--json", "--only", "xdp-counters"]));
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

fn is_loaded(id: u32) -> bool {
    let programs = Loaded::probe().programs;
    let programs = programs.known().expect("allowed to root");
    programs.iter().any(|program| program.id == id)
}
