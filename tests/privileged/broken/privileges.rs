//! Rows: what keeps a process from the capabilities that it takes.

use super::{ABOUT_THE_FILE, ROW, Row, USER, run};

#[test]
fn no_capabilities() {
    run(&Row {
        name: "no capabilities",
        breaks: USER,
        also: ABOUT_THE_FILE,
        cause: "file-capabilities-missing",
        ..ROW
    });
}

#[test]
fn some_of_the_capabilities() {
    for (name, caps) in [
        ("CAP_BPF only", "cap_bpf=ep"),
        ("CAP_PERFMON only", "cap_perfmon=ep"),
        (
            "all but CAP_PERFMON",
            "cap_bpf,cap_net_admin,cap_syslog,cap_kill=ep",
        ),
    ] {
        run(&Row {
            name,
            breaks: &format!("grant {caps}; {USER}"),
            also: ABOUT_THE_FILE,
            cause: "file-capabilities-partial",
            ..ROW
        });
    }
    run(&Row {
        name: "all but CAP_NET_ADMIN",
        breaks: &format!("grant cap_bpf,cap_perfmon,cap_syslog=ep; {USER}"),
        also: ABOUT_THE_FILE,
        cause: "net-admin-missing",
        stops: false,
        ..ROW
    });
}

#[test]
fn capabilities_that_are_not_effective() {
    run(&Row {
        name: "file capabilities without the effective bit",
        breaks: &format!("grant cap_bpf,cap_perfmon,cap_net_admin,cap_syslog=p; {USER}"),
        also: ABOUT_THE_FILE,
        cause: "file-capabilities-not-effective",
        ..ROW
    });
}

#[test]
fn a_copy_lost_its_capabilities() {
    run(&Row {
        name: "copied binary that lost its xattr",
        breaks: &format!("grant $all; cp $P copied; P=$T/copied; {USER}"),
        asks: "--binary copied",
        also: ABOUT_THE_FILE,
        cause: "file-capabilities-missing",
        // denet is another file.
        refuses: false,
        ..ROW
    });
}

#[test]
fn a_nosuid_mount() {
    run(&Row {
        name: "binary on a nosuid mount",
        breaks: &format!(
            "mkdir tools; mount -t tmpfs -o nosuid,mode=0755 tmpfs tools; cp denet ebpf_diag ebpf_test tools; \
             T=$T/tools; grant $all; D=$T/ebpf_diag P=$T/ebpf_test; mkdir -p /usr/local/bin; \
             mount -t tmpfs -o mode=0755 tmpfs /usr/local/bin; {USER}"
        ),
        also: ABOUT_THE_FILE,
        cause: "nosuid-mount",
        mend: "fix && P=/usr/local/bin/ebpf_test D=/usr/local/bin/ebpf_diag",
        ..ROW
    });
}

#[test]
fn a_file_that_this_user_may_not_execute() {
    run(&Row {
        name: "binary that the user may not execute",
        // setpriv holds root's capabilities until it executes something.
        breaks: "grant $all; chmod 0700 $P; affected() { setpriv --reuid 65534 --regid 65534 --clear-groups \
                 sh -c 'exec \"$@\"' sh \"$@\"; }",
        asks: "--binary ebpf_test",
        also: ABOUT_THE_FILE,
        cause: "not-executable",
        mend: "chmod 0755 $P",
        // denet is another file.
        refuses: false,
        ..ROW
    });
}

#[test]
fn no_new_privs() {
    run(&Row {
        name: "no_new_privs",
        breaks: "grant $all; affected() { setpriv --reuid 65534 --regid 65534 --clear-groups setpriv --no-new-privs \"$@\"; }",
        also: &["affected \"$DOCTOR\" --binary \"$P\""],
        cause: "no-new-privs",
        mend: USER,
        ..ROW
    });
}

/// The default of Docker: `CapBnd: 00000000a80425fb`.
const DOCKER: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                      +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

#[test]
fn outside_the_bounding_set() {
    run(&Row {
        name: "capability outside the bounding set",
        breaks: &format!("affected() {{ setpriv --bounding-set={DOCKER} \"$@\"; }}"),
        cause: "bounding-set",
        mend: "affected() { \"$@\"; }",
        ..ROW
    });
    run(&Row {
        name: "file capability outside the bounding set",
        breaks: &format!(
            "D=$DOCTOR; grant $all; affected() {{ setpriv --bounding-set={DOCKER} \
             --reuid 65534 --regid 65534 --clear-groups \"$@\"; }}"
        ),
        asks: "--binary ebpf_test",
        cause: "bounding-set",
        mend: USER,
        // execve(2) of denet is.
        refuses: false,
        ..ROW
    });
}

/// What a container without and with the two has: the advice is to add them.
#[test]
fn a_container() {
    run(&Row {
        name: "a container: own namespaces, default capability set",
        breaks: &format!(
            "caps={DOCKER}; affected() {{ unshare -p -n -u -i -f --mount-proc setpriv --bounding-set=$caps \"$@\"; }}"
        ),
        cause: "bounding-set",
        mend: "caps=$caps,+bpf,+perfmon",
        ..ROW
    });
}

#[test]
fn a_user_namespace() {
    run(&Row {
        name: "user namespace",
        needs: "unshare -U true 2>/dev/null",
        breaks: "grant $all; affected() { setpriv --reuid 65534 --regid 65534 --clear-groups unshare -U -r \"$@\"; }",
        also: &["affected \"$DOCTOR\" --binary \"$P\""],
        cause: "user-namespace",
        mend: USER,
        ..ROW
    });
}

#[test]
fn a_seccomp_filter() {
    for (name, errno) in [("EPERM", 1), ("ENOSYS", 38)] {
        let filter = format!("\"$WORKLOAD\" deny-bpf {errno}");
        let row = |name: &str, breaks: &str, also, mend| {
            run(&Row {
                name,
                breaks,
                also,
                cause: "seccomp",
                mend,
                ..ROW
            });
        };
        row(
            &format!("seccomp filter denying bpf with {name}"),
            &format!("affected() {{ {filter} \"$@\"; }}"),
            &["affected \"$DOCTOR\" --binary \"$P\""],
            "affected() { \"$@\"; }",
        );
        row(
            &format!("the same filter ({name}) around a user whose binary has the capabilities"),
            &format!(
                "grant $all; affected() {{ {filter} /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }}"
            ),
            &[],
            USER,
        );
        row(
            &format!("the same filter ({name}) around a service with ambient capabilities"),
            &format!(
                "caps=+bpf,+perfmon,+net_admin,+syslog; ambient=\"/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \
                 --inh-caps $caps --ambient-caps $caps\"; affected() {{ {filter} $ambient \"$@\"; }}"
            ),
            &["affected \"$DOCTOR\" --binary \"$P\""],
            "affected() { $ambient \"$@\"; }",
        );
    }
}
