//! What is known of a machine and a process, as [`predict`](super::predict) takes it.

use super::super::privileges::is_by_filter;
use super::conditions::{
    Built, Conditions, Denials, Distribution, Inode, LockedDown, Tracefs, Version,
};
use crate::facts::config::Setting;
use crate::facts::kernel::{Kernel, Lockdown};
use crate::facts::limits::Limit;
use crate::facts::mounts::FileSystem;
use crate::facts::privileges::Privileges;
use crate::facts::probes::Outcome;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

impl Conditions {
    /// Those of the subject; `None` if its privileges or the kernel's version are not known. What else
    /// is not known is taken to be as most kernels have it: built in, not locked down, the kernel's own
    /// default.
    pub(crate) fn of(facts: &Facts) -> Option<Self> {
        let who = facts.privileges.known()?;
        let version = version(&facts.kernel)?;
        let sysctls = &facts.sysctls;
        let number = |fact: &Fact<i64>, default: i64| fact.known().copied().unwrap_or(default);
        let root = |mounts: &Fact<Vec<FileSystem>>| inode(mounts.known()?.first()?);
        let last_cap = who.last_cap.known().copied();
        Some(Self {
            version,
            distribution: distribution(&facts.kernel),
            built: built(facts),
            last_cap: last_cap.unwrap_or(if version >= Version(5, 8, 0) { 39 } else { 37 }),
            kernel_btf: facts.kernel_types != Fact::Absent,
            unprivileged_bpf_disabled: number(&sysctls.unprivileged_bpf_disabled, 2) as u32,
            perf_event_paranoid: number(&sysctls.perf_event_paranoid, 2) as i32,
            kptr_restrict: number(&sysctls.kptr_restrict, 0) as u32,
            lockdown: lockdown(facts, version),
            security_modules: Denials::default(),
            uid: who.uid,
            gid: who.gid,
            groups: who.groups.clone(),
            effective: who.effective,
            permitted: who.permitted,
            bounding: who.bounding,
            ambient: who.ambient,
            initial_user_namespace: who.initial_user_namespace != Fact::Known(false),
            no_new_privs: who.no_new_privs,
            seccomp: denied(facts, who),
            memlock: memlock(facts, who),
            tracefs: root(&facts.mounts.tracefs).map(|root| Tracefs { root, opened: None }),
            debugfs: root(&facts.mounts.debugfs),
            bpffs: root(&facts.mounts.bpffs),
            cgroup2: facts.mounts.cgroup2.known().is_some(),
        })
    }
}

/// The version of kernel.org: Debian's kernels tell it in `/proc/version`, Ubuntu's in
/// `/proc/version_signature`, others in their name.
pub(crate) fn version(kernel: &Kernel) -> Option<Version> {
    let signed = kernel.signature.known();
    let signed = signed.and_then(|text| text.split_whitespace().last());
    let debian = kernel.build.known();
    let debian = debian.and_then(|text| text.split(" Debian ").nth(1));
    let told = signed.and_then(triple).or_else(|| debian.and_then(triple));
    told.or_else(|| {
        let named = kernel.version.known()?;
        let Release(major, minor) = named.release;
        Some(Version(major, minor, named.patch.unwrap_or(0)))
    })
}

/// `5.10.223-1 (2026-…)`
fn triple(text: &str) -> Option<Version> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let mut numbers = text[..end.unwrap_or(text.len())].split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some(Version(number()?, number()?, number().unwrap_or(0)))
}

/// Whose kernel it is; in a container that need not be the distribution of the files.
fn distribution(kernel: &Kernel) -> Distribution {
    let build = kernel.build.known().map_or("", String::as_str);
    let ubuntu = kernel.signature.known().is_some() || build.contains("Ubuntu");
    if ubuntu {
        let name = kernel.version.known().map_or("", |it| it.text.as_str());
        let number = name.split('-').nth(1).and_then(|it| it.parse().ok());
        return Distribution::Ubuntu(number.unwrap_or(0));
    }
    if build.contains("Debian") || build.contains("debian-kernel") {
        Distribution::Debian
    } else {
        Distribution::Mainline
    }
}

