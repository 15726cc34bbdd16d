//! Attaches the program to the interface, and reads its counters.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::counters::Counts;
use super::model::{About, Reading, Removed};
use super::pin::{self, Kept, Place};
use super::program::{counters, load, read};
use super::{Mode, Options, StartError, refused};
use crate::bpf::object::Maps;
use crate::bpf::{KernelError, inventory, kernel, pins};
use crate::checks;
use crate::checks::finding::Finding;
use crate::decode::uapi::loaded::AttachedTo;
use crate::facts::Fact;
use crate::facts::interfaces::{Interface, XdpProgram};
use crate::sys::root::Root;
use crate::sys::{account, capabilities};

/// include/uapi/linux/if_link.h
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// An attached program.
pub(crate) struct Attached {
    pub(crate) about: About,
    link: OwnedFd,
    counters: OwnedFd,
    first: Vec<Counts>,
    started: Instant,
}

impl Attached {
    /// Attaches, or continues with what was pinned.
    pub(crate) fn new(options: &Options) -> Result<Self, StartError> {
        let interface = find(&options.interface)?;
        let place = match options.pin.as_deref().map(Place::open).transpose()? {
            Some(Place::Kept(kept)) => return Self::resume(options, &interface, kept),
            Some(Place::Free(free)) => Some(free),
            None => None,
        };
        if let Some(finding) = taken(&interface) {
            return Err(StartError::Refused(Box::new(finding)));
        }
        let mut maps = Maps::new();
        let program = load(&mut maps).map_err(|error| refused(&error))?;
        let counters = counters(maps)?;
        let mut pinning = place
            .map(|place| place.keep(program.fd.as_fd(), counters.as_fd()))
            .transpose()?;
        let (link, not_native) = put(program.fd.as_fd(), interface.index, options.mode)
            .map_err(|error| why_not(&error, &interface, options.mode))?;
        if let Some(pinning) = &mut pinning {
            pinning.keep_link(link.as_fd())?;
        }
        let about = About {
            not_native,
            pinned: options.pin.clone(),
            ..about(interface, &program.fd)?
        };
        if let Some(pinning) = pinning {
            pinning.done();
        }
        capabilities::give_up();
        Ok(Self {
            about,
            link,
            first: vec![Counts::default(); read(&counters)?.len()],
            counters,
            started: Instant::now(),
        })
    }

    fn resume(options: &Options, interface: &Interface, kept: Kept) -> Result<Self, StartError> {
        kept.counts_at(interface)?;
        let mut about = About {
            pinned: options.pin.clone(),
            ..about(interface.clone(), &kept.program)?
        };
        if !options.mode.allows(about.mode) {
            return Err(StartError::Failed(format!(
                "what is pinned there runs in {} mode: without --mode it goes on, --unpin removes it",
                about.mode.name()
            )));
        }
        let (link, counters) = (kept.link, kept.counters);
        let first = read(&counters)?;
        about.resumed = Some(Counts::sum(&first).frames());
        capabilities::give_up();
        Ok(Self {
            about,
            link,
            counters,
            first,
            started: Instant::now(),
        })
    }

    /// The counters when this run began: all 0 if it created them, so that no frame is missed.
    pub(crate) fn first(&self) -> Reading {
        Reading {
            elapsed: Duration::ZERO,
            cpus: self.first.clone(),
        }
    }

    /// The counts so far. Other CPUs continue to count meanwhile.
    pub(crate) fn read(&self) -> Result<Reading, StartError> {
        Ok(Reading {
            elapsed: self.started.elapsed(),
            cpus: read(&self.counters)?,
        })
    }

    /// Whether the program is still attached to its interface.
    pub(crate) fn is_attached(&self) -> io::Result<bool> {
        let link = pins::xdp_link(&self.link)?;
        Ok(link.is_some_and(|link| link.interface != 0))
    }

    /// Detaches the program, unless it is pinned, and reads for the last time.
    pub(crate) fn finish(self) -> Result<Reading, StartError> {
        let elapsed = self.started.elapsed();
        drop(self.link);
        // Runs that began before the program was detached may not have ended.
        let _ = account::kernel_barrier();
        Ok(Reading {
            elapsed,
            cpus: read(&self.counters)?,
        })
    }
}

fn interfaces() -> Result<Vec<Interface>, StartError> {
    match Interface::probe_all(&Root::default()) {
        Fact::Known(interfaces) => Ok(interfaces),
        Fact::Absent => Ok(Vec::new()),
        Fact::Denied(why) | Fact::Failed(why) => Err(StartError::Failed(format!(
            "cannot list the network interfaces: {why}"
        ))),
    }
}

fn find(name: &str) -> Result<Interface, StartError> {
    let interfaces = interfaces()?;
    let found = interfaces.iter().find(|interface| interface.name == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<_> = interfaces.iter().map(|it| it.name.as_str()).collect();
        StartError::Failed(format!(
            "there is no network interface {name}; there are: {}",
            names.join(", ")
        ))
    })
}

