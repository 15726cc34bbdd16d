/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the programs share that tell of single calls: whose it is, its arguments, its record. */
#ifndef DENET_STREAM_H
#define DENET_STREAM_H

#include "access.h"

/*
 * Where the address of the caller's pt_regs comes from. 0: the first argument of the raw tracepoint.
 * 1: the current task's stack, by BTF, where that argument is no number (tp_btf) or none is given (perf
 * events).
 */
const volatile __u32 caller_by_stack = 0;
/* In task_struct: the stack pointer of when it last slept. */
const volatile __u32 task_sp_offset = 0;
/* How a 32-bit call is told; see ebpf/syscalls.bpf.c. 1: by the current task's BTF, 0: by a helper. */
const volatile __u32 compat_by_types = 0;
const volatile __u32 compat_offset = 0;
const volatile __u32 compat_mask = 0;
/* Of which kind pt_regs are. */
const volatile __u32 regs_are_arm64 = 0;

#define ARGUMENTS 6

static __always_inline __u64 caller_by_its_stack(void)
{
	__u64 sp = (__u64)pointer_at(current_task(), task_sp_offset);

	return (sp & -(__u64)stack_bytes) + stack_regs_offset;
}

/* The identity of who makes the call that a raw or a typed tracepoint tells of. */
static __always_inline __u64 caller(const __u64 *ctx)
{
	return caller_by_stack ? caller_by_its_stack() : ctx[0];
}

static __always_inline int is_compat(void)
{
	if (!compat_mask)
		return 0;
	if (compat_by_types)
		return (*(const volatile __u32 *)((const void *)bpf_get_current_task_btf() + compat_offset) &
			compat_mask) != 0;
	return (word_at((const void *)bpf_get_current_task(), compat_offset) & compat_mask) != 0;
}

/* x86-64: bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di follow each other. */
#define X86_BP 32
#define X86_WORDS 11
enum { BP, BX, R11, R10, R9, R8, AX, CX, DX, SI, DI };

static __always_inline void pick_arguments(const __u64 *words, int compat, __u64 *args)
{
	if (regs_are_arm64) {
		for (int i = 0; i < ARGUMENTS; i++)
			args[i] = words[i];
	} else if (compat) {
		args[0] = (__u32)words[BX];
		args[1] = (__u32)words[CX];
		args[2] = (__u32)words[DX];
		args[3] = (__u32)words[SI];
		args[4] = (__u32)words[DI];
		args[5] = (__u32)words[BP];
	} else {
		args[0] = words[DI];
		args[1] = words[SI];
		args[2] = words[DX];
		args[3] = words[R10];
		args[4] = words[R8];
		args[5] = words[R9];
	}
}

/* The arguments of the call that a raw or a typed tracepoint sys_enter tells of. */
static __always_inline void read_arguments(const __u64 *ctx, int compat, __u64 *args)
{
	__u64 words[X86_WORDS] = {};
	const void *regs = (const void *)ctx[0];
	__u32 start = regs_are_arm64 ? 0 : X86_BP;

	if (tasks_are_typed) {
#pragma unroll
		for (int i = 0; i < X86_WORDS; i++)
			words[i] = *(const volatile __u64 *)(regs + start + 8 * i);
	} else {
		bpf_probe_read_kernel(words, sizeof(words), regs + start);
	}
	pick_arguments(words, compat, args);
}

#define X86_ORIG_AX 120
#define ARM64_ORIG_X0 272
#define ARM64_SYSCALLNO 280

static __always_inline __u64 register_at(__u64 regs, const void *typed, __u32 offset)
{
	__u64 word = 0;

	if (typed && tasks_are_typed)
		return *(const volatile __u64 *)(typed + offset);
	bpf_probe_read_kernel(&word, sizeof(word), (const void *)(regs + offset));
	return word;
}

/*
 * Number and arguments of the call that returns, as its beginning left them in the caller's pt_regs; `typed` are the
 * same registers if the verifier knows them.
 */
static __always_inline __s64 read_call(__u64 regs, const void *typed, int compat, __u64 *args)
{
	__u64 words[X86_WORDS] = {};
	__u32 start = regs_are_arm64 ? 0 : X86_BP;

#pragma unroll
	for (int i = 0; i < X86_WORDS; i++)
		words[i] = register_at(regs, typed, start + 8 * i);
	if (regs_are_arm64)
		words[0] = register_at(regs, typed, ARM64_ORIG_X0);
	pick_arguments(words, compat, args);
	if (regs_are_arm64)
		return (__s32)register_at(regs, typed, ARM64_SYSCALLNO);
	return (__s64)register_at(regs, typed, X86_ORIG_AX);
}

/* A call that cannot be told of because its task was never given memory. */
static __always_inline void count_untold(__u64 regs)
{
	__u32 slot = slot_of(regs);
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot);

	if (home && home->displaced && bpf_map_lookup_elem(&denet_uncounted, &regs))
		count_in_control(events_lost, 1);
}

#endif
