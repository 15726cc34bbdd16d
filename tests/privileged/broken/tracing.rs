//! Rows: file systems and settings that tracing goes through.

use super::{ROW, Row, USER, run};

/// Each that this namespace has, wherever somebody mounted it; the last one first.
const UMOUNT_BPFFS: &str = r#"
while at=$(sed -n 's/^[^ ]* \([^ ]*\) bpf .*/\1/p' /proc/mounts | tail -n 1) && [ -n "$at" ]; do
    umount "$at" || break
done"#;

#[test]
fn no_bpffs() {
    run(&Row {
        name: "no bpffs",
        breaks: UMOUNT_BPFFS,
        cause: "bpffs-not-mounted",
        stops: false,
        ..ROW
    });
    let elsewhere = "mkdir elsewhere; mount -t bpf -o mode=0700 bpf elsewhere";
    run(&Row {
        name: "no bpffs, where there was a second one",
        breaks: &format!("{elsewhere}{UMOUNT_BPFFS}"),
        cause: "bpffs-not-mounted",
        stops: false,
        ..ROW
    });
}

#[test]
fn a_bpffs_elsewhere_will_do() {
    run(&Row {
        name: "a bpffs elsewhere",
        breaks: "mkdir elsewhere; mount -t bpf -o mode=0700 bpf elsewhere; \
                 while grep -q ' /sys/fs/bpf bpf' /proc/mounts; do umount /sys/fs/bpf || break; done",
        cause: "",
        mend: "true",
        stops: false,
        then: "grep -q \"$T/elsewhere\" doctor.json",
        ..ROW
    });
}

#[test]
fn tracefs() {
    let row = |name: &str, breaks: &str, cause: &'static str| {
        run(&Row {
            name,
            breaks,
            cause,
            stops: false,
            ..ROW
        });
    };
    let umount = "umount /sys/kernel/tracing";
    row("tracefs not mounted", umount, "tracefs-not-mounted");
    row(
        "tracefs not mounted, for a user",
        &format!("grant $all; {umount}; {USER}"),
        "tracefs-not-mounted",
    );
    row(
        "tracefs mounted but unreadable for the user",
        &format!("grant $all; mount -o remount,gid=0,mode=0700 /sys/kernel/tracing; {USER}"),
        "tracefs-unreadable",
    );
}

#[test]
fn paranoid() {
    run(&Row {
        name: "perf_event_paranoid 3 on a Debian kernel",
        needs: "grep -q Debian /proc/version",
        breaks: &format!("grant $all; echo 3 >/proc/sys/kernel/perf_event_paranoid; {USER}"),
        cause: "perf-event-paranoid",
        stops: false,
        ..ROW
    });
}

#[test]
fn hidden_addresses() {
    run(&Row {
        name: "kptr_restrict 2",
        breaks: "echo 2 >/proc/sys/kernel/kptr_restrict",
        cause: "kernel-addresses-hidden",
        stops: false,
        ..ROW
    });
    run(&Row {
        name: "kptr_restrict 1, for a program without CAP_SYSLOG",
        breaks: &format!(
            "echo 1 >/proc/sys/kernel/kptr_restrict; grant cap_bpf,cap_perfmon,cap_net_admin=ep; {USER}"
        ),
        cause: "kernel-addresses-hidden",
        stops: false,
        ..ROW
    });
}

#[test]
fn hidden_processes() {
    for (name, level, mend) in [
        ("/proc mounted hidepid", "invisible", "fix"),
        (
            "/proc mounted hidepid=ptraceable",
            "ptraceable",
            "umount /proc",
        ),
    ] {
        run(&Row {
            name,
            breaks: &format!("grant $all; mount -t proc -o hidepid={level} proc /proc; {USER}"),
            cause: "processes-hidden",
            mend,
            stops: false,
            ..ROW
        });
    }
}

#[test]
fn a_pid_namespace() {
    run(&Row {
        name: "pid namespace",
        breaks: "affected() { unshare -p -f --mount-proc \"$@\"; }",
        cause: "pid-namespace",
        mend: "affected() { \"$@\"; }",
        stops: false,
        ..ROW
    });
}
