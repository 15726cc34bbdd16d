/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Executions. Mirrored by src/monitor/exec/abi.rs. */
#ifndef DENET_EXEC_H
#define DENET_EXEC_H

#include "abi.h"

/* A call of execve or execveat. */
#define DENET_EXEC_PATH_BYTES 1024
#define DENET_EXEC_ARGS_BYTES 8192
#define DENET_EXEC_ARGS 64 /* of one that failed */
#define DENET_EXEC_STRING_BYTES 4096

#define DENET_EXEC_COMPAT 1
#define DENET_EXEC_AT 2 /* execveat */
#define DENET_EXEC_PATH_FAULT 4 /* the path could not be read */
#define DENET_EXEC_PATH_CUT 8
#define DENET_EXEC_ARGS_FAULT 16 /* not all arguments could be read */
#define DENET_EXEC_ARGS_CUT 32 /* there were more */
#define DENET_EXEC_PATH_KERNELS 64 /* the path is as the kernel resolved it, not as it was given */
#define DENET_EXEC_PRIVATE 128 /* not everything was read: the user may not trace its task */

struct denet_exec {
	struct denet_event head;
	__u64 cgroup; /* inode number of the cgroup of version 2; 0: there is none */
	__u64 path_address;
	__u64 args_bytes; /* of all arguments with their NULs, where they are known; may be more than are here */
	__s32 result;
	__u32 flags; /* DENET_EXEC_ */
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__s32 dirfd;
	__u32 path_len; /* of data, without a NUL */
	__u32 args_len; /* of data behind the path: strings that each end with a NUL */
	char comm_before[DENET_COMM_LEN];
	char comm_after[DENET_COMM_LEN];
	char data[DENET_EXEC_PATH_BYTES + DENET_EXEC_ARGS_BYTES + DENET_EXEC_STRING_BYTES];
};

/* Who executed how often. */
struct denet_exec_by {
	__u32 uid;
	char comm[DENET_COMM_LEN]; /* before */
};
struct denet_exec_counts {
	__u64 succeeded;
	__u64 failed;
};

#endif
