//! A program at a network interface that is nobody's: `lo` of a network namespace made for it.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{Asker, LICENSE, hooks, micros, of};
use crate::bpf::KernelError;
use crate::bpf::assembly::Assembly;
use crate::bpf::kernel;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::Facts;
use crate::facts::probes::{Events, Outcome};
use crate::sys::release::Release;
use crate::sys::{namespace, netlink};

/// How many datagrams are to be counted.
const DATAGRAMS: u64 = 25;

/// What the program says of each (`enum xdp_action`).
const XDP_PASS: i32 = 2;

/// In the network stack: `lo` has no driver to run it (include/uapi/linux/if_link.h).
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;

/// Kernels from here on have links for XDP.
const HAS_LINKS: Release = Release(5, 9);

/// What came in the way, at which command.
type Stopped = (String, Outcome);

/// A program that is being attached and called.
pub(super) struct Pending {
    /// Index of its probe.
    probe: usize,
    /// What came of it, and after how many microseconds.
    thread: JoinHandle<(Result<Option<Events>, Stopped>, u64)>,
}

/// Begins, in a thread with which the network namespace ends: to attach and to detach takes 25 ms,
/// which the kernel waits for its other CPUs, and others can be asked meanwhile.
pub(super) fn begin(asker: &mut Asker, facts: &Facts) -> Option<Pending> {
    let id = "attach:xdp".to_owned();
    let counts = hooks::counts(1)
        .map_err(|why| asker.skip(id.clone(), "xdp", why))
        .ok()?;
    let start = Instant::now();
    let program = Assembly::tally(counts.as_fd(), XDP_PASS);
    let program = asker.ask(id, "xdp", || {
        kernel::load_program("count", of(ProgramKind::Xdp), LICENSE, &program)
    })?;
    let release = facts.kernel.release();
    let linked = release.is_none_or(|release| release >= HAS_LINKS);
    let attempt = move || {
        let result = attach(program.as_fd(), &counts, linked);
        (result, micros(start))
    };
    let probe = asker.all.len() - 1;
    match std::thread::Builder::new().spawn(attempt) {
        Ok(thread) => Some(Pending { probe, thread }),
        Err(error) => {
            asker.all[probe].outcome = Outcome::Failed(format!("there is no thread: {error}"));
            None
        }
    }
}

/// Waits for the end, after which nothing is left.
pub(super) fn end(asker: &mut Asker, pending: Pending) {
    let probe = &mut asker.all[pending.probe];
    let Ok((result, duration_us)) = pending.thread.join() else {
        probe.outcome = Outcome::Failed("its thread panicked".to_owned());
        return;
    };
    probe.duration_us = duration_us;
    match result {
        Ok(events) => probe.events = events,
        Err((operation, outcome)) => {
            probe.operation = operation;
            probe.outcome = outcome;
        }
    }
}

fn attach(
    program: BorrowedFd<'_>,
    counts: &OwnedFd,
    linked: bool,
) -> Result<Option<Events>, Stopped> {
    let unavailable = |what: &'static str| {
        move |error: io::Error| {
            (
                what.to_owned(),
                Outcome::NotAttempted(format!("{what}: {error}")),
            )
        }
    };
    namespace::enter_new_network().map_err(unavailable("unshare CLONE_NEWNET"))?;
    netlink::raise(netlink::LOOPBACK).map_err(unavailable("RTM_SETLINK lo up"))?;
    let link =
        put(program, linked).map_err(|error| (error.operation, Outcome::of(&error.source)))?;
    let sent = send();
    sent.map_err(|error| {
        (
            "sendto".to_owned(),
            Outcome::Failed(format!("to lo: {error}")),
        )
    })?;
    let events = hooks::counted(counts, 0, DATAGRAMS);
    drop(link);
    Ok(events)
}

/// Without links the program goes with the namespace.
fn put(program: BorrowedFd<'_>, linked: bool) -> Result<Option<OwnedFd>, KernelError> {
    let (lo, flags) = (netlink::LOOPBACK, XDP_FLAGS_SKB_MODE);
    match kernel::link_xdp(program, lo, flags) {
        Err(error) if !linked && error.source.raw_os_error() == Some(libc::EINVAL) => {
            netlink::attach_xdp(lo, program, flags)
                .map_err(|error| KernelError::new("RTM_SETLINK IFLA_XDP", error))?;
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// Somebody listens, so that no error message comes back, which would be counted as well.
fn send() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(socket.local_addr()?)?;
    for _ in 0..DATAGRAMS {
        socket.send(&[])?;
    }
    Ok(())
}
