# Live apply and rollback, killed at each step that the disk or the kernel sees, two at once, and one during
# the other: nothing is lost, and setup --status names each half state.
# kernels: 6.12
. $tests/machine
calls=fsync,mount,umount2,renameat,unlinkat

# killed_at STEP ARGUMENT…: starts setup, and succeeds if it was killed at that step.
killed_at() {
    local step=$1
    shift
    strace -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when=$step "$DENET" setup --yes "$@" >/dev/null 2>&1
    [ $? = 137 ]
}

# Whatever a kill left.
half_states_are_named() {
    "$DENET" setup --status >status 2>&1 || return 0
    grep -q 'nothing was set up' status || is_as applied
}

# Every other time setup goes on, and then what it made is undone.
apply_is_killed() {
    local step=1
    while killed_at $step --apply --user alice; do
        half_states_are_named || { echo "step $step: not named"; cat status; return 1; }
        [ $((step % 2)) = 0 ] || "$DENET" setup --apply --yes --user alice >said 2>&1 || { echo "step $step"; cat said; return 1; }
        "$DENET" setup --rollback --yes >said 2>&1 || { echo "step $step"; cat said; return 1; }
        is_as before || { echo "step $step"; return 1; }
        step=$((step + 1))
    done
    echo "$step steps"
    [ $step -gt 40 ]
}

rollback_is_killed() {
    local step=1
    while "$DENET" setup --apply --yes --user alice >said 2>&1 || { cat said; return 1; }; killed_at $step --rollback; do
        half_states_are_named || { echo "step $step: not named"; cat status; return 1; }
        "$DENET" setup --rollback --yes >said 2>&1 || { echo "step $step"; cat said; return 1; }
        is_as before || { echo "step $step"; return 1; }
        step=$((step + 1))
    done
    echo "$step steps"
    is_as before && [ $step -gt 10 ]
}

# together A B: both at once; each succeeds, or says that the other is at work.
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

# Whoever was refused tries again.
at_once() {
    local round
    for round in 1 2 3 4 5; do
        together --apply --apply || return 1
        "$DENET" setup --apply --yes --user alice && "$DENET" setup --status && is_as applied || return 1
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
    check "apply is killed at each step" apply_is_killed
    check "rollback is killed at each step" rollback_is_killed
    check "two at once, and apply during rollback" at_once
    check "nothing is left" is_as before
}
