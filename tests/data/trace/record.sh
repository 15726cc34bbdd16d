#!/bin/sh
# Makes *.calls and *.strace: tests/workloads/calls-*.c under record.c and under strace.
# Run as root from this directory, on x86-64, with strace 6.1.
set -eu
here=$(pwd)
build=$(mktemp -d)
gcc -O1 -w -o "$build/record" record.c
DENET_GOLDEN=write cargo test --no-default-features --lib what_is_captured >/dev/null
# Namespaces of their own: the same ids, ports and names each time. No randomness of addresses.
run() {
    rm -rf /tmp/denet-trace && mkdir /tmp/denet-trace
    unshare -pfmni sh -c 'ip link set lo up; exec "$@"' sh env -i A=1 setarch -R "$@" </dev/null >/dev/null 2>&1 || true
}
for program in program flags; do
    gcc -static -O1 -w -o "/tmp/denet-trace-$program" "../../workloads/calls-$program.c"
    run strace -o "$here/$program.strace" "/tmp/denet-trace-$program"
    # strace starts children of its own first, and the shell started ip.
    pid=$(sed -n 's/^getpid() *= //p' "$here/$program.strace" | head -1)
    run "$build/record" "$here/captures" "$here/$program.calls" $((pid - 3)) "/tmp/denet-trace-$program"
    rm "/tmp/denet-trace-$program"
done
rm -rf "$build" /tmp/denet-trace
