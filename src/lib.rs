//! denet profiles what a command and all its descendants ask of the Linux kernel.
//!
//! Effects live at the edges. [`sys`] holds system calls, `/proc` and exec; `bpf` loads and
//! reads the eBPF programs of `ebpf/`; [`profile`] runs a command between them. What is made of
//! their data takes no part in that: [`syscalls`] names numbers, [`profile::tally`] and
//! [`profile::analyse`] add up and conclude, [`facts`] are judged by [`checks`] into a
//! [`finding::Finding`] ([`uapi`] knows the numbers of eBPF), and [`render`] turns it all into text
//! and JSON lines. [`cli`] parses, [`run`] is the verb, `src/bin/denet.rs` calls it. [`smoke`] is the
//! test of `src/bin/ebpf_test.rs`: one program through every stage of its life.

#[cfg(feature = "ebpf")]
pub mod bpf;
pub mod checks;
pub mod cli;
pub mod exit;
pub mod facts;
pub mod finding;
pub mod profile;
pub mod render;
pub mod run;
pub mod shell;
pub mod smoke;
pub mod step;
pub mod sys;
pub mod syscalls;
pub mod uapi;
