# Apply and rollback on a running system: killed at each system call that changes the disk or the kernel, two at once,
# and one during the other. Nothing is lost, and setup --status reports each incomplete state.
# kernels: 6.12
. $tests/machine

# killed_at CALL N ARGUMENT…: starts setup, and succeeds if it was killed at the N-th call of this name.
killed_at() {
    local call=$1 n=$2
    shift 2
    strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$n "$DENET" setup --yes "$@" >/dev/null 2>&1
    [ $? = 137 ]
}

# The journal grows with each change that is made again.
is_applied() {
    snapshot now && diff <(grep -v var/lib/denet/setup.journal applied) <(grep -v var/lib/denet/setup.journal now)
}

# setup --status reports what a kill left incomplete.
half_states_are_named() {
    "$DENET" setup --status >status 2>&1 || return 0
    grep -q 'nothing was set up' status || is_applied
}

# undone WHERE
undone() {
    "$DENET" setup --rollback --yes >said 2>&1 && is_as before || { echo "$1"; cat said; return 1; }
}

# A guest that prints nothing for minutes counts as one that hangs.
progress() { echo "killed at $*" >/dev/console; }

# Four calls of fsync are one change: its line in the journal, the file, the directory, the line that ends it. Every
# third one is at each of these places in turn.
stride_of() { case $1 in fsync | unlinkat) echo 3 ;; *) echo 1 ;; esac; }

# apply_is_killed CALL: at its calls of this name. Every fourth time, setup is run to its end before the rollback.
apply_is_killed() {
    local call=$1 n=1 stride kills=0
    stride=$(stride_of $call)
    while killed_at $call $n --apply --user alice; do
        progress $call $n
        half_states_are_named || { echo "$n: not named"; cat status; return 1; }
        [ $((kills % 4)) != 3 ] || "$DENET" setup --apply --yes --user alice >said 2>&1 || { echo "$n"; cat said; return 1; }
        undone $n || return 1
        n=$((n + stride)) kills=$((kills + 1))
    done
    undone "$n, not killed" && [ $kills -gt 0 ]
}

# rollback_is_killed CALL: then setup is applied again, and every fourth time undone before.
rollback_is_killed() {
    local call=$1 n=1 stride kills=0
    stride=$(stride_of $call)
    while "$DENET" setup --apply --yes --user alice >said 2>&1 && is_applied || { echo "$n"; cat said; return 1; }; killed_at $call $n --rollback; do
        progress $call $n
        half_states_are_named || { echo "$n: not named"; cat status; return 1; }
        [ $((kills % 4)) != 3 ] || undone $n || return 1
        n=$((n + stride)) kills=$((kills + 1))
    done
    is_as before && [ $kills -gt 0 ]
}

# together A B: both at once; each succeeds, or reports that the other one is running.
together() {
    "$DENET" setup --yes $1 --user alice >first 2>&1 &
    "$DENET" setup --yes $2 --user alice >second 2>&1
    local second=$? first
    wait $!
    first=$?
    cat first second
    [ $first = 0 ] || grep -q 'another denet setup is at work' first || return 1
    [ $second = 0 ] || grep -q 'another denet setup is at work' second
}

# A command that was refused is run again.
at_once() {
    local round
    for round in 1 2 3; do
        together --apply --apply || return 1
        "$DENET" setup --apply --yes --user alice && "$DENET" setup --status && is_applied || return 1
        together --rollback --apply || return 1
        "$DENET" setup --rollback --yes && is_as before || return 1
    done
}

boot_1() {
    check "alice has an account" alice_has_an_account
    check "the machine before setup" snapshot before
    check "it is applied" "$DENET" setup --apply --yes --user alice
    check "the machine set up" snapshot applied
    check "it is rolled back" "$DENET" setup --rollback --yes
    for call in fsync renameat linkat mount; do
        check "apply is killed at each $call" apply_is_killed $call
    done
    for call in fsync renameat unlinkat mount; do
        check "rollback is killed at each $call" rollback_is_killed $call
    done
    check "two at once, and apply during rollback" at_once
    check "nothing is left" is_as before
}
