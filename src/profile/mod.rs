//! From a command to its profile.
//!
//! `session` starts the command and waits, `follow` runs the eBPF side: those have effects. What is
//! made of their data is pure: `model` holds it, `tally` adds it up, `analyse` draws conclusions.

pub mod analyse;
#[cfg(feature = "ebpf")]
pub mod cost;
#[cfg(feature = "ebpf")]
pub(crate) mod follow;
#[cfg(not(feature = "ebpf"))]
#[path = "unfollowed.rs"]
pub(crate) mod follow;
pub mod model;
pub mod session;
#[cfg(feature = "ebpf")]
pub mod tally;
