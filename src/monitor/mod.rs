//! `denet trace` and `denet monitor`: events are reported as they occur.
//!
//! A monitor is a folder here and an entry in [`MONITORS`]: the ABI of its eBPF programs, its model, its rendering
//! and its arguments. Most observe processes: their programs report single calls, and a
//! [`Consumer`](crate::profile::stream::Consumer) reports these as [`events`]. `losses` reports what was lost, for
//! all of them. CONTRIBUTING.md lists the files of a new monitor.

pub(crate) mod arguments;
#[cfg(feature = "ebpf")]
mod cgroups;
#[cfg(feature = "ebpf")]
pub(crate) mod events;
pub mod exec;
#[cfg(feature = "ebpf")]
pub(crate) mod losses;
pub mod net;
pub(crate) mod request;
pub mod trace;
pub mod xdp;

use request::Monitor;

/// The monitors of `denet monitor`; `denet trace` is a verb of its own.
pub(crate) const MONITORS: &[Monitor] = &[
    exec::arguments::MONITOR,
    net::arguments::MONITOR,
    xdp::arguments::MONITOR,
];
