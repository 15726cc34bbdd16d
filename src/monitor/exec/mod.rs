//! `denet monitor exec`: who executes what, and whether it succeeds.

#[cfg(feature = "ebpf")]
pub mod abi;
pub(crate) mod arguments;
#[cfg(feature = "ebpf")]
pub(crate) mod listener;
#[cfg(feature = "ebpf")]
pub(crate) mod model;
#[cfg(feature = "ebpf")]
mod render;
