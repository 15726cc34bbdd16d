//! libc, `/proc`, `/sys` and exec (`bpf(2)` is in [`crate::bpf`]). Imports nothing from the other modules.
#![expect(unsafe_code, reason = "system calls that no safe crate here wraps")]

pub mod account;
pub mod capabilities;
pub mod clock;
pub mod counters;
pub mod environment;
#[cfg(feature = "ebpf")]
pub(crate) mod epoch;
pub mod gate;
pub mod identity;
pub mod inherited;
pub mod limits;
pub mod login;
pub mod mapping;
pub mod mountinfo;
pub mod mounts;
pub mod names;
pub mod namespace;
pub mod netlink;
pub mod page;
pub(crate) mod patient;
pub mod place;
pub mod processes;
pub mod release;
pub mod root;
pub mod signals;
pub mod sysctl;
pub mod terminal;
