//! The numbers and names of `include/uapi/linux/bpf.h`, and which kernel first knew each.
//!
//! Versions are those of kernel.org, as two lists give them that name the commit of each feature:
//! bcc's docs/kernel-versions.md and docs.ebpf.io's timeline. Where both disagree, the release that
//! holds the commit. Distributions backport: a version says where to look, trying decides.

pub(crate) mod helpers;
pub(crate) mod loaded;
pub mod maps;
pub mod sections;
