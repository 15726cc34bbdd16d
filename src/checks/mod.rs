//! Judgements over facts. Pure: nothing here reads, runs or prints.

mod bpf_access;
pub mod object;

pub use bpf_access::{Refusal, explain};
