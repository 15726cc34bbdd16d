//! `denet setup` on a system that runs, without systemd: applied, proved as the user, and undone.

use std::process::Command;

use crate::need_root;
use crate::support::{DENET, EBPF_DIAG, EBPF_TEST, Scratch, output, stderr, stdout};

/// A system that runs, without systemd: its own /etc, /usr/local and /var/lib in a mount namespace.
const RUNNING: &str = r#"
set -e
cd "$1"
mkdir etc local lib
cp -a /etc/. etc/
mount --make-rprivate /
mount --bind etc /etc
mkdir -p /usr/local /var/lib local/bin
mount --bind local /usr/local
mount --bind lib /var/lib
umount /sys/kernel/tracing 2>/dev/null || :
grep -q ^alice: /etc/passwd || echo 'alice:x:54321:54321::/:/bin/sh' >>/etc/passwd
snapshot() { (cd /; find etc usr/local var/lib -exec stat -c '%N %F %a %u:%g' {} + | sort; cat etc/group etc/gshadow 2>/dev/null || :); }
snapshot >before
mkdir tools; cp "$2" "$3" "$4" tools
echo == plan; tools/denet setup --user alice
echo == apply; tools/denet setup --apply --yes --user alice
echo == tracefs; stat -c '%a %g' /sys/kernel/tracing
as_alice() { setpriv --reuid alice --regid 54321 --init-groups "$@"; }
echo == reads; as_alice cat /sys/kernel/tracing/events/raw_syscalls/sys_enter/id 2>&1 || echo unreadable
echo == writes; as_alice sh -c 'echo 1 2>&1 >/sys/kernel/tracing/events/enable' || echo refused
echo == profiles; as_alice /usr/local/bin/denet --enable-ebpf run -- ls / 2>&1 >/dev/null
echo == status; tools/denet setup --status --user alice
echo == rollback; tools/denet setup --rollback
if grep -q ' /sys/kernel/tracing tracefs' /proc/mounts; then echo still mounted; fi
snapshot >after
cmp before after && echo == same
"#;

#[test]
fn a_running_system_is_set_up_proved_and_undone() {
    need_root();
    crate::least::raise_memlock();
    let _alone = crate::broken::alone();
    let scratch = Scratch::new();
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", RUNNING, "sh"])
        .arg(&scratch.0);
    command
        .args([DENET, EBPF_DIAG, EBPF_TEST])
        .env_remove("SUDO_USER");
    let ended = output(&mut command);
    let text = stdout(&ended) + &stderr(&ended);
    assert!(ended.status.success(), "{text}");
    let part = |name: &str| {
        let rest = text.split(&format!("== {name}\n")).nth(1);
        let part = rest.and_then(|rest| rest.split("\n== ").next());
        part.unwrap_or_else(|| panic!("no {name}: {text}"))
            .to_owned()
    };
    assert!(part("plan").contains("Nothing was changed"), "{text}");
    assert!(
        part("apply").contains("✓ ebpf_test: ok: 1,137 of 1,137"),
        "{text}"
    );
    // There tracefs is empty, and some kernels crash when it goes: setup does not touch it.
    if std::fs::read_to_string("/sys/kernel/security/lockdown")
        .is_ok_and(|level| level.contains("[confidentiality]"))
    {
        assert!(part("plan").contains("nobody can read tracefs"), "{text}");
        assert!(part("reads").contains("unreadable"), "{text}");
    } else {
        assert!(part("tracefs").starts_with("750 "), "{text}");
        assert!(part("reads").trim().parse::<u32>().is_ok(), "{text}");
    }
    assert!(part("writes").contains("refused"), "{text}");
    assert!(part("profiles").contains("complete: all "), "{text}");
    assert!(!part("status").contains('✗'), "{text}");
    assert!(!part("rollback").contains("left alone"), "{text}");
    assert!(
        !text.contains("still mounted") && text.ends_with("== same\n"),
        "{text}"
    );
}
