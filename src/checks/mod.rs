//! Judgements over facts. Pure: nothing here reads, runs or prints.

/// The text of docs/troubleshooting/ID.md. Without such a page it does not compile.
macro_rules! page {
    ($id:literal) => {
        include_str!(concat!("../../docs/troubleshooting/", $id, ".md"))
    };
}

pub(crate) mod answers;
pub(crate) mod backend;
mod embedded;
pub(crate) mod finding;
pub(crate) mod findings;
pub mod goals;
mod kernel;
mod limits;
pub(crate) mod object;
mod outside;
pub mod pages;
pub mod predict;
pub(crate) mod privileges;
mod refusal;
pub mod report;
pub(crate) mod scope;
mod security;
pub(crate) mod smoke;
pub mod step;
mod table;
mod tracing;
pub(crate) mod verdict;
pub(crate) mod xdp;

#[cfg(feature = "ebpf")]
pub(crate) use refusal::IDS_OF_TASKS;
pub use refusal::{Refusal, WAITING, explain};
pub use table::{CHECKS, Check};
