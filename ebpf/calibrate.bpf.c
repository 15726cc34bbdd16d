/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where does this kernel keep what denet reads of a task, and what does it call us? Run in the
 * asking task by BPF_PROG_TEST_RUN with the cookie; attached, it only makes syscall tracing real,
 * and leaves every other task alone.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct denet_sample);
} denet_samples SEC(".maps");

SEC("raw_tp/sys_enter")
int denet_sample(__u64 *ctx)
{
	__u32 index = (__u32)ctx[1];
	struct denet_sample *sample;

	if (ctx[0] != DENET_SAMPLE_COOKIE)
		return 0;
	sample = bpf_map_lookup_elem(&denet_samples, &index);
	if (!sample)
		return 0;
	if (bpf_probe_read_kernel(sample->task, sizeof(sample->task),
				  (const void *)bpf_get_current_task()) == 0)
		sample->pid_tgid = bpf_get_current_pid_tgid();
	return 0;
}
