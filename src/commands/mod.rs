//! What each verb does: one file for each. `denet monitor` and `denet trace` share one.

pub mod attach;
pub mod diagnose;
pub mod exit;
pub mod monitor;
mod profiling;
mod refusal;
pub mod run;
pub mod setup;
pub mod smoke;
pub mod stats;
