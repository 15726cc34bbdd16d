//! What `denet trace` shows, without the showing: calls by name with their arguments, results and
//! descriptors, in the words of strace, as text and as JSON. Pure: nothing here asks the kernel.
//!
//! The [`table`] says of each syscall what its arguments are. From that follow both what the kernel
//! must capture ([`table::Entry::captures`]) and how it is read ([`decode`]). [`descriptors`]
//! follows what descriptors refer to, [`filter`] reads the expressions of `-e`, [`mod@line`] and
//! [`json`] write events out.

pub mod call;
pub mod decode;
pub mod descriptors;
pub mod errors;
pub mod filter;
pub mod json;
pub mod line;
pub mod names;
pub mod quote;
pub mod table;
pub mod value;

#[cfg(test)]
mod replay;
