/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who moves how many bytes through which sockets, to and from whom, and what goes wrong? */
#include "net_socket.h"

/* No room: what moves is at least known by process. */
static __always_inline struct denet_net_endpoint *rest_of(const struct denet_net_key *of)
{
	struct denet_net_key key = {
		.process_start_ns = of->process_start_ns,
		.tgid = of->tgid,
		.flags = DENET_NET_OTHERS,
	};
	struct denet_net_endpoint *rest;

	count_in_control(tables_full, 1);
	rest = bpf_map_lookup_elem(&denet_net_rest, &key);
	if (rest)
		return rest;
	bpf_map_update_elem(&denet_net_rest, &key, &NEW_ENDPOINT, BPF_NOEXIST);
	rest = bpf_map_lookup_elem(&denet_net_rest, &key);
	if (rest)
		bpf_get_current_comm(rest->comm, sizeof(rest->comm));
	return rest;
}

static __noinline struct denet_net_endpoint *endpoint_of(const struct denet_net_key *key)
{
	struct denet_net_endpoint *endpoint;

	if (!key)
		return 0;
	endpoint = bpf_map_lookup_elem(&denet_endpoints, key);
	if (endpoint)
		return endpoint;
	bpf_map_update_elem(&denet_endpoints, key, &NEW_ENDPOINT, BPF_NOEXIST);
	endpoint = bpf_map_lookup_elem(&denet_endpoints, key);
	if (!endpoint)
		return rest_of(key);
	endpoint->first_ns = bpf_ktime_get_ns();
	bpf_get_current_comm(endpoint->comm, sizeof(endpoint->comm));
	return endpoint;
}

