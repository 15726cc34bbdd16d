//! What a user wants to do, which ways there are to it, and what stands in each way.
//!
//! A way is open if the running kernel did all that it takes, or where that was not tried, if
//! [`predict`](crate::checks::predict) says that it will.

use crate::checks::predict::{
    Conditions, Link, Operation, PerfEvent, Prediction, Program, first_refusal,
};
use crate::checks::verdict::{Judged, Verdict};
use crate::decode::uapi::maps::map_type;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::Facts;
use crate::facts::exec::ExecError;
use crate::facts::probes::{Outcome as Answer, Probe};
use crate::sys::release::Release;

mod table;
#[cfg(test)]
#[cfg(feature = "ebpf")]
mod tests;

pub use table::GOALS;

/// Something that eBPF is wanted for.
#[derive(Debug)]
pub struct Goal {
    /// Stable name.
    pub id: &'static str,
    /// For people.
    pub title: &'static str,
    /// Best first.
    pub ways: &'static [Way],
    /// Checks that block the goal whichever way is open: limits that denet sets itself.
    pub limits: &'static [&'static str],
}

/// One way to a goal.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The hook, e.g. `raw_tp/sys_enter`.
    pub name: &'static str,
    /// Whether it is one here at all: denet takes other ways on other kernels.
    pub when: fn(&Facts) -> bool,
    /// What is asked of the kernel.
    pub asks: &'static [Ask],
    /// Probes that show it, where they were asked.
    pub probes: &'static [&'static str],
    /// Checks that explain why it is closed, or what it costs.
    pub checks: &'static [&'static [&'static str]],
}

/// What a way asks of the kernel.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// A map of this type (number), of so many bytes.
    Map(u32, u64),
    /// A program, and a helper that it calls.
    Program(ProgramKind, Option<u32>),
    /// A type of the kernel's own, which came with a version.
    Type(Release),
    /// A raw tracepoint.
    RawTracepoint,
    /// A perf event.
    Event(PerfEvent),
    /// A link to a network device.
    Xdp,
}

impl Ask {
    fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::Map(number, bytes) => Operation::MapCreate {
                map: map_type(number)?,
                bytes,
            },
            Self::Program(kind, calls) => Operation::ProgLoad(Program {
                calls,
                ..Program::minimal(kind)
            }),
            Self::Type(since) => Operation::KernelType { since },
            Self::RawTracepoint => Operation::RawTracepointOpen { exists: true },
            Self::Event(event) => Operation::PerfEventOpen(event),
            Self::Xdp => Operation::LinkCreate(Link::Xdp),
        })
    }
}

/// Whether a goal can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// In full.
    Ready,
    /// With less than there could be.
    Degraded,
    /// What it takes could not be looked at.
    Unknown,
    /// Not at all.
    Blocked,
}

impl Status {
    /// Stable name, for scripts.
    pub fn name(self) -> &'static str {
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
    pub title: &'static str,
    /// Whether it can be reached.
    pub status: Status,
    /// The way that is taken, where one is open.
    pub via: Option<&'static str>,
    /// The running kernel showed it; otherwise it follows from what is known.
    pub proven: bool,
    /// Ids of the checks that stand in the way of the best way that is not open, or make the open one
    /// worse.
    pub because: Vec<&'static str>,
}

/// By what a way is known to be open or closed.
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

