//! Findings that a check makes beforehand and a refusal afterwards: said once.

use std::path::Path;

use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::sys::release::Release;

const TRACING: &str = "/sys/kernel/tracing";

pub(super) fn kernel_without_bpf(evidence: Vec<String>) -> Finding {
    Finding {
        id: "kernel-without-bpf",
        cause: "this kernel was built without the bpf system call (CONFIG_BPF_SYSCALL)".to_owned(),
        evidence,
        fix: vec![Step::manual(
            "boot a kernel with CONFIG_BPF_SYSCALL=y: every current distribution's has it",
        )],
    }
}

/// Programs cannot read the ids of tasks in this pid namespace.
pub(super) fn ids_unreadable(evidence: String) -> Finding {
    Finding {
        id: "pid-namespace",
        cause: "this kernel does not let programs read the ids that processes have in this pid namespace"
            .to_owned(),
        evidence: vec![evidence],
        fix: vec![Step::manual(
            "run denet in the initial pid namespace (docker run --pid=host, Kubernetes hostPID: true)",
        )],
    }
}

/// `/proc` is that of another pid namespace.
pub(crate) fn proc_namespace() -> Finding {
    Finding {
        id: "proc-namespace",
        cause: "/proc shows another pid namespace than that of this process, so its ids are those of other processes"
            .to_owned(),
        evidence: vec!["/proc/self/status is absent, or its NSpid lists several ids".to_owned()],
        fix: vec![Step::manual(
            "start denet with the /proc of its own pid namespace, which takes CAP_SYS_ADMIN: \
             unshare --mount-proc denet ...",
        )],
    }
}

pub(crate) const NOT_FOLLOWED: &str = "not-followed";

/// The target lives, and no thread of it was followed; `threads` that may make calls are in `/proc`.
pub(crate) fn not_followed(target: &str, is_exiting: bool, threads: usize) -> Finding {
    let (cause, evidence) = match is_exiting {
        true => (
            format!("{target} is exiting: its threads make no more calls"),
            "flags in /proc/PID/task/TID/stat: PF_EXITING".to_owned(),
        ),
        false => (
            format!("the kernel does not show {target} to eBPF programs"),
            format!("/proc/PID/task lists threads: {threads}; entered by walks over all tasks: 0"),
        ),
    };
    Finding {
        id: NOT_FOLLOWED,
        cause,
        evidence: vec![evidence],
        fix: Vec::new(),
    }
}

/// The kernel has no types of its own.
pub(crate) fn kernel_without_btf(path: &Path) -> Finding {
    Finding {
        id: "kernel-without-btf",
        cause: "this kernel does not describe its own types (CONFIG_DEBUG_INFO_BTF)".to_owned(),
        evidence: vec![format!("{}: absent", path.display())],
        fix: Vec::new(),
    }
}

pub(super) fn kernel_without_events(evidence: Vec<String>) -> Finding {
    Finding {
        id: "kernel-without-events",
        cause: "this kernel was built without programs on tracepoints (CONFIG_BPF_EVENTS)"
            .to_owned(),
        evidence,
        fix: vec![Step::manual(
            "boot a kernel with CONFIG_PERF_EVENTS=y, CONFIG_KPROBE_EVENTS=y or CONFIG_UPROBE_EVENTS=y, \
             and with them CONFIG_BPF_EVENTS=y",
        )],
    }
}

pub(super) fn kernel_too_old(
    since: Release,
    running: Option<Release>,
    mut evidence: Vec<String>,
) -> Finding {
    evidence.extend(running.map(|running| format!("Linux {running}")));
    Finding {
        id: "kernel-too-old",
        cause: format!("this came with Linux {since}"),
        evidence,
        fix: Vec::new(),
    }
}

pub(super) fn memlock(evidence: Vec<String>) -> Finding {
    Finding {
        id: "memlock",
        cause: "this kernel counts eBPF maps and programs as locked memory, and the limit for that is too low"
            .to_owned(),
        evidence,
        fix: vec![Step::RaiseMemlock],
    }
}

pub(super) fn nofile(evidence: Vec<String>) -> Finding {
    Finding {
        id: "nofile",
        cause: "this process may open no more files, and maps, programs and links are files"
            .to_owned(),
        evidence,
        fix: vec![Step::Run("ulimit -n \"$(ulimit -H -n)\"".to_owned())],
    }
}

pub(super) fn cgroup_memory(evidence: Vec<String>) -> Finding {
    Finding {
        id: "cgroup-memory",
        cause: "the control group of this process has too little memory left for the maps"
            .to_owned(),
        evidence,
        fix: vec![Step::manual(
            "give it more: memory.max of the control group (systemd: MemoryMax=; Docker: --memory; \
             Kubernetes: resources.limits.memory), by 16 MiB",
        )],
    }
}

pub(super) fn jit_limit(evidence: Vec<String>) -> Finding {
    Finding {
        id: "jit-limit",
        cause: "the kernel has no memory left for compiled programs (net.core.bpf_jit_limit), and runs \
                only compiled ones"
            .to_owned(),
        evidence,
        fix: vec![Step::Sysctl {
            key: "net.core.bpf_jit_limit".into(),
            value: 528_482_304,
            before: None,
            risk: "unprivileged programs and seccomp filters may take more of the kernel's memory",
        }],
    }
}

