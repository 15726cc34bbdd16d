//! Programs, maps and links that anybody has loaded: who else is on the same hooks.
//!
//! Only CAP_SYS_ADMIN may list them.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::decode::uapi::loaded::{Holder, LoadedLink, LoadedMap, LoadedProgram};

/// All that is loaded. `Denied` without CAP_SYS_ADMIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Programs.
    pub programs: Fact<Vec<LoadedProgram>>,
    /// Maps.
    pub(crate) maps: Fact<Vec<LoadedMap>>,
    /// Links; `Failed` before Linux 5.8, which does not list them.
    pub(crate) links: Fact<Vec<LoadedLink>>,
    /// Who holds programs at tracepoints and functions, as far as `/proc` shows processes.
    pub(crate) holders: Fact<Vec<Holder>>,
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
