/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where does this kernel keep what denet reads of a task, and what does it call us? Run in the
 * asking task by BPF_PROG_TEST_RUN with the cookie; attached, it makes syscall tracing real and
 * says where the pt_regs of a sampled task lie, and leaves every other task alone. On sys_exit,
 * which is given the same pt_regs: joining and leaving another program's tracepoint waits for all
 * CPUs, and denet_count is about to be attached to sys_enter.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/*
 * 0: lockdown=confidentiality does not let us copy the task, and BTF tells where its fields are; its ids
 * and the place of its pt_regs are still to be learnt.
 */
const volatile __u32 copies_tasks = 1;

/* In task_struct and struct pid, by BTF; 0: the task is in the initial pid namespace, or this is not known. */
const volatile __u32 ids_pid_offset = 0;
const volatile __u32 ids_level_offset = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DENET_SAMPLES);
	__type(key, __u32);
	__type(value, struct denet_sample);
} denet_samples SEC(".maps");

static __always_inline __u32 level_of_namespace(void)
{
	const void *task, *pid = 0;
	__u32 level = 0;

	if (!copies_tasks) {
		task = bpf_get_current_task_btf();
		pid = *(const void *const volatile *)(task + ids_pid_offset);
		return pid ? *(const volatile __u32 *)(pid + ids_level_offset) : 0;
	}
	task = (const void *)bpf_get_current_task();
	bpf_probe_read_kernel(&pid, sizeof(pid), task + ids_pid_offset);
	bpf_probe_read_kernel(&level, sizeof(level), pid + ids_level_offset);
	return level;
}

SEC("raw_tp/sys_exit")
int denet_sample(__u64 *ctx)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct denet_sample *sample;
	__u32 index;

	if (ctx[0] != DENET_SAMPLE_COOKIE) {
#pragma unroll
		for (__u32 at = 0; at < DENET_SAMPLES; at++) {
			index = at;
			sample = bpf_map_lookup_elem(&denet_samples, &index);
			if (sample && sample->pid_tgid == pid_tgid)
				sample->regs = ctx[0];
		}
		return 0;
	}
	index = (__u32)ctx[1];
	sample = bpf_map_lookup_elem(&denet_samples, &index);
	if (!sample)
		return 0;
	if (ids_pid_offset)
		sample->pid_level = level_of_namespace();
	if (!copies_tasks || bpf_probe_read_kernel(sample->task, sizeof(sample->task),
						   (const void *)bpf_get_current_task()) == 0)
		sample->pid_tgid = pid_tgid;
	return 0;
}
