//! One file for each verb; `denet monitor` and `denet trace` share one.

pub(crate) mod attach;
pub mod diagnose;
pub mod exit;
pub(crate) mod monitor;
#[cfg(feature = "ebpf")]
mod processes;
mod profiling;
mod refusal;
pub(crate) mod run;
pub(crate) mod setup;
pub mod smoke;
pub(crate) mod stats;
