//! What the doctor found, in order, with symptoms under their cause.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::scope::NOT_YOURS;
use crate::backends::table::GOALS;
use crate::checks::answers::told;
use crate::checks::finding::Finding;
use crate::checks::goals::{self, Outcome, Shown, Status};
use crate::checks::object::Requirements;
use crate::checks::step::Step;
use crate::checks::verdict::{Evidence, Judged};
use crate::checks::{CHECKS, object, privileges};
use crate::facts::object::{ObjectError, ObjectFacts};
use crate::facts::scope::Scope;
use crate::facts::{Fact, Facts};
use crate::sys::capabilities::Cap;

/// Which checks and goals are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Ids of the only ones; empty for all.
    pub(crate) only: Vec<String>,
    /// Ids of those that are left out.
    pub(crate) skip: Vec<String>,
}

/// Every id that can be selected: goals, then checks.
pub fn ids() -> impl Iterator<Item = &'static str> {
    let goals = GOALS.iter().map(|goal| goal.id);
    goals.chain(CHECKS.iter().map(|check| check.id))
}

/// Reported only if they are named with `--only`: nothing is wrong with a machine on which users see only their
/// own processes.
const BY_NAME_ONLY: [&str; 2] = ["other-processes", NOT_YOURS];

impl Selection {
    fn takes(&self, id: &str) -> bool {
        let named = |ids: &[String]| ids.iter().any(|named| named == id);
        let asked = match self.only[..] {
            [] => !BY_NAME_ONLY.contains(&id),
            _ => named(&self.only),
        };
        asked && !named(&self.skip)
    }

    /// A goal that is asked for brings the checks that it goes by.
    fn checks(&self, facts: &Facts) -> BTreeSet<&'static str> {
        let all = CHECKS.iter().map(|check| check.id);
        let of_goals: BTreeSet<&str> = GOALS
            .iter()
            .filter(|goal| self.takes(goal.id))
            .flat_map(|goal| {
                let backends = goal.backends_here(facts);
                let checks = backends.flat_map(|backend| backend.checks(facts));
                checks.chain(goal.limits.iter().copied())
            })
            .collect();
        let skipped = |id: &str| self.skip.iter().any(|named| named == id);
        let refusals = |id: &str| !of_goals.is_empty() && id == goals::UNEXPLAINED;
        // Root's configuration, if it is ignored.
        let ignored =
            |id: &str| id == NOT_YOURS && self.only.is_empty() && is_ignored(&facts.scope);
        all.filter(|id| {
            let of_goals = || !self.only.is_empty() && of_goals.contains(id);
            refusals(id) || ignored(id) || self.takes(id) || of_goals()
        })
        .filter(|id| !skipped(id))
        .collect()
    }
}

fn is_ignored(decision: &Fact<Scope>) -> bool {
    matches!(decision, Fact::Denied(_) | Fact::Failed(_))
}

/// For whom the machine was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Subject {
    /// Its effective user id, where it is known.
    pub(crate) uid: Option<u32>,
    /// Its name, where it has one.
    pub(crate) user: Option<String>,
    /// Ids of its groups, the primary one first.
    pub(crate) groups: Vec<u32>,
    /// Capabilities that are effective once the binary runs, of those that matter here.
    pub(crate) caps: Vec<&'static str>,
    /// Whose processes denet shows this user, if it gets its capabilities from its file.
    pub(crate) scope: Option<Scope>,
    pub(crate) binary: Option<String>,
    /// What it would hold was worked out: it is not the process that looked.
    pub(crate) simulated: bool,
}

/// The machine in a line each.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Host {
    /// `6.18.5`
    pub(crate) kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub(crate) distribution: Option<String>,
    /// `docker`, `wsl`; none on plain hardware and in virtual machines.
    pub(crate) within: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Diagnosis<'a> {
    /// What was judged.
    pub(crate) facts: &'a Facts,
    pub(crate) host: Host,
    /// For whom.
    pub(crate) subject: Subject,
    /// Each check, in the order of the table.
    pub checks: Vec<Judged>,
    /// Each goal.
    pub goals: Vec<Outcome>,
    /// An object that was judged as well, and what it asks for.
    pub(crate) object: Option<(ObjectFacts, Requirements)>,
}

