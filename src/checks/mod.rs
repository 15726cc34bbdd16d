//! Judgements over facts. Pure: nothing here reads, runs or prints.

pub mod backend;
mod bpf_access;
pub mod object;
pub mod predict;
pub mod smoke;

pub use bpf_access::{Refusal, explain};
