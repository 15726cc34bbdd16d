# setup/README.md is true: its commands, as they stand there, make the machine ready, across a boot, and
# leave nothing when they are undone.
# kernels: 6.12
. $tests/machine

# commands_of HEADING: the README's blocks for sh below it.
commands_of() {
    awk -v heading="$1" '/^#/ && !code { here = ($0 ~ "^#+ " heading "$") } /^ *```/ { code = !code; take = /sh$/; next } here && code && take' $tests/setup/README.md
}

# readme HEADING: where its reader is, with setup/ and what was built.
readme() {
    commands_of "$1" >commands
    [ -s commands ] || { echo "the README has no commands below $1"; return 1; }
    mkdir -p reader/target/release && cp -r $tests/setup reader/ && cp $tests/{denet,ebpf_diag,ebpf_test} reader/target/release/ &&
        (cd reader && bash -ex ../commands)
}

verify_as_alice() {
    commands_of Verify >/tmp/verify && [ -s /tmp/verify ] && chmod 0644 /tmp/verify && as_alice bash -ex /tmp/verify
}

ready() {
    check "alice verifies, as the README says" verify_as_alice
    profiles
    check "tracefs is open to the group" mounted 750 tracing
    reads_and_cannot_write
}

boot_1() {
    check "alice has an account" alice_has_an_account
    check "a snapshot shows what changes" changes_are_seen
    check "the machine before setup" snapshot before
    check "alice cannot profile" exits 1 su -l alice -c "$tests/ebpf_diag --only syscall-profiling"
    check "alice cannot read tracefs" refused reads raw_syscalls/sys_enter
    check "what the README says is done" readme 'Set up'
    ready
    check "nobody else may execute denet" refused as_user denet --version
}

boot_2() {
    ready
    check "no sysctl of eBPF was touched" says 'kernel.unprivileged_bpf_disabled = 2' sysctl kernel.unprivileged_bpf_disabled
    check "what the README says is undone" readme Undo
    check "alice cannot read tracefs any more" refused reads raw_syscalls/sys_enter
    check "which is as it was" mounted 700 root
}

boot_3() {
    check "nothing is left" is_as before
    check "tracefs is closed" mounted 700 root
    check "what the README says is done again" readme 'Set up'
    check "and what the classic guides ask for" readme 'What the classic guides ask for'
    check "alice can write tracefs, as is said" writes_a_kprobe
    check "debugfs is open to everyone" says 755 stat -c %a /sys/kernel/debug
}

boot_4() {
    check "after a boot alice can write tracefs" writes_a_kprobe
    check "debugfs is open to everyone" says 755 stat -c %a /sys/kernel/debug
    check "nosuid, nodev, noexec" says nosuid,nodev,noexec findmnt -rno OPTIONS /sys/kernel/debug
    check "bpf(2) is open to everyone" says 'kernel.unprivileged_bpf_disabled = 0' sysctl kernel.unprivileged_bpf_disabled
    check "the kernel's addresses are shown" says 'kernel.kptr_restrict = 0' sysctl kernel.kptr_restrict
    check "no unit failed" says "0 loaded units listed" systemctl --failed
    check "what the classic guides ask for is undone" readme 'And back'
    check "alice cannot write tracefs any more" no_write kprobe_events events/raw_syscalls/sys_enter/enable
    check "debugfs is closed" says 700 stat -c %a /sys/kernel/debug
    check "the rest is undone" readme Undo
}

boot_5() {
    check "nothing is left" is_as before
}
