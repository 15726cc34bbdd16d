/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who descends from the command? Followed from before their first instruction to their end. */
#include <stddef.h>

#include "common.h"

/* Offsets in task_struct, and of pt_regs in a kernel stack, found by src/bpf/calibrate.rs. */
const volatile __u32 task_pid_offset = 0;
const volatile __u32 task_tgid_offset = 0;
const volatile __u32 task_stack_offset = 0; /* of the stack, or for typed tasks of a pointer into it */
const volatile __u32 stack_regs_offset = 0;
const volatile __u32 stack_bytes = 16384;
/*
 * 0: attached to raw_tp, where a task is a number, and a helper reads it. 1: attached to tp_btf, where
 * the verifier knows it for a task; what lockdown=confidentiality forbids the helper, it allows.
 */
const volatile __u32 tasks_are_typed = 0;
/* Unread bytes in the ring buffer from which user space is woken. */
const volatile __u32 wake_at_bytes = 0;

/* A new task's memory: too large for the stack, and zero but for what describe() sets. */
static const struct denet_task NEW_TASK;

/* The identity of a task, 0 if it cannot be read. */
static __always_inline __u64 regs_of(const void *task)
{
	__u64 stack = 0;

	/* The stack itself is a pointer, of which newer verifiers make no number. */
	if (tasks_are_typed)
		stack = *(const volatile __u64 *)(task + task_stack_offset) & -(__u64)stack_bytes;
	else
		bpf_probe_read_kernel(&stack, sizeof(stack), task + task_stack_offset);
	return stack ? stack + stack_regs_offset : 0;
}

/* A thread or process id of a task, 0 if it cannot be read. */
static __always_inline __u32 id_of(const void *task, __u32 offset)
{
	__u32 id = 0;

	if (tasks_are_typed)
		return *(const volatile __u32 *)(task + offset);
	bpf_probe_read_kernel(&id, sizeof(id), task + offset);
	return id;
}

static __always_inline struct denet_task *find_task(__u64 regs)
{
	__u32 slot = slot_of(regs);
	struct denet_task *task = bpf_map_lookup_elem(&denet_slots, &slot);

	if (!task || !regs)
		return 0;
	if (task->regs == regs)
		return task;
	return task->displaced ? bpf_map_lookup_elem(&denet_overflow, &regs) : 0;
}

static __always_inline void describe(struct denet_task *task, __u64 regs, __u32 tid, __u32 tgid,
				     __u64 process_start_ns)
{
	__u64 now = bpf_ktime_get_ns();

	task->tid = tid;
	task->tgid = tgid;
	task->start_ns = now;
	task->process_start_ns = process_start_ns ? process_start_ns : now;
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	/* Last: from here on the memory is this task's. */
	*(volatile __u64 *)&task->regs = regs;
}

static __always_inline void enroll(__u64 regs, __u32 tid, __u32 tgid, __u64 process_start_ns)
{
	__u32 slot = slot_of(regs);
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot), *task = 0;

	if (!home)
		return;
	count_in_control(tasks_started, 1);
	if (bpf_map_update_elem(&denet_claims, &slot, &tid, BPF_NOEXIST) == 0) {
		describe(home, regs, tid, tgid, process_start_ns);
		return;
	}
	if (bpf_map_update_elem(&denet_overflow, &regs, &NEW_TASK, BPF_NOEXIST) == 0)
		task = bpf_map_lookup_elem(&denet_overflow, &regs);
	if (task) {
		describe(task, regs, tid, tgid, process_start_ns);
	} else {
		count_in_control(tasks_without_memory, 1);
		if (bpf_map_update_elem(&denet_uncounted, &regs, &tid, BPF_ANY)) {
			count_in_control(tasks_unfollowed, 1);
			count_in_control(tasks_ended, 1);
			return;
		}
	}
	__sync_fetch_and_add(&home->displaced, 1);
}

static __always_inline __u64 calls_of(const struct denet_task *task)
{
	__u64 sum = 0;

	for (int i = 0; i < DENET_CELLS; i++)
		sum += task->cells[i] >> DENET_CELL_KEY_BITS;
	return sum;
}

