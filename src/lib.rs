//! denet profiles the system calls and the resource usage of a command and all its descendants.
//!
//! docs/design.md lists the modules in the order in which they may use each other; `tests/contract/layers.rs`
//! enforces that order. Each module describes itself in its first line.
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
