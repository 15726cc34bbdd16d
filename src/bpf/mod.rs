//! The eBPF programs, and the code to run them: embedded objects, a loader, the layout of the maps.
//!
//! `ebpf/*.bpf.c` is compiled in advance by `ebpf/build`; the objects are part of this binary, so nothing
//! is ever loaded from a path that another user can write.
#![expect(
    unsafe_code,
    reason = "bpf(2) takes pointers; the kernel fills plain structures"
)]

pub mod abi;
pub(crate) mod assembly;
pub(crate) mod calibrate;
pub(crate) mod inventory;
pub(crate) mod invoke;
pub(crate) mod kernel;
pub(crate) mod object;
pub(crate) mod perf;
pub(crate) mod pins;
pub(crate) mod tables;
#[cfg(feature = "test-hooks")]
pub(crate) mod trial;
pub(crate) mod types;
pub(crate) mod types_access;
pub(crate) mod types_ids;

pub(crate) use kernel::KernelError;

/// The compiled objects, aligned as their ELF structures require, and a table of them.
macro_rules! objects {
    ($($constant:ident $name:literal)+) => {
        $(pub(crate) static $constant: &[u8] =
            aya::include_bytes_aligned!(concat!("../../ebpf/objects/", $name, ".bpf.o"));)+
        /// Every object by its name.
        pub(crate) static OBJECTS: &[(&str, &[u8])] = &[$(($name, $constant)),+];
    };
}

objects! {
    CALIBRATE "calibrate"
    EXEC "exec"
    LIFECYCLE "lifecycle"
    NET "net"
    SMOKE "smoke"
    SYSCALLS "syscalls"
    TRACE "trace"
    XDP "xdp"
}
