/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What tasks used: CPU time, page faults, bytes. A task uses more after sched_process_exit (on Linux 6.18 a process
 * of 300 MiB had used 164 of its 194 ms there, because its memory is freed later), so it is read when the
 * kernel frees the task: it has run for the last time then, and its parent has waited for it.
 */
#ifndef DENET_USAGE_H
#define DENET_USAGE_H

#include "task.h"

/* Followed tasks, by their address: those that ran before, and those that have ended and are not freed yet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct denet_ending);
} denet_unfreed SEC(".maps");

/* In task_struct, by BTF. 0: usage is not reported. */
const volatile __u32 task_cpu_offset = 0;
const volatile __u32 task_start_offset = 0;
const volatile __u32 task_utime_offset = 0;
const volatile __u32 task_stime_offset = 0;
const volatile __u32 task_min_flt_offset = 0;
const volatile __u32 task_maj_flt_offset = 0;
/* 0: this kernel does not count bytes. */
const volatile __u32 task_rchar_offset = 0;
const volatile __u32 task_wchar_offset = 0;
const volatile __u32 task_read_bytes_offset = 0;
const volatile __u32 task_write_bytes_offset = 0;

/* `typed` is a constant: the verifier knows the task. */
static __always_inline __u64 long_at(const void *task, __u32 offset, __u32 typed)
{
	__u64 value = 0;

	if (!offset)
		return 0;
	if (typed)
		return *(const volatile __u64 *)(task + offset);
	bpf_probe_read_kernel(&value, sizeof(value), task + offset);
	return value;
}

static __always_inline void usage_of(struct denet_usage *usage, const void *task, __u32 typed)
{
	usage->cpu_ns = long_at(task, task_cpu_offset, typed);
	usage->user_ns = long_at(task, task_utime_offset, typed);
	usage->system_ns = long_at(task, task_stime_offset, typed);
	usage->minor_faults = long_at(task, task_min_flt_offset, typed);
	usage->major_faults = long_at(task, task_maj_flt_offset, typed);
	usage->read_by_calls = long_at(task, task_rchar_offset, typed);
	usage->written_by_calls = long_at(task, task_wchar_offset, typed);
	usage->read_from_storage = long_at(task, task_read_bytes_offset, typed);
	usage->written_to_storage = long_at(task, task_write_bytes_offset, typed);
}

/* A walk over tasks, which are typed there: what this one used before it was followed is not reported. */
static __always_inline void note_usage_before(const void *task, const struct denet_ending *identity)
{
	struct denet_ending ending = *identity;
	__u64 address = (__u64)task;

	if (!task_cpu_offset)
		return;
	ending.started = long_at(task, task_start_offset, 1);
	usage_of(&ending.before, task, 1);
	bpf_map_update_elem(&denet_unfreed, &address, &ending, BPF_ANY);
}

/* A followed task ends: from here on its address leads to who it was. 0 for one that there was no memory for. */
static __always_inline void await_usage(const struct denet_task *ended, const void *task)
{
	struct denet_ending fresh = {}, *ending;
	__u64 address = (__u64)task;

	if (!task_cpu_offset)
		return;
	fresh.started = long_at(task, task_start_offset, tasks_are_typed);
	ending = bpf_map_lookup_elem(&denet_unfreed, &address);
	if (ending && ending->started != fresh.started) {
		/* The kernel did not run the program when the one before was freed. */
		count_in_control(usages_lost, 1);
		ending = 0;
	}
	if (!ended) {
		if (ending)
			bpf_map_delete_elem(&denet_unfreed, &address);
	} else if (ending) {
		ending->tid = ended->tid;
		ending->tgid = ended->tgid;
		ending->process_start_ns = ended->process_start_ns;
		return;
	} else {
		fresh.tid = ended->tid;
		fresh.tgid = ended->tgid;
		fresh.process_start_ns = ended->process_start_ns;
		if (!bpf_map_update_elem(&denet_unfreed, &address, &fresh, BPF_ANY))
			return;
	}
	count_in_control(usages_lost, 1);
}

static __always_inline int report_usage(const void *task)
{
	struct denet_freed freed = { .kind = DENET_RECORD_USAGE };
	struct denet_ending *ending;
	__u64 address = (__u64)task;

	ending = bpf_map_lookup_elem(&denet_unfreed, &address);
	if (!ending)
		return 0;
	if (ending->started != long_at(task, task_start_offset, tasks_are_typed)) {
		bpf_map_delete_elem(&denet_unfreed, &address);
		count_in_control(usages_lost, 1);
		return 0;
	}
	freed.process_start_ns = ending->process_start_ns;
	freed.tid = ending->tid;
	freed.tgid = ending->tgid;
	usage_of(&freed.used, task, tasks_are_typed);
#define SINCE(field) freed.used.field -= ending->before.field
	SINCE(cpu_ns);
	SINCE(user_ns);
	SINCE(system_ns);
	SINCE(minor_faults);
	SINCE(major_faults);
	SINCE(read_by_calls);
	SINCE(written_by_calls);
	SINCE(read_from_storage);
	SINCE(written_to_storage);
#undef SINCE
	freed.before = ending->before;
	bpf_map_delete_elem(&denet_unfreed, &address);
	if (bpf_ringbuf_output(&denet_ended, &freed, sizeof(freed), wake_flag()))
		count_in_control(usages_lost, 1);
	else
		count_in_control(usages_reported, 1);
	return 0;
}

#endif
