//! Steps that cannot be taken where the subject is, in a container or a confined service: who may take
//! them, and where.

use super::findings::OWN_GROUP;
use super::privileges::subject;
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::{Cap, CapSet};

/// What is outside the bounding set sudo does not have either, nor anybody else who logs in there.
pub(super) fn from_outside(facts: &Facts, finding: &mut Finding) {
    let Some(who) = subject(facts) else {
        return;
    };
    let environment = &facts.environment;
    let contained = environment.container().is_some()
        || environment.initial_pid_namespace == Fact::Known(false);
    let group = who.gid.to_string();
    for step in &mut finding.fix {
        if let Some(other) = instead(step, who.bounding, contained, &group) {
            *step = other;
        }
    }
}

fn instead(step: &Step, bounding: CapSet, contained: bool, group: &str) -> Option<Step> {
    let taken_by = match step {
        Step::Mount { .. } | Step::Remount { .. } | Step::Sysctl { .. } => Cap::SysAdmin,
        Step::RaiseMemlock => Cap::SysResource,
        _ => return None,
    };
    if bounding.has(taken_by) {
        return None;
    }
    let (what, risk) = match step {
        Step::Mount { kind, at } if contained => mounted_by_host(kind, at),
        Step::RaiseMemlock if contained => (
            "start the container with --ulimit memlock=-1:-1 (Docker, Podman)".to_owned(),
            step.risk(),
        ),
        _ => {
            let place = if contained {
                "on the host"
            } else {
                "in a session that is not confined like this one"
            };
            let command = step.text().replace(OWN_GROUP, group);
            (format!("{place}: {command}"), step.risk())
        }
    };
    Some(Step::Manual {
        what,
        risk: risk.to_owned().into(),
    })
}

fn mounted_by_host(kind: &str, at: &str) -> (String, &'static str) {
    let (mode, risk) = if kind == "tracefs" {
        (
            ":ro",
            "whoever is root in the container can then read what the host traces",
        )
    } else {
        (
            "",
            "whoever is root in the container can then take and remove what is pinned there",
        )
    };
    let what = format!(
        "start the container with -v {at}:{at}{mode} (Docker, Podman), where the host has it mounted"
    );
    (what, risk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::privileges::tests::nobody;
    use crate::facts::tests::healthy;

    const DOCKER: CapSet = CapSet(0xa804_25fb);

    fn fix(bounding: CapSet, contained: bool, step: Step) -> String {
        let mut facts = healthy();
        let mut who = nobody();
        who.bounding = bounding;
        facts.privileges = Fact::Known(who);
        facts.environment.initial_pid_namespace = Fact::Known(!contained);
        let mut finding = Finding {
            id: "x",
            cause: String::new(),
            evidence: Vec::new(),
            fix: vec![step],
        };
        from_outside(&facts, &mut finding);
        finding.fix[0].text()
    }

    const TRACEFS: Step = Step::Mount {
        kind: "tracefs",
        at: "/sys/kernel/tracing",
    };

    #[test]
    fn a_container_is_not_told_to_mount_or_to_set() {
        let whole = fix(CapSet::up_to(40), true, TRACEFS);
        assert!(whole.starts_with("sudo mount"), "{whole}");
        let volume = fix(DOCKER, true, TRACEFS);
        assert!(volume.contains("-v /sys/kernel/tracing:/sys/kernel/tracing:ro"));
        assert!(fix(DOCKER, false, TRACEFS).starts_with("in a session"));
        assert!(fix(DOCKER, true, Step::RaiseMemlock).contains("--ulimit memlock"));
        let level = Step::Sysctl {
            key: "kernel.perf_event_paranoid".into(),
            value: 2,
            before: Some(3),
            risk: "",
        };
        let host = "on the host: sudo sysctl kernel.perf_event_paranoid=2";
        assert_eq!(fix(DOCKER, true, level), host);
    }

    #[test]
    fn the_group_is_the_subjects_and_not_that_of_who_types() {
        let step = Step::Remount {
            at: "/sys/kernel/tracing",
            options: format!("gid={OWN_GROUP},mode=0750"),
            before: "",
            risk: "",
        };
        let text = fix(CapSet::default(), true, step);
        assert!(text.contains("remount,gid=1000,mode=0750"), "{text}");
    }
}
