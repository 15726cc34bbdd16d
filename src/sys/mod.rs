//! libc, `/proc`, `/sys` and exec (`bpf(2)` is in [`crate::bpf`]). Imports nothing from the other modules.
#![expect(unsafe_code, reason = "system calls that no safe crate here wraps")]

pub mod account;
#[cfg(feature = "ebpf")]
pub mod blocked;
pub(crate) mod blocking_writer;
pub mod capabilities;
pub(crate) mod clock;
pub mod counters;
pub mod environment;
#[cfg(feature = "ebpf")]
pub(crate) mod epoch;
pub(crate) mod gate;
pub mod identity;
pub(crate) mod inherited;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod mapping;
pub(crate) mod mountinfo;
pub(crate) mod mounts;
pub(crate) mod names;
pub mod namespace;
pub mod netlink;
pub mod page;
pub(crate) mod place;
pub mod processes;
pub mod release;
pub mod root;
pub(crate) mod signals;
pub(crate) mod switches;
pub(crate) mod sysctl;
pub(crate) mod terminal;
