//! Offsets in kernel structures by which programs find the ids that tasks have in denet's pid namespace, if that is not
//! the initial one.

use crate::decode::btf::{Btf, Kind};

/// Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdTypes {
    /// In `task_struct`.
    pub(crate) thread_pid: u32,
    /// In `task_struct`.
    group_leader: u32,
    /// In `struct pid`: the level of the innermost namespace, and the ids from the initial one (0) to that one.
    pub(crate) level: u32,
    numbers: u32,
    // Programs that know tasks by their types may read more than the first id only in an array without a length
    // (Linux 6.5).
    is_flexible: bool,
    // In `struct upid`, and its size.
    nr: u32,
    ns: u32,
    upid_bytes: u32,
    // In `pid_namespace`, of the number by which `/proc/PID/ns/pid` names it.
    inode: u32,
}

/// `None` if one is not known.
pub(crate) fn offsets(btf: &Btf<'_>) -> Option<IdTypes> {
    let of = |structure, member| btf.member_path(structure, &[member]);
    let pid = btf.find(Kind::Struct, "pid")?;
    let upid = btf.find(Kind::Struct, "upid")?;
    let (_, length) = btf.array(btf.resolve(btf.member(pid, "numbers")?.type_id)?)?;
    Some(IdTypes {
        thread_pid: of("task_struct", "thread_pid")?,
        group_leader: of("task_struct", "group_leader")?,
        level: of("pid", "level")?,
        numbers: of("pid", "numbers")?,
        is_flexible: length == 0,
        nr: of("upid", "nr")?,
        ns: of("upid", "ns")?,
        upid_bytes: btf.size(upid)?.try_into().ok()?,
        inode: btf.member_path("pid_namespace", &["ns", "inum"])?,
    })
}

/// A pid namespace that is not the initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdNamespace {
    pub(crate) types: IdTypes,
    /// How many namespaces contain it.
    pub(crate) level: u32,
    pub(crate) inode: u32,
}

impl IdNamespace {
    /// Programs can read the ids, also if only types let them (`typed_only`).
    pub(crate) fn is_readable(&self, typed_only: bool) -> bool {
        self.level > 0 && (!typed_only || self.types.is_flexible)
    }

    /// Constants of `ebpf/task.h`.
    pub(crate) fn constants(&self, typed_only: bool) -> Vec<(&'static str, u32)> {
        let types = &self.types;
        let number = types.numbers + self.level * types.upid_bytes;
        vec![
            ("ids_level", self.level),
            ("ids_namespace", self.inode),
            ("ids_pid_offset", types.thread_pid),
            ("ids_leader_offset", types.group_leader),
            ("ids_level_offset", types.level),
            ("ids_nr_offset", number + types.nr),
            ("ids_ns_offset", number + types.ns),
            ("ids_inode_offset", types.inode),
            ("ids_are_typed", typed_only.into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_offsets_of_this_kernel_are_found() {
        let Ok(bytes) = std::fs::read(crate::bpf::types::VMLINUX_BTF) else {
            return;
        };
        let types = offsets(&Btf::parse(&bytes[..]).unwrap()).unwrap();
        assert_eq!((types.nr, types.ns, types.upid_bytes), (0, 8, 16));
    }

    #[test]
    fn the_id_is_read_at_the_level_of_the_namespace() {
        let types = IdTypes {
            thread_pid: 1000,
            group_leader: 1008,
            level: 4,
            numbers: 112,
            is_flexible: false,
            nr: 0,
            ns: 8,
            upid_bytes: 16,
            inode: 24,
        };
        let of = |level| IdNamespace {
            types,
            level,
            inode: 1,
        };
        let constants = of(2).constants(false);
        assert!(constants.contains(&("ids_nr_offset", 144)));
        assert!(constants.contains(&("ids_ns_offset", 152)));
        assert!(of(1).is_readable(false) && !of(1).is_readable(true) && !of(0).is_readable(false));
    }
}
