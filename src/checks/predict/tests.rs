//! Rules at kernels and states that tests/kernel_truth does not have. `Conditions` name what differs
//! from a user without privileges on a current kernel of kernel.org.

use libc::{E2BIG, EACCES, EINVAL, ENOENT, ENOSYS, EPERM};

use super::*;
use crate::decode::uapi::maps::map_type;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::binary::FileCapabilities;
use crate::sys::capabilities::CapSet;

fn at(version: Version) -> Conditions {
    let modern = version >= Version(5, 8, 0);
    Conditions {
        version,
        distribution: Distribution::Mainline,
        built: Built::ALL,
        last_cap: if modern { 40 } else { 37 },
        kernel_btf: true,
        unprivileged_bpf_disabled: 2,
        perf_event_paranoid: 2,
        kptr_restrict: 0,
        lockdown: LockedDown {
            level: Lockdown::None,
            at_boot: false,
            module: version >= Version(5, 4, 0),
        },
        security_modules: Denials::default(),
        uid: 1000,
        gid: 1000,
        groups: Vec::new(),
        effective: CapSet(0),
        permitted: CapSet(0),
        bounding: CapSet(u64::MAX),
        ambient: CapSet(0),
        initial_user_namespace: true,
        no_new_privs: false,
        seccomp: Denials::default(),
        memlock: 8 << 20,
        tracefs: Some(Tracefs {
            root: owned(0, 0o700),
            opened: None,
        }),
        debugfs: None,
        bpffs: None,
        cgroup2: true,
    }
}

const NEW: Version = Version(6, 18, 0);

fn owned(gid: u32, mode: u32) -> Inode {
    Inode { uid: 0, gid, mode }
}

fn set(caps: &[Cap]) -> CapSet {
    CapSet(caps.iter().fold(0, |set, cap| set | CapSet::of(*cap).0))
}

fn with(version: Version, caps: &[Cap]) -> Conditions {
    Conditions {
        effective: set(caps),
        permitted: set(caps),
        ..at(version)
    }
}

fn tracing(version: Version) -> Conditions {
    with(version, &[Cap::Bpf, Cap::Perfmon])
}

fn locked(level: Lockdown, at_boot: bool, conditions: Conditions) -> Conditions {
    let lockdown = LockedDown {
        level,
        at_boot,
        ..conditions.lockdown
    };
    Conditions {
        lockdown,
        ..conditions
    }
}

fn map(name: &str) -> Operation {
    let map = (1..).map_while(map_type).find(|map| map.name == name);
    Operation::MapCreate {
        map: map.unwrap(),
        bytes: 1024,
    }
}

fn load(kind: ProgramKind) -> Operation {
    Operation::ProgLoad(Program::minimal(kind))
}

fn calls(helper: u32) -> Operation {
    Operation::ProgLoad(Program {
        calls: Some(helper),
        ..Program::minimal(ProgramKind::RawTracepoint)
    })
}

const RAW_TP: ProgramKind = ProgramKind::RawTracepoint;
const TRACEPOINT: PerfEvent = PerfEvent {
    event: Event::Tracepoint,
    everywhere: true,
    kernel: true,
    raw: false,
};
const KPROBE: PerfEvent = PerfEvent {
    event: Event::Kprobe(Symbol::Present),
    ..TRACEPOINT
};
const ID: TracefsFile = TracefsFile::Id { syscall: false };

/// 0 for ok, -1 for zeroes.
fn errno(operation: Operation, conditions: &Conditions) -> i32 {
    match predict(&operation, conditions).outcome {
        Outcome::Ok => 0,
        Outcome::Zeroes => -1,
        Outcome::Errno(errno) => errno,
    }
}

fn function(operation: Operation, conditions: &Conditions) -> &'static str {
    predict(&operation, conditions).because.function
}