/// Whether an option is built in or a module; `None` if that cannot be told.
pub(crate) fn is_built(facts: &Facts, option: &str) -> Option<bool> {
    let config = facts.config.known()?;
    match config.get(option) {
        Fact::Known(setting) => Some(setting != Setting::No),
        Fact::Absent => Some(false),
        Fact::Denied(_) | Fact::Failed(_) => None,
    }
}

fn built(facts: &Facts) -> Built {
    let has = |option| is_built(facts, option).unwrap_or(true);
    Built {
        bpf_syscall: has("BPF_SYSCALL"),
        bpf_events: has("BPF_EVENTS"),
        perf_events: has("PERF_EVENTS"),
        kprobe_events: has("KPROBE_EVENTS"),
        ftrace_syscalls: has("FTRACE_SYSCALLS"),
        cgroup_bpf: has("CGROUP_BPF"),
    }
}

fn lockdown(facts: &Facts, version: Version) -> LockedDown {
    let kernel = &facts.kernel;
    let level = kernel.lockdown.known().copied();
    let asked = kernel
        .command_line
        .known()
        .and_then(|line| line.lockdown.as_deref());
    let forced = is_built(facts, "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY") == Some(true);
    let modules = facts.security.modules.known();
    LockedDown {
        level: level.unwrap_or(Lockdown::None),
        at_boot: asked == Some("confidentiality") || forced,
        module: modules.map_or(version >= Version(5, 4, 0), |modules| {
            modules.iter().any(|module| module == "lockdown")
        }),
    }
}

/// Nobody can read a filter: only what it answers tells.
fn denied(facts: &Facts, who: &Privileges) -> Denials {
    let answer = |id: &str| match &facts.probes.as_ref()?.get(id)?.outcome {
        Outcome::Refused { errno, .. } => Some(*errno),
        Outcome::Ok | Outcome::Failed(_) | Outcome::NotAttempted(_) => None,
    };
    if who.seccomp != 2 {
        return Denials::default();
    }
    Denials {
        bpf: answer("bpf:reach").filter(|errno| is_by_filter(facts, *errno)),
        // Who may use perf events may measure itself outside the kernel.
        perf_event_open: answer("perf:software")
            .filter(|errno| [libc::ENOSYS, libc::EPERM].contains(errno)),
    }
}

/// What it can be raised to, as denet does.
fn memlock(facts: &Facts, who: &Privileges) -> u64 {
    let raises = who.effective.has(Cap::SysResource);
    match facts.limits.memlock.known() {
        Some(Limit { hard: None, .. } | Limit { soft: None, .. }) | None => u64::MAX,
        Some(_) if raises => u64::MAX,
        Some(Limit {
            hard: Some(hard), ..
        }) => *hard,
    }
}

fn inode(system: &FileSystem) -> Option<Inode> {
    let stat = system.trail.last();
    stat.known().map(|stat| Inode {
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode & 0o777,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::kernel::tests::kernel;

    #[test]
    fn the_version_of_kernel_org_is_found() {
        let mut found = kernel(Release(6, 1), Fact::Absent);
        assert_eq!(version(&found), Some(Version(6, 1, 0)));
        let debian = "Linux version 5.10.0-46-amd64 (debian-kernel@lists.debian.org) (gcc) #1 SMP Debian 5.10.223-1 (2026-01-01)";
        found.build = Fact::Known(debian.to_owned());
        assert_eq!(version(&found), Some(Version(5, 10, 223)));
        assert_eq!(distribution(&found), Distribution::Debian);
        found.signature = Fact::Known("Ubuntu 5.15.0-203.213-generic 5.15.189".to_owned());
        assert_eq!(version(&found), Some(Version(5, 15, 189)));
        assert_eq!(distribution(&found), Distribution::Ubuntu(0));
    }

    #[test]
    fn garbage_is_no_version() {
        assert_eq!(triple("x"), None);
        assert_eq!(triple("5"), None);
        assert_eq!(triple("6.12"), Some(Version(6, 12, 0)));
    }
}
