//! Which capabilities a file is granted, and how that is written.

use std::path::Path;

use super::*;
use crate::facts;
use crate::facts::binary::FileCapabilities;
use crate::facts::kernel;
use crate::facts::privileges::tests::nobody;

fn holding(caps: &[Cap]) -> CapSet {
    let each = caps.iter().map(|cap| CapSet::of(*cap));
    each.fold(CapSet::default(), CapSet::or)
}

#[test]
fn a_grant_keeps_what_the_file_has_and_what_can_be_held() {
    let mut facts = facts::tests::healthy();
    facts.privileges = Fact::Known(nobody());
    assert_eq!(granted(&facts, &[]), "cap_bpf,cap_perfmon");
    let kill = CapSet(1 << 5);
    let has = holding(&[Cap::Bpf, Cap::Syslog, Cap::DacReadSearch]).or(kill);
    facts.binary.capabilities = Fact::Known(FileCapabilities {
        permitted: has,
        ..FileCapabilities::default()
    });
    assert_eq!(
        granted(&facts, &[Cap::NetAdmin]),
        "cap_bpf,cap_perfmon,cap_net_admin,cap_syslog,cap_dac_read_search,cap_kill"
    );
    let mut bound = nobody();
    bound.bounding = holding(&[Cap::Bpf, Cap::Perfmon]);
    facts.privileges = Fact::Known(bound);
    assert_eq!(granted(&facts, &[]), "cap_bpf,cap_perfmon");
}

#[test]
fn another_binary_gets_what_is_added_and_keeps_its_own() {
    let mut facts = facts::tests::healthy();
    let gives = |caps: &[Cap]| FileCapabilities {
        permitted: holding(caps),
        ..FileCapabilities::default()
    };
    let own = [Cap::Bpf, Cap::DacReadSearch];
    facts.binary.capabilities = Fact::Known(gives(&own));
    let [plain, other] = ["/opt/ebpf_test", "/opt/ebpf_diag"].map(Path::new);
    let its = gives(&[Cap::Syslog]);
    facts.binary.beside_give.insert(other.to_owned(), its);
    let asked = "cap_bpf,cap_perfmon,cap_net_admin,cap_dac_read_search";
    let granted = |file| granted_to_other(&facts, asked, file);
    assert_eq!(granted(plain), "cap_bpf,cap_perfmon,cap_net_admin");
    assert_eq!(
        granted(other),
        "cap_bpf,cap_perfmon,cap_net_admin,cap_syslog"
    );
    assert_eq!(before_at_other(&facts, plain), None);
    assert_eq!(
        before_at_other(&facts, other).as_deref(),
        Some("cap_syslog=p")
    );
}

#[test]
fn file_capabilities_are_written_as_setcap_takes_them() {
    let mut caps = FileCapabilities::default();
    // Without the sign alone it would be all capabilities.
    assert_eq!(written(caps), "=");
    caps.inheritable = holding(&[Cap::Bpf, Cap::Perfmon]);
    assert_eq!(written(caps), "cap_bpf,cap_perfmon=i");
    caps.effective = true;
    caps.permitted = holding(&[Cap::Bpf, Cap::NetAdmin]);
    assert_eq!(written(caps), "cap_net_admin=ep cap_bpf=eip cap_perfmon=ei");
}

#[test]
fn who_asked_decides_what_a_refusal_says_of_filters() {
    let mut facts = facts::tests::healthy();
    let by_filter = |facts: &Facts, major, minor, errno| {
        let mut facts = facts.clone();
        facts.kernel = kernel::tests::kernel(Release(major, minor), Fact::Absent);
        is_by_filter(&facts, errno)
    };
    let mut able = nobody();
    able.effective = holding(&[Cap::Bpf, Cap::Perfmon]);
    facts.privileges = Fact::Known(able);
    assert!(by_filter(&facts, 5, 10, libc::EPERM));
    assert!(!by_filter(&facts, 5, 10, libc::EBADF));
    // Another binary would hold them; this process asked and does not.
    facts.subject.before_exec = Fact::Known(nobody());
    assert!(!by_filter(&facts, 5, 10, libc::EPERM));
    assert!(by_filter(&facts, 5, 10, libc::ENOSYS));
    assert!(by_filter(&facts, 5, 19, libc::EPERM));
}
