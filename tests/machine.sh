# Finds and removes what tests leave on a machine, however they end. Sourced by tests/run, from the root of
# the repository.

# Processes of a run have this variable, even after their parents exit. tests/run itself does not.
export DENET_TEST_RUN=$$
CACHE=${DENET_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/denet-tests}
OWN=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/denet-tests
# Ends a command that hangs.
JOB_LIMIT_S=5400
# The machine's settings as they were before the run, and the boot that they are of.
SETTINGS=$OWN/settings
child= watch=

# One run at a time: tests attach to the whole machine, and the machine is compared before and after.
machine_alone() {
    if ! mkdir -p "$OWN"; then
        echo "tests/run: set XDG_CACHE_HOME to a folder that you can write to" >&2
        return 1
    fi
    exec 7>&2 8>>"$OWN/run.lock"
    if ! flock -n 8; then
        echo "tests/run: another run is under way ($(cat "$OWN/run.lock")): wait until it has ended" >&2
        return 1
    fi
    echo "process $$ in $PWD" >"$OWN/run.lock"
    log=$(mktemp "/tmp/denet-test-$$-run.XXXXXX") || return 1
    trap interrupted INT TERM HUP
    trap machine_close EXIT
    machine_sweep | sed 's/^/tests\/run: left by an interrupted run and removed: /'
    [ "$(id -u)" != 0 ] || settings >"$SETTINGS"
}

interrupted() {
    trap '' INT TERM HUP
    echo "tests/run: interrupted" >&7
    [ -z "$child" ] || { kill -TERM -- "-$child"; kill -CONT -- "-$child"; wait "$child"; } 2>/dev/null
    exit 130
}

machine_close() {
    local group
    # Busy processes of a stress run, and whatever else is still a job.
    for group in $watch $(jobs -p); do kill -KILL -- "-$group"; done 2>/dev/null
    machine_sweep >/dev/null
    [ "$(id -u)" != 0 ] || rm -f "$SETTINGS"
    rm -f "$log" "$log".*
}

# Runs a command or function to its end, as a process group of its own, which a signal to this script ends.
job() {
    local code
    set -m
    "$@" </dev/null 7>&- 8>&- &
    child=$!
    # Executed: a subshell would keep the caller's stdout open, and if this script is killed its reader would wait.
    bash -c 'sleep "$0" && kill -TERM -- "-$1"' $JOB_LIMIT_S "$child" </dev/null >/dev/null 2>&1 3>&- 7>&- 8>&- &
    watch=$!
    set +m
    wait "$child"
    code=$?
    child=
    { kill -KILL -- "-$watch"; wait "$watch"; } 2>/dev/null
    watch=
    return $code
}

# Processes that this run or one that has ended started, and that have no live tests/run as an ancestor:
# "PID COMMAND".
stray_processes() {
    local pid run up command
    grep -lzsa '^DENET_TEST_RUN=' /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
        run=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^DENET_TEST_RUN=//p')
        up=$pid
        while [ "${up:-0}" -gt 1 ] && [ "$up" != "$run" ]; do
            up=$(sed -n 's/^PPid:\t//p' "/proc/$up/status")
        done
        command=$(tr '\0\n' '  ' <"/proc/$pid/cmdline" | cut -c1-100)
        # 1 or 0: the top was reached. Either is empty if the process is exiting.
        [ -n "$up" ] && [ "$up" -le 1 ] && [ -n "$command" ] && ! is_run "$run" && echo "$pid $command"
    done 2>/dev/null
}

