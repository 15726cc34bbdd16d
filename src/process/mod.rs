//! What processes use, sampled from `/proc`.
//!
//! `sampler` looks at a set of processes again and again (`population` is who, by `discovery` where they are
//! somebody's descendants; `source` keeps the files of one open, `threads` those of its threads, `inherited`
//! reads what denet itself got of its children, `surroundings` what is around them all); those have effects.
//! What is made of it is pure: `stat` parses, `metrics` and `ledger` reckon, `ends` tells once, `sums` is what
//! it all comes to, `interval` paces, `model` is what records hold. `seen` says who can be watched at all.

pub mod cgroup;
mod discovery;
pub mod ends;
pub mod inherited;
pub mod interval;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod population;
pub mod program;
pub mod sampler;
pub mod seen;
pub(crate) mod source;
pub mod stat;
pub mod sums;
pub mod surroundings;
pub mod target;
mod threads;
