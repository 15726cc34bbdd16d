/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which syscalls does a followed task make? Filter first, then count in the task's own memory. */
#include "common.h"

/*
 * Where task_struct.thread_info tells that the call came through the 32-bit entry, and the bit
 * (x86: status & TS_COMPAT; arm64: flags & TIF_32BIT). A zero mask: this kernel has no such entry.
 */
const volatile __u32 compat_offset = 0;
const volatile __u32 compat_mask = 0;

/* How to look there: the cheaper, the newer. */
enum {
	BY_PROBE_READ, /* a second helper call */
	BY_CURRENT_BTF, /* 5.11 and BTF: bpf_get_current_task_btf(), then a plain load */
	BY_KEPT_POINTER, /* 6.4 and BTF: that helper once a task, then two plain loads */
};
const volatile __u32 compat_source = BY_PROBE_READ;

/* For the type's name alone: the verifier knows the rest. An object of it makes clang say more of
 * the type than that there is one, which the kernel insists on. */
struct task_struct {
	int unused;
};
const volatile struct task_struct TASK_STRUCT_IS_A_STRUCT = {};

/* The current task of a slot, and since when: another task may get the slot. */
struct kept_task {
	__u64 start_ns;
	struct task_struct __attribute__((btf_type_tag("kptr_untrusted"))) *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct kept_task);
} denet_kept SEC(".maps");

static __always_inline __u32 word_of(const void *task)
{
	return *(const volatile __u32 *)(task + compat_offset);
}

static __always_inline __u32 compat_word(void)
{
	__u32 word = 0;

	if (compat_source != BY_PROBE_READ)
		return word_of(bpf_get_current_task_btf());
	bpf_probe_read_kernel(&word, sizeof(word), (const void *)bpf_get_current_task() + compat_offset);
	return word;
}

static __always_inline __u32 compat_word_of_slot(__u32 slot, __u64 start_ns)
{
	struct kept_task *kept = bpf_map_lookup_elem(&denet_kept, &slot);
	const struct task_struct *task;

	if (!kept)
		return 0;
	if (kept->start_ns != start_ns) {
		kept->task = bpf_get_current_task_btf();
		kept->start_ns = start_ns;
		return compat_word();
	}
	task = kept->task;
	return task ? word_of(task) : 0;
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

static __always_inline int count_call(struct denet_task *task, __s64 nr, __u32 word)
{
	__u32 compat = (word & compat_mask) != 0;

	if ((__u64)nr < DENET_CELL_NR_LIMIT &&
	    count_in_cells(task, (__u32)nr | (compat ? DENET_CELL_COMPAT : 0)))
		return 0;
	return count_in_spill(task, (__s32)nr, compat);
}

/* A call whose slot holds another task, while some followed task that belongs there is elsewhere. */
static __noinline int count_displaced(__u64 regs, __s64 nr)
{
	struct denet_task *task = bpf_map_lookup_elem(&denet_overflow, &regs);

	if (task)
		return count_call(task, nr, compat_mask ? compat_word() : 0);
	if (bpf_map_lookup_elem(&denet_uncounted, &regs))
		count_in_control(lost_calls, 1);
	return 0;
}

static __always_inline int count_by_regs(__u64 regs, __s64 nr, const void *current)
{
	__u32 slot = slot_of(regs);
	struct denet_task *task = bpf_map_lookup_elem(&denet_slots, &slot);
	__u32 word = 0;

	if (!task)
		return 0;
	if (task->regs == regs) {
		if (compat_mask && current)
			word = word_of(current);
		else if (compat_mask && compat_source == BY_KEPT_POINTER)
			word = compat_word_of_slot(slot, task->start_ns);
		else if (compat_mask)
			word = compat_word();
		return count_call(task, nr, word);
	}
	if (task->displaced)
		return count_displaced(regs, nr);
	return 0;
}

/*
 * The pt_regs of a call lie at the top of the caller's kernel stack, so their address alone says
 * whose call it is: no helper is called for a task that is not followed.
 */
SEC("raw_tp/sys_enter")
int denet_count(__u64 *ctx)
{
	return count_by_regs(ctx[0], (__s64)ctx[1], 0);
}

/*
 * The kernel stack pointer in task_struct, as of when the task last slept: it points into the task's
 * stack, whose size is a power of two. Then where pt_regs lie in there.
 */
const volatile __u32 task_sp_offset = 0;
const volatile __u32 stack_bytes = 16384;
const volatile __u32 stack_regs_offset = 0;

/*
 * The same as a perf event, which is not told the address of pt_regs, but which no kernel preempts:
 * from Linux 7.0 on a raw tracepoint loses the calls that others make while its program is preempted.
 */
SEC("tp/raw_syscalls/sys_enter")
int denet_count_tp(__u64 *ctx)
{
	const void *current = bpf_get_current_task_btf();
	__u64 sp = *(const volatile __u64 *)(current + task_sp_offset);

	return count_by_regs((sp & -(__u64)stack_bytes) + stack_regs_offset, (__s64)ctx[1], current);
}
