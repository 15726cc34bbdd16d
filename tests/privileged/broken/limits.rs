//! Rows: what runs out.

use super::{ROW, Row, USER, run};

#[test]
fn little_locked_memory() {
    run(&Row {
        name: "memlock on Linux 5.10",
        needs: "uname -r | grep -q '^5\\.10\\.'",
        breaks: &format!("grant $all; prlimit --pid $$ --memlock=4096:4096; {USER}"),
        cause: "memlock",
        ..ROW
    });
}

#[test]
fn no_files_left() {
    for (name, needs, limit) in [
        ("nofile exhausted", "true", "6:4096"),
        (
            "nofile exhausted, its hard limit as well",
            "prlimit --nofile=64:64 sh -c 'ulimit -n 1048576' 2>/dev/null",
            "6:6",
        ),
    ] {
        run(&Row {
            name,
            needs,
            breaks: &format!("limit={limit}; affected() {{ prlimit --nofile=$limit \"$@\"; }}"),
            cause: "nofile",
            // In the shell that has the limit, and starts the program then. A script for sudo would take
            // a descriptor.
            mend: "fix=$(cat fix.sh); affected() { prlimit --nofile=$limit sh -c 'sudo() { \"$@\"; }; '\"$fix\"'; exec \"$@\"' sh \"$@\"; }",
            ..ROW
        });
    }
}

#[test]
fn a_small_control_group() {
    run(&Row {
        name: "cgroup memory too small for the maps",
        needs: "! uname -r | grep -q '^5\\.10\\.' && mkdir -p cg && { mount -t cgroup2 none cg 2>/dev/null && echo +memory 2>/dev/null >cg/cgroup.subtree_control; \
                grep -qs memory cg/cgroup.subtree_control || { umount cg 2>/dev/null; mount -t cgroup -o memory none cg 2>/dev/null; }; } && \
                mkdir -p cg/denet-broken-$$ && ls cg/denet-broken-$$ | grep -q '^memory\\.'",
        breaks: "group=$T/cg/denet-broken-$$; limit() { if [ -e $group/memory.max ]; then echo $1 >$group/memory.max; \
                 else echo $1 >$group/memory.limit_in_bytes; fi; }; limit 7000000; \
                 affected() { sh -c 'echo $$ >'$group'/cgroup.procs; exec \"$@\"' sh \"$@\"; }; \
                 trap 'restore; for p in $(cat $group/cgroup.procs); do echo $p >$T/cg/cgroup.procs; done; rmdir $group' EXIT",
        cause: "cgroup-memory",
        mend: "limit 1000000000",
        stops: false,
        ..ROW
    });
}
