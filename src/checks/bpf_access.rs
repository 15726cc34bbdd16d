//! Why the kernel refused `bpf(2)`, and what is the least that mends it.

use std::path::{Path, PathBuf};

use crate::facts::kernel::{Lockdown, Release};
use crate::facts::privileges::{Cap, Privileges};
use crate::facts::{Fact, Facts};
use crate::finding::Finding;
use crate::shell::quoted;
use crate::step::Step;

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The command and its errno, for people.
    pub what: &'a str,
    /// The errno, where the kernel gave one.
    pub errno: Option<i32>,
    /// What the verifier said.
    pub log: Option<&'a str>,
}

/// What tracing takes: `cap_bpf` for maps and programs, `cap_perfmon` for programs that read the
/// kernel (`bpf_prog_load`, kernel/bpf/syscall.c).
const NEEDED: &str = "cap_bpf,cap_perfmon";

/// The finding behind a refusal.
pub fn explain(facts: &Facts, refusal: Refusal<'_>) -> Finding {
    let Some(privileges) = facts.privileges.known() else {
        return unexplained(refusal, vec![format!("privileges: {:?}", facts.privileges)]);
    };
    let lacking = privileges.effective.lacks_for_tracing();
    match refusal.errno {
        Some(libc::ENOSYS) if privileges.seccomp == 2 => seccomp(refusal, privileges),
        Some(libc::ENOSYS) => Finding {
            id: "kernel-without-bpf",
            cause: "this kernel was built without the bpf system call (CONFIG_BPF_SYSCALL)"
                .to_owned(),
            evidence: vec![
                refusal.what.to_owned(),
                "no seccomp filter is in force".to_owned(),
            ],
            fix: vec![Step::manual(
                "boot a kernel with CONFIG_BPF_SYSCALL=y: every current distribution's has it",
            )],
        },
        Some(libc::EPERM | libc::EACCES)
            if privileges.initial_user_namespace == Fact::Known(false) =>
        {
            user_namespace(refusal, privileges)
        }
        Some(libc::EPERM | libc::EACCES) if !lacking.is_empty() => {
            missing_capabilities(facts, privileges, &lacking, refusal)
        }
        Some(libc::EPERM) if is_charged(facts, refusal.what) => memlock(facts, refusal),
        Some(libc::EPERM) if privileges.seccomp == 2 => seccomp(refusal, privileges),
        Some(libc::EPERM | libc::EINVAL)
            if facts.kernel.lockdown.known() == Some(&Lockdown::Confidentiality) =>
        {
            lockdown(refusal)
        }
        _ => unexplained(refusal, vec![format!("CapEff {}", privileges.effective)]),
    }
}

/// Before 5.11 maps and programs are charged to RLIMIT_MEMLOCK (`bpf_charge_memlock` and
/// `__bpf_prog_charge`, kernel/bpf/syscall.c).
fn is_charged(facts: &Facts, what: &str) -> bool {
    let takes_memory = ["BPF_MAP_CREATE", "BPF_PROG_LOAD"]
        .iter()
        .any(|command| what.starts_with(command));
    let old = facts
        .kernel
        .release
        .known()
        .is_some_and(|release| *release < Release(5, 11));
    takes_memory && old && facts.kernel.memlock.known() != Some(&u64::MAX)
}

fn memlock(facts: &Facts, refusal: Refusal<'_>) -> Finding {
    let limit = facts
        .kernel
        .memlock
        .known()
        .map_or("unknown".to_owned(), u64::to_string);
    Finding {
        id: "memlock",
        cause: "this kernel counts eBPF maps and programs as locked memory, and the limit for that is too low"
            .to_owned(),
        evidence: vec![
            refusal.what.to_owned(),
            format!("RLIMIT_MEMLOCK {limit} bytes, Linux before 5.11"),
        ],
        fix: vec![Step::RaiseMemlock],
    }
}

pub(super) fn unexplained(refusal: Refusal<'_>, mut evidence: Vec<String>) -> Finding {
    evidence.extend(refusal.log.into_iter().flat_map(last_lines));
    Finding {
        id: "kernel-refused",
        cause: format!("{}; no privilege is missing for it", refusal.what),
        evidence,
        fix: vec![Step::manual(
            "run again with --debug, and look at the kernel log (dmesg) for a security module's word",
        )],
    }
}

fn last_lines(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.len().saturating_sub(4);
    lines[tail..]
        .iter()
        .map(|line| format!("verifier: {line}"))
        .collect()
}

fn seccomp(refusal: Refusal<'_>, privileges: &Privileges) -> Finding {
    Finding {
        id: "seccomp",
        cause: "a seccomp filter denies the bpf system call".to_owned(),
        evidence: vec![
            refusal.what.to_owned(),
            format!("Seccomp: {}, CapEff {}", privileges.seccomp, privileges.effective),
        ],
        fix: vec![Step::Manual {
            what: "start the container with a seccomp profile that allows bpf; Docker's own allows it with --cap-add BPF".to_owned(),
            risk: "the container may then ask for whatever its capabilities allow of bpf(2)",
        }],
    }
}

