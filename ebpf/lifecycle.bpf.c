/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who descends from the command? Followed from before their first instruction to their end. */
#include <stddef.h>

#include "access.h"
#include "usage.h"

/* Processes that are to be followed although nobody who is followed started them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u32);
} denet_wanted SEC(".maps");

/* 1: whoever starts a task, it is followed. */
const volatile __u32 follow_all = 0;
/* In task_struct, for walks and where all are followed. */
const volatile __u32 walk_flags_offset = 0;
/* 1: threads of a followed process are followed, its children are not. */
const volatile __u32 follow_threads_only = 0;
/*
 * In task_struct, of the parent, where processes are followed that run already; else 0. Somebody who
 * descends from them may beget and end before a walk comes by: then its ancestors speak for the child.
 */
const volatile __u32 ancestor_offset = 0;

/* Of a task's end, by BTF; 0 where there is none, or nobody wants to know. */
const volatile __u32 task_exit_code_offset = 0;
const volatile __u32 task_signal_offset = 0;
const volatile __u32 task_leader_offset = 0;
const volatile __u32 signal_flags_offset = 0;
const volatile __u32 signal_live_offset = 0;
const volatile __u32 signal_group_exit_code_offset = 0;

/* A new task's memory: too large for the stack, and zero but for what describe() sets. */
static const struct denet_task NEW_TASK;

/* How far back ancestors are asked for: all of them but the last end at the very moment. */
#define ANCESTORS 4

static __always_inline int has_followed_ancestor(const void *task)
{
#pragma unroll
	for (int i = 0; i < ANCESTORS; i++) {
		task = pointer_at(task, ancestor_offset);
		if (!task)
			return 0;
		if (find_task(regs_of(task)))
			return 1;
	}
	return 0;
}

/* A task that is to be followed. */
struct newcomer {
	__u64 regs;
	__u64 start_ns;
	__u64 process_start_ns; /* 0: it begins a process */
	__u32 tid;
	__u32 tgid;
	__u32 is_child; /* of who runs this program, with its name */
	__u32 is_private; /* DENET_EXIT_PRIVATE, or 0 */
	__u64 call; /* DENET_CALL_BEFORE, or 0 */
};

static __always_inline void describe(struct denet_task *task, const struct newcomer *it)
{
	task->tid = it->tid;
	task->tgid = it->tgid;
	task->start_ns = it->start_ns;
	task->process_start_ns = it->process_start_ns ? it->process_start_ns : it->start_ns;
	if (it->is_child)
		bpf_get_current_comm(task->comm, sizeof(task->comm));
	else
		__builtin_memset(task->comm, 0, sizeof(task->comm));
	if (access_is_limited)
		task->exit_flags = it->is_private;
	task->events = 0;
	task->call = it->call;
	/* Last: from here on the memory is this task's. */
	*(volatile __u64 *)&task->regs = it->regs;
}

#define EEXIST 17

/*
 * A child may be seen by who walks over all tasks before its own fork tells of it: whoever claims it
 * first enters it, and the other has nothing left to do. Returns 1 to the first.
 */
static __always_inline int enroll(const struct newcomer *it)
{
	__u64 regs = it->regs, *claimed;
	__u32 slot = slot_of(regs), tid = it->tid;
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot), *task = 0;
	long refused;

	if (!home)
		return 0;
	/* The slot may have become free since the other one entered it elsewhere. */
	if (home->displaced &&
	    (bpf_map_lookup_elem(&denet_overflow, &regs) || bpf_map_lookup_elem(&denet_uncounted, &regs)))
		return 0;
	if (bpf_map_update_elem(&denet_claims, &slot, &regs, BPF_NOEXIST) == 0) {
		count_in_control(tasks_started, 1);
		describe(home, it);
		return 1;
	}
	claimed = bpf_map_lookup_elem(&denet_claims, &slot);
	if (claimed && *claimed == regs)
		return 0;
	refused = bpf_map_update_elem(&denet_overflow, &regs, &NEW_TASK, BPF_NOEXIST);
	if (refused == -EEXIST)
		return 0;
	if (!refused)
		task = bpf_map_lookup_elem(&denet_overflow, &regs);
	if (task) {
		count_in_control(tasks_started, 1);
		describe(task, it);
	} else {
		refused = bpf_map_update_elem(&denet_uncounted, &regs, &tid, BPF_NOEXIST);
		if (refused == -EEXIST)
			return 0;
		count_in_control(tasks_without_memory, 1);
		if (refused) {
			count_in_control(tasks_unfollowed, 1);
			return 0;
		}
		count_in_control(tasks_started, 1);
	}
	__sync_fetch_and_add(&home->displaced, 1);
	return 1;
}

