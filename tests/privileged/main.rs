//! Real eBPF on this kernel, as root and as users with less. Run by `tests/run privileged`.

mod command;
mod exact;
mod least;
mod lifetime;
mod loss;
mod smoke;
#[path = "../support/mod.rs"]
mod support;

/// These tests need root: elsewhere they fail rather than pass for nothing.
fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "needs root: sudo tests/run privileged"
    );
}
