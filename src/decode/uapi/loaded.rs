//! Programs, maps and links as `bpf(2)` and `/proc` list them.

use serde::{Deserialize, Serialize};

use super::sections::ProgramKind;

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedProgram {
    /// Its number, never given twice.
    pub id: u32,
    /// Its type; `None` for one that denet does not know.
    pub(crate) kind: Option<ProgramKind>,
    /// The first 15 letters of its name; empty if it has none.
    pub name: String,
    /// Who loaded it.
    pub(crate) uid: u32,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadedMap {
    pub(crate) id: u32,
    /// Its type; `None` for one that denet does not know.
    pub(crate) kind: Option<String>,
    /// The first 15 letters of its name; empty if it has none.
    pub(crate) name: String,
    /// Places for entries.
    pub(crate) max_entries: u32,
}

/// What a program is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttachedTo {
    /// A raw tracepoint, by name.
    RawTracepoint(String),
    /// A tracepoint by types, a function or a security hook: the number of its type in the kernel's
    /// BTF.
    KernelType(u32),
    /// A perf event: a tracepoint, a kernel function or a file, by name; empty before Linux 6.6, which
    /// does not tell.
    PerfEvent(String),
    /// A network interface, by its number.
    Xdp(u32),
    /// A control group, by its number.
    Cgroup(u64),
    /// Something else: number of the type of link.
    Other(u32),
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadedLink {
    pub(crate) id: u32,
    /// The program that it holds.
    pub(crate) program: u32,
    pub(crate) at: AttachedTo,
}

/// A descriptor of some process that keeps a program at a tracepoint or function, link or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) program: u32,
    /// `raw_tracepoint`, `tracepoint`, `kprobe`, `kretprobe`, `uprobe` or `uretprobe`.
    pub(crate) how: String,
    /// Tracepoint, function or file.
    pub(crate) at: String,
}
