/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which syscalls does a followed task make? Filter first, then count in the task's own memory. */
#include "common.h"

/*
 * Where task_struct.thread_info tells that the call came through the 32-bit entry, and the bit
 * (x86: status & TS_COMPAT; arm64: flags & TIF_32BIT). A zero mask: this kernel has no such entry.
 */
const volatile __u32 compat_offset = 0;
const volatile __u32 compat_mask = 0;
/* bpf_get_current_task_btf() exists (5.11 and BTF): a plain load instead of a helper call. */
const volatile __u32 has_task_btf = 0;

static __always_inline __u32 is_compat_call(void)
{
	__u32 word = 0;

	if (!compat_mask)
		return 0;
	if (has_task_btf) {
		const void *task = bpf_get_current_task_btf();

		word = *(const volatile __u32 *)(task + compat_offset);
	} else {
		const void *task = (const void *)bpf_get_current_task();

		bpf_probe_read_kernel(&word, sizeof(word), task + compat_offset);
	}
	return (word & compat_mask) != 0;
}

/* Only the task itself writes its cells, and never twice at once: no atomics, no per-CPU copies. */
static __always_inline int count_in_cells(struct denet_task *task, __u32 key)
{
	/* Fibonacci hashing: neighbouring numbers land far apart, so probes stay short. */
	__u32 home = (key * 0x9e3779b1U) >> 26;

	for (__u32 probe = 0; probe < DENET_CELLS; probe++) {
		__u64 *cell = &task->cells[(home + probe) & (DENET_CELLS - 1)];
		__u64 value = *cell;

		if (value == 0 || (value & DENET_CELL_KEY_MASK) == key) {
			*cell = (value | key) + (1 << DENET_CELL_KEY_BITS);
			return 1;
		}
	}
	return 0;
}

static __noinline int count_in_spill(struct denet_task *task, __s32 nr, __u32 compat)
{
	__u64 none = 0, *count;

	if (!task)
		return 0;
	struct denet_spill_key key = {
		.process_start_ns = task->process_start_ns,
		.tgid = task->tgid,
		.nr = nr,
		.compat = compat,
	};

	count = bpf_map_lookup_elem(&denet_spill, &key);
	if (!count) {
		/* Another thread of the process may insert first: then this fails, the lookup not. */
		bpf_map_update_elem(&denet_spill, &key, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&denet_spill, &key);
	}
	if (count) {
		__sync_fetch_and_add(count, 1);
	} else {
		count_in_control(spill_full, 1);
		count_in_control(lost_calls, 1);
	}
	return 0;
}

SEC("raw_tp/sys_enter")
int denet_count(__u64 *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct denet_task *task;
	__u32 compat;
	__s64 nr;

	if (!is_followed(tid))
		return 0;
	task = find_task(tid);
	if (!task) {
		count_in_control(lost_calls, 1);
		return 0;
	}
	nr = (__s64)ctx[1];
	compat = is_compat_call();
	if ((__u64)nr < DENET_CELL_NR_LIMIT &&
	    count_in_cells(task, (__u32)nr | (compat ? DENET_CELL_COMPAT : 0)))
		return 0;
	count_in_spill(task, (__s32)nr, compat);
	return 0;
}