static __noinline int count_error(const struct denet_net_key *key, __u32 kind, __u32 error)
{
	struct denet_net_error it;
	__u64 none = 0, *count;

	if (!key)
		return 0;
	__builtin_memcpy(&it.key, key, sizeof(it.key));
	it.kind = kind;
	it.error = error;
	count = bpf_map_lookup_elem(&denet_net_errs, &it);
	if (!count) {
		bpf_map_update_elem(&denet_net_errs, &it, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&denet_net_errs, &it);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		count_in_control(tables_full, 1);
	return 0;
}

/* What a call does to an endpoint. */
struct deed {
	__u32 kind;
	__u32 looks;
	__u64 in;
	__u64 out;
};

static __noinline int account(struct call *call, const struct deed *deed)
{
	struct denet_net_event *event;
	struct denet_net_endpoint *endpoint;
	__s64 result;
	__u32 kind;

	if (!call || !deed)
		return 0;
	event = &call->event;
	result = event->result;
	kind = deed->kind;
	event->kind = kind;
	event->bytes = deed->in + deed->out;
	endpoint = endpoint_of(&event->key);
	if (!endpoint) {
		count_net(untracked_bytes, deed->in + deed->out);
		return 0;
	}
	endpoint->last_ns = bpf_ktime_get_ns();
	if (event->local.port || event->local.bytes || !endpoint->local.kind)
		__builtin_memcpy(&endpoint->local, &event->local, sizeof(endpoint->local));
	if (event->peer_inode)
		endpoint->peer_inode = event->peer_inode;
	if (kind < DENET_NET_KINDS)
		__sync_fetch_and_add(&endpoint->calls[kind], 1);
	if (deed->in)
		__sync_fetch_and_add(&endpoint->bytes_in, deed->in);
	if (deed->out)
		__sync_fetch_and_add(&endpoint->bytes_out, deed->out);
	if (deed->looks)
		__sync_fetch_and_add(&endpoint->looks, 1);
	if (result < 0) {
		__sync_fetch_and_add(&endpoint->errors, 1);
		count_error(&event->key, kind, -result);
	}
	return 0;
}

/* Most addresses are short. */
static __always_inline void tell_event(struct denet_net_event *event)
{
	if (!tells_events)
		return;
	if (event->local.bytes <= DENET_NET_SHORT_BYTES)
		tell(event, sizeof(*event) - DENET_NET_ADDRESS_BYTES + DENET_NET_SHORT_BYTES);
	else
		tell(event, sizeof(*event));
}

static __always_inline void add_connection(struct denet_net_endpoint *endpoint, __u64 took)
{
	__sync_fetch_and_add(&endpoint->connected, 1);
	__sync_fetch_and_add(&endpoint->connect_ns, took);
	if (took > endpoint->connect_max_ns)
		endpoint->connect_max_ns = took;
}

/* Told at most once: by the end of the call, or by what happens to the socket, whichever is later. */
static __noinline int settle(__u64 sk)
{
	struct denet_net_endpoint *endpoint;
	struct connect *it;
	__u32 one = 1;

	if (bpf_map_update_elem(&denet_settling, &sk, &one, BPF_NOEXIST))
		return 0;
	it = bpf_map_lookup_elem(&denet_connects, &sk);
	if (it && it->goes_on && it->done_ns) {
		endpoint = endpoint_of(&it->event.key);
		count_net(connects_settled, 1);
		if (endpoint) {
			endpoint->last_ns = it->done_ns;
			if (it->error == NO_ERROR) {
				add_connection(endpoint, it->done_ns - it->start_ns);
			} else {
				__sync_fetch_and_add(&endpoint->errors, 1);
				count_error(&it->event.key, DENET_NET_CONNECTED_LATER, it->error);
			}
		}
		if (tells_events) {
			it->event.kind = it->error ? DENET_NET_CONNECTED_LATER : DENET_NET_GIVEN_UP;
			it->event.head.seq = 0;
			it->event.head.start_ns = it->start_ns;
			it->event.head.end_ns = it->done_ns;
			it->event.result = it->error == NO_ERROR ? 0 : -(__s64)it->error;
			tell_event(&it->event);
		}
		bpf_map_delete_elem(&denet_connects, &sk);
	}
	bpf_map_delete_elem(&denet_settling, &sk);
	return 0;
}

#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7

#define EINTR 4
#define EINPROGRESS 115
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

static __always_inline int goes_on(__s64 result)
{
	return result == -EINPROGRESS || result == -EINTR ||
	       (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK);
}

/* Returns 1 if the outcome is known already, and to be told after the call itself. */
static __always_inline int end_connect(struct call *call, __u64 began, __u64 now)
{
	struct denet_net_endpoint *endpoint;
	__u64 sk = call->sk;
	struct connect *it;

	if (!call->connects) {
		/* Nobody tells of other sockets later, and who asks again does not connect again. */
		endpoint = call->event.result == 0 && !call->tells_later ? endpoint_of(&call->event.key) : 0;
		if (endpoint && (call->event.key.bytes || call->event.key.port))
			add_connection(endpoint, now - began);
		return 0;
	}
	it = bpf_map_lookup_elem(&denet_connects, &sk);
	if (call->event.result == 0) {
		endpoint = endpoint_of(&call->event.key);
		if (endpoint)
			add_connection(endpoint, now - began);
	} else if (it && goes_on(call->event.result)) {
		__builtin_memcpy(&it->event, &call->event, sizeof(it->event));
		count_net(connects_left, 1);
		/* A full barrier: who comes to this second sees what the other one did. */
		__sync_fetch_and_add(&it->goes_on, 1);
		return *(volatile __u64 *)&it->done_ns != 0;
	}
	bpf_map_delete_elem(&denet_connects, &sk);
	return 0;
}

static __always_inline void begin_connect(struct call *call, __u64 now)
{
	__u64 sk = call->sk;
	struct connect *it;

	/* Whoever is connected, or on the way there, is asked only how far that is. */
	if (!call->tells_later || read_at(__u8, sk, sock_state_offset) != TCP_CLOSE)
		return;
	it = bpf_map_lookup_elem(&denet_connects, &sk);
	/* Another call waits for this connection, or else it died while it did. */
	if (it && !it->done_ns)
		return;
	if (bpf_map_update_elem(&denet_connects, &sk, &NEW_CONNECT, BPF_ANY)) {
		count_in_control(tables_full, 1);
		return;
	}
	it = bpf_map_lookup_elem(&denet_connects, &sk);
	if (it) {
		it->start_ns = now;
		call->connects = 1;
	}
}

/* Whose the new socket is, the accepting process. */
static __always_inline void end_accept(struct call *call)
{
	struct deed deed = { .kind = DENET_NET_ACCEPTED };
	struct denet_net_endpoint *endpoint;
	struct seen seen = {};

	describe(call);
	account(call, &deed);
	if (call->event.result < 0 || !look_up(call->event.result, &seen))
		return;
	take_socket(call, call->event.result, &seen);
	forget_addresses(call);
	describe(call);
	endpoint = endpoint_of(&call->event.key);
	if (!endpoint)
		return;
	endpoint->last_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&endpoint->accepted, 1);
	__builtin_memcpy(&endpoint->local, &call->event.local, sizeof(endpoint->local));
	if (call->event.peer_inode)
		endpoint->peer_inode = call->event.peer_inode;
}

