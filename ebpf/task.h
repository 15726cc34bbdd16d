/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is read of a task, and which of them are followed. */
#ifndef DENET_TASK_H
#define DENET_TASK_H

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
/*
 * In a pid namespace of its own, denet reports the ids that tasks have there: the level and the inode of that
 * namespace. Level 0: it is the initial one, whose ids task_struct contains. Offsets are BTF's, in task_struct,
 * struct pid, its numbers[ids_level] and pid_namespace.
 */
const volatile __u32 ids_level = 0;
const volatile __u32 ids_namespace = 0;
const volatile __u32 ids_pid_offset = 0;
const volatile __u32 ids_leader_offset = 0;
const volatile __u32 ids_level_offset = 0;
const volatile __u32 ids_nr_offset = 0;
const volatile __u32 ids_ns_offset = 0;
const volatile __u32 ids_inode_offset = 0;
/* 1: lockdown=confidentiality forbids the helper that reads kernel memory. */
const volatile __u32 ids_are_typed = 0;
/* Unread bytes in the ring buffer at which user space is woken, and at each multiple: a power of two. */
const volatile __u32 wake_at_bytes = 0;
/* For so many bytes from there on each record wakes it: no record is longer, nor all that CPUs write at once. */
#define WAKING_BYTES (64 * 1024)

static __always_inline const void *current_task(void)
{
	if (tasks_are_typed)
		return bpf_get_current_task_btf();
	return (const void *)bpf_get_current_task();
}

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

static __always_inline const void *pointer_at(const void *place, __u32 offset)
{
	const void *pointer = 0;

	if (tasks_are_typed)
		return *(const void *const volatile *)(place + offset);
	bpf_probe_read_kernel(&pointer, sizeof(pointer), place + offset);
	return pointer;
}

static __always_inline __u32 word_at(const void *place, __u32 offset)
{
	__u32 word = 0;

	if (tasks_are_typed)
		return *(const volatile __u32 *)(place + offset);
	bpf_probe_read_kernel(&word, sizeof(word), place + offset);
	return word;
}

static __always_inline const void *ids_pointer_at(const void *place, __u32 offset)
{
	const void *pointer = 0;

	if (ids_are_typed)
		return *(const void *const volatile *)(place + offset);
	bpf_probe_read_kernel(&pointer, sizeof(pointer), place + offset);
	return pointer;
}

static __always_inline __u32 ids_word_at(const void *place, __u32 offset)
{
	__u32 word = 0;

	if (ids_are_typed)
		return *(const volatile __u32 *)(place + offset);
	bpf_probe_read_kernel(&word, sizeof(word), place + offset);
	return word;
}

/* The id of a task, typed or not, in denet's pid namespace; 0 if it has none there, or has been reaped. */
static __always_inline __u32 id_in_namespace(const void *task)
{
	const void *pid, *namespace;

	if (!task)
		return 0;
	pid = ids_pointer_at(task, ids_pid_offset);
	if (!pid || ids_word_at(pid, ids_level_offset) < ids_level)
		return 0;
	namespace = ids_pointer_at(pid, ids_ns_offset);
	if (!namespace || ids_word_at(namespace, ids_inode_offset) != ids_namespace)
		return 0;
	return ids_word_at(pid, ids_nr_offset);
}

static __always_inline __u32 process_id_in_namespace(const void *task)
{
	return id_in_namespace(ids_pointer_at(task, ids_leader_offset));
}

static __always_inline __u32 thread_id_of(const void *task)
{
	return ids_level ? id_in_namespace(task) : id_of(task, task_pid_offset);
}

static __always_inline __u32 process_id_of(const void *task)
{
	return ids_level ? process_id_in_namespace(task) : id_of(task, task_tgid_offset);
}

static __always_inline __u64 wake_flag(void)
{
	__u64 unread = bpf_ringbuf_query(&denet_ended, BPF_RB_AVAIL_DATA);

	/* Not each time beyond: a wake-up is an interrupt, and who reads does not sleep before all is read. */
	if (unread >= wake_at_bytes && (unread & (wake_at_bytes - 1)) < WAKING_BYTES)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void begin_event(struct denet_event *event, struct denet_task *task, __u64 kind)
{
	task->events++;
	event->kind = kind;
	event->seq = task->events;
	event->thread_start_ns = task->start_ns;
	event->start_ns = task->call & ~DENET_CALL_BEFORE;
	event->end_ns = bpf_ktime_get_ns();
	event->tid = task->tid;
	event->tgid = task->tgid;
}

static __always_inline void tell(void *record, __u64 bytes)
{
	if (bpf_ringbuf_output(&denet_ended, record, bytes, wake_flag()))
		count_in_control(events_lost, 1);
}

#endif