pub(super) fn lockdown(refusal: Refusal<'_>) -> Finding {
    Finding {
        id: "lockdown",
        cause: "kernel lockdown in confidentiality mode forbids programs to read kernel memory"
            .to_owned(),
        evidence: vec![
            refusal.what.to_owned(),
            "/sys/kernel/security/lockdown: [confidentiality]".to_owned(),
        ],
        fix: vec![Step::Manual {
            what: "boot with lockdown=integrity, which still protects the kernel from change"
                .to_owned(),
            risk: "root can then read kernel memory",
        }],
    }
}

fn user_namespace(refusal: Refusal<'_>, privileges: &Privileges) -> Finding {
    Finding {
        id: "user-namespace",
        cause: "this process is in a user namespace of its own: capabilities held there do not reach bpf(2)".to_owned(),
        evidence: vec![
            refusal.what.to_owned(),
            format!("uid {}, CapEff {} within the namespace", privileges.uid, privileges.effective),
        ],
        fix: vec![Step::manual("run it outside the user namespace: on the host, or in a container that is not rootless")],
    }
}

fn missing_capabilities(
    facts: &Facts,
    privileges: &Privileges,
    lacking: &[Cap],
    refusal: Refusal<'_>,
) -> Finding {
    let names = lacking
        .iter()
        .map(|cap| cap.name())
        .collect::<Vec<_>>()
        .join(" and ");
    let binary = &facts.binary;
    let path = binary
        .path
        .known()
        .map_or_else(|| Path::new("denet"), PathBuf::as_path);
    let grant = |file: &Path| Step::GrantCaps {
        file: file.to_owned(),
        caps: NEEDED,
    };
    let here = quoted(&path.display().to_string());
    let mut evidence = vec![
        refusal.what.to_owned(),
        format!(
            "uid {}, CapEff {}: {names} missing",
            privileges.uid, privileges.effective
        ),
    ];
    let finding = |id, cause: String, evidence, fix: Vec<Step>| Finding {
        id,
        cause,
        evidence,
        fix,
    };
    let outside: Vec<_> = privileges.bounding.lacks_for_tracing();
    if !outside.is_empty() {
        evidence.push(format!("CapBnd {}", privileges.bounding));
        return finding(
            "bounding-set",
            format!("{names}: outside the bounding set of this process, so nothing it runs can gain it (a container, most likely)"),
            evidence,
            vec![Step::Manual {
                what: "start the container with --cap-add BPF --cap-add PERFMON (Docker, Podman), or add both to securityContext.capabilities.add (Kubernetes)".to_owned(),
                risk: "whoever is root in the container can then read the host's kernel memory",
            }],
        );
    }
    if binary.nosuid == Fact::Known(true) {
        evidence.push(format!("{here} is on a file system mounted nosuid"));
        let target = Path::new("/usr/local/bin").join(path.file_name().unwrap_or(path.as_os_str()));
        return finding(
            "nosuid-mount",
            format!("{here} is on a nosuid mount, where file capabilities have no effect"),
            evidence,
            vec![
                Step::Install {
                    from: path.to_owned(),
                    to: target.clone(),
                },
                grant(&target),
            ],
        );
    }
    let given = binary.capabilities.known();
    if privileges.no_new_privs {
        evidence.push("NoNewPrivs: 1".to_owned());
        let mut fix = vec![Step::manual(
            "start it from a process without no_new_privs (systemd: NoNewPrivileges=no; setpriv without --no-new-privs; Docker without no-new-privileges)",
        )];
        if given.is_none_or(|caps| !caps.permitted.lacks_for_tracing().is_empty()) {
            fix.push(grant(path));
        }
        let cause = "no_new_privs is set on this process, so capabilities of files have no effect";
        return finding("no-new-privs", cause.to_owned(), evidence, fix);
    }
    let (id, cause) = match &binary.capabilities {
        Fact::Known(caps) if !caps.permitted.lacks_for_tracing().is_empty() => (
            "file-capabilities-partial",
            format!("{here} has file capabilities, but {names} not among them"),
        ),
        Fact::Known(caps) if !caps.effective => (
            "file-capabilities-not-effective",
            format!("{here} has its capabilities permitted but not effective (=p instead of =ep)"),
        ),
        Fact::Known(_) => (
            "capabilities-dropped",
            format!(
                "{here} has file capabilities, but this process lost them after it was started"
            ),
        ),
        Fact::Absent => (
            "file-capabilities-missing",
            format!(
                "uid {} has neither root's privileges nor {names}, and {here} has no file capabilities",
                privileges.uid
            ),
        ),
        Fact::Denied(why) | Fact::Failed(why) => {
            evidence.push(format!("security.capability of {here}: {why}"));
            (
                "file-capabilities-unknown",
                format!("{names} missing; the file capabilities of {here} could not be read"),
            )
        }
    };
    finding(id, cause, evidence, vec![grant(path)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::binary::{Binary, FileCapabilities};
    use crate::facts::kernel::Kernel;
    use crate::facts::privileges::CapSet;

    const BOTH: CapSet = CapSet(0xc0 << 32);
    const ALL: CapSet = CapSet(0x1ff_ffff_ffff);

    fn facts(change: impl FnOnce(&mut Privileges, &mut Binary, &mut Kernel)) -> Facts {
        let mut privileges = Privileges {
            uid: 1000,
            effective: CapSet(0),
            permitted: CapSet(0),
            bounding: ALL,
            no_new_privs: false,
            seccomp: 0,
            initial_user_namespace: Fact::Known(true),
        };
        let mut binary = Binary {
            path: Fact::Known("/opt/my tools/denet".into()),
            capabilities: Fact::Absent,
            nosuid: Fact::Known(false),
        };
        let mut kernel = Kernel {
            release: Fact::Known(Release(6, 1)),
            memlock: Fact::Known(8 << 20),
            lockdown: Fact::Absent,
        };
        change(&mut privileges, &mut binary, &mut kernel);
        Facts {
            privileges: Fact::Known(privileges),
            binary,
            kernel,
        }
    }

    fn id(
        errno: i32,
        change: impl FnOnce(&mut Privileges, &mut Binary, &mut Kernel),
    ) -> &'static str {
        explain(
            &facts(change),
            Refusal {
                what: "BPF_PROG_LOAD x",
                errno: Some(errno),
                log: None,
            },
        )
        .id
    }

    #[test]
    fn each_cause_of_a_bare_eperm() {
        const EPERM: i32 = libc::EPERM;
        let caps = |permitted, effective| {
            Fact::Known(FileCapabilities {
                permitted,
                effective,
            })
        };
        assert_eq!(id(EPERM, |_, _, _| ()), "file-capabilities-missing");
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities =
                caps(CapSet(0x80 << 32), true)),
            "file-capabilities-partial"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities = caps(BOTH, false)),
            "file-capabilities-not-effective"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities = caps(BOTH, true)),
            "capabilities-dropped"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.capabilities =
                Fact::Failed("ENOTSUP".into())),
            "file-capabilities-unknown"
        );
        assert_eq!(
            id(EPERM, |_, b, _| b.nosuid = Fact::Known(true)),
            "nosuid-mount"
        );
        assert_eq!(id(EPERM, |p, _, _| p.no_new_privs = true), "no-new-privs");
        assert_eq!(
            id(EPERM, |p, _, _| p.bounding = CapSet(0xffff)),
            "bounding-set"
        );
        assert_eq!(
            id(EPERM, |p, _, _| p.initial_user_namespace =
                Fact::Known(false)),
            "user-namespace"
        );
        let held = |p: &mut Privileges, _: &mut Binary, _: &mut Kernel| p.effective = BOTH;
        assert_eq!(id(EPERM, held), "kernel-refused");
        assert_eq!(
            id(EPERM, |p, _, _| (p.effective, p.seccomp) = (BOTH, 2)),
            "seccomp"
        );
        let locked = |p: &mut Privileges, _: &mut Binary, k: &mut Kernel| {
            p.effective = ALL;
            k.lockdown = Fact::Known(Lockdown::Confidentiality);
        };
        assert_eq!(id(libc::EINVAL, locked), "lockdown");
    }

    #[test]
    fn old_kernels_charge_maps_and_programs_to_a_limit() {
        let held = |release| {
            move |p: &mut Privileges, _: &mut Binary, k: &mut Kernel| {
                p.effective = BOTH;
                k.release = Fact::Known(release);
            }
        };
        let id = |release, what| {
            let refusal = Refusal {
                what,
                errno: Some(libc::EPERM),
                log: None,
            };
            explain(&facts(held(release)), refusal).id
        };
        let old = Release(5, 10);
        assert_eq!(id(old, "BPF_MAP_CREATE x: not permitted"), "memlock");
        assert_eq!(id(old, "BPF_PROG_LOAD x: not permitted"), "memlock");
        assert_eq!(id(old, "BPF_BTF_LOAD: not permitted"), "kernel-refused");
        let new = Release(5, 11);
        assert_eq!(id(new, "BPF_MAP_CREATE x: not permitted"), "kernel-refused");
    }

    #[test]
    fn a_missing_system_call_has_two_causes() {
        assert_eq!(id(libc::ENOSYS, |_, _, _| ()), "kernel-without-bpf");
        assert_eq!(id(libc::ENOSYS, |p, _, _| p.seccomp = 2), "seccomp");
    }

    #[test]
    fn the_fix_can_be_pasted_and_asks_for_no_more_than_needed() {
        let refusal = Refusal {
            what: "x",
            errno: Some(libc::EPERM),
            log: None,
        };
        let fix = explain(&facts(|_, _, _| ()), refusal).fix;
        assert_eq!(
            fix.iter().map(Step::text).collect::<Vec<_>>(),
            ["sudo setcap cap_bpf,cap_perfmon=ep '/opt/my tools/denet'"]
        );
    }
}
