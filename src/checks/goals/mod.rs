//! What a user wants to do, which backends there are for it, and what prevents each.
//!
//! A backend is available if the running kernel did all that it requires, or where that was not tried, if
//! [`predict`](crate::checks::predict) says that it will.
//!
//! denet's commands: `run` and `attach` are `syscall-profiling`, `monitor exec` is `exec-monitor`,
//! `monitor net` is `network-monitor`, `monitor xdp` is `xdp-counters`, `trace` is `syscall-trace`. The four that
//! follow processes include other users' processes only if the goal `other-processes` is ready.

mod requirements;

use requirements::{applies, opens_events, operation};

use crate::backends::requirement::Requirement;
use crate::backends::table::{Backend, Goal};
use crate::checks::predict::{Conditions, Prediction, first_refusal};
use crate::checks::verdict::{Judged, Verdict};
use crate::facts::Facts;
use crate::facts::exec::ExecError;
use crate::facts::probes::{Outcome as Answer, Probe};

impl Goal {
    /// The backends that apply here: denet uses others on other kernels.
    pub(crate) fn backends_here(&self, facts: &Facts) -> impl Iterator<Item = &'static Backend> {
        self.backends
            .iter()
            .filter(|backend| applies(backend, facts))
    }
}

/// Whether a goal can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// In full.
    Ready,
    /// With less than there could be.
    Degraded,
    /// What it requires could not be examined.
    Unknown,
    /// Not at all.
    Blocked,
}

impl Status {
    /// Stable name, for scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
        }
    }
}

/// What became of a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of the goal.
    pub id: &'static str,
    /// Of the goal.
    pub(crate) title: &'static str,
    /// Whether it can be reached.
    pub status: Status,
    /// The backend that is used, where one is available.
    pub(crate) via: Option<&'static str>,
    /// The running kernel showed it; otherwise it follows from what is known.
    pub(crate) proven: bool,
    /// Ids of the checks that prevent the best backend that is not available, or make the one that is used
    /// worse.
    pub because: Vec<&'static str>,
}

/// By what a backend is known to be available or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// The running kernel did all of it.
    Done,
    /// The running kernel refused these.
    Refused(Vec<&'a Probe>),
    /// It was not tried, and follows from the facts: the refusal that is to be expected.
    Inferred(Option<Prediction>),
    /// It was not tried, and too little is known.
    Unknown,
}

impl Backend {
    /// What the probes say, else what follows from the facts.
    pub(crate) fn shown<'a>(&self, facts: &'a Facts) -> Shown<'a> {
        let probes = facts.probes.as_ref();
        let mut ids: Vec<String> = Vec::new();
        for id in self.requires.iter().filter_map(|it| it.probe()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let found = ids.iter().filter_map(|id| probes?.get(id));
        let tried: Vec<&Probe> = found
            .filter(|probe| !matches!(probe.outcome, Answer::NotAttempted(_)))
            .collect();
        let refused: Vec<&Probe> = tried.iter().filter(|it| !it.works()).copied().collect();
        if !refused.is_empty() {
            return Shown::Refused(refused);
        }
        if tried.len() == ids.len() {
            return Shown::Done;
        }
        self.inferred(facts)
    }

    /// What follows from the facts alone.
    pub(crate) fn inferred(&self, facts: &Facts) -> Shown<'static> {
        match (Conditions::of(facts), &facts.subject.exec_error) {
            (Some(conditions), _) => {
                let operations: Vec<_> = self.requires.iter().filter_map(operation).collect();
                let refusal = first_refusal(&operations, &conditions);
                Shown::Inferred(refusal.map(|(_, answer)| answer))
            }
            (None, Some(ExecError::OutsideBounding(_) | ExecError::NotExecutable(_))) => {
                Shown::Refused(Vec::new())
            }
            (None, _) => Shown::Unknown,
        }
    }

    /// The checks that bear on it, those that were run.
    fn judged<'a>(&self, facts: &Facts, judged: &'a [Judged]) -> Vec<&'a Judged> {
        let found = self.checks(facts);
        let found = found.filter_map(|id| judged.iter().find(|check| check.id == id));
        found.collect()
    }

    /// Whether this check is about an amount of which the probes use less than the backend does.
    fn takes_more_than_tried(&self, id: &str) -> bool {
        let bytes = |requirement: &Requirement| match requirement {
            Requirement::Map(_, bytes) => *bytes,
            _ => 0,
        };
        match id {
            "nofile" => true,
            "memlock" => self.requires.iter().map(bytes).sum::<u64>() > TRIED_BYTES,
            _ => false,
        }
    }

    /// The limit of locked memory is too low for others, and has room for what this backend uses.
    fn fits(&self, id: &str, facts: &Facts) -> bool {
        let probes = facts.probes.as_ref();
        let largest = probes.and_then(|probes| probes.get("map:array_1mib"));
        let has_room = largest.is_some_and(Probe::works);
        id == "memlock" && has_room && !self.takes_more_than_tried(id)
    }

    fn outcome(&self, facts: &Facts, judged: &[Judged]) -> (Status, bool, Vec<&'static str>) {
        let bearing = self.judged(facts, judged);
        let that = |fits: &dyn Fn(&Judged) -> bool| -> Vec<&'static str> {
            let fitting = bearing.iter().filter(|check| fits(check));
            fitting.map(|check| check.id).collect()
        };
        let denies_events =
            |check: &Judged| check.id == FILTER && matches!(check.verdict, Verdict::Degraded(_));
        let blocking = that(&|check| {
            let blocked = matches!(check.verdict, Verdict::Blocked(_));
            blocked && !self.fits(check.id, facts) || denies_events(check) && opens_events(self)
        });
        let degrading =
            that(&|check| matches!(check.verdict, Verdict::Degraded(_)) && !denies_events(check));
        let unknown = that(&|check| matches!(check.verdict, Verdict::Unknown(_)));
        let closed = |proven| {
            let mut because = blocking.clone();
            if because.is_empty() {
                because.clone_from(&degrading);
            }
            if because.is_empty() {
                because.push(UNEXPLAINED);
            }
            (Status::Blocked, proven, because)
        };
        let open = |proven| {
            let status = if degrading.is_empty() {
                Status::Ready
            } else {
                Status::Degraded
            };
            (status, proven, degrading.clone())
        };
        match self.shown(facts) {
            Shown::Done if blocking.iter().any(|id| self.takes_more_than_tried(id)) => {
                closed(false)
            }
            Shown::Done => open(true),
            Shown::Refused(_) => closed(true),
            Shown::Inferred(Some(_)) => closed(false),
            Shown::Inferred(None) if !blocking.is_empty() => closed(false),
            Shown::Inferred(None) if unknown.is_empty() => open(false),
            Shown::Unknown if unknown.is_empty() => closed(false),
            Shown::Inferred(None) | Shown::Unknown => (Status::Unknown, false, unknown),
        }
    }
}

