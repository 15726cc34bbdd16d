//! `denet monitor xdp`: how many frames of which kind arrive at an interface. Nothing is dropped or
//! changed.
//!
//! `attach` puts the program there and reads its counters, `pin` keeps both beyond the process: those have
//! effects, and so has the loop here. `counters` adds up, `model` holds what is told.

#[cfg(feature = "ebpf")]
mod attach;
#[cfg(not(feature = "ebpf"))]
#[path = "unbuilt.rs"]
mod attach;
#[cfg(feature = "ebpf")]
pub mod cost;
pub mod counters;
pub mod model;
#[cfg(feature = "ebpf")]
mod pin;
mod tell;

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::checks::finding::Finding;
use crate::cli::Output;
use crate::commands::exit;
use crate::facts::interfaces::XdpMode;
use crate::sys::signals::Signals;
use attach::Attached;
use model::{End, Interval, Whole};
use tell::Teller;

/// How often it is looked whether the program is at its interface still.
const GLANCE: Duration = Duration::from_secs(1);

/// Where the program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, else in the network stack.
    Auto,
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Mode {
    /// Whether a program that runs there will do.
    pub fn allows(self, mode: XdpMode) -> bool {
        match self {
            Self::Auto => true,
            Self::Native => mode == XdpMode::Native,
            Self::Generic => mode == XdpMode::Generic,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Name of the interface.
    pub interface: String,
    /// Where the program is to run.
    pub mode: Mode,
    /// Keep program and counters in this directory of a bpffs, or go on with those there.
    pub pin: Option<PathBuf>,
    /// Take the program off and remove what is in this directory, and nothing else.
    pub unpin: Option<PathBuf>,
    /// How often to tell.
    pub interval: Duration,
    /// Stop after that long.
    pub duration: Option<Duration>,
}

/// Why nothing is counted.
#[derive(Debug)]
pub(crate) enum StartError {
    /// eBPF cannot be used there.
    Refused(Box<Finding>),
    /// Something else is in the way, in words; names in it may be hostile.
    Failed(String),
}

#[cfg(feature = "ebpf")]
fn refused(error: &crate::bpf::KernelError) -> StartError {
    let what = error.to_string();
    let facts = crate::facts::Facts::probe();
    let finding = crate::checks::xdp::refused(&facts, error.as_refusal(&what));
    StartError::Refused(Box::new(finding))
}

/// Counts and tells, or removes what is pinned; returns the exit code.
pub fn run(options: &Options, output: &Output) -> u8 {
    if let Err(code) = crate::output::may_write(output) {
        return code;
    }
    let done = match &options.unpin {
        Some(place) => unpin(options, place, output),
        None => watch(options, output),
    };
    done.unwrap_or_else(|error| tell::refuse(&error))
}

fn unpin(options: &Options, place: &std::path::Path, output: &Output) -> Result<u8, StartError> {
    let removed = attach::remove(options, place)?;
    let mut teller = Teller::open(output)?;
    teller.removed(&options.interface, place, &removed);
    Ok(match &removed.left {
        Some(left) => {
            crate::output::complain(&format!("cannot remove {left}"));
            exit::FAILED
        }
        None => teller.end(0),
    })
}

fn watch(options: &Options, output: &Output) -> Result<u8, StartError> {
    // Before anything is attached: what comes from now on ends in an orderly way.
    let signals = Signals::watch()
        .map_err(|error| StartError::Failed(format!("cannot watch signals: {error}")))?;
    let mut teller = Teller::open(output)?;
    let attached = Attached::new(options)?;
    teller.begin(&attached.about);
    let first = attached.first();
    let mut before = first.clone();
    let started = Instant::now();
    let deadline = options
        .duration
        .and_then(|length| started.checked_add(length));
    let mut due = started + options.interval;
    let end = loop {
        let glance = Instant::now() + GLANCE;
        wait(&signals, deadline.into_iter().chain([due, glance]).min())?;
        if Instant::now() >= due {
            let now = attached.read()?;
            teller.interval(
                &attached.about,
                Interval {
                    before: &before,
                    now: &now,
                },
            );
            before = now;
            due = next(due, options.interval);
            if teller.is_unread() {
                break End::Unread;
            }
        }
        if let Some(end) = has_ended(&attached, &signals, deadline)? {
            break end;
        }
    };
    let about = attached.about.clone();
    let last = attached.finish()?;
    let whole = Whole { first, last, end };
    teller.conclude(&about, &whole);
    Ok(teller.end(match end {
        End::Interrupted(signal) => exit::of_signal(signal),
        End::Duration | End::InterfaceGone | End::TakenOff | End::Unread => 0,
    }))
}

/// On the beat, without making up for those that were missed.
fn next(due: Instant, interval: Duration) -> Instant {
    let now = Instant::now();
    let mut next = due + interval;
    if next <= now {
        next = now + interval;
    }
    next
}

fn has_ended(
    attached: &Attached,
    signals: &Signals,
    deadline: Option<Instant>,
) -> Result<Option<End>, StartError> {
    let failed = |what: &str, error: io::Error| StartError::Failed(format!("{what}: {error}"));
    while let Some(arrived) = signals
        .next()
        .map_err(|error| failed("cannot read signals", error))?
    {
        if arrived.asks_to_stop() {
            return Ok(Some(End::Interrupted(arrived.signal as i32)));
        }
    }
    let there = attached
        .is_attached()
        .map_err(|error| failed("cannot look at the link", error))?;
    if !there {
        return Ok(Some(match attach::exists(attached.about.index)? {
            true => End::TakenOff,
            false => End::InterfaceGone,
        }));
    }
    let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
    Ok(over.then_some(End::Duration))
}

fn wait(signals: &Signals, due: Option<Instant>) -> Result<(), StartError> {
    let mut sources = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    // Rounded up: a timeout of zero would spin.
    let timeout = due.map_or(PollTimeout::NONE, |due| {
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut sources, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(StartError::Failed(format!("cannot wait: {errno}"))),
    }
}
