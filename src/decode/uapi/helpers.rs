//! Helper functions that a program calls by number.

use crate::sys::release::Release;

/// A helper of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Helper {
    /// As C calls it.
    pub(crate) name: &'static str,
    /// The first kernel that has it, for some type of program.
    pub(crate) since: Release,
    /// Kernels refuse it to a program whose license is not compatible with the GPL.
    pub(crate) gpl_only: bool,
}

/// The helper with this number; `None` for 0 and numbers that Linux 6.18 does not have. There will
/// be no more of them: what is new since 6.2 is a kernel function (kfunc).
pub(crate) fn helper(id: u32) -> Option<Helper> {
    let index = usize::try_from(id.checked_sub(1)?).ok()?;
    let name = NAMES.get(index)?;
    let &(_, since) = SINCE.iter().rev().find(|(first, _)| *first <= id)?;
    Some(Helper {
        name,
        since,
        gpl_only: GPL_ONLY.contains(&id),
    })
}

/// Numbers in whose place denet's loader puts functions of the kernel (`ebpf/lifecycle.bpf.c`), so that the
/// object asks for none of their types where their programs are not loaded.
pub(crate) const PLACEHOLDERS: std::ops::RangeInclusive<u32> = 0x6465_6e01..=0x6465_6e02;

/// Helpers that read the kernel: programs of every type need CAP_PERFMON for them
/// (`bpf_base_func_proto`, kernel/bpf/helpers.c).
pub(crate) fn reads_the_kernel(id: u32) -> bool {
    READS_THE_KERNEL.contains(&id)
}

/// Helpers whose arguments or result are described by the kernel's own types.
pub(crate) fn takes_kernel_types(id: u32) -> bool {
    TAKES_KERNEL_TYPES.contains(&id)
}

/// trace_printk, get_current_task, probe_read_{user,kernel}{,_str}, snprintf_btf,
/// get_current_task_btf, snprintf, task_pt_regs, trace_vprintk.
const READS_THE_KERNEL: &[u32] = &[6, 35, 112, 113, 114, 115, 149, 158, 165, 175, 177];

/// snprintf_btf, seq_printf_btf, task_storage_{get,delete}, get_current_task_btf: each names a type
/// that `btf_vmlinux` must hold.
const TAKES_KERNEL_TYPES: &[u32] = &[149, 150, 156, 157, 158];

/// Numbers are given in order of time: the first number that each release added.
const SINCE: &[(u32, Release)] = &[
    (1, Release(3, 19)),
    (4, Release(4, 1)),
    (12, Release(4, 2)),
    (17, Release(4, 3)),
    (23, Release(4, 4)),
    (26, Release(4, 5)),
    (27, Release(4, 6)),
    (31, Release(4, 8)),
    (37, Release(4, 9)),
    (42, Release(4, 10)),
    (45, Release(4, 11)),
    (46, Release(4, 12)),
    (48, Release(4, 13)),
    (51, Release(4, 14)),
    (54, Release(4, 15)),
    (58, Release(4, 16)),
    (60, Release(4, 17)),
    (65, Release(4, 18)),
    (81, Release(4, 19)),
    (84, Release(4, 20)),
    (91, Release(5, 0)),
    (93, Release(5, 1)),
    (99, Release(5, 2)),
    (109, Release(5, 3)),
    (110, Release(5, 4)),
    (111, Release(5, 5)),
    (116, Release(5, 6)),
    (119, Release(5, 7)),
    (125, Release(5, 8)),
    (136, Release(5, 9)),
    (142, Release(5, 10)),
    (156, Release(5, 11)),
    (163, Release(5, 12)),
    (164, Release(5, 13)),
    (166, Release(5, 14)),
    (169, Release(5, 15)),
    (176, Release(5, 16)),
    (180, Release(5, 17)),
    (186, Release(5, 18)),
    (194, Release(5, 19)),
    (204, Release(6, 0)),
    (208, Release(6, 1)),
    (210, Release(6, 2)),
];

/// Refused to a program that says "Proprietary", by number; measured on Linux 6.18 for every number
/// and type of program ("cannot call GPL-restricted function"). By `gpl_only` in the source, where
/// that kernel has no program that may call them: 36, 58, 77, 78, 92, 111, 121, 126, 127, 150.
const GPL_ONLY: &[u32] = &[
    4, 6, 22, 25, 27, 35, 36, 45, 55, 56, 58, 67, 69, 77, 78, 92, 100, 110, 111, 112, 113, 114,
    115, 119, 121, 126, 127, 150, 158, 163, 165, 169, 170, 171, 172, 173, 175, 176, 177, 191, 204,
    205, 206, 207,
];

