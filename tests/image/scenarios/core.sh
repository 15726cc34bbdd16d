# The core of setup.sh, for every change: setup is applied, works for the user after a reboot, is rolled back
# and leaves nothing.
# kernels: 6.12
. $tests/machine
installed=/usr/local/bin/denet

boot_1() {
    check "alice has an account" alice_has_an_account
    check "the machine before setup" snapshot before
    check "alice cannot profile" exits 1 as_alice $tests/ebpf_diag --only syscall-profiling
    check "setup is applied" "$DENET" setup --apply --yes --user alice
    profiles
}

boot_2() {
    check "no unit failed" says "0 loaded units listed" systemctl --failed
    profiles
    check "tracefs is open to the group" mounted 750 tracing
    reads_and_cannot_write
    check "no other user may execute denet" refused as_user denet --version
    check "setup --status succeeds" $installed setup --status
    check "setup is rolled back" "$DENET" setup --rollback --yes
    check "alice cannot profile any more" exits 1 as_alice $tests/ebpf_diag --only syscall-profiling
    check "nothing is left" is_as before
}
