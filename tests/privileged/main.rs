//! Real eBPF on this kernel, as root and as users with less. Run by `tests/run privileged`.

mod access;
mod attach;
mod attached;
mod backends;
mod broken;
mod command;
mod completeness;
mod escapes;
mod exact;
mod exec;
mod facts;
mod least;
mod lifetime;
mod loss;
mod monitors;
mod net;
mod pid_namespace;
mod process;
mod provisioned;
mod running;
mod setup;
mod smoke;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod time_namespace;
mod trace;
mod trace_args;
mod usage;
mod xdp;

/// These tests need root: elsewhere they fail rather than pass for nothing.
fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "needs root: sudo tests/run privileged"
    );
}
