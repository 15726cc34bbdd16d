//! Rows: what the kernel itself lacks.

use super::{ROW, Row, run};

#[test]
fn no_kernel_types() {
    run(&Row {
        name: "BTF absent",
        breaks: "mkdir none; mount --bind none /sys/kernel/btf",
        cause: "kernel-without-btf",
        mend: "umount /sys/kernel/btf",
        stops: false,
        ..ROW
    });
    run(&Row {
        name: "BTF malformed",
        breaks: "mkdir damaged; head -c 4096 /sys/kernel/btf/vmlinux >damaged/vmlinux; mount --bind damaged /sys/kernel/btf",
        cause: "kernel-btf-malformed",
        mend: "umount /sys/kernel/btf",
        // Commands that denet starts are watched without: tests/privileged/monitors.rs.
        refuses: false,
        ..ROW
    });
}

#[test]
fn no_kprobes() {
    run(&Row {
        name: "kprobes absent",
        needs: "[ ! -e /sys/bus/event_source/devices/kprobe ]",
        cause: "kernel-without-kprobes",
        // Another kernel: what denet and ebpf_test do takes none.
        mend: "SKIP=$SKIP,kernel-without-kprobes",
        stops: false,
        ..ROW
    });
}

#[test]
fn a_refused_ring_buffer() {
    run(&Row {
        name: "ring buffer refused",
        // Others' programs are listed before, so the number of the call differs from run to run.
        breaks: "nth() { strace -o calls -e trace=bpf $D >/dev/null; \
                 grep -n -e BPF_MAP_TYPE_RINGBUF -e 'map_type=0x1b' calls | head -n 1 | cut -d: -f1; }; \
                 affected() { case $1 in */ebpf_diag) for try in 1 2 3 4 5 6 7 8; do \
                 strace -o injected -e trace=bpf -e inject=bpf:error=EINVAL:when=$(nth) \"$@\" >said; code=$?; \
                 grep -q -e 'RINGBUF.*INJECTED' -e '=0x1b.*INJECTED' injected && break; done; \
                 cat said; return $code ;; *) \"$@\" ;; esac; }",
        cause: "ring-buffer",
        mend: "affected() { \"$@\"; }",
        stops: false,
        ..ROW
    });
}

#[test]
fn interpreted_programs() {
    run(&Row {
        name: "JIT off",
        needs: "[ $(cat /proc/sys/net/core/bpf_jit_enable) = 1 ] && echo 0 2>/dev/null >/proc/sys/net/core/bpf_jit_enable && [ $(cat /proc/sys/net/core/bpf_jit_enable) = 0 ]",
        cause: "jit-off",
        stops: false,
        then: "[ $(cat /proc/sys/net/core/bpf_jit_enable) = 1 ]",
        ..ROW
    });
}

/// Once locked down a kernel stays so: in guests alone, and by its name the last test of all.
#[test]
fn zz_lockdown_integrity_takes_nothing() {
    run(&Row {
        name: "lockdown integrity",
        // A machine that goes on is left as it is.
        needs: "[ -n \"${DENET_TEST_GUEST-}\" ] && echo integrity >/sys/kernel/security/lockdown",
        mend: "true",
        stops: false,
        then: "grep -q 'integrity, which takes nothing' doctor.txt",
        ..ROW
    });
}
