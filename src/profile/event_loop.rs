//! The event loop of every verb that observes something: it waits for signals, for descriptors, and for the
//! next moment at which something is due.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::stops::{Stop, Stops};
use crate::sys::signals::{Arrived, Signals};

/// What failed, and the error.
pub(crate) type Failure = (&'static str, io::Error);

/// An observation, which lasts until its end.
pub(crate) trait Observation {
    /// Why it ended.
    type End;
    /// Why it could not be observed any longer.
    type Error: From<Failure>;

    /// Descriptors that become readable when there is something to do.
    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    /// When something is due, whether or not a descriptor becomes readable.
    fn due(&self) -> Option<Instant>;

    /// denet was stopped, and continues. Signals that arrived meanwhile are handled after this.
    fn resumed(&mut self, _stop: Stop) {}

    /// Handles a signal; returns it if it is one that ends denet.
    fn signal(&mut self, arrived: Arrived) -> Result<Option<Signal>, Self::Error> {
        Ok(Some(arrived.signal).filter(|_| arrived.asks_to_stop()))
    }

    /// Does what is due; returns the reason if this was the end. `stop` is a signal that stops denet.
    fn step(&mut self, stop: Option<Signal>) -> Result<Option<Self::End>, Self::Error>;
}

/// Observes until the end.
pub(crate) fn until_end<O: Observation>(
    observation: &mut O,
    signals: &Signals,
    stops: &mut Stops,
) -> Result<O::End, O::Error> {
    loop {
        wait(signals, observation, stops).map_err(|error| ("cannot wait", error))?;
        let mut all = Vec::new();
        while let Some(arrived) = next(signals)? {
            all.push(arrived);
        }
        let continues = |arrived: &Arrived| arrived.signal == Signal::SIGCONT;
        if all.iter().any(continues) {
            observation.resumed(stops.last());
        }
        let mut stop = None;
        for arrived in all.into_iter().filter(|arrived| !continues(arrived)) {
            stop = observation.signal(arrived)?.or(stop);
        }
        if let Some(end) = observation.step(stop)? {
            return Ok(end);
        }
    }
}

/// A signal that stops denet, if one has arrived.
pub(super) fn interruption(signals: &Signals) -> Result<Option<Signal>, Failure> {
    while let Some(arrived) = next(signals)? {
        if arrived.asks_to_stop() {
            return Ok(Some(arrived.signal));
        }
    }
    Ok(None)
}

fn next(signals: &Signals) -> Result<Option<Arrived>, Failure> {
    signals
        .next()
        .map_err(|error| ("cannot read signals", error))
}

fn wait(signals: &Signals, observation: &impl Observation, stops: &mut Stops) -> io::Result<()> {
    let mut sources = vec![signals.as_fd()];
    sources.extend(observation.sources());
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut sources: Vec<_> = sources.into_iter().map(readable).collect();
    let due = observation.due();
    stops.before_wait(due);
    let timeout = due.map_or(PollTimeout::NONE, |due| {
        // Rounded up: a timeout of zero would spin.
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    let polled = poll(&mut sources, timeout);
    stops.after_wait();
    match polled {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