pub(super) fn seccomp(evidence: Vec<String>) -> Finding {
    Finding {
        id: "seccomp",
        cause: "a seccomp filter denies the system call".to_owned(),
        evidence,
        fix: vec![Step::Manual {
            what: "start it without that filter: in a container with a seccomp profile that allows bpf and \
                   perf_event_open (Docker's own allows them with --cap-add BPF --cap-add PERFMON); in a \
                   systemd unit with SystemCallFilter=@default bpf perf_event_open added"
                .to_owned(),
            risk: "the process may then ask for whatever its capabilities allow of bpf(2)".into(),
        }],
    }
}

pub(super) fn security_module(evidence: Vec<String>) -> Finding {
    Finding {
        id: "security-module",
        cause: "a security module denies what the capabilities allow".to_owned(),
        evidence,
        fix: vec![Step::manual(
            "look for its word in the log (SELinux: ausearch -m avc -ts recent; AppArmor: dmesg | grep \
             DENIED) and allow just that in its policy",
        )],
    }
}

pub(super) fn lockdown(evidence: Vec<String>) -> Finding {
    Finding {
        id: "lockdown",
        cause: "kernel lockdown in confidentiality mode forbids programs to read kernel memory"
            .to_owned(),
        evidence,
        fix: vec![Step::Manual {
            what: "boot with lockdown=integrity, which still protects the kernel from change"
                .to_owned(),
            risk: "root can then read kernel memory".into(),
        }],
    }
}

pub(super) fn tracefs_not_mounted(evidence: Vec<String>, readers: Option<String>) -> Finding {
    let mount = Step::Mount {
        kind: "tracefs",
        at: TRACING,
    };
    let open = readers.map(readable);
    Finding {
        id: "tracefs-not-mounted",
        cause: "the id of a tracepoint can be read only in tracefs, which is not mounted"
            .to_owned(),
        evidence,
        fix: std::iter::once(mount).chain(open).collect(),
    }
}

pub(super) fn tracefs_unreadable(evidence: Vec<String>, readers: String) -> Finding {
    Finding {
        id: "tracefs-unreadable",
        cause: "the id of a tracepoint can be read only in tracefs, which this user may not read"
            .to_owned(),
        evidence,
        fix: vec![readable(readers)],
    }
}

/// The least that lets a group read tracefs, on every kernel tried; it cannot write there.
fn readable(group: String) -> Step {
    Step::Remount {
        at: TRACING,
        options: format!("gid={group},mode=0750"),
        before: "gid=0,mode=0700",
        risk: "members of that group can read what is traced there, and write nothing but trace_marker",
    }
}

/// The primary group of whoever types the command.
pub(super) const OWN_GROUP: &str = "$(id -g)";

pub(super) fn perf_event_paranoid(before: Option<i64>, evidence: Vec<String>) -> Finding {
    Finding {
        id: "perf-event-paranoid",
        cause:
            "at this level of perf_event_paranoid this distribution's kernel lets only root open perf \
                events, whatever CAP_PERFMON says"
                .to_owned(),
        evidence,
        fix: vec![Step::Sysctl {
            key: "kernel.perf_event_paranoid".into(),
            value: 2,
            before,
            risk: "users without privileges may then measure their own processes with perf_event_open",
        }],
    }
}

pub(super) fn no_hardware_counters(evidence: Vec<String>) -> Finding {
    Finding {
        id: "no-hardware-counters",
        cause: "this machine shows no hardware counters: a virtual machine without a virtual PMU, most \
                likely"
            .to_owned(),
        evidence,
        fix: vec![Step::manual(
            "on the host, give the virtual machine a PMU (QEMU: -cpu host,pmu=on; cloud: a metal or \
             PMU-enabled instance)",
        )],
    }
}

pub(super) fn xdp_busy(evidence: Vec<String>) -> Finding {
    Finding {
        id: "xdp-busy",
        cause: "another program is attached to that interface already, and is left there"
            .to_owned(),
        evidence,
        fix: vec![Step::manual(
            "find out whose it is (bpftool net; bpftool link), and stop that service, or watch another \
             interface",
        )],
    }
}

pub(super) fn xdp_not_native(evidence: Vec<String>) -> Finding {
    Finding {
        id: "xdp-not-native",
        cause: "the driver of that interface does not run the program".to_owned(),
        evidence,
        fix: vec![Step::manual(
            "--mode generic works with every driver, --mode auto takes the best there is",
        )],
    }
}

pub(super) fn ring_buffer(evidence: Vec<String>) -> Finding {
    Finding {
        id: "ring-buffer",
        cause: "the kernel makes other maps, and refuses a ring buffer (Linux 5.8)".to_owned(),
        evidence,
        fix: vec![Step::manual("boot Linux 5.8 or later")],
    }
}

/// What nobody has an explanation for.
pub(super) fn unexplained(what: &str, log: Option<&str>, mut evidence: Vec<String>) -> Finding {
    evidence.extend(log.into_iter().flat_map(last_lines));
    Finding {
        id: "kernel-refused",
        cause: format!("{what}; no privilege is missing for it"),
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
