/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who executes what, and does it succeed? */
#include <stddef.h>

#include "exec.h"
#include "stream.h"

/* Numbers of execve and execveat; of the 32-bit entry as well. */
const volatile __u32 nr_execve = 0;
const volatile __u32 nr_execveat = 0;
const volatile __u32 nr_execve_compat = 0;
const volatile __u32 nr_execveat_compat = 0;
/* 1: of this user alone. */
const volatile __u32 of_one_user = 0;
const volatile __u32 the_user = 0;
/* By BTF, 0 where there is none: task_struct, mm_struct, linux_binprm. */
const volatile __u32 task_real_parent_offset = 0;
const volatile __u32 task_mm_offset = 0;
const volatile __u32 mm_arg_start_offset = 0;
const volatile __u32 mm_arg_end_offset = 0;
const volatile __u32 binprm_filename_offset = 0;
/* 0: lockdown=confidentiality forbids it. */
const volatile __u32 reads_kernel = 1;

/* What is known when the call begins, by identity. */
struct pending {
	__u64 path;
	__u64 args;
	__u64 cgroup;
	__u32 flags;
	__s32 dirfd;
	__u32 tid;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 path_len;
	__u32 _pad;
	char comm[DENET_COMM_LEN];
	char text[DENET_EXEC_PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct pending);
} denet_pending SEC(".maps");

/* Too large for the stack: one while a call begins, one while it ends. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pending);
} denet_beginning SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_exec);
} denet_ending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct denet_exec_by);
	__type(value, struct denet_exec_counts);
} denet_exec_by SEC(".maps");

static __always_inline __u64 long_at(const void *place, __u32 offset)
{
	return (__u64)pointer_at(place, offset);
}

static __always_inline __u32 parent_of_current(void)
{
	const void *parent;

	if (!task_real_parent_offset)
		return 0;
	parent = pointer_at(current_task(), task_real_parent_offset);
	return parent ? process_id_of(parent) : 0;
}

/* Returns 1 where the call is to be told of. */
static __always_inline int exec_begins(__u64 regs, const __u64 *args, __u32 flags)
{
	struct denet_task *task = find_task(regs);
	struct pending *it;
	__u64 ids = bpf_get_current_uid_gid();
	__u32 zero = 0;
	__u64 cred;
	long n;

	if (!task) {
		count_untold(regs);
		return 0;
	}
	if (of_one_user && (__u32)ids != the_user)
		return 0;
	it = bpf_map_lookup_elem(&denet_beginning, &zero);
	if (!it)
		return 0;
	it->flags = flags;
	it->dirfd = flags & DENET_EXEC_AT ? (__s32)args[0] : 0;
	it->path = flags & DENET_EXEC_AT ? args[1] : args[0];
	it->args = flags & DENET_EXEC_AT ? args[2] : args[1];
	it->cgroup = bpf_get_current_cgroup_id();
	it->tid = task->tid;
	it->ppid = parent_of_current();
	it->uid = (__u32)ids;
	it->gid = ids >> 32;
	bpf_get_current_comm(it->comm, sizeof(it->comm));
	cred = may_read_of(task, 1);
	n = cred ? bpf_probe_read_user_str(it->text, sizeof(it->text), (const void *)it->path) : 0;
	if (!might_read(cred)) {
		n = 0;
		it->text[0] = 0;
		it->path = 0;
		it->dirfd = 0;
		it->flags = DENET_EXEC_PRIVATE;
	}
	it->path_len = n > 0 ? n - 1 : 0;
	if (n <= 0)
		it->flags |= DENET_EXEC_PATH_FAULT;
	else if (n == sizeof(it->text))
		it->flags |= DENET_EXEC_PATH_CUT;
	task->call = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&denet_pending, &regs, it, BPF_ANY)) {
		task->call = 0;
		count_in_control(calls_unmatched, 1);
		count_in_control(events_lost, 1);
	}
	return 0;
}

static __always_inline void count_by_command(const struct pending *it, __s64 result)
{
	struct denet_exec_by by = { .uid = it->uid };
	struct denet_exec_counts none = {}, *counts;

	__builtin_memcpy(by.comm, it->comm, sizeof(by.comm));
	counts = bpf_map_lookup_elem(&denet_exec_by, &by);
	if (!counts) {
		bpf_map_update_elem(&denet_exec_by, &by, &none, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&denet_exec_by, &by);
	}
	if (!counts)
		count_in_control(tables_full, 1);
	else if (result < 0)
		__sync_fetch_and_add(&counts->failed, 1);
	else
		__sync_fetch_and_add(&counts->succeeded, 1);
}

