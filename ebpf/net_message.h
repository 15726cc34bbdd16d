/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the arguments of a call say of its messages: to whom, and how long. */
#ifndef DENET_NET_MESSAGE_H
#define DENET_NET_MESSAGE_H

#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
/* Nothing is taken from what arrived: it stays, or is what was sent itself. */
#define LOOKS (MSG_PEEK | MSG_ERRQUEUE)

/*
 * As many as one call takes (UIO_MAXIOV); of the parts of one message fewer are looked at. Each loop is ended by
 * such a number as well, and what bounds a size is done where it is used: before Linux 5.11 the verifier forgets the
 * bounds of a number that is put on the stack.
 */
#define MESSAGES 1024
#define PARTS 64

/* struct user_msghdr, of either entry. */
struct message {
	__u64 name;
	__u64 name_bytes;
	__u64 parts;
	__u64 count;
};

static __noinline int read_message(struct message *to, __u64 from, __u32 compat, __u64 hidden)
{
	__u32 words[4] = {};
	__u64 longs[4] = {};

	if (!to)
		return -1;
	if (compat) {
		if (read_user(words, sizeof(words), from, hidden))
			return -1;
		to->name = words[0];
		to->name_bytes = words[1];
		to->parts = words[2];
		to->count = words[3];
	} else {
		if (read_user(longs, sizeof(longs), from, hidden))
			return -1;
		to->name = longs[0];
		to->name_bytes = (__u32)longs[1];
		to->parts = longs[2];
		to->count = longs[3];
	}
	return 0;
}

/* A name that is longer is cut, but its whole length is told. */
static __always_inline void note_name_room(struct call *call)
{
	struct message message = {};

	call->name_room = ~0U;
	if (call->op == DENET_NET_RECVFROM && call->args[5])
		read_user(&call->name_room, sizeof(call->name_room), call->args[5], hidden(call));
	else if ((call->op == DENET_NET_RECVMSG || call->op == DENET_NET_RECVMMSG) &&
		 !read_message(&message, call->args[1], call->event.compat, hidden(call)))
		call->name_room = message.name_bytes;
}

static __always_inline __u32 smaller(__u64 a, __u32 b)
{
	return a < b ? a : b;
}

/*
 * How struct mmsghdr lies there, in memory: of numbers that it knows the verifier would walk each loop
 * once more for every value.
 */
static __always_inline void lay_out_messages(struct call *call)
{
	volatile struct layout *to = &call->layout;

	to->stride = call->event.compat ? 32 : 64;
	to->length = call->event.compat ? 28 : 56;
	to->name = call->event.compat ? 0xffffffff : ~0ULL;
}

/* Which bytes of a name, of this family, say whose it is. */
static __always_inline void lay_out_names(struct call *call, __u16 family)
{
	volatile struct layout *to = &call->layout;

	/* Of IPv4 the first eight say all, of IPv6 there is a flow label in their half. */
	to->first = family == AF_INET ? ~0ULL : 0xffffffff;
	to->bytes = family == AF_INET ? 8 : 24;
	to->follow = ~0ULL;
	/* Paths are not compared: where they lie is. */
	if (family != AF_INET && family != AF_INET6) {
		to->first = to->name;
		to->bytes = 8;
		to->follow = 0;
	}
}

/* One call, many messages: the other end, if it is the same for all of them. */
static __noinline int read_remotes(struct call *call)
{
	__u64 at, name, follow, differ = 0, stride, pointer, mask, words[4] = {}, first[4] = {};
	volatile struct layout *layout;
	struct message message = {};
	__u16 family = 0;
	__u64 unread;
	__s64 n;

	if (!call)
		return 0;
	at = call->args[1];
	n = call->event.result;
	unread = hidden(call);
	if (n <= 0 || read_message(&message, at, call->event.compat, unread) || !message.name || !message.name_bytes)
		return 0;
	read_remote(call, message.name, smaller(message.name_bytes, call->name_room));
	read_user(&family, sizeof(family), message.name, unread);
	lay_out_names(call, family);
	layout = &call->layout;
	stride = layout->stride;
	pointer = layout->name;
	follow = layout->follow;
	mask = layout->first;
	read_user(first, layout->bytes & 31, (message.name & follow) | (at & ~follow), unread);
	for (__u32 i = 1; i < MESSAGES; i++) {
		if (i >= n)
			break;
		at += stride;
		/* What cannot be read is 0. */
		read_user(&name, sizeof(name), at, unread);
		name &= pointer;
		read_user(words, layout->bytes & 31, (name & follow) | (at & ~follow), unread);
		differ |= ((words[0] ^ first[0]) & mask) | (words[1] ^ first[1]) | (words[2] ^ first[2]);
	}
	if (differ) {
		forget_remote(call);
		call->event.key.flags = DENET_NET_SEVERAL;
	}
	return 0;
}

/* Whom the call names: where there is no connection, or another one than that. */
static __always_inline void name_other_side(struct call *call, __u32 sends)
{
	struct message message = {};
	__u32 bytes = 0;

	/* A stream that is connected ignores names. */
	if (has_connections(call) && (!sends || call->event.key.bytes))
		return;
	/* Nobody writes down who sent nothing. */
	if (!sends && call->event.result < 0)
		return;
	switch (call->op) {
	case DENET_NET_SENDTO:
		if (call->args[4])
			read_remote(call, call->args[4], call->args[5]);
		break;
	case DENET_NET_RECVFROM:
		if (call->args[4] && !read_user(&bytes, sizeof(bytes), call->args[5], hidden(call)))
			read_remote(call, call->args[4], smaller(bytes, call->name_room));
		break;
	case DENET_NET_SENDMSG:
	case DENET_NET_RECVMSG:
		if (!read_message(&message, call->args[1], call->event.compat, hidden(call)) && message.name &&
		    message.name_bytes)
			read_remote(call, message.name, smaller(message.name_bytes, call->name_room));
		break;
	}
}

