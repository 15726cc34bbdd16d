/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who descends from the command? Followed from before their first instruction to their end. */
#include "common.h"

/* Offsets in task_struct, found by src/bpf/calibrate.rs. */
const volatile __u32 task_pid_offset = 0;
const volatile __u32 task_tgid_offset = 0;
/* Unread bytes in the ring buffer from which user space is woken. */
const volatile __u32 wake_at_bytes = 0;

/* A new task's memory: too large for the stack, and zero but for the fields that enroll() sets. */
static const struct denet_task NEW_TASK;

static __always_inline void describe(struct denet_task *task, __u32 tid, __u32 tgid, __u64 start_ns,
				     __u64 process_start_ns)
{
	task->tgid = tgid;
	task->start_ns = start_ns;
	task->process_start_ns = process_start_ns;
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	/* Last: from here on the slot is this task's. */
	*(volatile __u32 *)&task->tid = tid;
}

/* The child's tid belongs to nobody else yet, so its bit is known and addition sets just that bit. */
static __always_inline void enroll(__u32 tid, __u32 tgid, __u64 process_start_ns)
{
	__u32 slot = tid & slot_mask;
	__u64 now = bpf_ktime_get_ns();
	__u64 *word = followed_word(tid);
	struct denet_task *task = 0;

	if (!word || (*word & followed_bit(tid))) {
		count_in_control(tasks_unread, 1);
		return;
	}
	if (!process_start_ns)
		process_start_ns = now;
	if (bpf_map_update_elem(&denet_claims, &slot, &tid, BPF_NOEXIST) == 0)
		task = bpf_map_lookup_elem(&denet_slots, &slot);
	else if (bpf_map_update_elem(&denet_overflow, &tid, &NEW_TASK, BPF_ANY) == 0)
		task = bpf_map_lookup_elem(&denet_overflow, &tid);
	if (task)
		describe(task, tid, tgid, now, process_start_ns);
	else
		count_in_control(tasks_without_memory, 1);
	count_in_control(tasks_started, 1);
	__sync_fetch_and_add(word, followed_bit(tid));
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
	__u32 zero = 0;
	struct denet_control *control = bpf_map_lookup_elem(&denet_control, &zero);

	if ((control && control->wake_on_exit) ||
	    bpf_ringbuf_query(&denet_ended, BPF_RB_AVAIL_DATA) >= wake_at_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void retire(__u32 tid)
{
	__u32 slot = tid & slot_mask;
	__u64 *word = followed_word(tid);
	struct denet_task *task = find_task(tid);

	if (word)
		__sync_fetch_and_add(word, -followed_bit(tid));
	count_in_control(tasks_ended, 1);
	if (!task)
		return;
	task->end_ns = bpf_ktime_get_ns();
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	if (bpf_ringbuf_output(&denet_ended, task, sizeof(*task), wake_flag())) {
		count_in_control(records_lost, 1);
		count_in_control(lost_calls, calls_of(task));
	}
	if (bpf_map_delete_elem(&denet_overflow, &tid) == 0)
		return;
	__builtin_memset(task, 0, sizeof(*task));
	bpf_map_delete_elem(&denet_claims, &slot);
}

SEC("raw_tp/sched_process_fork")
int denet_fork(__u64 *ctx)
{
	__u64 parent = bpf_get_current_pid_tgid();
	const void *child = (const void *)ctx[1];
	struct denet_task *task;
	__u64 process_start_ns = 0;
	__u32 tid = 0, tgid = 0;

	if (!is_followed((__u32)parent))
		return 0;
	if (bpf_probe_read_kernel(&tid, sizeof(tid), child + task_pid_offset) ||
	    bpf_probe_read_kernel(&tgid, sizeof(tgid), child + task_tgid_offset)) {
		count_in_control(tasks_unread, 1);
		return 0;
	}
	if (tgid == parent >> 32) {
		task = find_task((__u32)parent);
		if (task)
			process_start_ns = task->process_start_ns;
	}
	enroll(tid, tgid, process_start_ns);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int denet_exec(__u64 *ctx)
{
	__u64 current = bpf_get_current_pid_tgid();
	__u32 tid = (__u32)current, old_tid = (__u32)ctx[1];
	__u64 process_start_ns = 0;
	struct denet_task *task;

	if (!is_followed(old_tid))
		return 0;
	task = find_task(old_tid);
	if (old_tid == tid) {
		if (task)
			bpf_get_current_comm(task->comm, sizeof(task->comm));
		return 0;
	}
	/* A thread that is not the leader takes the leader's tid, once the leader has ended. */
	if (task)
		process_start_ns = task->process_start_ns;
	retire(old_tid);
	enroll(tid, current >> 32, process_start_ns);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int denet_exit(__u64 *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();

	if (is_followed(tid))
		retire(tid);
	return 0;
}