#[test]
fn cap_bpf_counts_where_the_kernel_has_it() {
    assert_eq!(errno(load(RAW_TP), &tracing(Version(5, 7, 0))), EPERM);
    assert_eq!(errno(load(RAW_TP), &tracing(Version(5, 8, 0))), 0);
    // A distribution's 4.18 that took CAP_BPF over.
    let backport = Conditions {
        last_cap: 39,
        ..tracing(Version(4, 18, 0))
    };
    assert_eq!(errno(load(RAW_TP), &backport), 0);
    let admin = with(Version(4, 18, 0), &[Cap::SysAdmin]);
    assert_eq!(errno(load(RAW_TP), &admin), 0);
}

#[test]
fn the_first_check_gives_the_reason() {
    let nobody = predict(&load(RAW_TP), &at(NEW)).because;
    assert!(matches!(nobody.check, Check::UnprivilegedBpf(_)));
    let open = Conditions {
        unprivileged_bpf_disabled: 0,
        ..at(NEW)
    };
    let bpf = predict(&load(RAW_TP), &open).because;
    let either = &[Cap::Bpf, Cap::SysAdmin];
    assert_eq!(bpf.check, Check::Capability(either));
    let perfmon = predict(&load(RAW_TP), &with(NEW, &[Cap::Bpf])).because;
    assert_eq!(
        perfmon.to_string(),
        "bpf_prog_load: cap_perfmon or cap_sys_admin is missing"
    );
    let granted = predict(&load(RAW_TP), &tracing(NEW)).because;
    assert_eq!(granted.to_string(), "bpf_prog_load: no check refuses it");
}

#[test]
fn what_stands_before_bpf_answers_first() {
    let seccomp = Conditions {
        seccomp: Denials {
            bpf: Some(ENOSYS),
            perf_event_open: None,
        },
        ..tracing(NEW)
    };
    assert_eq!(errno(map("array"), &seccomp), ENOSYS);
    assert_eq!(errno(Operation::PerfEventOpen(TRACEPOINT), &seccomp), 0);
    let unbuilt = Conditions {
        built: Built {
            bpf_syscall: false,
            ..Built::ALL
        },
        ..tracing(NEW)
    };
    assert_eq!(function(map("array"), &unbuilt), "sys_ni_syscall");
    let selinux = Conditions {
        security_modules: Denials {
            bpf: Some(EACCES),
            perf_event_open: Some(EACCES),
        },
        ..tracing(NEW)
    };
    assert_eq!(errno(load(RAW_TP), &selinux), EACCES);
    assert_eq!(
        function(Operation::PerfEventOpen(TRACEPOINT), &selinux),
        "security_perf_event_open"
    );
    let elsewhere = Conditions {
        initial_user_namespace: false,
        ..with(NEW, &[Cap::SysAdmin])
    };
    assert_eq!(errno(load(RAW_TP), &elsewhere), EPERM);
}

#[test]
fn an_unknown_type_of_map_is_found_before_or_after_the_sysctl() {
    // Arenas came with 6.9.
    assert_eq!(errno(map("arena"), &at(Version(6, 4, 0))), EPERM);
    assert_eq!(errno(map("arena"), &at(Version(6, 5, 0))), EINVAL);
    assert_eq!(errno(map("arena"), &at(Version(6, 9, 0))), EPERM);
    let on_5_10 = tracing(Version(5, 10, 0));
    assert_eq!(errno(map("task_storage"), &on_5_10), EINVAL);
    assert_eq!(errno(map("ringbuf"), &tracing(Version(5, 8, 0))), 0);
}

#[test]
fn since_5_19_the_sysctl_keeps_nobody_from_reading() {
    let lookup = Operation::MapLookup;
    assert_eq!(errno(lookup, &at(Version(5, 18, 0))), EPERM);
    assert_eq!(errno(lookup, &at(Version(5, 19, 0))), 0);
    let instructions = Operation::ReadInstructions;
    assert_eq!(errno(instructions, &at(Version(5, 19, 0))), -1);
}

#[test]
fn memory_of_maps_is_locked_memory_before_5_11() {
    let tight = |version| Conditions {
        memlock: 0,
        ..with(version, &[Cap::SysAdmin])
    };
    assert_eq!(errno(map("array"), &tight(Version(5, 10, 0))), EPERM);
    assert_eq!(errno(map("array"), &tight(Version(5, 11, 0))), 0);
}

