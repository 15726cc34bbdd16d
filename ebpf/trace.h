/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Single calls: what is reported of them, and how. Mirrored by src/monitor/trace/abi.rs. */
#ifndef DENET_TRACE_H
#define DENET_TRACE_H

#include "abi.h"

#define DENET_CALL_NRS 512 /* with an entry of their own; the 32-bit entry's stand behind the others */
#define DENET_CALL_PIECES 4
#define DENET_CALL_PIECE_BYTES 1024 /* most of one */
#define DENET_CALL_DATA_BYTES 4096
#define DENET_CALL_STRINGS 32
#define DENET_CALL_PATH_WORDS 32

/* What is to be told of a call. */
#define DENET_SPEC_WANTED 1
#define DENET_SPEC_NEVER_RETURNS 2
#define DENET_SPEC_NEW_MEMORY 8 /* where it succeeds, its arguments are gone */
#define DENET_SPEC_ONE_PATH 16 /* its first piece is a path, and its only one */
#define DENET_SPEC_SILENT 4 /* told of for what it does to descriptors, not to be shown */

/* What a piece of memory is. */
#define DENET_PIECE_STRING 1
#define DENET_PIECE_BYTES 2
#define DENET_PIECE_BY_ARG 3 /* as long as another argument says, in units */
#define DENET_PIECE_BY_RESULT 4
#define DENET_PIECE_BY_INT_AT 5 /* as long as the int says that another argument points to */
#define DENET_PIECE_STRINGS 6 /* a list of pointers to strings, ended by NULL */

struct denet_piece_spec {
	__u8 arg; /* that points to it */
	__u8 at_exit; /* read when the call has returned */
	__u8 what; /* DENET_PIECE_; 0: none */
	__u8 by; /* the other argument */
	__u16 unit;
	__u16 max;
};

struct denet_call_spec {
	__u32 flags; /* DENET_SPEC_ */
	__u32 _pad;
	struct denet_piece_spec pieces[DENET_CALL_PIECES];
};

/* Which calls are to be shown by how they ended. */
struct denet_call_filter {
	__u64 least_ns;
	__u64 errnos[4]; /* a bit each of 0 to 255; bit 0 stands for success */
	__u32 by_errno; /* 1: only these */
	__u32 by_path; /* 1: only these */
	__u64 path[DENET_CALL_PATH_WORDS]; /* a prefix */
	__u64 path_mask[DENET_CALL_PATH_WORDS]; /* its bits */
};

#define DENET_PIECE_FAULT 1
#define DENET_PIECE_CUT 2
#define DENET_PIECE_LIST 4

/* Before each piece; its bytes follow, filled up to eight. */
struct denet_piece {
	__u8 arg;
	__u8 at_exit;
	__u8 flags; /* DENET_PIECE_ */
	__u8 _pad;
	__u32 len;
};

#define DENET_CALL_COMPAT 1
#define DENET_CALL_UNFINISHED 2 /* its thread ended in it, or it never returns */
#define DENET_CALL_UNSHOWN 4 /* a filter keeps it from being shown */
#define DENET_CALL_PRIVATE 8 /* no arguments are reported: the user may not trace its task */
#define DENET_CALL_EARLIER 16 /* it began before its task was followed; start_ns is since when that was */
#define DENET_CALL_ARGS_GONE 32 /* nothing is known of its arguments: they went with the memory of its caller */

struct denet_call {
	struct denet_event head;
	__u64 regs; /* whose, while it lasts; else 0 */
	__u64 args[6];
	__s64 result;
	__s32 nr;
	__u32 flags; /* DENET_CALL_ */
	__u32 used; /* of data */
	__u32 faulted; /* a bit for each piece that was not in memory at the beginning */
	char data[DENET_CALL_DATA_BYTES + DENET_CALL_PIECE_BYTES + 16];
};

/* What the kernel handed out of a signal, beside its number. */
#define DENET_SIGNAL_CODE 1
#define DENET_SIGNAL_WHOLE 2

/* A signal that is delivered. */
struct denet_signal {
	struct denet_event head;
	__s32 signal;
	__s32 code;
	__u32 sender; /* its process id, where there is one */
	__u32 uid;
	__s32 status; /* of a child that ended */
	__u32 known; /* DENET_SIGNAL_ */
};

#define DENET_RECORD_SIGNAL 4

#endif
