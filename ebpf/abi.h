/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the eBPF programs and user space share. C owns the layout; src/bpf/abi.rs mirrors it and
 * tests/contract/abi.rs holds the two against each other with clang. Fixed widths, explicit padding.
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

/* What is known of a task's end. */
#define DENET_EXIT_KNOWN 1
#define DENET_EXIT_OF_GROUP 2 /* of the whole process, whichever thread this is */
#define DENET_EXIT_LAST 4 /* no thread of the process is left */
/* Also set while the task runs: the user may not trace it, so its memory is not read. */
#define DENET_EXIT_PRIVATE 16
/* It is denet's own child, which waits to execute the command: the arguments that it passes are the user's. */
#define DENET_EXIT_WAITING 32

/* In denet_task.call, with the time since which the task is followed: it may be in a call that began before. */
#define DENET_CALL_BEFORE (1ULL << 63)

/* A followed task (a thread, as the kernel means it) and what it called. */
struct denet_task {
	/* Where its pt_regs lie, at the top of its kernel stack: what sys_enter is given. 0: free. */
	__u64 regs;
	__u32 tid; /* in denet's pid namespace */
	__u32 tgid;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 process_start_ns; /* of the task that began this process: with tgid, its identity */
	__u64 end_ns; /* 0 while it lives */
	__u32 exit_status; /* as wait(2) tells it, once it ended */
	__u32 exit_flags; /* DENET_EXIT_ */
	char comm[DENET_COMM_LEN];
	__u64 events; /* told of by a stream, lost ones too */
	__u64 call; /* a stream waits for the end of its call: when that began, or DENET_CALL_BEFORE; else 0 */
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

/* What a task used. */
struct denet_usage {
	__u64 cpu_ns; /* by the scheduler's clock */
	__u64 user_ns; /* by ticks on most kernels: together with system_ns, in which proportion cpu_ns divides */
	__u64 system_ns;
	__u64 minor_faults;
	__u64 major_faults;
	__u64 read_by_calls; /* bytes */
	__u64 written_by_calls;
	__u64 read_from_storage;
	__u64 written_to_storage;
};

/* A followed task whose usage is reported when the kernel frees it. */
struct denet_ending {
	__u64 process_start_ns; /* as in denet_task */
	__u64 started; /* of the task, as the kernel has it: another one may get its address */
	__u32 tid;
	__u32 tgid;
	struct denet_usage before; /* it was followed */
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
	__u64 tasks_walked; /* followed that ran already */
	__u64 wake_on_exit; /* user space waits for the last descendant */
	__u64 events_lost; /* of a stream: they found no room in the ring buffer */
	__u64 calls_unmatched; /* of a stream: no memory for what is known at their beginning */
	__u64 tables_full; /* of a stream: not added up, because a table was full */
	__u64 usages_reported; /* tasks that were freed, and a record says what they used */
	__u64 usages_lost; /* ended tasks of which no record will say that */
};

/* What a record of the ring buffer is. An ended task has its identity there, which is an address. */
#define DENET_RECORD_LOOK 0
#define DENET_RECORD_EXEC 1
#define DENET_RECORD_CALL 2
#define DENET_RECORD_SOCKET 3
#define DENET_RECORD_BIRTH 5
#define DENET_RECORD_USAGE 6
#define DENET_RECORD_KINDS 4096

/* What each record of a stream begins with. */
struct denet_event {
	__u64 kind; /* DENET_RECORD_ */
	__u64 seq; /* of its thread, from 1 on; who finds a gap has lost some */
	__u64 thread_start_ns; /* with tid, the identity of the thread */
	__u64 start_ns; /* CLOCK_MONOTONIC, when the call began */
	__u64 end_ns;
	__u32 tid; /* in denet's pid namespace, when the call began */
	__u32 tgid;
};

/* What a followed task used until it was freed. */
struct denet_freed {
	__u64 kind; /* DENET_RECORD_USAGE */
	__u64 process_start_ns;
	__u32 tid;
	__u32 tgid;
	struct denet_usage used; /* since it was followed */
	struct denet_usage before;
};

#define DENET_FILES_COPIED 1
#define DENET_FILES_SHARED 2

/* A thread or process begins. */
struct denet_birth {
	struct denet_event head; /* of who begot it */
	__u64 child_start_ns;
	__u32 child_tid;
	__u32 child_tgid;
	__u32 files; /* DENET_FILES_; 0: it is not known what it has of descriptors */
	__u32 _pad;
	char comm[DENET_COMM_LEN]; /* of both */
};

/* How a task_struct looks from outside, beside what the kernel says of the same task. */
#define DENET_SAMPLE_BYTES 8192
#define DENET_SAMPLES 3
#define DENET_SAMPLE_COOKIE 0x64656e6574ULL
struct denet_sample {
	__u64 pid_tgid; /* bpf_get_current_pid_tgid(); 0: no sample was taken */
	__u64 regs; /* what sys_exit was given in this task; 0: it was not seen there */
	__u64 pid_level; /* of its pid namespace, where that was asked for */
	__u8 task[DENET_SAMPLE_BYTES];
};

/* Whose calls the smoke test counts, and how many there were. */
struct denet_smoke {
	__u64 caller; /* bpf_get_current_pid_tgid() */
	__u64 calls;
};

#endif
