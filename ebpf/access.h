/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Whose memory may be read. If denet gets its privileges from its file, its user sees only what ptrace(2) would show
 * them (__ptrace_may_access, PTRACE_MODE_READ_REALCREDS): tasks that have the user's ids, are dumpable, and have
 * no capability. Otherwise any task's memory may be read, and the verifier removes all of this from the programs,
 * since access_is_limited is then a constant 0.
 */
#ifndef DENET_ACCESS_H
#define DENET_ACCESS_H

#include "task.h"

const volatile __u32 access_is_limited = 0;
/* Of the user. A task's real, saved and effective ids must all equal these. */
const volatile __u32 access_uid = 0;
const volatile __u32 access_gid = 0;
/* Offset from BTF. 0: not known, so no memory may be read. */
const volatile __u32 task_real_cred_offset = 0;
/* In cred, uid, gid, suid, sgid, euid and egid are adjacent. */
const volatile __u32 cred_uid_offset = 0;
const volatile __u32 cred_permitted_offset = 0;
const volatile __u32 cred_user_ns_offset = 0;
const volatile __u32 user_ns_level_offset = 0;
const volatile __u32 user_ns_owner_offset = 0;
/* In task_struct, of the pointer to what holds the dumpable flag: mm_struct or task_exec_state. */
const volatile __u32 task_dumpable_in_offset = 0;
const volatile __u32 dumpable_offset = 0;

#define DUMPABLE_MASK 3
#define DUMPABLE_BY_USER 1

static __always_inline const void *credentials_of(const void *task)
{
	return pointer_at(task, task_real_cred_offset);
}

static __always_inline int ids_are_the_users(const void *cred)
{
	__u32 differs = 0;

#pragma unroll
	for (int i = 0; i < 6; i++)
		differs |= word_at(cred, cred_uid_offset + 4 * i) ^ (i & 1 ? access_gid : access_uid);
	return !differs;
}

/* In a user namespace that the user created, the user has all capabilities; in the initial one, none. */
static __always_inline int capabilities_are_the_users(const void *cred)
{
	const void *namespace = pointer_at(cred, cred_user_ns_offset);
	__u32 level;

	if (!namespace)
		return 0;
	level = word_at(namespace, user_ns_level_offset);
	if (level == 0)
		return !(word_at(cred, cred_permitted_offset) | word_at(cred, cred_permitted_offset + 4));
	return level == 1 && word_at(namespace, user_ns_owner_offset) == access_uid;
}

/* The credentials of a task whose memory may be read; 0 if it may not. */
static __noinline __u64 credentials_of_users(const void *task)
{
	const void *cred, *holder;

	if (!task_real_cred_offset || !task_dumpable_in_offset)
		return 0;
	cred = credentials_of(task);
	holder = pointer_at(task, task_dumpable_in_offset);
	if (!cred || !holder)
		return 0;
	if (!ids_are_the_users(cred) || !capabilities_are_the_users(cred))
		return 0;
	if ((word_at(holder, dumpable_offset) & DUMPABLE_MASK) != DUMPABLE_BY_USER)
		return 0;
	return (__u64)cred;
}

#define CRED_OF_ANYBODY 1

/* The credentials by which the current task's memory may be read; 0 if it may not. */
static __always_inline __u64 may_read(void)
{
	return access_is_limited ? credentials_of_users(current_task()) : CRED_OF_ANYBODY;
}

/*
 * The same at the start of a call. denet's own child, which waits to execute the command, is not dumpable, but what
 * it passes to its execve is the user's. Only that call is read: it is the first one.
 */
static __always_inline __u64 may_read_of(struct denet_task *task, int executes)
{
	if (!access_is_limited)
		return CRED_OF_ANYBODY;
	if (!(task->exit_flags & DENET_EXIT_WAITING))
		return may_read();
	task->exit_flags &= ~DENET_EXIT_WAITING;
	if (executes && task_real_cred_offset && ids_are_the_users(credentials_of(current_task())))
		return CRED_OF_ANYBODY;
	return may_read();
}

/* After reading: whether the credentials are still the same, so that what was read may be reported. */
static __always_inline int might_read(__u64 cred)
{
	if (!access_is_limited || cred == CRED_OF_ANYBODY)
		return 1;
	return cred && (__u64)credentials_of(current_task()) == cred;
}

/* 0, or all ones: reading at an address with these bits fails (EFAULT). */
static __always_inline __u64 hidden_by(__u64 cred)
{
	return cred ? 0 : ~0ULL;
}

/*
 * bpf_probe_read_user() unless it is hidden. Without a branch: the verifier would follow both sides for each read in
 * each iteration of a loop.
 */
#define read_user(to, size, from, hidden) bpf_probe_read_user(to, size, (const void *)((__u64)(from) | (hidden)))

#endif