/* As the new program has them, one behind the other. */
static __always_inline void read_new_arguments(struct denet_exec *it)
{
	const void *mm = task_mm_offset ? pointer_at(current_task(), task_mm_offset) : 0;
	__u64 start, bytes;

	if (!mm) {
		it->flags |= DENET_EXEC_ARGS_FAULT;
		return;
	}
	start = long_at(mm, mm_arg_start_offset);
	bytes = long_at(mm, mm_arg_end_offset) - start;
	it->args_bytes = bytes;
	if (bytes > DENET_EXEC_ARGS_BYTES) {
		bytes = DENET_EXEC_ARGS_BYTES;
		it->flags |= DENET_EXEC_ARGS_CUT;
	}
	if (bpf_probe_read_user(it->data + (it->path_len & (DENET_EXEC_PATH_BYTES - 1)),
				bytes & (2 * DENET_EXEC_ARGS_BYTES - 1), (const void *)start))
		it->flags |= DENET_EXEC_ARGS_FAULT;
	else
		it->args_len = bytes;
}

/* As they were given, string by string. */
static __always_inline void read_given_arguments(struct denet_exec *it, __u64 list)
{
	__u32 size = it->flags & DENET_EXEC_COMPAT ? 4 : 8, used = 0;
	__u64 string;
	long n;

	/* No list is an empty one. */
	if (!list)
		goto whole;
	for (int i = 0; i < DENET_EXEC_ARGS; i++) {
		string = 0;
		if (bpf_probe_read_user(&string, size, (const void *)list)) {
			it->flags |= DENET_EXEC_ARGS_FAULT;
			break;
		}
		if (!string)
			goto whole;
		if (used >= DENET_EXEC_ARGS_BYTES)
			break;
		n = bpf_probe_read_user_str(it->data + (it->path_len & (DENET_EXEC_PATH_BYTES - 1)) +
						    (used & (DENET_EXEC_ARGS_BYTES - 1)),
					    DENET_EXEC_STRING_BYTES, (const void *)string);
		if (n <= 0) {
			it->flags |= DENET_EXEC_ARGS_FAULT;
			break;
		}
		used += n;
		list += size;
		if (n == DENET_EXEC_STRING_BYTES)
			break;
	}
	if (!(it->flags & DENET_EXEC_ARGS_FAULT))
		it->flags |= DENET_EXEC_ARGS_CUT;
whole:
	it->args_len = used;
}

static __always_inline int exec_ends(__u64 regs, __s64 result)
{
	struct denet_task *task = find_task(regs);
	struct pending *begun;
	struct denet_exec *it;
	__u32 zero = 0;
	__u64 bytes, cred;
	long n;

	if (!task || !task->call)
		return 0;
	begun = bpf_map_lookup_elem(&denet_pending, &regs);
	it = bpf_map_lookup_elem(&denet_ending, &zero);
	if (!begun || !it)
		return 0;
	begin_event(&it->head, task, DENET_RECORD_EXEC);
	it->head.tid = begun->tid;
	it->cgroup = begun->cgroup;
	it->path_address = begun->path;
	it->args_bytes = 0;
	it->result = result;
	it->flags = begun->flags;
	it->ppid = begun->ppid;
	it->uid = begun->uid;
	it->gid = begun->gid;
	it->dirfd = begun->dirfd;
	it->path_len = begun->path_len;
	it->args_len = 0;
	__builtin_memcpy(it->comm_before, begun->comm, sizeof(it->comm_before));
	bpf_get_current_comm(it->comm_after, sizeof(it->comm_after));
	__builtin_memcpy(it->data, begun->text, sizeof(begun->text));
	cred = may_read();
	if (cred && result >= 0) {
		read_new_arguments(it);
	} else if (cred && !(it->flags & DENET_EXEC_PRIVATE)) {
		/* What was not in memory when the call began, the kernel has brought there since. */
		if (it->flags & DENET_EXEC_PATH_FAULT) {
			n = bpf_probe_read_user_str(it->data, DENET_EXEC_PATH_BYTES, (const void *)begun->path);
			if (n > 0) {
				it->path_len = (n - 1) & (DENET_EXEC_PATH_BYTES - 1);
				it->flags &= ~DENET_EXEC_PATH_FAULT;
			}
		}
		read_given_arguments(it, begun->args);
	}
	if (!might_read(cred) || (result < 0 && it->flags & DENET_EXEC_PRIVATE)) {
		it->args_len = 0;
		it->args_bytes = 0;
		it->flags |= DENET_EXEC_ARGS_FAULT | DENET_EXEC_PRIVATE;
	} else if (it->path_len) {
		/* The task is the user's now, and the path is known. */
		it->flags &= ~DENET_EXEC_PRIVATE;
	}
	count_by_command(begun, result);
	task->call = 0;
	bpf_map_delete_elem(&denet_pending, &regs);
	bytes = offsetof(struct denet_exec, data) + (it->path_len & (DENET_EXEC_PATH_BYTES - 1)) +
		(it->args_len & (2 * DENET_EXEC_ARGS_BYTES - 1));
	if (bytes > sizeof(*it))
		bytes = sizeof(*it);
	tell(it, bytes);
	return 0;
}

