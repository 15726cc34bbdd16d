/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The maps that the programs share, and how a followed task is found in them. */
#ifndef DENET_COMMON_H
#define DENET_COMMON_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Tasks at a hash of their identity. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct denet_task);
} denet_slots SEC(".maps");

/* Whose a slot is, by identity: BPF_NOEXIST makes the claim atomic, also before kernel 5.12 has cmpxchg. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} denet_claims SEC(".maps");

/* Tasks whose slot was taken, by identity. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct denet_task);
} denet_overflow SEC(".maps");

/* Followed tasks for which there was no memory at all: their calls are counted as lost. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} denet_uncounted SEC(".maps");

/* Calls that found no cell in their task, by process. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct denet_spill_key);
	__type(value, __u64);
} denet_spill SEC(".maps");

/* Ended tasks, as struct denet_task, of the cells only those in use. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 * 1024 * 1024);
} denet_ended SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_control);
} denet_control SEC(".maps");

/* 32 less the binary logarithm of the length of denet_slots. */
const volatile __u32 slot_shift = 20;

#define count_in_control(field, n)                                                                 \
	do {                                                                                       \
		__u32 zero = 0;                                                                    \
		struct denet_control *c = bpf_map_lookup_elem(&denet_control, &zero);              \
		if (c)                                                                             \
			__sync_fetch_and_add(&c->field, (n));                                      \
	} while (0)

/* Kernel stacks are at least 16 KiB apart; Fibonacci hashing spreads what is left. */
static __always_inline __u32 slot_of(__u64 regs)
{
	return ((__u32)(regs >> 14) * 0x9e3779b1U) >> slot_shift;
}

#endif