#[test]
fn a_program_may_be_long_since_5_2() {
    let long = Operation::ProgLoad(Program {
        instructions: 4097,
        ..Program::minimal(ProgramKind::SocketFilter)
    });
    let admin = |version| with(version, &[Cap::SysAdmin]);
    assert_eq!(errno(long, &admin(Version(5, 1, 0))), E2BIG);
    assert_eq!(errno(long, &admin(Version(5, 2, 0))), 0);
    let open = Conditions {
        unprivileged_bpf_disabled: 0,
        ..at(NEW)
    };
    assert_eq!(errno(long, &open), E2BIG);
}

#[test]
fn sys_admin_stands_for_net_admin_since_6_9() {
    let admin = |version| with(version, &[Cap::SysAdmin]);
    let attach = Operation::CgroupAttach(ProgramKind::CgroupSkb);
    let link = Operation::LinkCreate(Link::Cgroup(ProgramKind::CgroupSkb));
    for operation in [map("xskmap"), attach, link] {
        assert_ne!(errno(operation, &admin(Version(6, 8, 0))), 0);
        assert_eq!(errno(operation, &admin(Version(6, 9, 0))), 0);
    }
    // Never for netlink.
    assert_eq!(errno(Operation::XdpNetlink, &admin(NEW)), EPERM);
    let device = load(ProgramKind::CgroupDevice);
    assert_eq!(errno(device, &admin(Version(5, 8, 0))), 0);
}

#[test]
fn links_came_one_by_one() {
    let admin = |version| with(version, &[Cap::SysAdmin, Cap::NetAdmin]);
    let cgroup = Operation::LinkCreate(Link::Cgroup(ProgramKind::CgroupSkb));
    assert_eq!(errno(cgroup, &admin(Version(5, 6, 0))), EINVAL);
    assert_eq!(errno(cgroup, &admin(Version(5, 7, 0))), 0);
    let without = with(Version(5, 7, 0), &[Cap::SysAdmin]);
    assert_eq!(function(cgroup, &without), "link_create");
    let (xdp, perf) = (Link::Xdp, Link::PerfEvent);
    for (link, before, since) in [
        (xdp, Version(5, 8, 0), Version(5, 9, 0)),
        (perf, Version(5, 14, 0), Version(5, 15, 0)),
    ] {
        assert_eq!(errno(Operation::LinkCreate(link), &admin(before)), EINVAL);
        assert_eq!(errno(Operation::LinkCreate(link), &admin(since)), 0);
    }
    let open = Operation::RawTracepointOpen { exists: true };
    assert_eq!(errno(open, &admin(Version(4, 16, 0))), EINVAL);
}

#[test]
fn confidentiality_takes_the_helpers_that_read() {
    let level = Lockdown::Confidentiality;
    let at = |version| locked(level, false, tracing(version));
    for version in [Version(5, 8, 18), Version(5, 10, 43), Version(5, 12, 0)] {
        assert_eq!(errno(calls(113), &at(version)), 0);
    }
    for version in [Version(5, 10, 44), Version(5, 13, 0), NEW] {
        assert_eq!(errno(calls(113), &at(version)), EINVAL);
        assert_eq!(errno(calls(112), &at(version)), 0);
    }
    let admin = with(NEW, &[Cap::SysAdmin]);
    assert_eq!(errno(calls(36), &admin), 0);
    assert_eq!(errno(calls(36), &tracing(NEW)), EINVAL);
    let integrity = locked(Lockdown::Integrity, true, admin);
    assert_eq!(errno(calls(36), &integrity), EINVAL);
    assert_eq!(errno(calls(113), &integrity), 0);
    assert_eq!(errno(calls(9999), &tracing(NEW)), EINVAL);
}

#[test]
fn types_take_a_kernel_that_describes_itself() {
    let typeless = Conditions {
        kernel_btf: false,
        ..tracing(NEW)
    };
    assert_eq!(errno(Operation::ReadKernelBtf, &typeless), ENOENT);
    let tracing_program = load(ProgramKind::Tracing);
    assert_eq!(errno(tracing_program, &typeless), EINVAL);
    assert_eq!(errno(tracing_program, &tracing(NEW)), 0);
    let eventless = Conditions {
        built: Built {
            bpf_events: false,
            ..Built::ALL
        },
        ..tracing(NEW)
    };
    assert_eq!(errno(load(RAW_TP), &eventless), EINVAL);
}

