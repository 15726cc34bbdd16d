/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The maps that the programs share, and how a followed task is found in them. */
#ifndef DENET_COMMON_H
#define DENET_COMMON_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* PID_MAX_LIMIT of 64-bit kernels: a tid is always below it. */
#define TID_LIMIT (4 * 1024 * 1024)

/* A bit per possible tid: is it followed? Half a MiB buys the cheapest answer for everyone else. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TID_LIMIT / 64);
	__type(key, __u32);
	__type(value, __u64);
} denet_followed SEC(".maps");

/* Tasks at tid modulo its length, a power of two. Tids are handed out in sequence: few collide. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct denet_task);
} denet_slots SEC(".maps");

/* Who holds a slot: BPF_NOEXIST makes the claim atomic, also before kernel 5.12 has cmpxchg. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} denet_claims SEC(".maps");

/* Tasks whose slot was taken, by tid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct denet_task);
} denet_overflow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct denet_spill_key);
	__type(value, __u64);
} denet_spill SEC(".maps");

/* Ended tasks, as struct denet_task. */
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

/* Length of denet_slots less one. */
const volatile __u32 slot_mask = 4095;

#define count_in_control(field, n)                                                                 \
	do {                                                                                       \
		__u32 zero = 0;                                                                    \
		struct denet_control *c = bpf_map_lookup_elem(&denet_control, &zero);              \
		if (c)                                                                             \
			__sync_fetch_and_add(&c->field, (n));                                      \
	} while (0)

static __always_inline __u64 followed_bit(__u32 tid)
{
	return 1ULL << (tid & 63);
}

static __always_inline __u64 *followed_word(__u32 tid)
{
	__u32 word = tid >> 6;

	return bpf_map_lookup_elem(&denet_followed, &word);
}

static __always_inline int is_followed(__u32 tid)
{
	__u64 *word = followed_word(tid);

	return word && (*word & followed_bit(tid));
}

static __always_inline struct denet_task *find_task(__u32 tid)
{
	__u32 slot = tid & slot_mask;
	struct denet_task *task = bpf_map_lookup_elem(&denet_slots, &slot);

	if (task && task->tid == tid)
		return task;
	return bpf_map_lookup_elem(&denet_overflow, &tid);
}

#endif
