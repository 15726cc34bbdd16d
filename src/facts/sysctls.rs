//! Settings of the running kernel under `/proc/sys`.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::root::Root;

/// Each as it is set now; `Absent` where this kernel has none of the name, `Denied` for those that only
/// root reads (`bpf_jit_harden`, `bpf_jit_kallsyms`, `bpf_jit_limit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctls {
    pub(crate) unprivileged_bpf_disabled: Fact<i64>,
    pub(crate) kptr_restrict: Fact<i64>,
    pub perf_event_paranoid: Fact<i64>,
    pub(crate) perf_event_mlock_kb: Fact<i64>,
    pub(crate) bpf_stats_enabled: Fact<i64>,
    pub(crate) dmesg_restrict: Fact<i64>,
    pub(crate) pid_max: Fact<i64>,
    /// Debian's and Ubuntu's.
    pub(crate) unprivileged_userns_clone: Fact<i64>,
    /// Ubuntu's (AppArmor).
    pub(crate) apparmor_restrict_unprivileged_userns: Fact<i64>,
    pub(crate) max_user_namespaces: Fact<i64>,
    pub(crate) bpf_jit_enable: Fact<i64>,
    pub(crate) bpf_jit_harden: Fact<i64>,
    pub(crate) bpf_jit_kallsyms: Fact<i64>,
    /// Bytes of all compiled programs of unprivileged users.
    pub(crate) bpf_jit_limit: Fact<i64>,
}

impl Sysctls {
    pub(crate) fn probe(root: &Root) -> Self {
        let number = |text: &str| text.trim().parse().ok();
        let read = |name: &str| Fact::read(root, &format!("/proc/sys/{name}"), number);
        let kernel = |name: &str| read(&format!("kernel/{name}"));
        let net = |name: &str| read(&format!("net/core/{name}"));
        Self {
            unprivileged_bpf_disabled: kernel("unprivileged_bpf_disabled"),
            kptr_restrict: kernel("kptr_restrict"),
            perf_event_paranoid: kernel("perf_event_paranoid"),
            perf_event_mlock_kb: kernel("perf_event_mlock_kb"),
            bpf_stats_enabled: kernel("bpf_stats_enabled"),
            dmesg_restrict: kernel("dmesg_restrict"),
            pid_max: kernel("pid_max"),
            unprivileged_userns_clone: kernel("unprivileged_userns_clone"),
            apparmor_restrict_unprivileged_userns: kernel("apparmor_restrict_unprivileged_userns"),
            max_user_namespaces: read("user/max_user_namespaces"),
            bpf_jit_enable: net("bpf_jit_enable"),
            bpf_jit_harden: net("bpf_jit_harden"),
            bpf_jit_kallsyms: net("bpf_jit_kallsyms"),
            bpf_jit_limit: net("bpf_jit_limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    #[test]
    fn a_number_is_a_number() {
        let tree = Tree::with(&[
            ("/proc/sys/kernel/perf_event_paranoid", "-1\n"),
            ("/proc/sys/kernel/kptr_restrict", "two\n"),
            ("/proc/sys/net/core/bpf_jit_limit", "528482304\n"),
        ]);
        let read = Sysctls::probe(&tree.root());
        assert_eq!(read.perf_event_paranoid, Fact::Known(-1));
        assert_eq!(read.bpf_jit_limit, Fact::Known(528_482_304));
        assert!(matches!(read.kptr_restrict, Fact::Failed(_)));
        assert_eq!(read.unprivileged_userns_clone, Fact::Absent);
    }
}