#[test]
fn distributions_have_levels_of_their_own() {
    let at = |distribution, version, level| Conditions {
        distribution,
        perf_event_paranoid: level,
        ..tracing(version)
    };
    let open = Operation::PerfEventOpen(TRACEPOINT);
    let debian = Distribution::Debian;
    assert_eq!(errno(open, &at(Distribution::Mainline, NEW, 4)), 0);
    assert_eq!(errno(open, &at(debian, NEW, 2)), 0);
    assert_eq!(errno(open, &at(debian, NEW, 3)), EACCES);
    let jammy = |number| at(Distribution::Ubuntu(number), Version(5, 15, 190), 4);
    assert_eq!(errno(open, &jammy(91)), EACCES);
    assert_eq!(errno(open, &jammy(203)), 0);
    let mantic = at(Distribution::Ubuntu(44), Version(6, 5, 13), 4);
    let because = predict(&open, &mantic).because;
    assert_eq!(
        because.check,
        Check::DistributionParanoid(4, &[Cap::SysAdmin])
    );
}

#[test]
fn kprobes_take_perfmon_whatever_the_sysctl() {
    let open = Operation::PerfEventOpen(KPROBE);
    let generous = Conditions {
        perf_event_paranoid: -1,
        ..at(NEW)
    };
    assert_eq!(function(open, &generous), "perf_kprobe_event_init");
    assert_eq!(errno(open, &tracing(NEW)), 0);
    assert_eq!(errno(open, &tracing(Version(4, 16, 0))), EACCES);
    let admin = with(Version(4, 16, 0), &[Cap::SysAdmin]);
    assert_eq!(errno(open, &admin), ENOENT);
    let unbuilt = Conditions {
        built: Built {
            kprobe_events: false,
            ..Built::ALL
        },
        ..tracing(NEW)
    };
    assert_eq!(errno(open, &unbuilt), ENOENT);
    let level = Lockdown::Confidentiality;
    let locked = locked(level, false, tracing(NEW));
    assert_eq!(errno(open, &locked), EPERM);
}

#[test]
fn a_tracefs_for_a_group() {
    let mounted = |version, gid, mode| Conditions {
        tracefs: Some(Tracefs {
            root: owned(gid, mode),
            opened: None,
        }),
        ..at(version)
    };
    let id = Operation::Tracefs(ID);
    let marker = Operation::Tracefs(TracefsFile::TraceMarker);
    let enable = Operation::Tracefs(TracefsFile::Enable);
    for version in [Version(4, 18, 0), Version(5, 15, 0), Version(6, 6, 0), NEW] {
        assert_eq!(errno(id, &mounted(version, 1000, 0o750)), 0);
        assert_eq!(errno(id, &mounted(version, 1000, 0o700)), EACCES);
        assert_eq!(errno(id, &mounted(version, 7, 0o750)), EACCES);
        assert_eq!(errno(enable, &mounted(version, 1000, 0o750)), EACCES);
    }
    // 5.15.3 closed files to others, 5.15.8 gave them to the group of the mount.
    let open = |patch| mounted(Version(5, 15, patch), 7, 0o755);
    assert_eq!((errno(id, &open(2)), errno(id, &open(3))), (0, EACCES));
    let group = |patch| mounted(Version(5, 15, patch), 1000, 0o750);
    assert_eq!(errno(marker, &group(2)), EACCES);
    assert_eq!(errno(marker, &group(8)), 0);
    let member = Conditions {
        gid: 5,
        groups: vec![4, 1000],
        ..mounted(NEW, 1000, 0o750)
    };
    assert_eq!(errno(id, &member), 0);
    let reader = with(NEW, &[Cap::DacReadSearch]);
    assert_eq!((errno(id, &reader), errno(enable, &reader)), (0, EACCES));
    let root = Operation::Tracefs(TracefsFile::Root);
    assert_eq!(errno(root, &mounted(NEW, 7, 0o755)), 0);
    let absent = Conditions {
        tracefs: None,
        ..reader
    };
    assert_eq!(errno(id, &absent), ENOENT);
}

