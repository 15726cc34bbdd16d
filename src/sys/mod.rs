//! The only home of libc, `/proc`, `/sys` and exec (`bpf(2)` lives in [`crate::bpf`]).
#![expect(unsafe_code, reason = "system calls that no safe crate here wraps")]

pub mod account;
pub mod capabilities;
pub mod environment;
pub mod gate;
pub mod inherited;
pub mod invoke;
pub mod limits;
pub mod mapping;
pub mod program;
pub mod signals;
pub mod terminal;
pub mod xattr;
