//! What processes use, sampled from `/proc`.
//!
//! `sampler` looks at a set of processes again and again (`population` is who, by `discovery` where they are
//! somebody's descendants; `source` keeps the files of one open, `threads` those of its threads, `inherited`
//! reads what denet itself got of its children, `surroundings` what is around them all); those have effects.
//! What is made of it is pure: `stat` parses, `metrics` and `ledger` reckon, `ends` tells once, `sums` is what
//! it all comes to, `interval` paces, `model` is what records hold. `seen` says who can be watched at all.

pub(crate) mod cgroup;
mod discovery;
pub(crate) mod ends;
pub(crate) mod inherited;
pub(crate) mod interval;
pub(crate) mod ledger;
pub(crate) mod metrics;
pub mod model;
pub(crate) mod population;
pub(crate) mod program;
pub(crate) mod sampler;
pub(crate) mod seen;
pub(crate) mod source;
pub(crate) mod stat;
pub(crate) mod sums;
pub(crate) mod surroundings;
pub(crate) mod target;
mod threads;
