# The files of setup/ about tracefs, each on its own: the mount's options, the service where tracefs is
# mounted already, the rule where it was remounted by hand, and events that a module brings later.
# kernels: 5.10 6.12
. $tests/machine
units=/etc/systemd/system
service=denet-tracefs.service

group_is_made() {
    install -D -m 0644 $tests/setup/sysusers.d/denet.conf /etc/sysusers.d/denet.conf && systemd-sysusers && gpasswd -a alice tracing
}

service_is_installed() {
    install -m 0644 $tests/setup/systemd/$service $units/ && systemctl daemon-reload && systemctl enable --now $service
}

drop_in_is_installed() {
    install -D -m 0644 $tests/setup/systemd/sys-kernel-tracing.mount.d/denet.conf $units/sys-kernel-tracing.mount.d/denet.conf && systemctl daemon-reload
}

# What udev's parser has to say of the rules in files of that name: at the least, that it reads them.
said_of_rules() {
    udevadm test /sys/module/kernel 2>&1 | grep -F "$1" | tee said
    [ -s said ]
}

# This udev has no `udevadm verify`. It names the file where something is wrong, besides where it reads it.
rule_is_installed() {
    install -m 0644 $tests/setup/udev/70-denet-tracefs.rules /etc/udev/rules.d/ && udevadm control --reload &&
        said_of_rules 70-denet-tracefs.rules && [ "$(wc -l <said)" = 1 ]
}

wrong_rule_is_named() {
    local file=/etc/udev/rules.d/71-denet-wrong.rules
    echo 'NOSUCHKEY=="x", RUN+="/bin/true"' >$file
    said_of_rules 71-denet-wrong.rules
    rm $file
    [ "$(wc -l <said)" -gt 1 ]
}

brings_events() {
    modprobe "$1" && reads "$2" && stat -c '%n %a %U:%G' $tracing/events/${2%/*} $tracing/events/$2/{id,enable} >>measured
}

remounted_by_hand() {
    udevadm settle && mount -o remount,gid=0,mode=0700 $tracing && mounted 700 root
}

# Waits until udev has run its rules, which queue a job if the service is needed, and until the job is done.
settled() {
    udevadm settle || return 1
    while systemctl list-jobs --no-legend | grep -qF $service; do :; done
}

nothing_with() {
    "$@" && settled && mounted 700 root
}

rule_opens() {
    settled && mounted 750 tracing
}

journal_of_service() {
    journalctl -b -u $service --no-pager
    ! journalctl -b -u $service -p warning --no-pager -q | grep .
}

kernel_can_be_traced_by_root() {
    echo 'p:denet_test do_nanosleep' >>$tracing/kprobe_events && echo '-:denet_test' >>$tracing/kprobe_events
}

boot_1() {
    check "alice has an account" alice_has_an_account
    check "tracefs is closed" mounted 700 root
    check "alice reads nothing" refused reads raw_syscalls/sys_enter
    check "the group is made" group_is_made
    check "the service is installed, and does its work" service_is_installed
    check "tracefs belongs to the group, and is not read-only" mounted 750 tracing
    check "the service says nothing" journal_of_service
    check "root traces the kernel as before" kernel_can_be_traced_by_root
    reads_and_cannot_write
    check "alice reads the events of a module that is loaded later" brings_events xfs xfs/xfs_read_agf
    check "and cannot turn them on" no_write events/xfs/enable

    check "stopping the service closes tracefs" systemctl stop $service
    check "for alice as well" mounted 700 root
    check "starting opens it" systemctl start $service
    check "so it is" mounted 750 tracing
    check "it is remounted by hand" remounted_by_hand
    check "reloading opens it" systemctl reload $service
    check "so it is open" mounted 750 tracing

    check "udev says where a rule is wrong" wrong_rule_is_named
    check "it reads ours" rule_is_installed
    check "it is remounted by hand again" remounted_by_hand
    check "a module without events changes nothing" nothing_with modprobe dummy
    check "nor do synthetic events" nothing_with udevadm trigger --action=add --subsystem-match=module
    check "a module with events is loaded" modprobe sunrpc
    check "the rule opens tracefs" rule_opens
    check "alice reads its events" reads sunrpc/rpc_task_begin
    check "the service is stopped" systemctl stop $service
    check "then a module changes nothing" nothing_with modprobe btrfs
    check "the service is wanted at boot" systemctl is-enabled $service
    keep measured
}

# By the service alone: as where an initial RAM disk has mounted it.
boot_2() {
    check "the service opened tracefs at boot" mounted 750 tracing
    check "the service said nothing" journal_of_service
    check "it is the one that ran" systemctl is-active $service
    reads_and_cannot_write
    check "events of a module" brings_events xfs xfs/xfs_read_agf
    check "the service goes" systemctl disable $service
    check "the options come" drop_in_is_installed
}

# By the mount's options alone.
boot_3() {
    check "the service does not run" refused systemctl is-active $service
    check "tracefs is mounted open" mounted 750 tracing
    reads_and_cannot_write
    check "events of a module that is loaded later" brings_events xfs xfs/xfs_read_agf
    check "and cannot turn them on" no_write events/xfs/enable
    check "no unit failed" says "0 loaded units listed" systemctl --failed
}
