/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which calls does a followed task make, with what, and what comes of them? */
#include <stddef.h>

#include "trace_pieces.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * DENET_CALL_NRS);
	__type(key, __u32);
	__type(value, struct denet_call_spec);
} denet_specs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_call_filter);
} denet_filter SEC(".maps");

/* The call that the task of a slot is in. Of the same length as denet_slots. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct denet_call);
} denet_calls SEC(".maps");

/* Of tasks whose slot was taken, by identity. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct denet_call);
} denet_calls_far SEC(".maps");

/* Too large for the stack, and zero. */
static const struct denet_call NO_CALL;

/* What is told of numbers that have no entry, DENET_SPEC_. */
const volatile __u32 others = 0;
/* In linux_binprm, by BTF; 0: none, or it may not be read. */
const volatile __u32 binprm_filename_offset = 0;

/* Where the call of a task is kept. */
static __always_inline struct denet_call *call_of(__u64 regs, struct denet_task *task, int begins)
{
	__u32 slot = slot_of(regs);
	struct denet_task *home = bpf_map_lookup_elem(&denet_slots, &slot);
	struct denet_call *far;

	if (!home)
		return 0;
	if (home == task)
		return bpf_map_lookup_elem(&denet_calls, &slot);
	far = bpf_map_lookup_elem(&denet_calls_far, &regs);
	if (!far && begins) {
		bpf_map_update_elem(&denet_calls_far, &regs, &NO_CALL, BPF_NOEXIST);
		far = bpf_map_lookup_elem(&denet_calls_far, &regs);
	}
	return far;
}

static __always_inline const struct denet_call_spec *spec_of(__s64 nr, int compat)
{
	__u32 index = (__u32)nr + (compat ? DENET_CALL_NRS : 0);

	if ((__u64)nr >= DENET_CALL_NRS)
		return 0;
	return bpf_map_lookup_elem(&denet_specs, &index);
}

static __always_inline __u64 bytes_of(const struct denet_call *call)
{
	__u64 used = call->used;

	if (used > sizeof(call->data))
		used = sizeof(call->data);
	return offsetof(struct denet_call, data) + used;
}

static __always_inline void tell_call(struct denet_call *call, struct denet_task *task)
{
	__u32 tid = call->head.tid;

	begin_event(&call->head, task, DENET_RECORD_CALL);
	/* An execution may have made it the leader. */
	call->head.tid = tid;
	task->call = 0;
	call->regs = 0;
	tell(call, bytes_of(call));
}

/* Reports neither the arguments nor what they point to. */
static __always_inline void keep_private(struct denet_call *call)
{
	for (int i = 0; i < ARGUMENTS; i++)
		call->args[i] = 0;
	call->used = 0;
	call->faulted = 0;
	call->flags |= DENET_CALL_PRIVATE;
}

static __always_inline int call_begins(__u64 regs, __s64 nr, int compat, const __u64 *args)
{
	struct denet_task *task = find_task(regs);
	const struct denet_call_spec *spec;
	struct denet_call *call;
	__u32 flags;
	__u64 cred;

	if (!task)
		return 0;
	/* If it was in a call that began before it was followed, that has returned. */
	task->call = 0;
	spec = spec_of(nr, compat);
	flags = spec ? spec->flags : others;
	if (!flags)
		return 0;
	call = call_of(regs, task, 1);
	if (!call) {
		count_in_control(calls_unmatched, 1);
		count_in_control(events_lost, 1);
		task->events++;
		return 0;
	}
	cred = may_read_of(task, (flags & DENET_SPEC_NEW_MEMORY) != 0);
	for (int i = 0; i < ARGUMENTS; i++)
		call->args[i] = cred ? args[i] : 0;
	call->nr = nr;
	call->flags = compat ? DENET_CALL_COMPAT : 0;
	if (!(flags & DENET_SPEC_WANTED))
		call->flags |= DENET_CALL_UNSHOWN;
	call->result = 0;
	call->used = 0;
	call->faulted = 0;
	if (spec && cred)
		put_at_entry(call, spec);
	if (!might_read(cred))
		keep_private(call);
	/* Again, for the verifier: it would read the pieces once more for each place where a task may be. */
	task = find_task(regs);
	if (!task)
		return 0;
	task->call = bpf_ktime_get_ns();
	call->head.start_ns = task->call;
	call->head.tid = task->tid;
	call->head.tgid = task->tgid;
	call->head.thread_start_ns = task->start_ns;
	call->regs = regs;
	if (flags & DENET_SPEC_NEVER_RETURNS) {
		call->flags |= DENET_CALL_UNFINISHED;
		tell_call(call, task);
	}
	return 0;
}

/* Does the path that was given begin as it should? */
static __always_inline int begins_with_path(const struct denet_call *call, const struct denet_call_filter *filter)
{
	const __u64 *text = (const __u64 *)(call->data + sizeof(struct denet_piece));
	__u64 differs = 0;

#pragma unroll
	for (__u32 i = 0; i < DENET_CALL_PATH_WORDS; i++)
		differs |= (text[i] ^ filter->path[i]) & filter->path_mask[i];
	return call->used && !differs;
}

