//! denet profiles what a command and all its descendants ask of the Linux kernel.
//!
//! Each module may use those that are listed after it, and none before it; `tests/contract/layers.rs` enforces
//! this. Effects are at the edges; what decides is pure and takes data.
//!
//! - [`cli`] parses options, [`commands`] has one file for each verb.
//! - [`render`] turns models into text and JSON.
//! - [`monitor`] is `denet trace` and `denet monitor`, one folder each. [`setup`] plans, journals, applies and
//!   undoes. [`smoke`] takes one program through every stage of its life. [`stats`] folds a recording.
//! - [`profile`] follows processes and counts their calls.
//! - [`checks`] judges facts into findings, each with its fix.
//! - [`process`] samples what processes use.
//! - [`backends`] is the table of what denet attaches to the kernel, and loads it.
//! - [`facts`] is what could be learned of this machine.
//! - `bpf` loads and reads the eBPF programs of `ebpf/`.
//! - [`decode`] knows the kernel's numbers, names and formats.
//! - [`output`] is where results go.
//! - [`sys`] has system calls and files of `/proc`; unsafe code is only here and in `bpf`.
#![cfg_attr(
    not(feature = "ebpf"),
    expect(
        dead_code,
        reason = "monitors of processes share code that only they use"
    )
)]

pub mod backends;
#[cfg(feature = "ebpf")]
pub mod bpf;
pub mod checks;
pub mod cli;
pub mod commands;
pub mod decode;
pub mod facts;
pub mod monitor;
pub mod output;
pub mod process;
pub mod profile;
pub mod render;
pub mod setup;
pub mod smoke;
pub mod stats;
pub mod sys;