/* A path that was not in memory when the call began: the kernel has its own copy by now. */
static __always_inline int exec_is_under_way(__u64 regs, const char *name)
{
	struct denet_task *task = find_task(regs);
	struct pending *it;
	long n;

	if (!task || !task->call)
		return 0;
	it = bpf_map_lookup_elem(&denet_pending, &regs);
	if (!it || !(it->flags & DENET_EXEC_PATH_FAULT) || !name || !reads_kernel || !may_read())
		return 0;
	n = bpf_probe_read_kernel_str(it->text, sizeof(it->text), name);
	if (n <= 0)
		return 0;
	it->path_len = n - 1;
	it->flags = (it->flags & ~DENET_EXEC_PATH_FAULT) | DENET_EXEC_PATH_KERNELS;
	return 0;
}

/* Which of both calls it is: DENET_EXEC_ flags, or -1 for others. */
static __always_inline int exec_flags(__s64 nr)
{
	int flags = -1;

	if (nr == nr_execve || nr == nr_execveat) {
		if (!is_compat())
			return nr == nr_execveat ? DENET_EXEC_AT : 0;
	}
	if (compat_mask && (nr == nr_execve_compat || nr == nr_execveat_compat)) {
		if (is_compat())
			flags = DENET_EXEC_COMPAT | (nr == nr_execveat_compat ? DENET_EXEC_AT : 0);
	}
	return flags;
}

SEC("raw_tp/sys_enter")
int denet_exec_in(__u64 *ctx)
{
	int flags = exec_flags(ctx[1]);
	__u64 args[ARGUMENTS];

	if (flags < 0)
		return 0;
	read_arguments(ctx, flags & DENET_EXEC_COMPAT, args);
	return exec_begins(caller(ctx), args, flags);
}

SEC("raw_tp/sched_process_exec")
int denet_exec_mid(__u64 *ctx)
{
	const void *binprm = (const void *)ctx[2];

	if (!binprm_filename_offset)
		return 0;
	return exec_is_under_way(regs_of((const void *)ctx[0]), pointer_at(binprm, binprm_filename_offset));
}

SEC("raw_tp/sys_exit")
int denet_exec_out(__u64 *ctx)
{
	return exec_ends(caller(ctx), ctx[1]);
}

/* The same as perf events: see ebpf/lifecycle.bpf.c. */
SEC("tp/raw_syscalls/sys_enter")
int denet_exec_in_t(__u64 *ctx)
{
	int flags = exec_flags(ctx[1]);
	__u64 args[ARGUMENTS];

	if (flags < 0)
		return 0;
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		args[i] = ctx[2 + i];
	return exec_begins(caller_by_its_stack(), args, flags);
}

SEC("tp/raw_syscalls/sys_exit")
int denet_exec_o_t(__u64 *ctx)
{
	return exec_ends(caller_by_its_stack(), ctx[2]);
}

SEC("tp/sched/sched_process_exec")
int denet_exec_m_t(__u32 *ctx)
{
	/* The record says where in it the name is: its offset in the low half. */
	return exec_is_under_way(caller_by_its_stack(), (const char *)ctx + (ctx[2] & 0xffff));
}

/*
 * The same as functions of the kernel's, which are given the address of the caller's pt_regs. Their own
 * registers are the context.
 */
#define X86_DI 112
#define X86_AX 80

static __always_inline int function_begins(void *ctx, __u32 flags)
{
	/* The verifier wants to see each offset. */
	__u64 x0 = *(volatile __u64 *)ctx, di = *(volatile __u64 *)(ctx + X86_DI);
	__u64 regs = regs_are_arm64 ? x0 : di;
	const __u64 as_context[] = { regs };
	__u64 args[ARGUMENTS];

	read_arguments(as_context, flags & DENET_EXEC_COMPAT, args);
	return exec_begins(regs, args, flags);
}

SEC("kprobe/execve")
int denet_execve_k(void *ctx)
{
	return function_begins(ctx, 0);
}

SEC("kprobe/execveat")
int denet_execvat_k(void *ctx)
{
	return function_begins(ctx, DENET_EXEC_AT);
}

SEC("kprobe/compat_execve")
int denet_execve_kc(void *ctx)
{
	return function_begins(ctx, DENET_EXEC_COMPAT);
}

SEC("kprobe/compat_execveat")
int denet_execvat_c(void *ctx)
{
	return function_begins(ctx, DENET_EXEC_AT | DENET_EXEC_COMPAT);
}

SEC("kretprobe/execve")
int denet_exec_ret(void *ctx)
{
	__s64 x0 = *(volatile __s64 *)ctx, ax = *(volatile __s64 *)(ctx + X86_AX);

	return exec_ends(caller_by_its_stack(), regs_are_arm64 ? x0 : ax);
}
