//! Why a program is not to be had at an interface.

use super::findings;
use super::privileges::{granted_beside, has_net_admin, subject};
use super::refusal::{Refusal, explain};
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::facts::Facts;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

/// `bpf_xdp_load_bytes` came then: before, frames are read by pointers only, which takes CAP_PERFMON.
const READS_BY_HELPERS: Release = Release(5, 18);

/// Before, programs are put on interfaces by netlink, where they outlive a denet that is killed.
const LINKS: Release = Release(5, 9);

/// Somebody else's program is there; `evidence` names it.
pub(crate) fn taken(evidence: Vec<String>) -> Finding {
    findings::xdp_busy(evidence)
}

/// The driver refused what is asked of it; `evidence` names it and its reason.
pub(crate) fn not_native(evidence: String) -> Finding {
    findings::xdp_not_native(vec![evidence])
}

/// The finding behind a refusal of an XDP program: its fix grants what that takes, and no more.
pub(crate) fn refused(facts: &Facts, refusal: Refusal<'_>) -> Finding {
    let running = facts.kernel.release();
    if running.is_some_and(|running| running < LINKS) && refusal.errno == Some(libc::EINVAL) {
        return findings::kernel_too_old(LINKS, running, vec![refusal.what.to_owned()]);
    }
    let held = subject(facts).map(|who| who.effective).unwrap_or_default();
    let may_load = held.has(Cap::Bpf) || held.has(Cap::SysAdmin);
    let permission = refusal.errno == Some(libc::EPERM);
    let network = has_net_admin(facts);
    let mut found = match network.finding().filter(|_| permission && may_load) {
        Some(missing) => {
            let mut missing = missing.clone();
            missing.evidence.insert(0, refusal.what.to_owned());
            missing
        }
        None => explain(facts, refusal),
    };
    let caps = granted_beside(facts, needed(facts), &[Cap::NetAdmin]);
    for step in &mut found.fix {
        if let Step::GrantCaps { caps: granted, .. } = step {
            granted.clone_from(&caps);
        }
    }
    found
}

fn needed(facts: &Facts) -> &'static [Cap] {
    match facts.kernel.release() {
        Some(release) if release >= READS_BY_HELPERS => &[Cap::Bpf],
        _ => &[Cap::Bpf, Cap::Perfmon],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;
    use crate::facts::privileges::tests::nobody;
    use crate::facts::{Fact, kernel};
    use crate::sys::capabilities::CapSet;

    fn found(release: Release, held: &[Cap], errno: i32) -> (&'static str, Vec<String>) {
        let mut facts = facts::tests::healthy();
        let mut who = nobody();
        who.effective = held
            .iter()
            .fold(CapSet::default(), |set, cap| set.or(CapSet::of(*cap)));
        facts.kernel = kernel::tests::kernel(release, Fact::Absent);
        facts.binary.path = Fact::Known("/opt/denet".into());
        facts.privileges = Fact::Known(who);
        let refusal = Refusal {
            what: "BPF_PROG_LOAD denet_xdp",
            errno: Some(errno),
            log: None,
        };
        let found = refused(&facts, refusal);
        (found.id, found.fix.iter().map(Step::text).collect())
    }

    #[test]
    fn the_fix_grants_what_counting_frames_takes_and_no_more() {
        let (id, fix) = found(Release(6, 1), &[], libc::EPERM);
        assert_eq!(id, "file-capabilities-missing");
        assert_eq!(fix, ["sudo setcap cap_bpf,cap_net_admin=ep /opt/denet"]);
        let (id, fix) = found(Release(6, 1), &[Cap::Bpf], libc::EPERM);
        assert_eq!(id, "net-admin-missing");
        assert_eq!(fix, ["sudo setcap cap_bpf,cap_net_admin=ep /opt/denet"]);
        let (_, fix) = found(Release(5, 10), &[Cap::Bpf, Cap::NetAdmin], libc::EACCES);
        assert_eq!(
            fix,
            ["sudo setcap cap_bpf,cap_perfmon,cap_net_admin=ep /opt/denet"]
        );
    }

    #[test]
    fn kernels_without_links_are_too_old() {
        let found = found(Release(5, 4), &[Cap::SysAdmin, Cap::NetAdmin], libc::EINVAL);
        assert_eq!(found, ("kernel-too-old", Vec::new()));
    }

    #[test]
    fn somebody_else_is_named() {
        let finding = taken(vec!["eth0: XDP program 7".to_owned()]);
        assert_eq!(finding.id, "xdp-busy");
        assert_eq!(finding.evidence, ["eth0: XDP program 7"]);
    }
}
