//! Programs, maps and links that anybody has loaded: who else is on the same hooks.
//!
//! Only CAP_SYS_ADMIN may list them.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::decode::uapi::sections::ProgramKind;

/// A loaded program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedProgram {
    /// Its number, never given twice.
    pub id: u32,
    /// Its type; `None` for one that denet does not know.
    pub kind: Option<ProgramKind>,
    /// The first 15 letters of its name; empty if it has none.
    pub name: String,
    /// Who loaded it.
    pub uid: u32,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedMap {
    /// Its number.
    pub id: u32,
    /// Its type; `None` for one that denet does not know.
    pub kind: Option<String>,
    /// The first 15 letters of its name; empty if it has none.
    pub name: String,
    /// Places for entries.
    pub max_entries: u32,
}

/// Where a program hangs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HungAt {
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
pub struct LoadedLink {
    /// Its number.
    pub id: u32,
    /// The program that it holds.
    pub program: u32,
    /// Where.
    pub at: HungAt,
}

/// A descriptor of some process that keeps a program at a tracepoint or function, link or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Name of that.
    pub command: String,
    /// The program.
    pub program: u32,
    /// `raw_tracepoint`, `tracepoint`, `kprobe`, `kretprobe`, `uprobe` or `uretprobe`.
    pub how: String,
    /// Tracepoint, function or file.
    pub at: String,
}

/// All that is loaded. `Denied` without CAP_SYS_ADMIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Programs.
    pub programs: Fact<Vec<LoadedProgram>>,
    /// Maps.
    pub maps: Fact<Vec<LoadedMap>>,
    /// Links; `Failed` before Linux 5.8, which does not list them.
    pub links: Fact<Vec<LoadedLink>>,
    /// Who holds programs at tracepoints and functions, as far as `/proc` shows processes.
    pub holders: Fact<Vec<Holder>>,
}

impl Loaded {
    /// Asks the running kernel.
    #[cfg(feature = "ebpf")]
    pub fn probe() -> Self {
        use crate::bpf::inventory;
        Self {
            programs: Fact::of("BPF_PROG_GET_NEXT_ID", inventory::programs()),
            maps: Fact::of("BPF_MAP_GET_NEXT_ID", inventory::maps()),
            links: Fact::of("BPF_LINK_GET_NEXT_ID", inventory::links()),
            holders: Fact::of("BPF_TASK_FD_QUERY", inventory::holders()),
        }
    }
}
