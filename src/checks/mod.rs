//! Judgements over facts. Pure: nothing here reads, runs or prints.

pub(crate) mod answers;
pub mod backend;
mod embedded;
mod findings;
mod kernel;
mod limits;
pub mod object;
mod outside;
pub mod predict;
pub(crate) mod privileges;
mod refusal;
mod security;
pub mod smoke;
mod table;
mod tracing;
pub mod verdict;
pub mod xdp;

pub use refusal::{Refusal, WAITING, explain};
pub use table::{CHECKS, Check};
