//! Where programs are attached that see calls.

/// Where programs are attached that see calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooking {
    /// Raw tracepoints, or where the kernel preempts their programs, perf events.
    #[default]
    Auto,
    /// Raw tracepoints.
    RawTracepoint,
    /// Perf events of tracepoints, which takes tracefs.
    Tracepoint,
    /// The kernel's functions.
    Kprobe,
}
