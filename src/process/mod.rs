//! What processes use, sampled from `/proc`.
//!
//! `sampler` samples a set of processes (`population`; `discovery` finds descendants): `source` keeps the files of a
//! process open, `threads` those of its threads, `inherited` reads what denet itself inherited from its children,
//! `system_context` what belongs to no single process. These have effects. The rest is pure: `stat` parses,
//! `metrics`, `ledger` and `accounts` compute, `ends` reports each exit once, `sums` adds up, `interval` decides when to
//! sample and `sweeps` when to read proportional set sizes, `model` has the types of the records. `seen` knows which
//! processes can be observed at all, `in_call` what a thread waits in, `sockets` the names of sockets.

pub(crate) mod accounts;
pub(crate) mod cgroup;
pub(crate) mod discovery;
pub(crate) mod ends;
#[cfg(feature = "ebpf")]
pub(crate) mod in_call;
pub(crate) mod inherited;
pub(crate) mod interval;
pub(crate) mod ledger;
pub(crate) mod metrics;
pub mod model;
pub(crate) mod population;
pub(crate) mod program;
pub(crate) mod sampler;
pub(crate) mod seen;
#[cfg(feature = "ebpf")]
pub(crate) mod sockets;
pub(crate) mod source;
pub(crate) mod stat;
pub(crate) mod sums;
mod sweeps;
pub(crate) mod system_context;
pub(crate) mod target;
mod threads;
