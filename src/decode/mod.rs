//! The kernel's numbers, names and formats. Pure: nothing here makes a system call.
//!
//! [`syscalls`] names calls. The [`table`] lists what the arguments of each are. From that follow both what the
//! eBPF side captures ([`table::Entry::captures`]) and how it is decoded ([`arguments`]). [`descriptors`]
//! tracks what descriptors refer to, [`filter`] parses the expressions of `-e`. [`btf`] reads the kernel's types, [`uapi`] has the names of eBPF.

pub(crate) mod arguments;
pub mod btf;
pub(crate) mod call;
pub(crate) mod descriptors;
pub(crate) mod errors;
pub(crate) mod filter;
pub(crate) mod names;
pub(crate) mod quote;
pub mod syscalls;
pub mod table;
pub mod uapi;
pub(crate) mod value;
