//! Nothing broken, nothing found.

use super::{ROW, Row, USER, run};

#[test]
fn nothing_is_wrong_with_a_healthy_system() {
    for (name, affected) in [("nothing, for root", ""), ("nothing, for a user", USER)] {
        run(&Row {
            name,
            breaks: &format!("grant $all; {affected}"),
            mend: "true",
            stops: false,
            ..ROW
        });
    }
    run(&Row {
        name: "nothing, for a user's copy of a program",
        breaks: &format!("grant $all; D=$DOCTOR; {USER}"),
        asks: "--binary ebpf_test",
        also: &[super::ROOT_ABOUT_THE_FILE],
        mend: "true",
        stops: false,
        ..ROW
    });
}

/// A filter that denies a call which nobody makes.
#[test]
fn a_filter_that_lets_bpf_through() {
    run(&Row {
        name: "a seccomp filter that lets bpf(2) through",
        breaks: "affected() { \"$WORKLOAD\" deny 9999 -1 1 \"$@\"; }",
        mend: "true",
        stops: false,
        ..ROW
    });
    run(&Row {
        name: "the same, judged for another program by who may nothing",
        breaks: "grant $all; D=$DOCTOR; \
                 affected() { \"$WORKLOAD\" deny 9999 -1 1 /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }",
        asks: "--binary ebpf_test",
        mend: "true",
        stops: false,
        ..ROW
    });
}