/// A finding, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Cause<'a> {
    /// The check that has it.
    pub(crate) check: &'a Judged,
    /// What is wrong.
    pub(crate) finding: &'a Finding,
    /// Titles of the goals that it blocks or degrades.
    pub(crate) concerns: Vec<&'static str>,
    /// What the kernel refused because of it.
    pub(crate) symptoms: Vec<String>,
}

impl<'a> Diagnosis<'a> {
    /// Judges the facts.
    pub fn of(facts: &'a Facts, selection: &Selection) -> Self {
        let wanted = selection.checks(facts);
        let chosen = CHECKS.iter().filter(|check| wanted.contains(check.id));
        let mut checks: Vec<Judged> = chosen.map(|check| check.judged(facts)).collect();
        for check in &mut checks {
            for_all_binaries(facts, check);
        }
        let asked = GOALS.iter().filter(|goal| selection.takes(goal.id));
        let goals = asked.map(|goal| goals::outcome(goal, facts, &checks));
        Self {
            facts,
            host: host(facts),
            subject: subject(facts),
            goals: goals.collect(),
            checks,
            object: None,
        }
    }

    /// Adds what an object file asks for, and whether it gets it here; or why it is none.
    pub(crate) fn with_object(mut self, found: Result<ObjectFacts, ObjectError>) -> Self {
        let judged = match found {
            Ok(object) => {
                let judged = object::judge(self.facts, &object);
                let asked = object::requirements(&object);
                self.object = Some((object, asked));
                judged
            }
            Err(error) => vec![object::unreadable(&error)],
        };
        self.goals.push(object::outcome(&judged));
        self.checks.extend(judged);
        self
    }

    /// The findings: what stands in the way of the first goals first, symptoms under their cause.
    pub(crate) fn causes(&self) -> Vec<Cause<'_>> {
        let mut told_already = BTreeSet::new();
        let mut causes: Vec<(Option<(usize, usize)>, Cause<'_>)> = Vec::new();
        for check in &self.checks {
            let Some(finding) = check.verdict.finding() else {
                continue;
            };
            // What an object lacks, the machine may lack for everyone.
            if causes
                .iter()
                .any(|(_, cause)| cause.finding.id == finding.id)
            {
                continue;
            }
            let concerned = |goal: &&Outcome| goal.because.contains(&check.id);
            let places = self.goals.iter().enumerate().filter_map(|(goal, outcome)| {
                let place = outcome.because.iter().position(|id| *id == check.id)?;
                Some((goal, place))
            });
            let first = places.min();
            let concerns = self.goals.iter().filter(concerned).map(|goal| goal.title);
            let symptoms = self
                .symptoms(check.id)
                .into_iter()
                .filter(|symptom| told_already.insert(symptom.clone()));
            let cause = Cause {
                check,
                finding,
                concerns: concerns.collect(),
                symptoms: symptoms.collect(),
            };
            causes.push((first, cause));
        }
        causes.sort_by_key(|(first, _)| first.unwrap_or((usize::MAX, 0)));
        causes.into_iter().map(|(_, cause)| cause).collect()
    }

    /// What was refused to the backends that this check prevents.
    fn symptoms(&self, id: &str) -> Vec<String> {
        let closed = GOALS.iter().filter(|goal| {
            let outcome = self.goals.iter().find(|outcome| outcome.id == goal.id);
            outcome.is_some_and(|outcome| outcome.because.contains(&id))
        });
        let mut found = Vec::new();
        for backend in closed.flat_map(|goal| goal.backends) {
            let bears = backend.checks(self.facts).any(|check| check == id);
            if let (true, Shown::Refused(probes)) = (bears, backend.shown(self.facts)) {
                found.extend(probes.into_iter().map(told));
            }
        }
        found
    }

    /// The worst of the goals; where none was asked for, of the checks.
    pub(crate) fn status(&self) -> Status {
        let goals = self.goals.iter().map(|goal| goal.status).max();
        goals.unwrap_or_else(|| {
            let of = |check: &Judged| match check.verdict.name() {
                "blocked" => Status::Blocked,
                "unknown" => Status::Unknown,
                "degraded" => Status::Degraded,
                _ => Status::Ready,
            };
            self.checks.iter().map(of).max().unwrap_or(Status::Ready)
        })
    }

