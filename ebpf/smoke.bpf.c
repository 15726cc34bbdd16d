/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How often did this task call this syscall? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile __u32 counted_nr = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_smoke);
} denet_observed SEC(".maps");

/* Run by BPF_PROG_TEST_RUN with a zero where pt_regs would be, it learns what the kernel calls us. */
SEC("raw_tp/sys_enter")
int denet_smoke(__u64 *ctx)
{
	__u64 caller = bpf_get_current_pid_tgid();
	struct denet_smoke *observed;
	__u32 zero = 0;

	observed = bpf_map_lookup_elem(&denet_observed, &zero);
	if (!observed)
		return 0;
	if (!ctx[0])
		observed->caller = caller;
	else if (observed->caller == caller && ctx[1] == counted_nr)
		observed->calls++; /* Only one task does. */
	return 0;
}