/// From 1 on (`__BPF_FUNC_MAPPER`).
const NAMES: &[&str] = &[
    "bpf_map_lookup_elem",
    "bpf_map_update_elem",
    "bpf_map_delete_elem",
    "bpf_probe_read",
    "bpf_ktime_get_ns",
    "bpf_trace_printk",
    "bpf_get_prandom_u32",
    "bpf_get_smp_processor_id",
    "bpf_skb_store_bytes",
    "bpf_l3_csum_replace",
    "bpf_l4_csum_replace",
    "bpf_tail_call",
    "bpf_clone_redirect",
    "bpf_get_current_pid_tgid",
    "bpf_get_current_uid_gid",
    "bpf_get_current_comm",
    "bpf_get_cgroup_classid",
    "bpf_skb_vlan_push",
    "bpf_skb_vlan_pop",
    "bpf_skb_get_tunnel_key",
    "bpf_skb_set_tunnel_key",
    "bpf_perf_event_read",
    "bpf_redirect",
    "bpf_get_route_realm",
    "bpf_perf_event_output",
    "bpf_skb_load_bytes",
    "bpf_get_stackid",
    "bpf_csum_diff",
    "bpf_skb_get_tunnel_opt",
    "bpf_skb_set_tunnel_opt",
    "bpf_skb_change_proto",
    "bpf_skb_change_type",
    "bpf_skb_under_cgroup",
    "bpf_get_hash_recalc",
    "bpf_get_current_task",
    "bpf_probe_write_user",
    "bpf_current_task_under_cgroup",
    "bpf_skb_change_tail",
    "bpf_skb_pull_data",
    "bpf_csum_update",
    "bpf_set_hash_invalid",
    "bpf_get_numa_node_id",
    "bpf_skb_change_head",
    "bpf_xdp_adjust_head",
    "bpf_probe_read_str",
    "bpf_get_socket_cookie",
    "bpf_get_socket_uid",
    "bpf_set_hash",
    "bpf_setsockopt",
    "bpf_skb_adjust_room",
    "bpf_redirect_map",
    "bpf_sk_redirect_map",
    "bpf_sock_map_update",
    "bpf_xdp_adjust_meta",
    "bpf_perf_event_read_value",
    "bpf_perf_prog_read_value",
    "bpf_getsockopt",
    "bpf_override_return",
    "bpf_sock_ops_cb_flags_set",
    "bpf_msg_redirect_map",
    "bpf_msg_apply_bytes",
    "bpf_msg_cork_bytes",
    "bpf_msg_pull_data",
    "bpf_bind",
    "bpf_xdp_adjust_tail",
    "bpf_skb_get_xfrm_state",
    "bpf_get_stack",
    "bpf_skb_load_bytes_relative",
    "bpf_fib_lookup",
    "bpf_sock_hash_update",
    "bpf_msg_redirect_hash",
    "bpf_sk_redirect_hash",
    "bpf_lwt_push_encap",
    "bpf_lwt_seg6_store_bytes",
    "bpf_lwt_seg6_adjust_srh",
    "bpf_lwt_seg6_action",
    "bpf_rc_repeat",
    "bpf_rc_keydown",
    "bpf_skb_cgroup_id",
    "bpf_get_current_cgroup_id",
    "bpf_get_local_storage",
    "bpf_sk_select_reuseport",
    "bpf_skb_ancestor_cgroup_id",
    "bpf_sk_lookup_tcp",
    "bpf_sk_lookup_udp",
    "bpf_sk_release",
    "bpf_map_push_elem",
    "bpf_map_pop_elem",
    "bpf_map_peek_elem",
    "bpf_msg_push_data",
    "bpf_msg_pop_data",
    "bpf_rc_pointer_rel",
    "bpf_spin_lock",
    "bpf_spin_unlock",
    "bpf_sk_fullsock",
    "bpf_tcp_sock",
    "bpf_skb_ecn_set_ce",
    "bpf_get_listener_sock",
    "bpf_skc_lookup_tcp",
    "bpf_tcp_check_syncookie",
    "bpf_sysctl_get_name",
    "bpf_sysctl_get_current_value",
    "bpf_sysctl_get_new_value",
    "bpf_sysctl_set_new_value",
    "bpf_strtol",
    "bpf_strtoul",
    "bpf_sk_storage_get",
    "bpf_sk_storage_delete",
    "bpf_send_signal",
    "bpf_tcp_gen_syncookie",
    "bpf_skb_output",
    "bpf_probe_read_user",
    "bpf_probe_read_kernel",
    "bpf_probe_read_user_str",
    "bpf_probe_read_kernel_str",
    "bpf_tcp_send_ack",
    "bpf_send_signal_thread",
    "bpf_jiffies64",
    "bpf_read_branch_records",
    "bpf_get_ns_current_pid_tgid",
    "bpf_xdp_output",
    "bpf_get_netns_cookie",
    "bpf_get_current_ancestor_cgroup_id",
    "bpf_sk_assign",
    "bpf_ktime_get_boot_ns",
    "bpf_seq_printf",
    "bpf_seq_write",
    "bpf_sk_cgroup_id",
    "bpf_sk_ancestor_cgroup_id",
    "bpf_ringbuf_output",
    "bpf_ringbuf_reserve",
    "bpf_ringbuf_submit",
    "bpf_ringbuf_discard",
    "bpf_ringbuf_query",
    "bpf_csum_level",
    "bpf_skc_to_tcp6_sock",
    "bpf_skc_to_tcp_sock",
    "bpf_skc_to_tcp_timewait_sock",
    "bpf_skc_to_tcp_request_sock",
    "bpf_skc_to_udp6_sock",
    "bpf_get_task_stack",
    "bpf_load_hdr_opt",
    "bpf_store_hdr_opt",
    "bpf_reserve_hdr_opt",
    "bpf_inode_storage_get",
    "bpf_inode_storage_delete",
    "bpf_d_path",
    "bpf_copy_from_user",
    "bpf_snprintf_btf",
    "bpf_seq_printf_btf",
    "bpf_skb_cgroup_classid",
    "bpf_redirect_neigh",
    "bpf_per_cpu_ptr",
    "bpf_this_cpu_ptr",
    "bpf_redirect_peer",
    "bpf_task_storage_get",
    "bpf_task_storage_delete",
    "bpf_get_current_task_btf",
    "bpf_bprm_opts_set",
    "bpf_ktime_get_coarse_ns",
    "bpf_ima_inode_hash",
    "bpf_sock_from_file",
    "bpf_check_mtu",
    "bpf_for_each_map_elem",
    "bpf_snprintf",
    "bpf_sys_bpf",
    "bpf_btf_find_by_name_kind",
    "bpf_sys_close",
    "bpf_timer_init",
    "bpf_timer_set_callback",
    "bpf_timer_start",
    "bpf_timer_cancel",
    "bpf_get_func_ip",
    "bpf_get_attach_cookie",
    "bpf_task_pt_regs",
    "bpf_get_branch_snapshot",
    "bpf_trace_vprintk",
    "bpf_skc_to_unix_sock",
    "bpf_kallsyms_lookup_name",
    "bpf_find_vma",
    "bpf_loop",
    "bpf_strncmp",
    "bpf_get_func_arg",
    "bpf_get_func_ret",
    "bpf_get_func_arg_cnt",
    "bpf_get_retval",
    "bpf_set_retval",
    "bpf_xdp_get_buff_len",
    "bpf_xdp_load_bytes",
    "bpf_xdp_store_bytes",
    "bpf_copy_from_user_task",
    "bpf_skb_set_tstamp",
    "bpf_ima_file_hash",
    "bpf_kptr_xchg",
    "bpf_map_lookup_percpu_elem",
    "bpf_skc_to_mptcp_sock",
    "bpf_dynptr_from_mem",
    "bpf_ringbuf_reserve_dynptr",
    "bpf_ringbuf_submit_dynptr",
    "bpf_ringbuf_discard_dynptr",
    "bpf_dynptr_read",
    "bpf_dynptr_write",
    "bpf_dynptr_data",
    "bpf_tcp_raw_gen_syncookie_ipv4",
    "bpf_tcp_raw_gen_syncookie_ipv6",
    "bpf_tcp_raw_check_syncookie_ipv4",
    "bpf_tcp_raw_check_syncookie_ipv6",
    "bpf_ktime_get_tai_ns",
    "bpf_user_ringbuf_drain",
    "bpf_cgrp_storage_get",
    "bpf_cgrp_storage_delete",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names_and_releases() {
        let known = |id| helper(id).map(|helper| (helper.name, helper.since, helper.gpl_only));
        assert_eq!(
            known(1),
            Some(("bpf_map_lookup_elem", Release(3, 19), false))
        );
        assert_eq!(
            known(113),
            Some(("bpf_probe_read_kernel", Release(5, 5), true))
        );
        assert_eq!(
            known(130),
            Some(("bpf_ringbuf_output", Release(5, 8), false))
        );
        assert_eq!(
            known(158),
            Some(("bpf_get_current_task_btf", Release(5, 11), true))
        );
        assert_eq!(
            known(211),
            Some(("bpf_cgrp_storage_delete", Release(6, 2), false))
        );
        assert_eq!((known(0), known(212), known(u32::MAX)), (None, None, None));
    }

    #[test]
    fn later_numbers_came_later() {
        assert!(SINCE.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        assert!(GPL_ONLY.is_sorted_by(|a, b| a < b));
    }
}
