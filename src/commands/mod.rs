//! What each verb does: one file per verb. `denet monitor` and `denet trace` are [`crate::monitor`].

pub mod attach;
pub mod diagnose;
pub mod exit;
mod profiling;
pub mod run;
pub mod setup;
pub mod stats;
