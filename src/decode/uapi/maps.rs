//! Types of maps and their flags.

use crate::sys::release::Release;

/// A type of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapType {
    /// Without `BPF_MAP_TYPE_`, in lower case.
    pub name: &'static str,
    /// The first kernel that has it.
    pub(crate) since: Release,
    /// Making one takes CAP_NET_ADMIN besides CAP_BPF: measured on Linux 6.18, and the map's own
    /// `map_alloc` said so before 6.5.
    pub(crate) net_admin: bool,
    /// Making one takes the kernel's own BTF.
    pub(crate) kernel_btf: bool,
}

/// The type with this number (`enum bpf_map_type`); `None` for 0 and what Linux 6.9 does not have.
pub fn map_type(number: u32) -> Option<MapType> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    TYPES.get(index).copied()
}

/// A bit of `map_flags`, its name and the first kernel that takes it; the bits of `flags` that no
/// entry explains come last, without.
pub(crate) fn flags(flags: u32) -> impl Iterator<Item = (String, Option<Release>)> {
    let known = FLAGS.iter().filter(move |(bit, _, _)| flags & bit != 0);
    let rest = flags & !FLAGS.iter().fold(0, |all, (bit, _, _)| all | bit);
    let rest = (rest != 0).then(|| (format!("map flags {rest:#x}"), None));
    known
        .map(|(_, name, since)| ((*name).to_owned(), Some(*since)))
        .chain(rest)
}

/// `BPF_MAP_TYPE_RINGBUF`.
pub(crate) const RINGBUF: u32 = 27;

const fn map(name: &'static str, since: Release) -> MapType {
    MapType {
        name,
        since,
        net_admin: false,
        kernel_btf: false,
    }
}

const fn net_admin(name: &'static str, since: Release) -> MapType {
    MapType {
        net_admin: true,
        ..map(name, since)
    }
}

const fn kernel_btf(name: &'static str, since: Release) -> MapType {
    MapType {
        kernel_btf: true,
        ..map(name, since)
    }
}

/// From 1 on.
const TYPES: &[MapType] = &[
    map("hash", Release(3, 19)),
    map("array", Release(3, 19)),
    map("prog_array", Release(4, 2)),
    map("perf_event_array", Release(4, 3)),
    map("percpu_hash", Release(4, 6)),
    map("percpu_array", Release(4, 6)),
    map("stack_trace", Release(4, 6)),
    map("cgroup_array", Release(4, 8)),
    map("lru_hash", Release(4, 10)),
    map("lru_percpu_hash", Release(4, 10)),
    map("lpm_trie", Release(4, 11)),
    map("array_of_maps", Release(4, 12)),
    map("hash_of_maps", Release(4, 12)),
    net_admin("devmap", Release(4, 14)),
    net_admin("sockmap", Release(4, 14)),
    map("cpumap", Release(4, 15)),
    net_admin("xskmap", Release(4, 18)),
    net_admin("sockhash", Release(4, 18)),
    map("cgroup_storage", Release(4, 19)),
    map("reuseport_sockarray", Release(4, 19)),
    map("percpu_cgroup_storage", Release(4, 20)),
    map("queue", Release(4, 20)),
    map("stack", Release(4, 20)),
    map("sk_storage", Release(5, 2)),
    net_admin("devmap_hash", Release(5, 4)),
    kernel_btf("struct_ops", Release(5, 6)),
    map("ringbuf", Release(5, 8)),
    map("inode_storage", Release(5, 10)),
    kernel_btf("task_storage", Release(5, 11)),
    map("bloom_filter", Release(5, 16)),
    map("user_ringbuf", Release(6, 1)),
    map("cgrp_storage", Release(6, 2)),
    map("arena", Release(6, 9)),
];

const FLAGS: &[(u32, &str, Release)] = &[
    (1 << 0, "BPF_F_NO_PREALLOC", Release(4, 6)),
    (1 << 1, "BPF_F_NO_COMMON_LRU", Release(4, 10)),
    (1 << 2, "BPF_F_NUMA_NODE", Release(4, 14)),
    (1 << 3, "BPF_F_RDONLY", Release(4, 15)),
    (1 << 4, "BPF_F_WRONLY", Release(4, 15)),
    (1 << 5, "BPF_F_STACK_BUILD_ID", Release(4, 17)),
    (1 << 6, "BPF_F_ZERO_SEED", Release(5, 0)),
    (1 << 7, "BPF_F_RDONLY_PROG", Release(5, 2)),
    (1 << 8, "BPF_F_WRONLY_PROG", Release(5, 2)),
    (1 << 9, "BPF_F_CLONE", Release(5, 4)),
    (1 << 10, "BPF_F_MMAPABLE", Release(5, 5)),
    (1 << 11, "BPF_F_PRESERVE_ELEMS", Release(5, 10)),
    (1 << 12, "BPF_F_INNER_MAP", Release(5, 10)),
    (1 << 13, "BPF_F_LINK", Release(6, 4)),
    (1 << 15, "BPF_F_VTYPE_BTF_OBJ_FD", Release(6, 9)),
    (1 << 16, "BPF_F_TOKEN_FD", Release(6, 9)),
    (1 << 17, "BPF_F_SEGV_ON_FAULT", Release(6, 9)),
    (1 << 18, "BPF_F_NO_USER_CONV", Release(6, 9)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_header() {
        let name = |number| map_type(number).map(|map| map.name);
        assert_eq!(name(1), Some("hash"));
        assert_eq!(name(RINGBUF), Some("ringbuf"));
        assert_eq!(name(29), Some("task_storage"));
        assert_eq!(name(33), Some("arena"));
        assert_eq!((name(0), name(34)), (None, None));
    }

    #[test]
    fn flags_are_named() {
        let named: Vec<_> = flags(1 << 10 | 1 << 30).collect();
        assert_eq!(
            named,
            [
                ("BPF_F_MMAPABLE".to_owned(), Some(Release(5, 5))),
                ("map flags 0x40000000".to_owned(), None)
            ]
        );
        assert_eq!(flags(0).count(), 0);
    }
}
