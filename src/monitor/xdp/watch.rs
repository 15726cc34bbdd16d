//! Observes an interface until the end, or removes what is pinned.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::attach::{self, Attached};
use super::model::{End, Interval, Reading, Whole};
use super::{Options, StartError, records, render};
use crate::monitor::request;
use crate::output::reporter::Reporter;
use crate::profile::event_loop::{self, Failure, Observation};
use crate::profile::stops::Stops;
use crate::sys::clock::now_ms;
use crate::sys::signals::Signals;

/// How often denet checks whether the program is still attached to its interface.
const CHECKED_EVERY: Duration = Duration::from_secs(1);

impl From<Failure> for StartError {
    fn from((what, error): Failure) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Finished {
    /// Frames were counted until then.
    Counted(End),
    /// Pins were removed, except for this.
    Removed(Option<String>),
}

/// Counts and reports, or removes pins. Also returns whether everything could be written.
///
/// # Errors
/// Why nothing is counted or removed.
pub(crate) fn run(
    options: &Options,
    general: &request::Options,
) -> Result<(Finished, bool), StartError> {
    match &options.unpin {
        Some(place) => unpin(options, place, general),
        None => watch(options, general),
    }
}

fn open(general: &request::Options) -> Result<Reporter, StartError> {
    Reporter::open(&general.output, "nothing was attached").map_err(StartError::Failed)
}

fn unpin(
    options: &Options,
    place: &Path,
    general: &request::Options,
) -> Result<(Finished, bool), StartError> {
    let removed = attach::remove(options, place)?;
    let mut reporter = open(general)?;
    let interface = &options.interface;
    reporter
        .records
        .write(&records::removed(interface, place, &removed));
    reporter.report(|to, columns| render::removed(to, interface, place, &removed, columns));
    let is_written = removed.left.is_some() || reporter.end();
    Ok((Finished::Removed(removed.left), is_written))
}

fn watch(options: &Options, general: &request::Options) -> Result<(Finished, bool), StartError> {
    // Before anything is attached, so that a signal ends the run with everything detached.
    let signals = Signals::watch().map_err(|error| ("cannot watch signals", error))?;
    let mut reporter = open(general)?;
    let attached = Attached::new(options)?;
    let about = attached.about.clone();
    let metadata = records::metadata(&about, now_ms());
    reporter.records.write(&metadata);
    if !reporter.is_in_place() {
        reporter.page(|to, columns| render::header(to, &about, columns));
    }
    let first = attached.first();
    let started = Instant::now();
    let duration = general.duration;
    let mut observed = ObservedInterface {
        before: first.clone(),
        deadline: duration.and_then(|duration| started.checked_add(duration)),
        interval: general.interval,
        next: started + general.interval,
        attached,
        reporter,
    };
    let end = event_loop::until_end(&mut observed, &signals, &mut Stops::default())?;
    let ObservedInterface {
        attached,
        mut reporter,
        ..
    } = observed;
    let last = attached.finish()?;
    let whole = Whole { first, last, end };
    if reporter.records.wanted() {
        let summary = records::summary(&about, &whole);
        reporter.records.write(&summary);
    }
    reporter.report(|to, columns| render::report(to, &about, &whole, columns));
    Ok((Finished::Counted(end), reporter.end()))
}

/// An interface while it is observed.
struct ObservedInterface {
    attached: Attached,
    reporter: Reporter,
    before: Reading,
    interval: Duration,
    next: Instant,
    deadline: Option<Instant>,
}

impl ObservedInterface {
    /// Reports what arrived since the last reading.
    fn report(&mut self) -> Result<(), StartError> {
        let now = self.attached.read()?;
        let about = &self.attached.about;
        let interval = Interval {
            before: &self.before,
            now: &now,
        };
        let reporter = &mut self.reporter;
        if reporter.records.wanted() {
            let record = records::interval(&interval, now_ms());
            reporter.records.write(&record);
        }
        if reporter.is_in_place() {
            reporter.table(|to, columns| render::table(to, about, &interval, columns));
        } else {
            reporter.page(|to, _| render::line(to, &interval));
        }
        self.before = now;
        self.next = next(self.next, self.interval);
        Ok(())
    }
}

impl Observation for ObservedInterface {
    type End = End;
    type Error = StartError;

    fn due(&self) -> Option<Instant> {
        let check = Instant::now() + CHECKED_EVERY;
        self.deadline.into_iter().chain([self.next, check]).min()
    }

    fn step(&mut self, stop: Option<Signal>) -> Result<Option<End>, StartError> {
        if Instant::now() >= self.next {
            self.report()?;
            if self.reporter.is_unread() {
                return Ok(Some(End::Unread));
            }
        }
        // Before anything else: a program that is no longer attached has not counted up to now.
        let is_attached = self.attached.is_attached();
        if !is_attached.map_err(|error| ("cannot look at the link", error))? {
            return Ok(Some(match attach::exists(self.attached.about.index)? {
                true => End::TakenOff,
                false => End::InterfaceGone,
            }));
        }
        if let Some(signal) = stop {
            return Ok(Some(End::Interrupted(signal as i32)));
        }
        let is_over = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        Ok(is_over.then_some(End::Duration))
    }
}

/// The next regular time; missed ones are skipped.
fn next(due: Instant, interval: Duration) -> Instant {
    let now = Instant::now();
    let mut next = due + interval;
    if next <= now {
        next = now + interval;
    }
    next
}