/* Where connect was to lead. */
static __always_inline void name_target(struct call *call)
{
	read_remote(call, call->args[1], call->args[2]);
}

#define UNKNOWN (~0ULL)

/* The room that the parts of a message have. */
static __noinline __u64 room_in(__u64 parts, __u64 count, __u32 compat, __u64 hidden)
{
	volatile __u32 narrow = compat;
	__u64 room = 0, bytes = 0, at;
	long failed = 0;
	__u32 size;

	if (count > PARTS)
		return UNKNOWN;
	at = parts + (compat ? 4 : 8);
	for (__u32 i = 0; i < PARTS; i++) {
		if (i >= count)
			break;
		size = 8 - 4 * (narrow & 1);
		failed |= read_user(&bytes, size, at, hidden);
		room += bytes;
		at += 2 * size;
	}
	return failed ? UNKNOWN : room;
}

static __always_inline __u64 fitted(__u64 bytes, __u64 room)
{
	if (room == UNKNOWN)
		count_net(lengths_unknown, 1);
	return room < bytes ? room : bytes;
}

static __noinline __u64 sum_of_messages(struct call *call)
{
	__u64 sum = 0, at, stride, unread, failed = 0;
	__u32 bytes;
	__s64 n;

	if (!call)
		return 0;
	stride = *(volatile __u64 *)&call->layout.stride;
	unread = hidden(call);
	at = call->args[1] + *(volatile __u64 *)&call->layout.length;
	n = call->event.result;
	for (__u32 i = 0; i < MESSAGES; i++) {
		if (i >= n)
			break;
		failed |= read_user(&bytes, sizeof(bytes), at, unread);
		sum += bytes;
		at += stride;
	}
	if (failed)
		count_net(lengths_unknown, 1);
	return sum;
}

/* What of that there was no room for. */
static __noinline __u64 excess_of_messages(struct call *call)
{
	__u64 excess = 0, at, room, bytes, unread, words[8];
	__u32 unknown = 0;
	__s64 n;

	if (!call)
		return 0;
	at = call->args[1];
	n = call->event.result;
	unread = hidden(call);
	if (call->event.compat || n > PARTS)
		unknown = 1;
	else
		for (__u32 i = 0; i < PARTS; i++) {
			if (i >= n)
				break;
			words[3] = words[7] = room = 0;
			read_user(words, sizeof(words), at, unread);
			if (words[3])
				read_user(&room, sizeof(room), words[2] + 8, unread);
			bytes = (__u32)words[7];
			if (words[3] > 1)
				unknown = 1;
			else if (bytes > room)
				excess += bytes - room;
			at += 64;
		}
	if (unknown)
		count_net(lengths_unknown, 1);
	return excess;
}

/*
 * What went between the program's memory and the socket. With MSG_TRUNC a message's whole length is
 * returned, however little of it there was room for.
 */
static __always_inline __u64 moved_bytes(struct call *call)
{
	__u32 truncates = (call->flags & MSG_TRUNC) && call->event.local.kind != SOCK_STREAM;
	struct message message = {};

	if (call->event.result <= 0 || (call->flags & LOOKS))
		return 0;
	if (truncates && call->op == DENET_NET_RECVFROM)
		return (__u64)call->event.result < call->args[2] ? (__u64)call->event.result : call->args[2];
	if (truncates && call->op == DENET_NET_RECVMSG &&
	    !read_message(&message, call->args[1], call->event.compat, hidden(call)))
		return fitted(call->event.result,
			      room_in(message.parts, message.count, call->event.compat, hidden(call)));
	return call->event.result;
}

/* The call that socketcall(2) of the 32-bit entry stands for, by SYS_ of linux/net.h. */
static __always_inline __u32 op_of_socketcall(__u32 which)
{
	switch (which) {
	case 3:
		return DENET_NET_CONNECT;
	case 5:
	case 18:
		return DENET_NET_ACCEPT;
	case 9:
	case 11:
		return DENET_NET_SENDTO;
	case 10:
	case 12:
		return DENET_NET_RECVFROM;
	case 13:
		return DENET_NET_SHUTDOWN;
	case 16:
		return DENET_NET_SENDMSG;
	case 17:
		return DENET_NET_RECVMSG;
	case 19:
		return DENET_NET_RECVMMSG;
	case 20:
		return DENET_NET_SENDMMSG;
	}
	return 0;
}

/* Puts the call's own arguments in place of those of socketcall(2). */
static __always_inline __u32 unpack_socketcall(__u64 *args)
{
	__u32 op = op_of_socketcall(args[0]), words[ARGUMENTS] = {};
	__u32 has_address = args[0] == 11 || args[0] == 12;
	__u64 unread = hidden_by(may_read());

	if (!op)
		return 0;
	if (read_user(words, has_address ? 24 : 8, args[1], unread)) {
		count_net(unread_calls, 1);
		return 0;
	}
	/* What a call does not take may not be there. */
	if (!has_address)
		read_user(words + 2, 8, args[1] + 8, unread);
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		args[i] = words[i];
	return op;
}

/* It is given sockets, or fails. */
static __always_inline int is_of_sockets_only(__u32 op)
{
	return (op >= DENET_NET_RECVFROM && op <= DENET_NET_SENDMMSG) ||
	       (op >= DENET_NET_CONNECT && op <= DENET_NET_SHUTDOWN);
}

#endif