static __always_inline __u64 calls_of(const struct denet_task *task)
{
	__u64 sum = 0;

	for (int i = 0; i < DENET_CELLS; i++)
		sum += task->cells[i] >> DENET_CELL_KEY_BITS;
	return sum;
}

/*
 * The end of a task, after its record is out: who sees all tasks ended finds all records. The flag is
 * read after the addition, user space sets it before it reads the sum: one of both sees the other.
 */
static __always_inline void count_end(void)
{
	__u64 nothing = 0;
	__u32 zero = 0;
	struct denet_control *control = bpf_map_lookup_elem(&denet_control, &zero);

	if (!control)
		return;
	__sync_fetch_and_add(&control->tasks_ended, 1);
	/* A record too short for a task says no more than "look". A full ring keeps nobody asleep. */
	if (*(volatile __u64 *)&control->wake_on_exit)
		bpf_ringbuf_output(&denet_ended, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/*
 * Moves the cells in use to the front, and says how many they are. Without a branch on what a cell
 * holds: the verifier would follow each of them both ways.
 */
static __always_inline __u32 compact(struct denet_task *task)
{
	__u64 negative;
	__u32 used = 0;

	for (int i = 0; i < DENET_CELLS; i++) {
		__u64 cell = task->cells[i];

		task->cells[i] = 0;
		task->cells[used & (DENET_CELLS - 1)] = cell;
		negative = -cell;
		/* Hides that this is a test for zero, which clang would make a branch of. */
		asm volatile("" : "+r"(negative));
		used += (cell | negative) >> 63;
	}
	return used;
}

#define SIGNAL_GROUP_EXIT 4

/* What wait(2) will tell of it. A process' status is that of its leader, unless all ended together. */
static __always_inline void describe_end(struct denet_task *ended, const void *task)
{
	const void *signal, *leader;
	__u32 flags = DENET_EXIT_KNOWN | (ended->exit_flags & DENET_EXIT_PRIVATE);

	if (!task_exit_code_offset || !task)
		return;
	signal = pointer_at(task, task_signal_offset);
	leader = pointer_at(task, task_leader_offset);
	if (!signal || !leader)
		return;
	/* do_exit() counts a thread down before it tells of its end. */
	if (word_at(signal, signal_live_offset) == 0)
		flags |= DENET_EXIT_LAST;
	if (word_at(signal, signal_flags_offset) & SIGNAL_GROUP_EXIT) {
		ended->exit_status = word_at(signal, signal_group_exit_code_offset);
		flags |= DENET_EXIT_OF_GROUP;
	} else {
		/* The leader may have ended before anybody was followed. */
		ended->exit_status = word_at(flags & DENET_EXIT_LAST ? leader : task, task_exit_code_offset);
	}
	ended->exit_flags = flags;
}

/* A record is as long as the task has kinds of calls: more of them fit while nobody reads. */
static __always_inline void report(struct denet_task *task, const void *ended)
{
	__u32 used;

	/* First: who reads this memory meanwhile is warned that its cells move. */
	*(volatile __u64 *)&task->end_ns = bpf_ktime_get_ns();
	used = compact(task);
	describe_end(task, ended);

	if (used > DENET_CELLS)
		used = DENET_CELLS;
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	if (bpf_ringbuf_output(&denet_ended, task,
			       offsetof(struct denet_task, cells) + used * sizeof(__u64), wake_flag())) {
		count_in_control(records_lost, 1);
		count_in_control(lost_calls, calls_of(task));
	}
}

/* 1: whoever listens to a stream is told who begot whom, before the child runs. */
const volatile __u32 births_are_told = 0;
/* Of files in task_struct; 0: not known. */
const volatile __u32 task_files_offset = 0;

static __always_inline void tell_birth(struct denet_task *parent, const struct newcomer *it, const void *begetter,
				       const void *child)
{
	struct denet_birth birth = {
		.child_start_ns = it->start_ns,
		.child_tid = it->tid,
		.child_tgid = it->tgid,
	};

	begin_event(&birth.head, parent, DENET_RECORD_BIRTH);
	birth.head.start_ns = birth.head.end_ns;
	bpf_get_current_comm(birth.comm, sizeof(birth.comm));
	if (task_files_offset)
		birth.files = pointer_at(begetter, task_files_offset) == pointer_at(child, task_files_offset) ?
				      DENET_FILES_SHARED :
				      DENET_FILES_COPIED;
	tell(&birth, sizeof(birth));
}

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

static __always_inline int on_fork(const void *begetter, const void *child)
{
	__u64 parent_regs = regs_of(begetter);
	struct denet_task *parent = find_task(parent_regs), *former;
	struct newcomer it = { .is_child = 1 };

	if (!follow_all && !parent && !bpf_map_lookup_elem(&denet_uncounted, &parent_regs) &&
	    !(ancestor_offset && !follow_threads_only && has_followed_ancestor(begetter)))
		return 0;
	if (follow_all && child && (word_at(child, walk_flags_offset) & PF_KTHREAD))
		return 0;
	it.regs = child ? regs_of(child) : 0;
	it.tid = child ? thread_id_of(child) : 0;
	it.tgid = child ? process_id_of(child) : 0;
	if (!it.regs || !it.tid || !it.tgid) {
		/* Outside denet's pid namespace; a child of a followed task never is. */
		if (ids_level && follow_all && !parent && it.regs)
			return 0;
		count_in_control(tasks_unfollowed, 1);
		return 0;
	}
	if (parent && parent->tgid == it.tgid)
		it.process_start_ns = parent->process_start_ns;
	else if (follow_threads_only && !follow_all)
		return 0;
	if (access_is_limited && parent)
		it.is_private = parent->exit_flags & DENET_EXIT_PRIVATE;
	it.start_ns = bpf_ktime_get_ns();
	if (births_are_told && parent && child)
		tell_birth(parent, &it, begetter, child);
	former = find_task(it.regs);
	/* A walk entered somebody who was just ending, and the stack is used again already. */
	if (former && former->tid != it.tid) {
		describe(former, &it);
		count_in_control(tasks_started, 1);
		count_in_control(tasks_ended, 1);
		return 0;
	}
	enroll(&it);
	return 0;
}

/* The stack, and so the identity, outlives exec; a thread that is not the leader becomes it. */
static __always_inline int on_exec(__u64 regs)
{
	struct denet_task *task = find_task(regs);

	if (!task)
		return 0;
	/* By now it is the only thread, and so the leader. */
	task->tid = task->tgid;
	bpf_get_current_comm(task->comm, sizeof(task->comm));
	if (access_is_limited)
		task->exit_flags = may_read() ? 0 : DENET_EXIT_PRIVATE;
	return 0;
}

static __always_inline int on_exit(const void *ended, __u64 regs)
{
	__u32 slot = slot_of(regs);
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot), *task;

	if (!home || !regs)
		return 0;
	if (home->regs == regs) {
		report(home, ended);
		await_usage(home, ended);
		/* All but what belongs to the slot. */
		home->regs = 0;
		home->end_ns = 0;
		home->exit_flags = 0;
		__builtin_memset(home->cells, 0, sizeof(home->cells));
		bpf_map_delete_elem(&denet_claims, &slot);
	} else if (home->displaced && (task = bpf_map_lookup_elem(&denet_overflow, &regs))) {
		report(task, ended);
		await_usage(task, ended);
		bpf_map_delete_elem(&denet_overflow, &regs);
		__sync_fetch_and_add(&home->displaced, -1);
	} else if (home->displaced && bpf_map_delete_elem(&denet_uncounted, &regs) == 0) {
		await_usage(0, ended);
		__sync_fetch_and_add(&home->displaced, -1);
	} else {
		return 0;
	}
	count_end();
	return 0;
}

SEC("raw_tp/sched_process_fork")
int denet_fork(__u64 *ctx)
{
	return on_fork((const void *)ctx[0], (const void *)ctx[1]);
}

SEC("raw_tp/sched_process_exec")
int denet_exec(__u64 *ctx)
{
	return on_exec(regs_of((const void *)ctx[0]));
}

SEC("raw_tp/sched_process_exit")
int denet_exit(__u64 *ctx)
{
	return on_exit((const void *)ctx[0], regs_of((const void *)ctx[0]));
}

SEC("raw_tp/sched_process_free")
int denet_free(__u64 *ctx)
{
	return report_usage((const void *)ctx[0]);
}

/*
 * The same as perf events, which are told less, but which no kernel preempts: from Linux 7.0 on a raw
 * tracepoint's program may be, and what happens to other tasks on that CPU meanwhile it is not told.
 */

/* In the record of sched_process_fork: 44 with the names in it, 20 where they follow it. */
const volatile __u32 child_pid_offset = 20;

/* Functions of the kernel's, which have no number here: the loader puts in what BTF says. */
#define bpf_task_from_pid(pid) ((void *(*)(__s32))0x64656e01)(pid)
#define bpf_task_release(task) ((void (*)(void *))0x64656e02)(task)

SEC("tp/sched/sched_process_fork")
int denet_fork_tp(void *ctx)
{
	const void *begetter = bpf_get_current_task_btf();
	/* The verifier wants to see each offset. */
	__s32 pid = child_pid_offset == 44 ? *(volatile __s32 *)(ctx + 44) : *(volatile __s32 *)(ctx + 20);
	void *child = bpf_task_from_pid(pid);
	int result = on_fork(begetter, child);

	if (child)
		bpf_task_release(child);
	return result;
}

SEC("tp/sched/sched_process_exec")
int denet_exec_tp(void *ctx)
{
	return on_exec(regs_of(bpf_get_current_task_btf()));
}

SEC("tp/sched/sched_process_exit")
int denet_exit_tp(void *ctx)
{
	const void *task = bpf_get_current_task_btf();

	return on_exit(task, regs_of(task));
}

/*
 * Tasks that run already: walked over by who reads the iterator's descriptor, as often as a walk finds
 * somebody new. Offsets are BTF's, tasks are typed, and so are kept from the rest.
 */
const volatile __u32 walk_pid_offset = 0;
const volatile __u32 walk_tgid_offset = 0;
const volatile __u32 walk_sp_offset = 0;
const volatile __u32 walk_exit_state_offset = 0;
const volatile __u32 walk_start_offset = 0;
const volatile __u32 walk_leader_offset = 0;
const volatile __u32 walk_parent_offset = 0;
/* denet itself. */
const volatile __u32 walk_skips_tgid = 0;
/* 1: a stream reports calls, also those that have begun before it follows their task. */
const volatile __u32 walk_marks_calls = 0;

static __always_inline __u64 walked_regs(const void *task)
{
	__u64 sp = *(const volatile __u64 *)(task + walk_sp_offset);

	return (sp & -(__u64)stack_bytes) + stack_regs_offset;
}

static __always_inline int walked_descends(const void *task)
{
#pragma unroll
	for (int i = 0; i < ANCESTORS; i++) {
		task = *(const void *const volatile *)(task + walk_parent_offset);
		if (!task)
			return 0;
		if (find_task(walked_regs(task)))
			return 1;
	}
	return 0;
}

SEC("iter/task")
int denet_walk(__u64 *ctx)
{
	const void *task = (const void *)ctx[1], *leader;
	struct newcomer it = {};
	struct denet_task *follows;

	if (!task)
		return 0;
	if (*(const volatile __u32 *)(task + walk_flags_offset) & (PF_EXITING | PF_KTHREAD))
		return 0;
	if (*(const volatile __u32 *)(task + walk_exit_state_offset))
		return 0;
	it.regs = walked_regs(task);
	if (find_task(it.regs))
		return 0;
	leader = *(const void *const volatile *)(task + walk_leader_offset);
	if (ids_level) {
		it.tid = id_in_namespace(task);
		it.tgid = process_id_in_namespace(task);
		/* Reaped meanwhile. */
		if (!it.tid || !it.tgid)
			return 0;
	} else {
		it.tid = *(const volatile __u32 *)(task + walk_pid_offset);
		it.tgid = *(const volatile __u32 *)(task + walk_tgid_offset);
	}
	if (!leader || it.tgid == walk_skips_tgid)
		return 0;
	if (!follow_all && !bpf_map_lookup_elem(&denet_wanted, &it.tgid) &&
	    (follow_threads_only || !walked_descends(task)))
		return 0;
	it.start_ns = *(const volatile __u64 *)(task + walk_start_offset);
	it.process_start_ns = *(const volatile __u64 *)(leader + walk_start_offset);
	/* The main thread may be one that was followed from its birth on: then that is its process. */
	follows = find_task(walked_regs(leader));
	if (follows && follows->tgid == it.tgid)
		it.process_start_ns = follows->process_start_ns;
	if (access_is_limited && !credentials_of_users(task))
		it.is_private = DENET_EXIT_PRIVATE;
	if (walk_marks_calls)
		it.call = bpf_ktime_get_ns() | DENET_CALL_BEFORE;
	if (enroll(&it)) {
		struct denet_ending identity = {
			.process_start_ns = it.process_start_ns,
			.tid = it.tid,
			.tgid = it.tgid,
		};

		note_usage_before(task, &identity);
		count_in_control(tasks_walked, 1);
	}
	return 0;
}