    /// Everything that the kernel was asked, and its answers.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &crate::facts::probes::Probe> {
        self.facts.probes.iter().flat_map(|probes| &probes.all)
    }
}

/// What one of denet's binaries lacks, those beside it lack as well.
fn for_all_binaries(facts: &Facts, check: &mut Judged) {
    use crate::checks::verdict::Verdict;
    let (Verdict::Blocked(finding) | Verdict::Degraded(finding)) = &mut check.verdict else {
        return;
    };
    if facts.subject.simulated || facts.binary.beside.is_empty() {
        return;
    }
    let beside = &facts.binary.beside;
    let steps = std::mem::take(&mut finding.fix);
    finding.fix = steps
        .into_iter()
        .flat_map(|step| on_each(step, facts, beside))
        .collect();
}

/// The step for this binary, then for each beside it.
fn on_each(step: Step, facts: &Facts, beside: &[PathBuf]) -> Vec<Step> {
    let Fact::Known(own) = &facts.binary.path else {
        return vec![step];
    };
    let others = beside
        .iter()
        .filter_map(|other| on_other(&step, facts, own, other));
    let others: Vec<_> = others.collect();
    std::iter::once(step).chain(others).collect()
}

/// The same step for another binary, where it is one for this binary or for its copy.
fn on_other(step: &Step, facts: &Facts, own: &Path, other: &Path) -> Option<Step> {
    let name = other.file_name()?;
    let is_copy = |file: &Path| file.file_name() == own.file_name();
    match step {
        Step::GrantCaps { file, caps, .. } if is_copy(file) => {
            let file = file.with_file_name(name);
            Some(Step::GrantCaps {
                before: privileges::before_at_other(facts, &file),
                caps: privileges::granted_to_other(facts, caps, other),
                file,
            })
        }
        Step::Install { from, to, group } if from == own => Some(Step::Install {
            group: *group,
            from: other.to_owned(),
            to: to.with_file_name(name),
        }),
        _ => None,
    }
}

fn host(facts: &Facts) -> Host {
    let environment = &facts.environment;
    let container = environment
        .container()
        .map(|kind| format!("{kind:?}").to_lowercase());
    let wsl = (environment.wsl == Fact::Known(true)).then(|| "wsl".to_owned());
    let distribution = facts.kernel.distribution.known();
    Host {
        kernel: facts
            .kernel
            .version
            .known()
            .map_or("unknown".to_owned(), |version| version.text.clone()),
        distribution: distribution.map(|it| it.name.clone().unwrap_or_else(|| it.id.clone())),
        within: container.or(wsl),
    }
}

fn subject(facts: &Facts) -> Subject {
    const NAMED: [Cap; 8] = [
        Cap::Bpf,
        Cap::Perfmon,
        Cap::NetAdmin,
        Cap::SysAdmin,
        Cap::Syslog,
        Cap::SysResource,
        Cap::DacOverride,
        Cap::DacReadSearch,
    ];
    let who = facts.privileges.known();
    let before = facts.subject.before_exec.known();
    let identity = who.or(before);
    let held = |who: &crate::facts::privileges::Privileges| {
        let held = NAMED.into_iter().filter(|cap| who.effective.has(*cap));
        held.map(Cap::name).collect()
    };
    let binary = facts.binary.path.known();
    Subject {
        uid: identity.map(|who| who.uid),
        user: facts.subject.user.known().cloned(),
        groups: identity.map_or_else(Vec::new, |who| {
            let mut groups = vec![who.gid];
            groups.extend(who.groups.iter().filter(|gid| **gid != who.gid));
            groups
        }),
        caps: who.map_or_else(Vec::new, held),
        scope: privileges::scope(facts),
        binary: binary.map(|path| path.display().to_string()),
        simulated: facts.subject.simulated,
    }
}

/// How sure a check is, for scripts.
pub(crate) fn confidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Probe => "probed",
        Evidence::Facts => "read",
        Evidence::Inference => "inferred",
    }
}
