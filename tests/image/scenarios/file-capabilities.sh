# An ordinary user profiles with a denet that has two file capabilities, and no more than those; so it
# does after the next boot.
installed=/usr/local/bin/denet
sysctls="kernel.unprivileged_bpf_disabled kernel.perf_event_paranoid"

install_denet() {
    install -o root -g root -m 0755 "$DENET" $installed && setcap cap_bpf,cap_perfmon=ep $installed
}

# The copy has neither: cp does not keep them.
copy_without() {
    cp $installed /usr/local/bin/denet-without && [ -z "$(getcap /usr/local/bin/denet-without)" ]
}

reports() {
    as_user denet --enable-ebpf run -- ls / 2>report >/dev/null || { cat report; return 1; }
    cat report
    grep -q 'complete: all [1-9]' report
}

# The command's own output stands between the lines.
reports_json() {
    as_user denet --json --enable-ebpf run -- ls / >json || return 1
    cat json
    grep '^{"kind":"summary",' json | grep -q '"complete":true'
}

refuses() {
    local code
    as_user "$@" --enable-ebpf run -- touch ran 2>report
    code=$?
    cat report
    [ $code = 3 ] && grep -qF '[file-capabilities-missing]' report && [ ! -e ~engineer/ran ]
}

record_sysctls() {
    sysctl $sysctls >distribution
}

sysctls_stand() {
    sysctl $sysctls | diff distribution -
}

profiles() {
    check "the user has no capabilities" as_user grep -q '^CapEff:[[:space:]]0*$' /proc/self/status
    check "the user profiles ls, nothing missing" reports
    check "the same as JSON" reports_json
    check "a copy without the capabilities refuses, and says why" refuses denet-without
}

boot_1() {
    check "the distribution's sysctls are read" record_sysctls
    check "denet is installed" install_denet
    check "so is a copy without capabilities" copy_without
    profiles
    check "the distribution's sysctls stand" sysctls_stand
    keep json distribution
}

boot_2() {
    profiles
    check "the distribution's sysctls stand after a boot" sysctls_stand
}
