//! The conditions of each row: the README's defaults of its kernel, and its scenario.

use std::collections::BTreeMap;

use denet::checks::predict::{
    Built, Conditions, Denials, Distribution, Executable, Inode, LockedDown, Opened, Tracefs,
    Version, after_execve,
};
use denet::facts::binary::FileCapabilities;
use denet::facts::kernel::Lockdown;
use denet::sys::capabilities::{Cap, CapSet};

use crate::oracle::{Row, data, read};

/// The versions of kernel.org that the distributions' kernels were made from, or older ones of the
/// same series. `uname -r` does not tell: `/proc/version` does of Debian's, `/proc/version_signature` of
/// Ubuntu's. 5.10.0-32 was 5.10.223 and 6.1.0-50 was 6.1.176.
const MADE_FROM: &[(&str, Version)] = &[
    ("Ubuntu 4.18.0-25", Version(4, 18, 20)),
    ("Ubuntu 5.4.0-216", Version(5, 4, 291)),
    ("Ubuntu 5.8.0-63", Version(5, 8, 18)),
    ("Ubuntu 6.8.0-149", Version(6, 8, 12)),
    ("Debian 5.10.0-46", Version(5, 10, 223)),
    ("Debian 6.1.0-56", Version(6, 1, 176)),
    ("Debian 6.12.117", Version(6, 12, 117)),
    ("Debian 7.2.13", Version(7, 2, 13)),
];

fn distribution(label: &str) -> Distribution {
    match label.split_once(' ') {
        Some(("Debian", _)) => Distribution::Debian,
        Some(("Ubuntu", release)) => {
            let number = release.rsplit('-').next().and_then(|it| it.parse().ok());
            Distribution::Ubuntu(number.unwrap_or_else(|| panic!("no number: {label}")))
        }
        _ => panic!("no distribution: {label}"),
    }
}

/// A user without privileges on each kernel as it was booted: the README's block of defaults.
pub fn kernels() -> BTreeMap<String, Conditions> {
    let readme = read(&data().join("kernel-truth/README.md"));
    let block = readme.split("```").nth(1).unwrap_or_default();
    let lines = block.lines().filter(|line| !line.is_empty());
    lines.map(kernel).collect()
}

