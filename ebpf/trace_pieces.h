/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the arguments of a call point to, read when it begins and when it has returned. */
#ifndef DENET_TRACE_PIECES_H
#define DENET_TRACE_PIECES_H

#include "stream.h"
#include "trace.h"

/*
 * What is known of a piece is kept in its own memory while it is read: numbers in registers the verifier would
 * follow, and walk all that comes later once more for each of their values.
 */
static __noinline int put_strings(struct denet_call *call, __u32 used, __u64 list)
{
	struct denet_piece *piece;
	__u32 size, length;
	__u64 string;
	char *to;
	long n;

	if (!call || used > DENET_CALL_DATA_BYTES)
		return 0;
	piece = (struct denet_piece *)(call->data + used);
	to = call->data + used + sizeof(*piece);
	size = 8 - 4 * (call->flags & DENET_CALL_COMPAT);
	piece->flags = DENET_PIECE_LIST;
	for (int i = 0; i < DENET_CALL_STRINGS; i++) {
		string = 0;
		if (bpf_probe_read_user(&string, size, (const void *)list))
			goto fault;
		if (!string)
			return 0;
		length = piece->len;
		if (length >= DENET_CALL_PIECE_BYTES - 64)
			break;
		/* A string is shown as far as a buffer is. */
		n = bpf_probe_read_user_str(to + (length & (DENET_CALL_PIECE_BYTES - 1)), 64, (const void *)string);
		if (n < 0)
			goto fault;
		piece->len = length + n;
		list += size;
	}
	piece->flags = DENET_PIECE_LIST | DENET_PIECE_CUT;
	return 0;
fault:
	piece->flags = DENET_PIECE_LIST | DENET_PIECE_FAULT;
	return 0;
}

/* How long a piece is, before it is cut. */
static __always_inline __u64 length_of(const struct denet_call *call, const struct denet_piece_spec *spec, __u32 by,
				       __u32 max)
{
	__u64 len;
	__u32 size = 0;

	switch (spec->what) {
	case DENET_PIECE_BYTES:
		return max;
	case DENET_PIECE_BY_ARG:
		return call->args[by] * spec->unit;
	case DENET_PIECE_BY_RESULT:
		len = call->result > 0 ? call->result * spec->unit : 0;
		/* With MSG_TRUNC more is returned than there was room for. */
		return by && len > call->args[by] ? call->args[by] : len;
	case DENET_PIECE_BY_INT_AT:
		if (bpf_probe_read_user(&size, sizeof(size), (const void *)call->args[by]))
			size = 0;
		return size;
	}
	return 0;
}

/* Reads one piece behind those that are there. Returns 0 where it was not in memory. */
static __noinline int put(struct denet_call *call, const struct denet_piece_spec *spec, __u32 at_exit)
{
	struct denet_piece *piece;
	__u32 used, max, arg, by;
	__u64 from, len;
	char *to;
	long n;

	if (!call || !spec)
		return 1;
	arg = spec->arg;
	by = spec->by;
	max = spec->max;
	used = call->used;
	if (arg >= ARGUMENTS || by >= ARGUMENTS || used > DENET_CALL_DATA_BYTES)
		return 1;
	from = call->args[arg];
	if (!from)
		return 1;
	if (max > DENET_CALL_PIECE_BYTES)
		max = DENET_CALL_PIECE_BYTES;
	piece = (struct denet_piece *)(call->data + used);
	to = call->data + used + sizeof(*piece);
	piece->arg = arg;
	piece->at_exit = at_exit;
	piece->flags = 0;
	piece->_pad = 0;
	piece->len = 0;
	if (spec->what == DENET_PIECE_STRINGS) {
		put_strings(call, used, from);
	} else {
		if (spec->what == DENET_PIECE_STRING) {
			n = bpf_probe_read_user_str(to, max, (const void *)from);
			if (n == max)
				piece->flags = DENET_PIECE_CUT;
		} else {
			len = length_of(call, spec, by, max);
			if (len > max) {
				len = max;
				piece->flags = DENET_PIECE_CUT;
			}
			if (len > DENET_CALL_PIECE_BYTES)
				len = DENET_CALL_PIECE_BYTES;
			n = bpf_probe_read_user(to, len, (const void *)from);
			if (n == 0)
				n = len;
		}
		if (n < 0)
			piece->flags |= DENET_PIECE_FAULT;
		else
			piece->len = n;
	}
	call->used = used + sizeof(*piece) + ((piece->len + 7) & ~7U);
	return !(piece->flags & DENET_PIECE_FAULT);
}

static __noinline int put_at_entry(struct denet_call *call, const struct denet_call_spec *spec)
{
	if (!call || !spec)
		return 0;
	for (int i = 0; i < DENET_CALL_PIECES; i++) {
		if (!spec->pieces[i].what)
			break;
		if (!spec->pieces[i].at_exit && !put(call, &spec->pieces[i], 0))
			call->faulted |= 1 << i;
	}
	return 0;
}

#define EINTR 4
#define ERESTARTSYS 512 /* the first of those that only tracers see */
#define ERESTART_RESTARTBLOCK 516

/* A call that failed answers nothing, but for one that was interrupted: how long it would have gone on. */
static __always_inline int answers(const struct denet_piece_spec *piece, __s64 result)
{
	int interrupted = result == -EINTR || (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK);

	return result >= 0 || (interrupted && piece->what == DENET_PIECE_BYTES);
}

static __noinline int put_at_exit(struct denet_call *call, const struct denet_call_spec *spec)
{
	if (!call || !spec)
		return 0;
	for (int i = 0; i < DENET_CALL_PIECES; i++) {
		if (!spec->pieces[i].what)
			break;
		/* What was not in memory then, the kernel has brought there since. */
		if (spec->pieces[i].at_exit ? answers(&spec->pieces[i], call->result) : (call->faulted >> i) & 1)
			put(call, &spec->pieces[i], 1);
	}
	return 0;
}

#endif
