//! The plan of a stream: which programs it loads, to report single calls instead of counting them.

use std::ffi::CStr;

use super::table::{Backend, Hooking};
use crate::bpf::object::MapSetting;
use crate::decode::btf::Btf;

/// Values of an object's `const volatile`, by name.
pub(crate) type Constants = Vec<(&'static str, u32)>;

/// A tracepoint, and the program for it in each of its forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachPoint {
    /// Name of the program for a raw tracepoint, or by the kernel's types.
    pub(crate) raw: &'static str,
    /// Name of the program for a perf event.
    pub(crate) event: &'static str,
    /// The group of the event in tracefs.
    pub(crate) group: &'static str,
    pub(crate) tracepoint: &'static CStr,
    /// It has to see a task before the programs that follow tasks forget it.
    pub(crate) before_following: bool,
}

impl AttachPoint {
    pub(crate) const fn new(
        raw: &'static str,
        event: &'static str,
        group: &'static str,
        tracepoint: &'static CStr,
    ) -> Self {
        Self {
            raw,
            event,
            group,
            tracepoint,
            before_following: false,
        }
    }

    pub(crate) const fn before_following(self) -> Self {
        Self {
            before_following: true,
            ..self
        }
    }
}

/// A program at a kernel function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionHook {
    pub(crate) program: &'static str,
    pub(crate) function: &'static CStr,
    /// It runs when the function returns, rather than when it is called.
    pub(crate) returns: bool,
    /// Not every kernel has the function: the one for calls of 32-bit programs.
    pub(crate) may_lack: bool,
}

/// What is read of a call that began before its task was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// Its registers.
    Registers,
    /// What they point to as well, and this much of buffers.
    Memory(usize),
}

/// What to load.
pub(crate) struct Plan {
    pub(crate) object: &'static [u8],
    /// One of [`EXEC`](super::table::EXEC), [`NET`](super::table::NET) and [`TRACE`](super::table::TRACE).
    pub(crate) backends: &'static [Backend],
    pub(crate) hooking: Hooking,
    /// In the order in which they are attached: programs at the end of calls come first.
    pub(crate) hooks: &'static [AttachPoint],
    /// Replaces the hooks at syscall tracepoints if functions of the kernel were selected; empty if the stream does
    /// not offer that.
    pub(crate) functions: &'static [FunctionHook],
    pub(crate) constants: Constants,
    /// Further constants, from the kernel's types if it has any.
    pub(crate) typed: fn(&Btf<'_>) -> Constants,
    /// Size of the ring buffer: a power of two, and a multiple of the page size.
    pub(crate) ring_bytes: u32,
    /// Slots for threads, a power of two; `None` for as many as for counting.
    pub(crate) slots: Option<u32>,
    pub(crate) settings: Vec<MapSetting>,
    /// Forks are reported as well, each before the child runs.
    pub(crate) reports_forks: bool,
    /// Calls that began before their task was followed are reported as well.
    pub(crate) earlier: Option<Earlier>,
}
