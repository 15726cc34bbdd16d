/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the eBPF programs and user space share. C owns the layout; src/bpf/abi.rs mirrors it and
 * tests/contract.rs holds the two against each other with clang. Fixed widths, explicit padding.
 */
#ifndef DENET_ABI_H
#define DENET_ABI_H

#include <linux/types.h>

/* One counter of a task: the number of calls above, what was called below. A zero cell is free. */
#define DENET_CELLS 64
#define DENET_CELL_KEY_BITS 10
#define DENET_CELL_KEY_MASK ((1 << DENET_CELL_KEY_BITS) - 1)
/* A cell's key: the number in the low 9 bits, the 32-bit entry in bit 9. */
#define DENET_CELL_NR_LIMIT 512
#define DENET_CELL_COMPAT DENET_CELL_NR_LIMIT

#define DENET_COMM_LEN 16

/* A followed task (a thread, as the kernel means it) and what it called. */
struct denet_task {
	/* Where its pt_regs lie, at the top of its kernel stack: what sys_enter is given. 0: free. */
	__u64 regs;
	__u32 tid; /* in the initial pid namespace */
	__u32 tgid;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 process_start_ns; /* of the task that began this process: with tgid, its identity */
	__u64 end_ns; /* 0 while it lives */
	char comm[DENET_COMM_LEN];
	/* Of a slot, not of its task: followed tasks that belong here and are elsewhere. */
	__u64 displaced;
	__u64 cells[DENET_CELLS];
};

/* Counts that found no cell: numbers without one, and tasks that call more than DENET_CELLS kinds. */
struct denet_spill_key {
	__u64 process_start_ns;
	__u32 tgid;
	__s32 nr;
	__u32 compat;
	__u32 _pad;
};

/* One entry, written by the kernel side alone but for wake_on_exit. */
struct denet_control {
	__u64 tasks_started;
	__u64 tasks_ended;
	__u64 lost_calls; /* counted calls that no output can show */
	__u64 tasks_without_memory; /* followed, but their calls go to lost_calls */
	__u64 spill_full;
	__u64 records_lost; /* ended tasks that found no room in the ring buffer */
	__u64 tasks_unfollowed; /* children that could not be identified or remembered */
	__u64 wake_on_exit; /* user space waits for the last descendant */
};

/* How a task_struct looks from outside, beside what the kernel says of the same task. */
#define DENET_SAMPLE_BYTES 8192
#define DENET_SAMPLES 3
#define DENET_SAMPLE_COOKIE 0x64656e6574ULL
struct denet_sample {
	__u64 pid_tgid; /* bpf_get_current_pid_tgid(); 0: no sample was taken */
	__u64 regs; /* what sys_exit was given in this task; 0: it was not seen there */
	__u8 task[DENET_SAMPLE_BYTES];
};

/* Whose calls the smoke test counts, and how many there were. */
struct denet_smoke {
	__u64 caller; /* bpf_get_current_pid_tgid() */
	__u64 calls;
};

#endif