static __always_inline int is_shown(const struct denet_call *call, __u32 spec_flags, __u64 took_ns)
{
	__u32 zero = 0;
	struct denet_call_filter *filter = bpf_map_lookup_elem(&denet_filter, &zero);
	__u64 errno;

	if (!filter)
		return 1;
	if (took_ns < filter->least_ns)
		return 0;
	if (filter->by_errno) {
		errno = call->result < 0 && call->result >= -4095 ? -call->result : 0;
		if (errno > 255)
			errno = 255;
		if (!(filter->errnos[errno >> 6] & (1ULL << (errno & 63))))
			return 0;
	}
	/* Of several paths, or one that was not in memory, user space judges. */
	if (!filter->by_path || !(spec_flags & DENET_SPEC_ONE_PATH) || call->faulted)
		return 1;
	return begins_with_path(call, filter);
}

/*
 * A call that began before its task was followed returns: the registers of its beginning are still there, but for the
 * one with the result. Returns 0 if it is not reported.
 */
static __always_inline int call_began(struct denet_call *call, const struct denet_task *task, __u64 regs,
				      const void *typed, __s64 result)
{
	__u64 args[ARGUMENTS], cred = 0;
	int compat = is_compat();
	__s64 nr = read_call(regs, typed, compat, args);
	const struct denet_call_spec *spec = spec_of(nr, compat);
	__u32 flags = spec ? spec->flags : others;
	int gone = (flags & DENET_SPEC_NEW_MEMORY) && result >= 0;

	/* rt_sigreturn has restored the registers of what a signal interrupted. */
	if (nr < 0 || !flags)
		return 0;
	call->nr = nr;
	call->flags = DENET_CALL_EARLIER | (compat ? DENET_CALL_COMPAT : 0);
	if (!(flags & DENET_SPEC_WANTED))
		call->flags |= DENET_CALL_UNSHOWN;
	call->used = 0;
	/* Whether the path is one that is wanted, user space decides. */
	call->faulted = gone;
	if (!gone)
		cred = may_read();
	for (int i = 0; i < ARGUMENTS; i++)
		call->args[i] = cred ? args[i] : 0;
	call->result = result;
	if (gone)
		call->flags |= DENET_CALL_ARGS_GONE;
	else if (spec && cred)
		put_at_entry(call, spec);
	if (!gone && !might_read(cred))
		keep_private(call);
	call->head.tid = task->tid;
	call->regs = regs;
	return 1;
}

static __always_inline int call_ends(__u64 regs, const void *typed, __s64 result)
{
	struct denet_task *task = find_task(regs);
	const struct denet_call_spec *spec;
	struct denet_call *call;
	__u32 flags = 0;
	__u64 cred, took_ns;

	if (!task || !task->call)
		return 0;
	call = call_of(regs, task, 1);
	if (task->call & DENET_CALL_BEFORE) {
		if (!call) {
			count_in_control(calls_unmatched, 1);
			count_in_control(events_lost, 1);
			task->events++;
		}
		if (!call || !call_began(call, task, regs, typed, result)) {
			task = find_task(regs);
			if (task)
				task->call = 0;
			return 0;
		}
	}
	if (!call || call->regs != regs)
		return 0;
	call->result = result;
	spec = spec_of(call->nr, call->flags & DENET_CALL_COMPAT);
	if (spec) {
		flags = spec->flags;
		if (!((flags & DENET_SPEC_NEW_MEMORY) && result >= 0) && !(call->flags & DENET_CALL_PRIVATE)) {
			cred = may_read();
			if (cred)
				put_at_exit(call, spec);
			if (!might_read(cred))
				keep_private(call);
		}
	}
	task = find_task(regs);
	if (!task)
		return 0;
	/* How long a call lasted that began earlier is not known. */
	took_ns = task->call & DENET_CALL_BEFORE ? ~0ULL : bpf_ktime_get_ns() - task->call;
	if (!is_shown(call, flags, took_ns))
		call->flags |= DENET_CALL_UNSHOWN;
	if (!(call->flags & DENET_CALL_UNSHOWN) || (flags & DENET_SPEC_SILENT)) {
		tell_call(call, task);
	} else {
		task->call = 0;
		call->regs = 0;
	}
	return 0;
}

/* A path that was not in memory when an execution began: the kernel has its own copy. */
static __always_inline int execution_is_under_way(__u64 regs, const char *name)
{
	struct denet_task *task = find_task(regs);
	const struct denet_call_spec *spec;
	struct denet_piece *piece;
	struct denet_call *call;
	__u32 used;
	long n;

	if (!task || !task->call || !name)
		return 0;
	call = call_of(regs, task, 0);
	if (!call || call->regs != regs || !(call->faulted & 1) || !may_read())
		return 0;
	spec = spec_of(call->nr, call->flags & DENET_CALL_COMPAT);
	used = call->used;
	if (!spec || !(spec->flags & DENET_SPEC_NEW_MEMORY) || used > DENET_CALL_DATA_BYTES)
		return 0;
	n = bpf_probe_read_kernel_str(call->data + used + sizeof(*piece), DENET_CALL_PIECE_BYTES, name);
	if (n <= 0)
		return 0;
	piece = (struct denet_piece *)(call->data + used);
	piece->arg = spec->pieces[0].arg;
	piece->at_exit = 1;
	piece->flags = 0;
	piece->_pad = 0;
	piece->len = n;
	call->used = used + sizeof(*piece) + ((n + 7) & ~7L);
	return 0;
}