# Whether a process is another running tests/run.
is_run() { [ "$1" != $$ ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -q 'tests/run'; }

# Of the names on stdin, which contain denet-test-PID-, those whose process has exited.
abandoned() {
    local name pid
    while read -r name; do
        pid=${name##*/denet-test-}
        [ -e "/proc/${pid%%-*}" ] || echo "$name"
    done
}

# Folders of guests, unless a run uses the cache; not those that DENET_TEST_KEEP=1 kept.
guest_folders() {
    local folder
    flock -n "$CACHE/lock" true 2>/dev/null || return 0
    for folder in "$CACHE"/tmp.*; do
        [ ! -d "$folder" ] || [ -e "$folder/kept" ] || echo "$folder"
    done
}

# find below the mounts of file systems of this type (a regular expression).
below() {
    local type=$1 places
    shift
    places=$(awk -v type="^($type)$" '$3 ~ type { print $2 }' /proc/mounts)
    [ -z "$places" ] || find $places "$@" 2>/dev/null
}

folders() { ls -d /tmp/denet-test-* /var/tmp/denet-test-* 2>/dev/null | abandoned; guest_folders; }
control_groups() { below 'cgroup2?' -type d -name 'denet-test-*' | abandoned; }
mounts() { awk '{ print $5 }' /proc/self/mountinfo; }
test_mounts() { mounts | grep '/denet-test-' | abandoned; }

# What tests change and restore: "FILE VALUE", and the mode and group of tracefs.
settings() {
    echo "boot $(cat /proc/sys/kernel/random/boot_id)"
    (cd /proc/sys && grep -s . kernel/{pid_max,perf_event_paranoid,kptr_restrict,unprivileged_bpf_disabled,core_pattern} \
        net/core/bpf_jit_{enable,harden} user/max_{user,net,pid,mnt}_namespaces) | sed 's/:/ /'
    stat -c 'tracefs %a %g' /sys/kernel/tracing 2>/dev/null || :
}

# Restores the settings that an interrupted run had changed; prints them.
restore_settings() {
    local name value
    [ "$(id -u)" = 0 ] && [ "$(head -n 1 "$SETTINGS" 2>/dev/null)" = "$(settings | head -n 1)" ] || return 0
    settings | diff - "$SETTINGS" | sed -n 's/^> //p' | while read -r name value; do
        case $name in
        tracefs) mount -o "remount,mode=${value% *},gid=${value#* }" /sys/kernel/tracing ;;
        *) echo "$value" >"/proc/sys/$name" ;;
        esac 2>/dev/null && echo "setting $name, restored to $value"
    done
}

# Everything of the machine that a test may change, a line each.
machine_state() {
    stray_processes | sed 's/^/process /'
    folders | sed 's/^/folder /'
    control_groups | sed 's/^/control group /'
    mounts | grep -E '^(/tmp|/var/tmp|/sys|/proc|/etc|/usr)/' | sort | sed 's/^/mount /'
    ls /sys/class/net | grep -E '^(va|vb|denet.*)$' | sed 's/^/network interface /'
    grep -oE '^(alice|engineer|tracing|denet[^:]*):' /etc/passwd /etc/group | sed 's/^/account /'
    below bpf -mindepth 1 | sed 's/^/pinned /'
    below tracefs -mindepth 2 -maxdepth 2 -path '*/instances/*' | sed 's/^/trace instance /'
    grep -s denet /sys/kernel/tracing/kprobe_events | sed 's/^/probe /'
    find /etc /usr/local /var/lib /run -xdev -name '*denet*' 2>/dev/null | sort | sed 's/^/file /'
    settings | sed 's/^/setting /'
    if [ "$(id -u)" = 0 ] && command -v bpftool >/dev/null; then
        bpftool prog show 2>/dev/null | sed -n 's/^\([0-9]*\): \([a-z_]*\)  name \(denet[^ ]*\).*/program \1 \2 \3/p' | tee "$log.programs"
        bpftool link show 2>/dev/null | awk 'NR == FNR { denet[$2]; next } / prog / && $4 in denet { print "link", $0 }' "$log.programs" -
    fi
}

# Removes what interrupted tests left; prints it.
machine_sweep() {
    local pid command at strays
    # Until none is left: one may fork before it is killed, and one that is killed takes a moment to end.
    while strays=$(stray_processes); [ -n "$strays" ]; do
        while read -r pid command; do
            [[ $pid =~ ^[0-9]+$ ]] && kill -KILL "$pid" 2>/dev/null && echo "process $pid $command"
        done <<<"$strays"
        sleep 0.1
    done | sort -u
    test_mounts | sort -r | while read -r at; do
        umount -l "$at" && echo "mount $at"
    done
    control_groups | sort -r | while read -r at; do
        rmdir "$at" 2>/dev/null && echo "control group $at"
    done
    folders | while read -r at; do
        rm -rf --one-file-system "$at" && echo "folder $at"
    done
    restore_settings
}

# machine_unchanged FILE: succeeds if machine_state prints what is in FILE, otherwise prints the difference and
# fails. The kernel removes programs and namespaces a moment after the last process that used them.
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
