//! Offsets in kernel structures by which `ebpf/access.h` decides whether the user may trace a task.

use crate::decode::btf::Btf;

/// Constants of `ebpf/access.h`, in bytes. `None` if one is not known: no task's memory may be read then.
pub(crate) fn offsets(btf: &Btf<'_>) -> Option<Vec<(&'static str, u32)>> {
    let of = |structure, member| btf.member_path(structure, &[member]);
    let first = of("cred", "uid")?;
    let ids = ["uid", "gid", "suid", "sgid", "euid", "egid"];
    let follow = (0..)
        .zip(ids)
        .all(|(at, id)| of("cred", id) == Some(first + 4 * at));
    // From Linux 7.1 on in task_exec_state, before that in mm_struct.
    let (holder, dumpable) = match of("task_struct", "exec_state") {
        Some(holder) => (holder, of("task_exec_state", "dumpable")?),
        None => (of("task_struct", "mm")?, of("mm_struct", "flags")?),
    };
    follow.then_some(vec![
        ("task_real_cred_offset", of("task_struct", "real_cred")?),
        ("cred_uid_offset", first),
        ("cred_permitted_offset", of("cred", "cap_permitted")?),
        ("cred_user_ns_offset", of("cred", "user_ns")?),
        ("user_ns_level_offset", of("user_namespace", "level")?),
        ("user_ns_owner_offset", of("user_namespace", "owner")?),
        ("task_dumpable_in_offset", holder),
        ("dumpable_offset", dumpable),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_offsets_of_this_kernel_are_found() {
        let Ok(bytes) = std::fs::read(crate::bpf::types::VMLINUX_BTF) else {
            return;
        };
        let found = offsets(&Btf::parse(&bytes[..]).unwrap()).unwrap();
        assert_eq!(found.len(), 8);
        assert!(found.iter().all(|(_, offset)| *offset > 0), "{found:?}");
    }
}
