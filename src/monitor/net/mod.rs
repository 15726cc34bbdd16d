//! `denet monitor net`: which processes communicate through which sockets, how much, and which calls fail.

#[cfg(feature = "ebpf")]
pub mod abi;
pub(crate) mod arguments;
#[cfg(feature = "ebpf")]
pub(crate) mod call;
#[cfg(feature = "ebpf")]
pub(crate) mod listener;
#[cfg(feature = "ebpf")]
pub(crate) mod model;
#[cfg(feature = "ebpf")]
mod operations;
#[cfg(feature = "ebpf")]
mod render;
#[cfg(feature = "ebpf")]
mod types;