/// `4.18 (Ubuntu 4.18.0-25): unpriv=0 paranoid=3 …`
fn kernel(line: &str) -> (String, Conditions) {
    let parsed = line
        .split_once(" (")
        .and_then(|(name, rest)| rest.split_once("): ").map(|(label, it)| (name, label, it)));
    let (name, label, settings) = parsed.unwrap_or_else(|| panic!("not understood: {line}"));
    let text = |key: &str| {
        let mut words = settings.split(' ');
        words
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {key}: {line}"))
    };
    let number = |key: &str| {
        text(key)
            .parse()
            .unwrap_or_else(|_| panic!("{key}: {line}"))
    };
    let version = MADE_FROM.iter().find(|(known, _)| *known == label);
    let conditions = Conditions {
        version: version
            .unwrap_or_else(|| panic!("made from what: {label}"))
            .1,
        distribution: distribution(label),
        built: Built::ALL,
        last_cap: number("lastcap"),
        kernel_btf: text("btf") == "present",
        unprivileged_bpf_disabled: number("unpriv"),
        perf_event_paranoid: text("paranoid").parse().expect("a number"),
        kptr_restrict: number("kptr"),
        lockdown: LockedDown {
            level: Lockdown::None,
            at_boot: false,
            module: text("lsm").split(',').any(|module| module == "lockdown"),
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
        memlock: u64::from(number("memlock")) * 1024,
        tracefs: Some(Tracefs {
            root: directory(0, 0o700),
            opened: None,
        }),
        debugfs: Some(directory(0, 0o700)),
        bpffs: Some(directory(0, 0o777)),
        cgroup2: true,
    };
    (name.to_owned(), conditions)
}

fn directory(gid: u32, mode: u32) -> Inode {
    Inode { uid: 0, gid, mode }
}

/// `BPF+PERFMON`
fn capabilities(names: &str) -> CapSet {
    let bit = |name| match name {
        "none" => 0,
        "BPF" => CapSet::of(Cap::Bpf).0,
        "PERFMON" => CapSet::of(Cap::Perfmon).0,
        "NETADMIN" => CapSet::of(Cap::NetAdmin).0,
        "SYSADMIN" => CapSet::of(Cap::SysAdmin).0,
        "SYSLOG" => CapSet::of(Cap::Syslog).0,
        "DACREADSEARCH" => CapSet::of(Cap::DacReadSearch).0,
        // CAP_SYS_RESOURCE
        "SYSRESOURCE" | "SYSRES" => 1 << 24,
        _ => panic!("no such capability: {name}"),
    };
    CapSet(names.split('+').map(bit).fold(0, |set, bit| set | bit))
}

const EVERYTHING: CapSet = CapSet(u64::MAX);

fn hold(conditions: &mut Conditions, caps: CapSet) {
    conditions.effective = caps;
    conditions.permitted = caps;
    conditions.ambient = caps;
}

fn root(conditions: &mut Conditions) {
    (conditions.uid, conditions.gid) = (0, 0);
    conditions.effective = EVERYTHING;
    conditions.permitted = EVERYTHING;
}

/// `paranoid=3` of a part of a scenario's name.
fn setting<T: std::str::FromStr>(part: &str) -> T {
    let value = part
        .split_once('=')
        .and_then(|(_, value)| value.parse().ok());
    value.unwrap_or_else(|| panic!("not a setting: {part}"))
}

/// The conditions of a row: the README's table of scenarios.
pub fn conditions_of(row: &Row, kernels: &BTreeMap<String, Conditions>) -> Conditions {
    let mut it = kernels
        .get(&row.kernel)
        .unwrap_or_else(|| panic!("no such kernel: {}", row.kernel))
        .clone();
    let parts: Vec<_> = row.scenario.split('/').collect();
    // What B says of unprivileged_bpf_disabled holds for C, D, E, G and N: it stays 1. The README does not
    // say in which boot F and H ran nor what N had: the rows of 4.18 say that H had the default of
    // unprivileged_bpf_disabled, those of N that perf_event_paranoid was as D left it, 2.
    if matches!(parts[0], "C" | "D" | "E" | "G" | "N") {
        it.unprivileged_bpf_disabled = 1;
    }
    match parts.as_slice() {
        ["root"] => root(&mut it),
        ["A", caps] => hold(&mut it, capabilities(caps)),
        ["B", unprivileged, caps] => {
            it.unprivileged_bpf_disabled = setting(unprivileged);
            hold(&mut it, capabilities(caps));
        }
        ["C", paranoid, caps] => {
            it.perf_event_paranoid = setting(paranoid);
            hold(&mut it, capabilities(caps));
        }
        ["D", paranoid, kptr, caps] => {
            it.perf_event_paranoid = setting(paranoid);
            it.kptr_restrict = setting(kptr);
            hold(&mut it, capabilities(caps));
        }
        ["E", state] => mounted(state, &mut it),
        ["F", who] => {
            it.perf_event_paranoid = 2;
            it.lockdown.level = match row.boot.as_str() {
                "lockdown=integrity at boot" => Lockdown::Integrity,
                "lockdown=confidentiality at boot" => Lockdown::Confidentiality,
                other => panic!("no such boot: {other}"),
            };
            it.lockdown.at_boot = true;
            match *who {
                "root" => root(&mut it),
                caps => hold(&mut it, capabilities(caps)),
            }
        }
        ["G", memlock, caps] => {
            let bytes: i64 = setting(memlock);
            it.memlock = u64::try_from(bytes).unwrap_or(u64::MAX);
            hold(&mut it, capabilities(caps));
        }
        ["H", state] => executed(state, &mut it),
        ["N", caps] => {
            it.perf_event_paranoid = 2;
            let caps = caps.strip_prefix("nnp+");
            hold(&mut it, capabilities(caps.expect("no_new_privs")));
            it.no_new_privs = true;
        }
        _ => panic!("no such scenario: {}", row.scenario),
    }
    it
}

/// The mounts of E. `chgrp -R` and `chmod -R` change the files themselves. That a fresh mount shows them
/// as they were left is taken from the rows: the README does not say how it was mounted.
fn mounted(state: &str, it: &mut Conditions) {
    const GROUP: u32 = 1000;
    it.uid = 1001;
    it.gid = GROUP;
    let (root, opened) = match state {
        "default" => (directory(0, 0o700), None),
        "remount_gid" => (directory(GROUP, 0o700), None),
        "remount_gid_mode750" => (directory(GROUP, 0o750), None),
        "remount_gid_mode750_other" => {
            it.gid = 1002;
            (directory(GROUP, 0o750), None)
        }
        "remount_gid_mode750_BPFPERFMON" => {
            hold(it, capabilities("BPF+PERFMON"));
            (directory(GROUP, 0o750), None)
        }
        "mode755_other" => {
            it.gid = 1002;
            (directory(GROUP, 0o755), None)
        }
        "seedchmod" | "freshmount" => {
            let opened = Opened {
                gid: GROUP,
                bits: 0o7,
            };
            (directory(GROUP, 0o770), Some(opened))
        }
        _ => panic!("no such mount: {state}"),
    };
    it.tracefs = Some(Tracefs { root, opened });
}

/// The executions of H: a file with cap_bpf,cap_perfmon=ep, started by a user without capabilities.
fn executed(state: &str, it: &mut Conditions) {
    let tracing = FileCapabilities {
        permitted: capabilities("BPF+PERFMON"),
        effective: true,
        ..FileCapabilities::default()
    };
    let mut file = Executable {
        capabilities: Some(tracing),
        nosuid: false,
    };
    match state {
        "filecaps_nosuid" => file.nosuid = true,
        "filecaps_nnp" => it.no_new_privs = true,
        "filecaps_userns" => it.initial_user_namespace = false,
        "usernsroot_nocaps" => {
            it.initial_user_namespace = false;
            it.uid = 0;
            file.capabilities = None;
        }
        "filecaps_permitted_only" => {
            file.capabilities = Some(FileCapabilities {
                effective: false,
                ..tracing
            });
        }
        "filecaps_bounding_dropped" => {
            it.bounding = CapSet(!capabilities("BPF+PERFMON").0);
        }
        "filecaps_after_cp" | "filecaps_after_rewrite" => file.capabilities = None,
        "seccomp" => it.seccomp.bpf = Some(libc::EPERM),
        "runtime_lockdown_root" => {
            it.lockdown.level = Lockdown::Confidentiality;
            return root(it);
        }
        _ => panic!("no such state: {state}"),
    }
    *it = after_execve(file, it).unwrap_or_else(|refusal| panic!("{state}: {}", refusal.because));
}
