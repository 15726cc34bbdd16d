//! `denet monitor exec`: who executes what, and whether it succeeds.

#[cfg(feature = "ebpf")]
pub mod abi;
pub mod arguments;
#[cfg(feature = "ebpf")]
pub(crate) mod listener;
#[cfg(feature = "ebpf")]
pub mod model;
#[cfg(feature = "ebpf")]
mod render;
