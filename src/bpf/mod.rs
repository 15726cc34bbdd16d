//! The eBPF programs and what it takes to run them: embedded objects, a loader, the maps' layout.
//!
//! `ebpf/*.bpf.c` is compiled ahead by `ebpf/build`; the objects are part of this binary, so nothing
//! is ever loaded from a path that somebody else can write.
#![expect(
    unsafe_code,
    reason = "bpf(2) takes pointers; the kernel fills plain structures"
)]

pub mod abi;
pub(crate) mod assembly;
pub(crate) mod calibrate;
pub(crate) mod inventory;
pub mod invoke;
pub(crate) mod kernel;
pub(crate) mod object;
pub(crate) mod perf;
pub(crate) mod pins;
pub(crate) mod tables;
pub(crate) mod trial;
pub(crate) mod types;
pub(crate) mod types_access;

pub use kernel::KernelError;

/// The compiled objects, aligned as their ELF structures need it.
pub(crate) static CALIBRATE: &[u8] =
    aya::include_bytes_aligned!("../../ebpf/objects/calibrate.bpf.o");
pub(crate) static EXEC: &[u8] = aya::include_bytes_aligned!("../../ebpf/objects/exec.bpf.o");
pub(crate) static LIFECYCLE: &[u8] =
    aya::include_bytes_aligned!("../../ebpf/objects/lifecycle.bpf.o");
pub(crate) static NET: &[u8] = aya::include_bytes_aligned!("../../ebpf/objects/net.bpf.o");
pub(crate) static SMOKE: &[u8] = aya::include_bytes_aligned!("../../ebpf/objects/smoke.bpf.o");
pub(crate) static SYSCALLS: &[u8] =
    aya::include_bytes_aligned!("../../ebpf/objects/syscalls.bpf.o");
pub(crate) static TRACE: &[u8] = aya::include_bytes_aligned!("../../ebpf/objects/trace.bpf.o");
pub(crate) static XDP: &[u8] = aya::include_bytes_aligned!("../../ebpf/objects/xdp.bpf.o");