impl Way {
    /// What the probes say, else what follows from the facts.
    pub(crate) fn shown<'a>(&self, facts: &'a Facts) -> Shown<'a> {
        let probes = facts.probes.as_ref();
        let asked: Vec<&Probe> = self
            .probes
            .iter()
            .filter_map(|id| probes?.get(id))
            .filter(|probe| !matches!(probe.outcome, Answer::NotAttempted(_)))
            .collect();
        let refused: Vec<&Probe> = asked.iter().filter(|it| !it.works()).copied().collect();
        if !refused.is_empty() {
            return Shown::Refused(refused);
        }
        if asked.len() == self.probes.len() {
            return Shown::Done;
        }
        self.inferred(facts)
    }

    /// What follows from the facts alone.
    pub(crate) fn inferred(&self, facts: &Facts) -> Shown<'static> {
        match (Conditions::of(facts), &facts.subject.exec_error) {
            (Some(conditions), _) => {
                let asks = self.asks.iter().filter_map(|ask| ask.operation());
                let operations: Vec<_> = asks.collect();
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
    pub(crate) fn judged<'a>(&self, judged: &'a [Judged]) -> Vec<&'a Judged> {
        let named = self.checks.iter().flat_map(|group| group.iter());
        let found = named.filter_map(|id| judged.iter().find(|check| check.id == *id));
        found.collect()
    }

    fn opens_events(&self) -> bool {
        self.asks.iter().any(|ask| matches!(ask, Ask::Event(_)))
    }

    /// Whether this check is about an amount of which the probes take less than the way does.
    fn takes_more_than_tried(&self, id: &str) -> bool {
        let bytes = |ask: &Ask| match ask {
            Ask::Map(_, bytes) => *bytes,
            _ => 0,
        };
        match id {
            "nofile" => true,
            "memlock" => self.asks.iter().map(bytes).sum::<u64>() > TRIED_BYTES,
            _ => false,
        }
    }

    /// The limit of locked memory is too low for others, and has room for what this way takes.
    fn fits(&self, id: &str, facts: &Facts) -> bool {
        let probes = facts.probes.as_ref();
        let largest = probes.and_then(|probes| probes.get("map:array_1mib"));
        let has_room = largest.is_some_and(Probe::works);
        id == "memlock" && has_room && !self.takes_more_than_tried(id)
    }

    fn outcome(&self, facts: &Facts, judged: &[Judged]) -> (Status, bool, Vec<&'static str>) {
        let bearing = self.judged(judged);
        let that = |fits: &dyn Fn(&Judged) -> bool| -> Vec<&'static str> {
            let fitting = bearing.iter().filter(|check| fits(check));
            fitting.map(|check| check.id).collect()
        };
        let denies_events =
            |check: &Judged| check.id == FILTER && matches!(check.verdict, Verdict::Degraded(_));
        let blocking = that(&|check| {
            let blocked = matches!(check.verdict, Verdict::Blocked(_));
            blocked && !self.fits(check.id, facts) || denies_events(check) && self.opens_events()
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
pub fn outcome(goal: &Goal, facts: &Facts, judged: &[Judged]) -> Outcome {
    let open = by_ways(goal, facts, judged);
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

/// The outcome by the best of its ways, before [`Goal::limits`].
fn by_ways(goal: &Goal, facts: &Facts, judged: &[Judged]) -> Outcome {
    let made = |status, via: Option<&Way>, proven, because| Outcome {
        id: goal.id,
        title: goal.title,
        status,
        via: via.map(|way| way.name),
        proven,
        because,
    };
    let mut best: Option<(Status, &Way, bool, Vec<&'static str>)> = None;
    // What closes better ways comes before what the one that is taken costs: it is behind that.
    let mut missed: Vec<&'static str> = Vec::new();
    for way in goal.ways.iter().filter(|way| (way.when)(facts)) {
        let (status, proven, because) = way.outcome(facts, judged);
        if status == Status::Ready {
            return made(status, Some(way), proven, Vec::new());
        }
        if best.as_ref().is_none_or(|(before, ..)| status < *before) {
            let closed = best.replace((status, way, proven, because));
            missed.extend(closed.into_iter().flat_map(|(.., because)| because));
        }
    }
    let found = |id: &&'static str| {
        let mut checks = judged.iter();
        checks.any(|check| check.id == *id && check.verdict.finding().is_some())
    };
    missed.retain(|id| found(id));
    match best {
        Some((Status::Degraded, way, proven, because)) => {
            let own = because.into_iter().filter(|id| !missed.contains(id));
            let own: Vec<_> = own.collect();
            missed.extend(own);
            made(Status::Degraded, Some(way), proven, missed)
        }
        Some((status, _, proven, because)) => made(status, None, proven, because),
        None => made(Status::Unknown, None, false, Vec::new()),
    }
}

fn always(_: &Facts) -> bool {
    true
}
