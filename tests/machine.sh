# What tests leave on a machine: nothing, however they end. Sourced by tests/run, from the root of the
# repository.

# Processes of a run carry this, whatever their parents became. tests/run itself does not.
export DENET_TEST_RUN=$$
CACHE=${DENET_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/denet-tests}
child=

# One run at a time: tests attach to the whole machine, and the machine is compared before and after.
machine_alone() {
    local lock=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/denet-tests/run.lock
    mkdir -p "${lock%/*}" || return 1
    exec 7>&2 8>>"$lock"
    if ! flock -n 8; then
        echo "tests/run: another run is under way ($(cat "$lock")): wait until it has ended" >&2
        return 1
    fi
    echo "process $$ in $PWD" >"$lock"
    log=$(mktemp /tmp/denet-run.XXXXXX) || return 1
    # A job is a process group of its own, which a signal to this script ends.
    set -m
    trap 'interrupted' INT TERM HUP
    trap 'machine_close' EXIT
    machine_sweep | sed 's/^/tests\/run: left by an interrupted run and removed: /'
}

interrupted() {
    trap '' INT TERM HUP
    echo "tests/run: interrupted" >&7
    [ -z "$child" ] || { kill -TERM -- "-$child"; kill -CONT -- "-$child"; wait "$child"; } 2>/dev/null
    exit 130
}

machine_close() {
    # Busy processes of a stress run, and whatever else is still a job.
    jobs -p | while read -r job; do kill -KILL -- "-$job"; done 2>/dev/null
    machine_sweep >/dev/null
    rm -f "$log" "$log".*
}

# Runs a command or function as a job, to its end.
job() {
    local code
    "$@" </dev/null 7>&- 8>&- &
    child=$!
    wait "$child"
    code=$?
    child=
    return $code
}

# Processes that this run or one that has ended started, and that no live tests/run waits for: "PID COMMAND".
stray_processes() {
    local pid run up
    grep -lzsa '^DENET_TEST_RUN=' /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
        run=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^DENET_TEST_RUN=//p')
        up=$pid
        while [ "${up:-0}" -gt 1 ] && [ "$up" != "$run" ]; do
            up=$(sed 's/.*) . //; s/ .*//' "/proc/$up/stat")
        done
        # With 1 or 0 its ancestors end; with nothing it has ended itself.
        [ -n "$up" ] && [ "$up" -le 1 ] && ! is_run "$run" && echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-100)"
    done 2>/dev/null
}

# Whether a process is another tests/run, under way.
is_run() { [ "$1" != $$ ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -q 'tests/run'; }

# Of the names on stdin, which end in denet-test-PID-N, those whose process has ended.
abandoned() {
    local name pid
    while read -r name; do
        pid=${name##*/denet-test-}
        [ -e "/proc/${pid%%-*}" ] || echo "$name"
    done
}

folders() {
    ls -d /tmp/denet-test-* /var/tmp/denet-test-* 2>/dev/null | abandoned
    [ -n "${DENET_TEST_KEEP:-}" ] || ls -d "$CACHE"/tmp.* 2>/dev/null
}

# find below the mounts of file systems of this type (a regular expression).
below() {
    local type=$1 places
    shift
    places=$(awk -v type="^($type)$" '$3 ~ type { print $2 }' /proc/mounts)
    [ -z "$places" ] || find $places "$@" 2>/dev/null
}

control_groups() { below 'cgroup2?' -type d -name 'denet-test-*' | abandoned; }
mounts() { awk '{ print $5 }' /proc/self/mountinfo; }
namespaces() { ls /run/netns 2>/dev/null | grep '^denet'; }

# Everything of the machine that a test may change, a line each.
machine_state() {
    stray_processes | sed 's/^/process /'
    folders | sed 's/^/folder /'
    control_groups | sed 's/^/control group /'
    mounts | sort | sed 's/^/mount /'
    namespaces | sed 's/^/network namespace /'
    ls /sys/class/net | sed 's/^/network interface /'
    cut -d: -f1 /etc/passwd | sed 's/^/user /'
    cut -d: -f1,4 /etc/group | sed 's/^/group /'
    below bpf -mindepth 1 | sed 's/^/pinned /'
    find /etc /usr/local /var/lib -xdev -name '*denet*' 2>/dev/null | sort | sed 's/^/file /'
    (cd /proc/sys && grep -s . kernel/{pid_max,perf_event_paranoid,kptr_restrict,unprivileged_bpf_disabled,core_pattern} \
        net/core/bpf_jit_{enable,harden} user/max_{user,net,pid,mnt}_namespaces) | sed 's/^/sysctl /'
    if [ "$(id -u)" = 0 ] && command -v bpftool >/dev/null; then
        bpftool prog show 2>/dev/null | sed -n 's/^\([0-9]*\): \([a-z_]*\)  name \(denet[^ ]*\).*/program \1 \2 \3/p'
        bpftool link show 2>/dev/null | sed -n 's/^\([0-9]*\): \(.*\)/link \1 \2/p'
    fi
}

# Removes what tests make and an interrupted one leaves; prints it.
machine_sweep() {
    local pid command at strays
    # Until none is left: one may fork before it is killed, and one that is killed takes a moment to end.
    while strays=$(stray_processes) && [ -n "$strays" ]; do
        while read -r pid command; do
            kill -KILL "$pid" 2>/dev/null && echo "process $pid $command"
        done <<<"$strays"
        sleep 0.1
    done | sort -u
    mounts | grep -E '^(/var)?/tmp/denet-test-' | sort -r | while read -r at; do
        umount -l "$at" && echo "mount $at"
    done
    control_groups | sort -r | while read -r at; do
        rmdir "$at" 2>/dev/null && echo "control group $at"
    done
    namespaces | while read -r at; do
        ip netns delete "$at" && echo "network namespace $at"
    done
    folders | while read -r at; do
        rm -rf --one-file-system "$at" && echo "folder $at"
    done
}

# machine_unchanged FILE: as machine_state printed it there, or what differs. The kernel removes programs and
# namespaces a moment after the last process that used them.
machine_unchanged() {
    local tries=50
    until machine_state >"$log.after" && cmp -s "$1" "$log.after"; do
        [ $((tries -= 1)) -gt 0 ] || break
        sleep 0.2
    done
    cmp -s "$1" "$log.after" && return 0
    echo "FAILED  the machine is not as it was before (< before, > now):"
    diff "$1" "$log.after" | grep '^[<>]' | sed 's/^/    | /'
    machine_sweep | sed 's/^/    | removed: /'
    return 1
}
