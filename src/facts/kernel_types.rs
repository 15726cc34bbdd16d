//! What the kernel says of its own types, and whether those that programs take are among them.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::decode::btf::{Btf, Kind};
use crate::sys::root::Root;

/// Where the kernel describes them.
pub(crate) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// A type that some program takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WantedType {
    /// `btf_trace_sys_enter`
    pub(crate) name: String,
    /// Its number in the kernel's BTF; `None` if that has no such type.
    pub(crate) id: Option<u32>,
}

/// The kernel's types, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelTypes {
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
    /// How many types.
    pub(crate) types: u64,
    /// Those that some program takes.
    pub(crate) wanted: Vec<WantedType>,
}

/// What denet's programs, and those that ask what a kernel can, are attached by or read.
const WANTED: [(Kind, &str); 15] = [
    (Kind::Struct, "task_struct"),
    (Kind::Struct, "pt_regs"),
    (Kind::Struct, "trace_event_raw_sched_process_fork"),
    (Kind::Typedef, "btf_trace_sys_enter"),
    (Kind::Typedef, "btf_trace_sys_exit"),
    (Kind::Typedef, "btf_trace_sched_process_exec"),
    (Kind::Typedef, "btf_trace_sched_process_exit"),
    (Kind::Typedef, "btf_trace_sched_process_fork"),
    (Kind::Typedef, "btf_trace_sched_switch"),
    (Kind::Function, FENTRY),
    (Kind::Function, "bpf_task_from_pid"),
    (Kind::Function, "bpf_task_release"),
    (Kind::Function, "bpf_iter_task_new"),
    (Kind::Struct, "bpf_iter__task"),
    (Kind::Function, WALK),
];

/// A function that every kernel has and a process can have called: read(2) does.
pub(crate) const FENTRY: &str = "vfs_read";

/// By which a walk over all tasks is attached (Linux 5.8).
pub(crate) const WALK: &str = "bpf_iter_task";

impl KernelTypes {
    /// Reads and parses them; `Absent` on a kernel built without.
    pub(crate) fn probe(root: &Root) -> Fact<Self> {
        Fact::of(VMLINUX, root.read(VMLINUX)).and_then(|bytes| match describe(&bytes) {
            Ok(types) => Fact::Known(types),
            Err(error) => Fact::Failed(format!("{VMLINUX}: {error}")),
        })
    }

    /// Number of a wanted type; `None` if the kernel has none of the name.
    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.wanted.iter().find(|wanted| wanted.name == name)?.id
    }
}

fn describe(bytes: &[u8]) -> Result<KernelTypes, crate::decode::btf::BtfError> {
    let btf = Btf::parse(bytes)?;
    let found = btf.find_all(&WANTED);
    let wanted = WANTED.iter().zip(found).map(|((_, name), id)| WantedType {
        name: (*name).to_owned(),
        id: id.map(|id| id.0),
    });
    Ok(KernelTypes {
        bytes: bytes.len() as u64,
        types: btf.len() as u64,
        wanted: wanted.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    #[test]
    fn a_kernel_without_or_with_broken_types() {
        let with = |bytes: &[u8]| {
            let tree = Tree::with(&[(VMLINUX, bytes)]);
            KernelTypes::probe(&tree.root())
        };
        assert!(matches!(with(b""), Fact::Failed(_)));
        assert!(matches!(with(b"\x9f\xeb\x01\x00garbage"), Fact::Failed(_)));
        let empty = b"\x9f\xeb\x01\x00\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0";
        let types = with(empty);
        let types = types.known().unwrap();
        assert_eq!((types.bytes, types.types), (25, 0));
        assert_eq!(types.id("task_struct"), None);
        assert_eq!(
            KernelTypes::probe(&Tree::with(&[("/x", "")]).root()),
            Fact::Absent
        );
    }
}