/* Before the task is forgotten: what it was in the middle of. */
static __always_inline int task_ends(__u64 regs)
{
	struct denet_task *task = find_task(regs);
	struct denet_call *call;

	if (!task)
		return 0;
	call = call_of(regs, task, 0);
	if (call && task->call && call->regs == regs) {
		call->flags |= DENET_CALL_UNFINISHED;
		tell_call(call, task);
	}
	/* Fails where its slot was its own. */
	bpf_map_delete_elem(&denet_calls_far, &regs);
	return 0;
}

/* As in struct kernel_siginfo, whose beginning is that of user space's. */
struct signal_info {
	__s32 signo;
	__s32 error;
	__s32 code;
	__s32 _pad;
	__u32 pid;
	__u32 uid;
	__s32 status;
};

static const struct signal_info NO_INFORMATION;

static __always_inline int signal_comes(__u64 regs, __s32 number, const struct signal_info *info, __u32 known)
{
	struct denet_task *task = find_task(regs);
	struct denet_signal it = {};
	__u64 began;

	if (!task)
		return 0;
	began = task->call & ~DENET_CALL_BEFORE;
	/* It may contain an address in the task's memory. */
	if (!may_read()) {
		info = &NO_INFORMATION;
		known = 0;
	}
	begin_event(&it.head, task, DENET_RECORD_SIGNAL);
	it.head.start_ns = began ? began : it.head.end_ns;
	it.signal = number;
	it.code = info->code;
	it.sender = info->pid;
	it.uid = info->uid;
	it.status = info->status;
	it.known = known;
	tell(&it, sizeof(it));
	return 0;
}

SEC("raw_tp/sys_enter")
int denet_call_in(__u64 *ctx)
{
	__u64 regs = caller(ctx), args[ARGUMENTS];
	int compat;

	/* For everybody who is not followed, that is all. */
	if (!find_task(regs)) {
		count_untold(regs);
		return 0;
	}
	compat = is_compat();
	read_arguments(ctx, compat, args);
	return call_begins(regs, ctx[1], compat, args);
}

SEC("raw_tp/sys_exit")
int denet_call_out(__u64 *ctx)
{
	return call_ends(caller(ctx), (const void *)ctx[0], ctx[1]);
}

SEC("raw_tp/sched_process_exec")
int denet_call_exec(__u64 *ctx)
{
	if (!binprm_filename_offset || tasks_are_typed)
		return 0;
	return execution_is_under_way(regs_of((const void *)ctx[0]),
				      pointer_at((const void *)ctx[2], binprm_filename_offset));
}

SEC("raw_tp/sched_process_exit")
int denet_call_end(__u64 *ctx)
{
	return task_ends(regs_of((const void *)ctx[0]));
}

SEC("raw_tp/signal_deliver")
int denet_signal(__u64 *ctx)
{
	/* To tp_btf programs it is a number, and may not be read: it could be SEND_SIG_PRIV. */
	struct signal_info info = {};
	__u32 known = !tasks_are_typed && !bpf_probe_read_kernel(&info, sizeof(info), (const void *)ctx[1]) ?
			      DENET_SIGNAL_WHOLE :
			      0;

	return signal_comes(regs_of(current_task()), ctx[0], &info, known);
}

/* The same as perf events: see ebpf/lifecycle.bpf.c. */
SEC("tp/raw_syscalls/sys_enter")
int denet_call_in_t(__u64 *ctx)
{
	__u64 regs = caller_by_its_stack(), args[ARGUMENTS];

	if (!find_task(regs)) {
		count_untold(regs);
		return 0;
	}
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		args[i] = ctx[2 + i];
	return call_begins(regs, ctx[1], is_compat(), args);
}

SEC("tp/raw_syscalls/sys_exit")
int denet_call_o_t(__u64 *ctx)
{
	return call_ends(caller_by_its_stack(), 0, ctx[2]);
}

SEC("tp/sched/sched_process_exec")
int denet_call_x_t(__u32 *ctx)
{
	/* The record says where in it the name is: its offset in the low half. */
	if (!binprm_filename_offset)
		return 0;
	return execution_is_under_way(caller_by_its_stack(), (const char *)ctx + (ctx[2] & 0xffff));
}

SEC("tp/sched/sched_process_exit")
int denet_call_e_t(void *ctx)
{
	return task_ends(caller_by_its_stack());
}

SEC("tp/signal/signal_deliver")
int denet_signal_t(__s32 *ctx)
{
	/* Behind what all records begin with: sig, errno, code. */
	struct signal_info info = { .code = ctx[4] };

	return signal_comes(caller_by_its_stack(), ctx[2], &info, DENET_SIGNAL_CODE);
}