static __always_inline void end_transfer(struct call *call)
{
	__u32 op = call->op;
	__u32 sends = op == DENET_NET_WRITE || op == DENET_NET_SENDTO || op == DENET_NET_SENDMSG ||
		      op == DENET_NET_SENDFILE || op == DENET_NET_SPLICE_TO;
	struct deed deed = { .kind = sends ? DENET_NET_SENT : DENET_NET_RECEIVED };
	__u64 moved;

	describe(call);
	name_other_side(call, sends);
	moved = moved_bytes(call);
	if (sends)
		deed.out = moved;
	else if (call->flags & LOOKS)
		deed.looks = 1;
	else
		deed.in = moved;
	account(call, &deed);
}

/* Of many messages. */
static __noinline int end_messages(struct call *call)
{
	struct deed deed = {};
	__u64 moved;

	if (!call)
		return 0;
	lay_out_messages(call);
	describe(call);
	if (!has_connections(call))
		read_remotes(call);
	moved = sum_of_messages(call);
	if (call->op == DENET_NET_SENDMMSG) {
		deed.kind = DENET_NET_SENT;
		deed.out = moved;
	} else if (call->flags & LOOKS) {
		deed.looks = 1;
	} else {
		deed.in = moved;
		if ((call->flags & MSG_TRUNC) && call->event.local.kind != SOCK_STREAM)
			deed.in -= excess_of_messages(call);
	}
	account(call, &deed);
	return 0;
}

static __always_inline int net_begins(struct denet_task *task, __u64 regs, __u32 op, __s32 nr, __u32 compat,
				      __u64 *args)
{
	struct seen seen = {};
	struct call *call;
	__s32 fd;

	task->call = 0;
	if (op == DENET_NET_SOCKETCALL) {
		op = unpack_socketcall(args);
		if (!op)
			return 0;
	}
	fd = (__s32)args[0];
	look_up(fd, &seen);
	/* Only one end may be: the other one is a pipe, or the call fails. */
	if (!seen.sk && op == DENET_NET_SPLICE) {
		op = DENET_NET_SPLICE_TO;
		fd = (__s32)args[2];
		look_up(fd, &seen);
	}
	/* Most reads and writes end here: of no socket. */
	if (!seen.sk && !is_of_sockets_only(op))
		return 0;
	if (bpf_map_update_elem(&denet_net_calls, &regs, &NEW_CALL, BPF_ANY) ||
	    !(call = bpf_map_lookup_elem(&denet_net_calls, &regs))) {
		count_in_control(calls_unmatched, 1);
		count_in_control(events_lost, 1);
		count_net(untracked_calls, 1);
		return 0;
	}
	look_at_credentials(call);
	call->op = op;
	call->event.fd = fd;
	call->event.key.tgid = task->tgid;
	call->event.key.process_start_ns = task->process_start_ns;
	if (seen.sk)
		take_socket(call, fd, &seen);
	call->event.nr = nr;
	call->event.compat = compat;
	__builtin_memcpy(call->args, args, sizeof(call->args));
	if (op == DENET_NET_RECVFROM || op == DENET_NET_RECVMMSG)
		call->flags = (__u32)args[3];
	else if (op == DENET_NET_RECVMSG)
		call->flags = (__u32)args[2];
	note_name_room(call);
	task->call = bpf_ktime_get_ns();
	count_net(begun, 1);
	if (op == DENET_NET_CLOSE)
		describe(call);
	else if (op == DENET_NET_CONNECT)
		begin_connect(call, task->call);
	return 0;
}