/// The check of seccomp filters: degraded where one lets bpf(2) through and denies perf events.
const FILTER: &str = "seccomp";

/// The largest map that is tried.
const TRIED_BYTES: u64 = 1 << 20;

/// The check that tells of a refusal which nothing else explains.
pub(crate) const UNEXPLAINED: &str = "kernel-refused";

/// What becomes of a goal on these facts, where the checks said this.
pub(crate) fn outcome(goal: &Goal, facts: &Facts, judged: &[Judged]) -> Outcome {
    let open = by_backends(goal, facts, judged);
    let stands = |check: &&Judged| {
        goal.limits.contains(&check.id) && matches!(check.verdict, Verdict::Blocked(_))
    };
    let limits: Vec<_> = judged.iter().filter(stands).map(|check| check.id).collect();
    match open.status {
        Status::Ready | Status::Degraded if !limits.is_empty() => Outcome {
            status: Status::Blocked,
            via: None,
            because: limits,
            ..open
        },
        _ => open,
    }
}

/// The outcome by the best of its backends, before [`Goal::limits`].
fn by_backends(goal: &Goal, facts: &Facts, judged: &[Judged]) -> Outcome {
    let made = |status, via: Option<&Backend>, proven, because| Outcome {
        id: goal.id,
        title: goal.title,
        status,
        via: via.map(|backend| backend.name),
        proven,
        because,
    };
    let mut best: Option<(Status, &Backend, bool, Vec<&'static str>)> = None;
    // What prevents better backends comes before what the one that is used costs, and causes it.
    let mut missed: Vec<&'static str> = Vec::new();
    for backend in goal.backends_here(facts) {
        let (status, proven, because) = backend.outcome(facts, judged);
        if status == Status::Ready {
            return made(status, Some(backend), proven, Vec::new());
        }
        if best.as_ref().is_none_or(|(before, ..)| status < *before) {
            let closed = best.replace((status, backend, proven, because));
            missed.extend(closed.into_iter().flat_map(|(.., because)| because));
        }
    }
    let found = |id: &&'static str| {
        let mut checks = judged.iter();
        checks.any(|check| check.id == *id && check.verdict.finding().is_some())
    };
    missed.retain(|id| found(id));
    match best {
        Some((Status::Degraded, backend, proven, because)) => {
            let own = because.into_iter().filter(|id| !missed.contains(id));
            let own: Vec<_> = own.collect();
            missed.extend(own);
            made(Status::Degraded, Some(backend), proven, missed)
        }
        Some((status, _, proven, because)) => made(status, None, proven, because),
        None => made(Status::Unknown, None, false, Vec::new()),
    }
}