static __always_inline __u64 wake_flag(void)
{
	if (bpf_ringbuf_query(&denet_ended, BPF_RB_AVAIL_DATA) >= wake_at_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/*
 * The end of a task, after its record is out: who sees all tasks ended finds all records. The flag is
 * read after the addition, user space sets it before it reads the sum: one of both sees the other.
 */
static __always_inline void count_end(void)
{
	__u64 nothing = 0;
	__u32 zero = 0;
	struct denet_control *control = bpf_map_lookup_elem(&denet_control, &zero);

	if (!control)
		return;
	__sync_fetch_and_add(&control->tasks_ended, 1);
	/* A record too short for a task says no more than "look". A full ring keeps nobody asleep. */
	if (*(volatile __u64 *)&control->wake_on_exit)
		bpf_ringbuf_output(&denet_ended, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/*
 * Moves the cells in use to the front, and says how many they are. Without a branch on what a cell
 * holds: the verifier would follow each of them both ways.
 */
static __always_inline __u32 compact(struct denet_task *task)
{
	__u64 negative;
	__u32 used = 0;

	for (int i = 0; i < DENET_CELLS; i++) {
		__u64 cell = task->cells[i];

		task->cells[i] = 0;
		task->cells[used & (DENET_CELLS - 1)] = cell;
		negative = -cell;
		/* Hides that this is a test for zero, which clang would make a branch of. */
		asm volatile("" : "+r"(negative));
		used += (cell | negative) >> 63;
	}
	return used;
}

/* A record is as long as the task has kinds of calls: more of them fit while nobody reads. */
static __always_inline void report(struct denet_task *task)
{
	__u32 used = compact(task);

	if (used > DENET_CELLS)
		used = DENET_CELLS;
	task->end_ns = bpf_ktime_get_ns();
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	if (bpf_ringbuf_output(&denet_ended, task,
			       offsetof(struct denet_task, cells) + used * sizeof(__u64), wake_flag())) {
		count_in_control(records_lost, 1);
		count_in_control(lost_calls, calls_of(task));
	}
}

static __always_inline int on_fork(__u64 parent_regs, const void *child)
{
	struct denet_task *parent = find_task(parent_regs);
	__u64 process_start_ns = 0, child_regs;
	__u32 tid, tgid;

	if (!parent && !bpf_map_lookup_elem(&denet_uncounted, &parent_regs))
		return 0;
	child_regs = child ? regs_of(child) : 0;
	tid = child ? id_of(child, task_pid_offset) : 0;
	tgid = child ? id_of(child, task_tgid_offset) : 0;
	if (!child_regs || !tid || !tgid) {
		count_in_control(tasks_unfollowed, 1);
		return 0;
	}
	if (parent && parent->tgid == tgid)
		process_start_ns = parent->process_start_ns;
	enroll(child_regs, tid, tgid, process_start_ns);
	return 0;
}

/* The stack, and so the identity, outlives exec; a thread that is not the leader becomes it. */
static __always_inline int on_exec(__u64 regs)
{
	struct denet_task *task = find_task(regs);

	if (!task)
		return 0;
	task->tid = (__u32)bpf_get_current_pid_tgid();
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	return 0;
}

static __always_inline int on_exit(__u64 regs)
{
	__u32 slot = slot_of(regs);
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot), *task;

	if (!home || !regs)
		return 0;
	if (home->regs == regs) {
		report(home);
		/* All but what belongs to the slot. */
		home->regs = 0;
		home->end_ns = 0;
		__builtin_memset(home->cells, 0, sizeof(home->cells));
		bpf_map_delete_elem(&denet_claims, &slot);
	} else if (home->displaced && (task = bpf_map_lookup_elem(&denet_overflow, &regs))) {
		report(task);
		bpf_map_delete_elem(&denet_overflow, &regs);
		__sync_fetch_and_add(&home->displaced, -1);
	} else if (home->displaced && bpf_map_delete_elem(&denet_uncounted, &regs) == 0) {
		__sync_fetch_and_add(&home->displaced, -1);
	} else {
		return 0;
	}
	count_end();
	return 0;
}

SEC("raw_tp/sched_process_fork")
int denet_fork(__u64 *ctx)
{
	return on_fork(regs_of((const void *)ctx[0]), (const void *)ctx[1]);
}

SEC("raw_tp/sched_process_exec")
int denet_exec(__u64 *ctx)
{
	return on_exec(regs_of((const void *)ctx[0]));
}

SEC("raw_tp/sched_process_exit")
int denet_exit(__u64 *ctx)
{
	return on_exit(regs_of((const void *)ctx[0]));
}

/*
 * The same as perf events, which are told less, but which no kernel preempts: from Linux 7.0 on a raw
 * tracepoint's program may be, and what happens to other tasks on that CPU meanwhile it is not told.
 */

/* In the record of sched_process_fork: 44 with the names in it, 20 where they follow it. */
const volatile __u32 child_pid_offset = 20;

/* Functions of the kernel's, which have no number here: the loader puts in what BTF says. */
#define bpf_task_from_pid(pid) ((void *(*)(__s32))0x64656e01)(pid)
#define bpf_task_release(task) ((void (*)(void *))0x64656e02)(task)

SEC("tp/sched/sched_process_fork")
int denet_fork_tp(void *ctx)
{
	__u64 parent_regs = regs_of(bpf_get_current_task_btf());
	/* The verifier wants to see each offset. */
	__s32 pid = child_pid_offset == 44 ? *(volatile __s32 *)(ctx + 44) : *(volatile __s32 *)(ctx + 20);
	void *child = bpf_task_from_pid(pid);
	int result = on_fork(parent_regs, child);

	if (child)
		bpf_task_release(child);
	return result;
}

SEC("tp/sched/sched_process_exec")
int denet_exec_tp(void *ctx)
{
	return on_exec(regs_of(bpf_get_current_task_btf()));
}

SEC("tp/sched/sched_process_exit")
int denet_exit_tp(void *ctx)
{
	return on_exit(regs_of(bpf_get_current_task_btf()));
}
