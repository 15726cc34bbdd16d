//! denet profiles what a command and all its descendants ask of the Linux kernel.
//!
//! Effects live at the edges. [`sys`] holds system calls, `/proc` and exec; `bpf` loads and
//! reads the eBPF programs of `ebpf/`; [`profile`] runs a command between them. What is made of
//! their data takes no part in that: [`syscalls`] names numbers, [`profile::tally`] and
//! [`profile::analyse`] add up and conclude, [`facts`] are judged by [`checks`] into a
//! [`finding::Finding`] ([`uapi`] knows the numbers of eBPF), and [`render`] turns it all into text
//! and JSON lines. [`cli`] parses, [`commands`] has a file for each verb, `src/bin/denet.rs` calls it. [`smoke`] is the
//! test of `src/bin/ebpf_test.rs`: one program through every stage of its life.
//!
//! [`commands::diagnose`] is `src/bin/ebpf_diag.rs`: it gathers [`facts`], judges them by [`checks`] and [`goals`] into a
//! [`report`], with a page of [`pages`] for each finding. [`process`] samples what processes use.
//! [`commands::stats`] is `denet stats`, a fold of a recording into [`stats`], [`export`] writes samples as a table.
//! [`monitor`] is `denet monitor` and `denet trace`: what happens, as it happens.
//! [`commands::setup`] is `denet setup`: [`setup`] plans,
//! journals, applies and undoes what a [`step::Step`] tells.

pub mod access;
#[cfg(feature = "ebpf")]
pub mod bpf;
pub mod checks;
pub mod cli;
pub mod commands;
pub mod escape;
pub mod exit;
pub mod export;
pub mod facts;
pub mod finding;
pub mod goals;
pub mod identity;
pub mod monitor;
pub mod output;
pub mod pages;
pub mod process;
pub mod profile;
pub mod render;
pub mod report;
pub mod setup;
pub mod shell;
pub mod smoke;
pub mod stats;
pub mod step;
pub mod sys;
pub mod syscalls;
pub mod trace;
pub mod uapi;
