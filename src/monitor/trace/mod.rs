//! `denet trace`: what strace shows, without stopping any process.
//!
//! The kernel side reports a call when it returns, one that never returns when it begins, and one in which its
//! thread ended when that ends. What each of them needs of memory follows from [`crate::decode::table`].

#[cfg(feature = "ebpf")]
pub mod abi;
pub(crate) mod arguments;
#[cfg(feature = "ebpf")]
mod earlier;
#[cfg(feature = "ebpf")]
mod followed;
#[cfg(feature = "ebpf")]
pub(crate) mod line;
#[cfg(feature = "ebpf")]
pub(crate) mod listener;
#[cfg(feature = "ebpf")]
mod pieces;
#[cfg(feature = "ebpf")]
pub(crate) mod plan;
#[cfg(feature = "ebpf")]
pub(crate) mod records;
#[cfg(test)]
#[cfg(feature = "ebpf")]
mod replay;
