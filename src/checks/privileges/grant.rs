//! What a file is given so that denet may do what is asked of it, and how that is undone.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::subject;
use crate::checks::step::Step;
use crate::facts::binary::FileCapabilities;
use crate::facts::{Fact, Facts};
use crate::output::shell::quoted;
use crate::sys::capabilities::{Cap, CapSet};

pub(super) fn path(facts: &Facts) -> &Path {
    let known = facts.binary.path.known();
    known.map_or_else(|| Path::new("denet"), PathBuf::as_path)
}

pub(super) fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

pub(super) fn grant(facts: &Facts, caps: Cow<'static, str>) -> Step {
    Step::GrantCaps {
        file: path(facts).to_owned(),
        caps,
        before: given(facts).map(|caps| written(*caps)),
    }
}

/// One more capability, for a goal that takes it.
pub(in crate::checks) fn grant_more(facts: &Facts, more: Cap) -> Vec<Step> {
    if counts_nowhere(facts) {
        return install(facts, &[more]);
    }
    vec![grant(facts, granted(facts, &[more]))]
}

/// File capabilities have no effect where the binary lies, or cannot be there.
pub(super) fn counts_nowhere(facts: &Facts) -> bool {
    let unsupported = match &facts.binary.capabilities {
        // setcap would fail there as well: NFS, 9p, some FUSE.
        Fact::Denied(why) | Fact::Failed(why) => why.contains("not supported"),
        Fact::Known(_) | Fact::Absent => false,
    };
    facts.binary.nosuid == Fact::Known(true) || unsupported
}

/// What tracing takes, these, and what the file gives already: `setcap` replaces all. Nothing outside the
/// bounding set, with which the file could not be executed.
pub(in crate::checks) fn granted(facts: &Facts, more: &[Cap]) -> Cow<'static, str> {
    granted_beside(facts, &[Cap::Bpf, Cap::Perfmon], more)
}

/// The same where something else is needed than for tracing.
pub(in crate::checks) fn granted_beside(
    facts: &Facts,
    needed: &[Cap],
    more: &[Cap],
) -> Cow<'static, str> {
    let bounding = subject(facts).map_or(CapSet(u64::MAX), |who| who.bounding);
    let kept = given(facts).map_or(CapSet::default(), |caps| caps.permitted.and(bounding));
    let added = [Cap::NetAdmin, Cap::Syslog].into_iter();
    let added = added.filter(|cap| more.contains(cap) || kept.has(*cap));
    let named: Vec<Cap> = needed.iter().copied().chain(added).collect();
    let others = named
        .iter()
        .fold(kept, |set, cap| set.without(CapSet::of(*cap)));
    let names = named.iter().map(|cap| cap.name().to_owned());
    names
        .chain(others.names())
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

/// What a grant to denet's binary is for another one of denet's: what it adds, what tracing takes, and what
/// that file gives already.
pub(crate) fn granted_to_other(facts: &Facts, caps: &str, other: &Path) -> Cow<'static, str> {
    let bounding = subject(facts).map_or(CapSet(u64::MAX), |who| who.bounding);
    let own = given(facts).map_or_else(Vec::new, |caps| caps.permitted.names());
    let its = facts.binary.beside_give.get(other);
    let its = its.map_or_else(Vec::new, |caps| caps.permitted.and(bounding).names());
    let tracing = [Cap::Bpf, Cap::Perfmon].map(Cap::name);
    let mut names: Vec<_> = caps.split(',').collect();
    names.retain(|name| {
        let among = |names: &[String]| names.iter().any(|its| its == name);
        tracing.contains(name) || !among(&own) || among(&its)
    });
    let more = its.iter().map(String::as_str);
    let more: Vec<_> = more.filter(|name| !names.contains(name)).collect();
    [names, more].concat().join(",").into()
}

/// What undoes a grant to another of denet's binaries.
pub(crate) fn before_at_other(facts: &Facts, other: &Path) -> Option<String> {
    facts
        .binary
        .beside_give
        .get(other)
        .map(|caps| written(*caps))
}

/// A copy where file capabilities count, with what tracing takes and these.
pub(super) fn install(facts: &Facts, more: &[Cap]) -> Vec<Step> {
    let from = path(facts);
    let name = from.file_name().unwrap_or(from.as_os_str());
    let to = Path::new("/usr/local/bin").join(name);
    let copy = Step::Install {
        from: from.to_owned(),
        to: to.clone(),
        group: None,
    };
    let caps = Step::GrantCaps {
        file: to,
        caps: granted(facts, more),
        before: None,
    };
    vec![copy, caps]
}

pub(super) fn given(facts: &Facts) -> Option<&FileCapabilities> {
    facts.binary.capabilities.known()
}

/// As `setcap(8)` takes them, those that matter here first.
pub(super) fn written(caps: FileCapabilities) -> String {
    let FileCapabilities {
        permitted,
        inheritable,
        ..
    } = caps;
    let parts = [
        (permitted.without(inheritable), "p"),
        (permitted.and(inheritable), "ip"),
        (inheritable.without(permitted), "i"),
    ];
    let effective = if caps.effective { "e" } else { "" };
    let clauses = parts.into_iter().filter(|(caps, _)| !caps.is_empty());
    let clauses = clauses.map(|(caps, flags)| format!("{}={effective}{flags}", in_order(caps)));
    let text = clauses.collect::<Vec<_>>().join(" ");
    // Alone: names and no flags would be all of them.
    if text.is_empty() {
        "=".to_owned()
    } else {
        text
    }
}

fn in_order(caps: CapSet) -> String {
    const NAMED: [Cap; 8] = [
        Cap::Bpf,
        Cap::Perfmon,
        Cap::NetAdmin,
        Cap::Syslog,
        Cap::SysAdmin,
        Cap::SysResource,
        Cap::DacOverride,
        Cap::DacReadSearch,
    ];
    let held = NAMED.into_iter().filter(|cap| caps.has(*cap));
    let mut names: Vec<_> = held.clone().map(|cap| cap.name().to_owned()).collect();
    let known = held.fold(CapSet::default(), |set, cap| set.or(CapSet::of(cap)));
    names.extend(caps.without(known).names());
    names.join(",")
}
