//! What denet attaches to the kernel: one table, which the doctor evaluates and the loader follows.
//!
//! `table` has a row for each backend: its name as printed everywhere, how its programs are attached and what
//! they require of the kernel. A list is in order of preference, best first. The doctor (`checks::goals`) derives
//! operations, probes and checks from the requirements; `load` tries the rows in order and returns, for each
//! better backend, the kernel's refusal, which `checks::backend` explains. A backend that only `--hook` selects
//! is a row without requirements: its refusal has its own finding.

#[cfg(feature = "ebpf")]
mod counting;
#[cfg(feature = "ebpf")]
pub(crate) mod kernel;
#[cfg(feature = "ebpf")]
pub(crate) mod load;
#[cfg(feature = "ebpf")]
pub(crate) mod loader;
pub(crate) mod requirement;
#[cfg(feature = "ebpf")]
pub(crate) mod stream;
#[cfg(feature = "ebpf")]
mod streaming;
pub mod table;