#[test]
fn confidentiality_empties_tracefs_at_boot_and_shuts_it_later() {
    let level = Lockdown::Confidentiality;
    let root = |at_boot| locked(level, at_boot, with(NEW, &[Cap::DacOverride]));
    let id = Operation::Tracefs(ID);
    let trace = Operation::Tracefs(TracefsFile::Trace);
    assert_eq!(errno(id, &root(true)), ENOENT);
    assert_eq!(
        (errno(id, &root(false)), errno(trace, &root(false))),
        (0, EPERM)
    );
    let open = Operation::PerfEventOpen(TRACEPOINT);
    let tracing = |at_boot| locked(level, at_boot, tracing(NEW));
    assert_eq!(errno(open, &tracing(true)), EINVAL);
    assert_eq!(errno(open, &tracing(false)), 0);
}

#[test]
fn pins_take_a_writable_bpffs() {
    let mounted = |bpffs| Conditions {
        bpffs,
        ..tracing(NEW)
    };
    let root = owned(0, 0o700);
    assert_eq!(errno(Operation::Pin, &mounted(None)), EPERM);
    assert_eq!(errno(Operation::Pin, &mounted(Some(root))), EACCES);
    let public = owned(0, 0o777);
    assert_eq!(errno(Operation::Pin, &mounted(Some(public))), 0);
}

#[test]
fn files_give_capabilities_or_fail_to() {
    let file = Executable {
        capabilities: Some(FileCapabilities {
            permitted: set(&[Cap::Bpf, Cap::Perfmon]),
            effective: true,
            ..FileCapabilities::default()
        }),
        nosuid: false,
    };
    let effective = |file, before: &Conditions| {
        let after = after_execve(file, before);
        after.map(|after| after.effective).map_err(|it| it.outcome)
    };
    let both = set(&[Cap::Bpf, Cap::Perfmon]);
    assert_eq!(effective(file, &at(NEW)), Ok(both));
    let nosuid = Executable {
        nosuid: true,
        ..file
    };
    assert_eq!(effective(nosuid, &at(NEW)), Ok(CapSet(0)));

    let contained = |version| Conditions {
        bounding: CapSet(0),
        ..at(version)
    };
    let refused = Err(Outcome::Errno(EPERM));
    assert_eq!(effective(file, &contained(NEW)), refused);
    assert_eq!(errno(Operation::Execve(file), &contained(NEW)), EPERM);
    // These bits mean nothing to it.
    let old = contained(Version(5, 7, 0));
    assert_eq!(effective(file, &old), Ok(CapSet(0)));

    let frozen = |held| Conditions {
        no_new_privs: true,
        permitted: held,
        ..at(NEW)
    };
    assert_eq!(effective(file, &frozen(CapSet(0))), Ok(CapSet(0)));
    assert_eq!(effective(file, &frozen(both)), Ok(both));

    let plain = Executable {
        capabilities: None,
        nosuid: false,
    };
    let ambient = Conditions {
        ambient: both,
        ..tracing(NEW)
    };
    assert_eq!(effective(plain, &ambient), Ok(both));
    assert_eq!(effective(plain, &tracing(NEW)), Ok(CapSet(0)));
}

#[test]
fn several_steps_end_at_the_first_that_is_refused() {
    let steps = [
        load(ProgramKind::Tracepoint),
        Operation::PerfEventOpen(TRACEPOINT),
        Operation::SetBpf,
    ];
    let debian = Conditions {
        distribution: Distribution::Debian,
        perf_event_paranoid: 3,
        ..tracing(NEW)
    };
    let refused = first_refusal(&steps, &debian).map(|(step, answer)| (step, answer.outcome));
    assert_eq!(refused, Some((1, Outcome::Errno(EACCES))));
    assert_eq!(first_refusal(&steps, &tracing(NEW)), None);
}