static __always_inline int net_ends(__u64 regs, __s64 result)
{
	struct denet_task *task = find_task(regs);
	struct deed deed = {};
	struct call *call;
	int settled = 0;
	__u64 began, sk;
	__u32 op;

	if (!task || !task->call)
		return 0;
	call = bpf_map_lookup_elem(&denet_net_calls, &regs);
	if (!call)
		return 0;
	look_at_credentials(call);
	began = task->call;
	op = call->op;
	call->event.result = result;
	begin_event(&call->event.head, task, DENET_RECORD_SOCKET);
	bpf_get_current_comm(call->event.comm, sizeof(call->event.comm));
	switch (op) {
	case DENET_NET_CONNECT:
		deed.kind = DENET_NET_CONNECTED;
		describe(call);
		if (result < 0 || !(call->event.key.bytes || call->event.key.port))
			name_target(call);
		account(call, &deed);
		settled = end_connect(call, began, call->event.head.end_ns);
		break;
	case DENET_NET_ACCEPT:
		end_accept(call);
		break;
	case DENET_NET_SHUTDOWN:
		deed.kind = DENET_NET_SHUT;
		describe(call);
		account(call, &deed);
		break;
	case DENET_NET_CLOSE:
		deed.kind = DENET_NET_CLOSED;
		account(call, &deed);
		break;
	case DENET_NET_SENDMMSG:
	case DENET_NET_RECVMMSG:
		end_messages(call);
		break;
	default:
		end_transfer(call);
	}
	/* Again, for the verifier: it would walk all this once more for each place where a task may be. */
	task = find_task(regs);
	if (task)
		task->call = 0;
	count_net(ended, 1);
	if (hidden(call))
		call->event.fd = -1;
	tell_event(&call->event);
	sk = call->sk;
	bpf_map_delete_elem(&denet_net_calls, &regs);
	if (settled)
		settle(sk);
	return 0;
}

/* In whichever task this happens: mostly in one that the network interrupted. */
static __always_inline int state_changes(__u64 sk, __u32 state)
{
	struct connect *it;

	if (state != TCP_ESTABLISHED && state != TCP_CLOSE)
		return 0;
	it = bpf_map_lookup_elem(&denet_connects, &sk);
	if (!it || it->done_ns)
		return 0;
	it->error = NO_ERROR;
	if (state == TCP_CLOSE)
		it->error = read_at(__u32, sk, sock_err_offset);
	*(volatile __u64 *)&it->done_ns = bpf_ktime_get_ns();
	/* A full barrier, as above. */
	__sync_fetch_and_add(&it->barrier, 1);
	if (*(volatile __u64 *)&it->goes_on)
		settle(sk);
	return 0;
}

/* What the call does with sockets; 0: nothing. */
static __always_inline __u32 op_of(__s64 nr, __u32 compat)
{
	__u32 index = (__u32)nr + (compat ? DENET_NET_NUMBERS : 0), *op;

	if ((__u64)nr >= DENET_NET_NUMBERS)
		return 0;
	op = bpf_map_lookup_elem(&denet_net_ops, &index);
	return op ? *op : 0;
}

SEC("raw_tp/sys_enter")
int denet_net_in(__u64 *ctx)
{
	__u64 regs = caller(ctx), args[ARGUMENTS];
	struct denet_task *task = find_task(regs);
	__u32 compat, op;

	if (!task) {
		if (op_of(ctx[1], 0))
			count_untold(regs);
		return 0;
	}
	compat = is_compat();
	op = op_of(ctx[1], compat);
	if (!op)
		return 0;
	read_arguments(ctx, compat, args);
	return net_begins(task, regs, op, ctx[1], compat, args);
}

SEC("raw_tp/sys_exit")
int denet_net_out(__u64 *ctx)
{
	return net_ends(caller(ctx), ctx[1]);
}

SEC("raw_tp/inet_sock_set_state")
int denet_net_state(__u64 *ctx)
{
	return state_changes(ctx[0], ctx[2]);
}

/* The same as perf events: see ebpf/lifecycle.bpf.c. */
SEC("tp/raw_syscalls/sys_enter")
int denet_net_in_t(__u64 *ctx)
{
	__u64 regs = caller_by_its_stack(), args[ARGUMENTS];
	struct denet_task *task = find_task(regs);
	__u32 compat, op;

	if (!task) {
		if (op_of(ctx[1], 0))
			count_untold(regs);
		return 0;
	}
	compat = is_compat();
	op = op_of(ctx[1], compat);
	if (!op)
		return 0;
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		args[i] = ctx[2 + i];
	return net_begins(task, regs, op, ctx[1], compat, args);
}

SEC("tp/raw_syscalls/sys_exit")
int denet_net_out_t(__u64 *ctx)
{
	return net_ends(caller_by_its_stack(), ctx[2]);
}

/* The record: 8 bytes that all have, the socket, the old state and the new one. */
SEC("tp/sock/inet_sock_set_state")
int denet_net_sta_t(__u64 *ctx)
{
	return state_changes(ctx[1], ctx[2] >> 32);
}
