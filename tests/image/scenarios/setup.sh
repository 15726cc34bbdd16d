# denet setup on a machine with systemd: what could not be can be, for the user that it was set up for,
# also after the next boot and after an upgrade; and nothing is left when it is undone.
# kernels: 6.1 6.12
. $tests/machine
installed=/usr/local/bin/denet

# The plan, by anybody: and all is as it was.
plans() {
    says 'Nothing was changed.' as_alice "$DENET" setup --user alice "$@"
}

# A newer denet, built elsewhere: and copied over the one that is installed, as people do.
upgrade() {
    mkdir -p newer && cp $tests/{denet,ebpf_diag,ebpf_test} newer/ && echo >>newer/denet && cp newer/denet $installed
}

without_capabilities() {
    [ -z "$(getcap $installed)" ]
}

names() {
    local text=$1
    shift
    exits 1 "$@" >said 2>&1 || { cat said; return 1; }
    cat said
    grep -qF -- "$text" said
}

# set_up MODE: that of tracefs.
set_up() {
    profiles
    check "tracefs is open to the group" mounted $1 tracing
    check "nobody else may execute denet" refused as_user denet --version
    check "setup --status succeeds" $installed setup --status
}

nothing_works() {
    check "alice cannot profile: the doctor says so" exits 1 as_alice $tests/ebpf_diag --only syscall-profiling
    check "alice cannot read tracefs" refused reads raw_syscalls/sys_enter
    check "which is closed" mounted 700 root
}

boot_1() {
    check "alice has an account" alice_has_an_account
    check "a snapshot shows what changes" changes_are_seen
    check "the machine before setup" snapshot before
    nothing_works
    check "alice reads the plan" plans
    check "as JSON" as_alice "$DENET" setup --user alice --json
    check "nothing was changed" is_as before
    check "it is applied" "$DENET" setup --apply --yes --user alice
    set_up 750
    reads_and_cannot_write
    check "no setting was touched" says 'kernel.unprivileged_bpf_disabled = 2' sysctl kernel.unprivileged_bpf_disabled
    check "how it is now" snapshot applied
    check "it is applied again" "$DENET" setup --apply --yes --user alice
    check "which changes nothing" is_as applied
}

boot_2() {
    check "no unit failed" says "0 loaded units listed" systemctl --failed
    set_up 750
    reads_and_cannot_write
    check "a newer denet is copied over" upgrade
    check "it has no capabilities" without_capabilities
    check "alice cannot profile with it" exits 3 as_alice denet --enable-ebpf run -- true
    check "the status names it" names $installed $installed setup --status
    check "applying mends it" newer/denet setup --apply --yes --user alice
    check "it is the newer one" cmp newer/denet $installed
    set_up 750
    check "it is rolled back" newer/denet setup --rollback --yes
    nothing_works
}

boot_3() {
    check "nothing is left" is_as before
    nothing_works
    check "the plan of the classic guides says what it exposes" plan_exposes
    check "nothing was changed" is_as before
    check "it is applied" "$DENET" setup --apply --yes --user alice --profile documented
    set_up 770
    classic
}

boot_4() {
    check "no unit failed" says "0 loaded units listed" systemctl --failed
    set_up 770
    classic
    check "it is rolled back" "$DENET" setup --rollback --yes
    nothing_works
    check "debugfs is closed" says 700 stat -c %a /sys/kernel/debug
    check "bpf(2) is closed to users" says 'kernel.unprivileged_bpf_disabled = 2' sysctl kernel.unprivileged_bpf_disabled
}

boot_5() {
    check "nothing is left" is_as before
    nothing_works
}

plan_exposes() {
    plans --profile documented && grep -q 'kernel.unprivileged_bpf_disabled' said && [ "$(grep -c '^exposes' said)" -ge 4 ]
}

# What the guides ask for.
classic() {
    check "bpf(2) is open to everyone" says 'kernel.unprivileged_bpf_disabled = 0' sysctl kernel.unprivileged_bpf_disabled
    check "the kernel's addresses are shown" says 'kernel.kptr_restrict = 0' sysctl kernel.kptr_restrict
    check "debugfs is open" says 755 stat -c %a /sys/kernel/debug
    check "and as closed in every other way" says nosuid,nodev,noexec findmnt -rno OPTIONS /sys/kernel/debug
    check "alice can write tracefs" writes_a_kprobe
}
