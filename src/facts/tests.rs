use super::*;
use crate::sys::root::tests::Tree;

/// A user on a host where nothing is in the way but that no capability is held.
pub(crate) fn healthy() -> Facts {
    let mut facts = Facts::read(&Root::new("/proc/self/no-such-tree"), &Target::default());
    facts.privileges = Fact::Known(privileges::tests::nobody());
    facts.binary = binary::tests::plain();
    facts.kernel = kernel::tests::kernel(crate::sys::release::Release(6, 1), Fact::Absent);
    facts.limits.memlock = Fact::Known(limits::Limit {
        soft: Some(8 << 20),
        hard: Some(8 << 20),
    });
    facts
}

#[test]
fn a_tree_of_nothing_makes_no_fact() {
    let facts = Facts::read(&Root::new("/proc/self/no-such-tree"), &Target::default());
    let text = facts.to_json().unwrap();
    assert!(!text.contains("\"known\": true"), "{text}");
    assert_eq!(facts.privileges, Fact::Absent);
    assert_eq!(facts.kernel_types, Fact::Absent);
    assert_eq!((facts.loaded, facts.probes), (None, None));
}

/// Every file that facts are read from.
const READ: &[&str] = &[
    "/etc/passwd",
    "/etc/group",
    "/etc/os-release",
    "/proc/1/cgroup",
    "/proc/1/environ",
    "/proc/1/status",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/cpuinfo",
    "/proc/self/cgroup",
    "/proc/self/limits",
    "/proc/self/mountinfo",
    "/proc/self/status",
    "/proc/self/uid_map",
    "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/version",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/possible",
    "/sys/fs/selinux/enforce",
    "/sys/kernel/btf/vmlinux",
    "/sys/kernel/security/lockdown",
    "/sys/kernel/security/lsm",
];

#[test]
fn garbage_fails_and_is_never_believed() {
    let garbage: [&[u8]; 6] = [
        b"",
        b"\0",
        b"\xff\xfe\xfd",
        b"garbage in garbage out\n",
        b": : : :\n::::::\n- - - -\n",
        &[b'9'; 4096],
    ];
    for content in garbage {
        let files: Vec<_> = READ.iter().map(|path| (*path, content)).collect();
        let tree = Tree::with(&files);
        for user in [None, Some("root".to_owned()), Some("0".to_owned())] {
            let target = Target { user, binary: None };
            let facts = Facts::read(&tree.root(), &target);
            assert!(facts.privileges.known().is_none());
            assert!(facts.kernel.version.known().is_none());
            assert!(matches!(facts.kernel.lockdown, Fact::Failed(_)));
            assert!(matches!(facts.config, Fact::Failed(_)));
            assert!(matches!(facts.kernel_types, Fact::Failed(_)));
            assert!(matches!(facts.security.selinux_enforcing, Fact::Failed(_)));
            assert!(matches!(facts.limits.memlock, Fact::Failed(_)));
            assert!(facts.mounts.tracefs.known().is_none());
            assert!(facts.environment.hypervisor.known().is_none());
            let text = facts.to_json().unwrap();
            assert_eq!(Facts::from_json(&text).unwrap(), facts);
        }
    }
}

#[test]
fn another_user_is_worked_out_and_not_probed() {
    let passwd = "root:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\n";
    let tree = Tree::with(&[
        ("/etc/passwd", passwd),
        ("/etc/group", ""),
        ("/proc/1/status", privileges::tests::STATUS),
        ("/opt/tool", "#!/bin/sh\n"),
    ]);
    let of = |user: &str| {
        let target = Target {
            user: Some(user.to_owned()),
            binary: Some("/opt/tool".into()),
        };
        Facts::read(&tree.root(), &target)
    };
    let ada = of("ada");
    assert!(ada.subject.simulated);
    assert_eq!(ada.subject.user, Fact::Known("ada".into()));
    // A file as cargo writes it: not executable.
    assert!(matches!(
        ada.subject.exec_error,
        Some(ExecError::NotExecutable(_))
    ));
    assert!(matches!(ada.privileges, Fact::Denied(_)));
    assert_eq!(of("eve").privileges, Fact::Absent);
    assert_eq!(of("eve").subject.before_exec, Fact::Absent);
}

#[test]
fn this_machine_is_read() {
    let facts = Facts::probe();
    assert!(facts.privileges.known().is_some());
    assert!(facts.kernel.version.known().is_some());
    assert!(facts.binary.stat().known().is_some());
    assert!(facts.limits.memlock.known().is_some());
}

#[cfg(feature = "ebpf")]
#[test]
fn asking_the_kernel_leaves_nothing_behind() {
    let descriptors = || Root::default().read_dir("/proc/self/fd").unwrap().len();
    let before = descriptors();
    let facts = Facts::with_probes(&Root::default(), &Target::default());
    let probes = facts.probes.as_ref().unwrap();
    let longest = probes.all.iter().map(|probe| probe.duration_us).max();
    assert!(longest <= Some(probes.duration_us), "{probes:?}");
    let text = facts.to_json().unwrap();
    assert_eq!(Facts::from_json(&text).unwrap(), facts);
    // Other tests open files at the same time.
    assert!(descriptors() < before + 40);
}