/// Whether there is an interface of this number.
pub(crate) fn exists(index: u32) -> Result<bool, StartError> {
    Ok(interfaces()?.iter().any(|it| it.index == index))
}

/// Detaches the pinned program and removes the pins.
pub(crate) fn remove(options: &Options, place: &Path) -> Result<Removed, StartError> {
    let interfaces = interfaces()?;
    let found = interfaces.iter().find(|it| it.name == options.interface);
    pin::remove(place, found)
}

/// Attaches in the requested mode, or the best possible one; also returns why not natively.
fn put(
    program: BorrowedFd<'_>,
    interface: u32,
    mode: Mode,
) -> Result<(OwnedFd, Option<String>), KernelError> {
    let link = |flags| {
        let link = kernel::link_xdp(program, interface, flags);
        tracing::debug!(interface, flags, error = ?link.as_ref().err(), "attach");
        link
    };
    match mode {
        Mode::Native => Ok((link(XDP_FLAGS_DRV_MODE)?, None)),
        Mode::Generic => Ok((link(XDP_FLAGS_SKB_MODE)?, None)),
        Mode::Auto => match link(XDP_FLAGS_DRV_MODE) {
            Ok(link) => Ok((link, None)),
            Err(error) if is_of_the_driver(&error) => {
                Ok((link(XDP_FLAGS_SKB_MODE)?, Some(in_words(&error.source))))
            }
            Err(error) => Err(error),
        },
    }
}

/// Whether the driver refused. Drivers have many reasons (no support, the MTU, too few queues); the errors listed
/// here are not among them.
fn is_of_the_driver(error: &KernelError) -> bool {
    let others = [
        libc::EBUSY,
        libc::EEXIST,
        libc::EPERM,
        libc::EACCES,
        libc::ENODEV,
    ];
    let errno = error.source.raw_os_error();
    errno.is_some_and(|errno| !others.contains(&errno))
}

fn why_not(error: &KernelError, interface: &Interface, mode: Mode) -> StartError {
    match error.source.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            // Another process has attached a program meanwhile.
            let now = find(&interface.name).ok().and_then(|now| taken(&now));
            now.map_or_else(|| refused(error), |it| StartError::Refused(Box::new(it)))
        }
        Some(libc::ENODEV) => StartError::Failed(format!("{} is gone", interface.name)),
        _ if mode == Mode::Native && is_of_the_driver(error) => {
            let said = format!("{}: {}", interface.name, in_words(&error.source));
            StartError::Refused(Box::new(checks::xdp::not_native(said)))
        }
        _ => refused(error),
    }
}

fn in_words(error: &io::Error) -> String {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    errno.map_or_else(|| error.to_string(), |errno| errno.to_string())
}

/// The finding with the program that is attached to the interface.
fn taken(interface: &Interface) -> Option<Finding> {
    let programs = match &interface.xdp {
        Fact::Known(programs) if programs.is_empty() => return None,
        Fact::Known(programs) => programs.as_slice(),
        // There is one, but the kernel does not report which (before Linux 4.13).
        Fact::Failed(_) => &[],
        Fact::Absent | Fact::Denied(_) => return None,
    };
    let evidence = programs.iter().map(|program| named(interface, program));
    Some(crate::checks::xdp::taken(evidence.collect()))
}

fn named(interface: &Interface, of: &XdpProgram) -> String {
    let mode = of.mode.name();
    let base = format!("{}: XDP program {} ({mode})", interface.name, of.program);
    let Ok(programs) = inventory::programs() else {
        return format!("{base}; its name is told to CAP_SYS_ADMIN only");
    };
    let Some(program) = programs.iter().find(|program| program.id == of.program) else {
        return base;
    };
    let links = inventory::links().unwrap_or_default();
    let is_its = |to: &AttachedTo| *to == AttachedTo::Xdp(interface.index);
    let link = links
        .iter()
        .find(|it| it.program == of.program && is_its(&it.at));
    let held = link.map_or_else(
        || "attached by netlink, without a link".to_owned(),
        |link| format!("held by link {}", link.id),
    );
    format!(
        "{base}, {:?}, loaded by uid {}, {held}",
        program.name, program.uid
    )
}

/// What the kernel reports about the attached program.
fn about(interface: Interface, program: &OwnedFd) -> Result<About, StartError> {
    let of = |error| StartError::Failed(format!("cannot look at the program: {error}"));
    let info = pins::program(program).map_err(of)?;
    let now = interfaces()?;
    let now = now.iter().find(|now| now.index == interface.index);
    let programs = now.and_then(|now| now.xdp.known());
    let ours = programs.and_then(|all| all.iter().find(|it| it.program == info.id));
    let Some(ours) = ours else {
        let why = format!("{}: the kernel lists no program of denet's", interface.name);
        return Err(StartError::Failed(why));
    };
    Ok(About {
        interface: interface.name,
        index: interface.index,
        up: interface.up,
        mode: ours.mode,
        not_native: None,
        program: info.id,
        program_name: info.name,
        pinned: None,
        resumed: None,
    })
}
