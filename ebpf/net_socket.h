/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which socket is meant by a descriptor, and who is at its ends? */
#ifndef DENET_NET_SOCKET_H
#define DENET_NET_SOCKET_H

#include "net.h"
#include "stream.h"

/* 1: each call is told of, not only added up. */
const volatile __u32 tells_events = 0;

/* By BTF: where the kernel keeps what a descriptor is, and what a socket is connected to. */
const volatile __u32 task_files_offset = 0;
const volatile __u32 files_fdt_offset = 0;
const volatile __u32 fdt_max_fds_offset = 0;
const volatile __u32 fdt_fd_offset = 0;
const volatile __u32 file_inode_offset = 0;
const volatile __u32 file_private_data_offset = 0;
const volatile __u32 inode_mode_offset = 0;
const volatile __u32 inode_number_offset = 0;
const volatile __u32 socket_sk_offset = 0;
const volatile __u32 socket_file_offset = 0;
const volatile __u32 sock_family_offset = 0;
const volatile __u32 sock_type_offset = 0;
const volatile __u32 sock_protocol_offset = 0;
const volatile __u32 sock_socket_offset = 0;
const volatile __u32 sock_err_offset = 0;
const volatile __u32 sock_state_offset = 0;
const volatile __u32 sock_dport_offset = 0;
const volatile __u32 sock_daddr_offset = 0;
const volatile __u32 sock_rcv_saddr_offset = 0;
const volatile __u32 sock_v6_daddr_offset = 0;
const volatile __u32 sock_v6_rcv_saddr_offset = 0;
const volatile __u32 inet_sport_offset = 0;
/* 0: this kernel has no Unix sockets, or has them in a module. */
const volatile __u32 unix_addr_offset = 0;
const volatile __u32 unix_peer_offset = 0;
const volatile __u32 unix_address_len_offset = 0;
const volatile __u32 unix_address_name_offset = 0;

/* Of an array of struct mmsghdr. */
struct layout {
	__u64 stride;
	__u64 length; /* offset of msg_len */
	__u64 name; /* the bits of a pointer */
	/* Of the names: the bits of the first word, how many bytes, and 0 where only the pointers to them. */
	__u64 first;
	__u64 bytes;
	__u64 follow;
};

/* What is known of a call while it lasts. */
struct call {
	struct denet_net_event event;
	__u64 args[ARGUMENTS];
	struct layout layout;
	__u64 cred; /* credentials by which the task's memory may be read; 0: it may not */
	__u64 hidden; /* 0, or all ones where nothing may be read: see hidden_by() */
	__u64 sk;
	__u32 op;
	__u32 flags; /* MSG_ */
	__u32 tells_later; /* the kernel tells of a connection that is made after connect has returned */
	__u32 connects; /* this call began it */
	__u32 name_room; /* the program's memory for who sent it, in bytes */
	__u32 _pad;
};

/* A connection that is being made, by its socket. */
struct connect {
	struct denet_net_event event;
	__u64 start_ns;
	__u64 done_ns;
	__u64 goes_on; /* the call has returned */
	__u64 barrier;
	__u32 error; /* NO_ERROR: it was made */
	__u32 _pad;
};
#define NO_ERROR 0xffffffff

/* At the start of a call, and again at its end. */
static __always_inline void look_at_credentials(struct call *call)
{
	if (!access_is_limited)
		return;
	call->cred = may_read();
	call->hidden = hidden_by(call->cred);
	call->event.key.flags = call->cred ? 0 : DENET_NET_PRIVATE;
}

static __always_inline __u64 hidden(struct call *call)
{
	return access_is_limited ? *(volatile __u64 *)&call->hidden : 0;
}

static const struct call NEW_CALL;
static const struct connect NEW_CONNECT;
static const struct denet_net_endpoint NEW_ENDPOINT;

/* What each number does: DENET_NET_READ and so on, as user space knows them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * DENET_NET_NUMBERS);
	__type(key, __u32);
	__type(value, __u32);
} denet_net_ops SEC(".maps");

/* Calls in progress, by identity of the task. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct call);
} denet_net_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct denet_net_key);
	__type(value, struct denet_net_endpoint);
} denet_endpoints SEC(".maps");

/* By process alone, where that has no room. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct denet_net_key);
	__type(value, struct denet_net_endpoint);
} denet_net_rest SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct denet_net_error);
	__type(value, __u64);
} denet_net_errs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct connect);
} denet_connects SEC(".maps");

/* Who takes note of the outcome of a connect. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} denet_settling SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_net_control);
} denet_net_ctl SEC(".maps");

#define count_net(field, n)                                                                        \
	do {                                                                                       \
		__u32 zero = 0;                                                                    \
		struct denet_net_control *c = bpf_map_lookup_elem(&denet_net_ctl, &zero);          \
		if (c)                                                                             \
			__sync_fetch_and_add(&c->field, (n));                                      \
	} while (0)

/* Kernel memory that the verifier knows nothing of: whatever the hook, a helper reads it. */
#define read_at(type, place, offset)                                                               \
	({                                                                                         \
		type value = 0;                                                                    \
		bpf_probe_read_kernel(&value, sizeof(value), (const void *)(place) + (offset));    \
		value;                                                                             \
	})

#define S_IFMT 0170000
#define S_IFSOCK 0140000

struct seen {
	__u64 sk;
	__u64 inode;
};

/* The socket that the current task has there; 0: it has none. */
static __noinline __u64 look_up(__s32 fd, struct seen *to)
{
	__u64 files, fdt, list, file, inode, socket;

	if (fd < 0 || !to)
		return 0;
	files = read_at(__u64, bpf_get_current_task(), task_files_offset);
	fdt = read_at(__u64, files, files_fdt_offset);
	if ((__u32)fd >= read_at(__u32, fdt, fdt_max_fds_offset))
		return 0;
	list = read_at(__u64, fdt, fdt_fd_offset);
	file = read_at(__u64, list, 8 * (__u64)(__u32)fd);
	if (!file)
		return 0;
	inode = read_at(__u64, file, file_inode_offset);
	if ((read_at(__u16, inode, inode_mode_offset) & S_IFMT) != S_IFSOCK)
		return 0;
	/* None of a socket's name in the file system, opened by O_PATH. */
	socket = read_at(__u64, file, file_private_data_offset);
	if (!socket)
		return 0;
	to->inode = read_at(__u64, inode, inode_number_offset);
	to->sk = read_at(__u64, socket, socket_sk_offset);
	return to->sk;
}

#define SOCK_STREAM 1
#define SOCK_SEQPACKET 5
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

static __always_inline int has_connections(const struct call *call)
{
	return call->event.local.kind == SOCK_STREAM || call->event.local.kind == SOCK_SEQPACKET;
}

/* Makes this the socket of the call. */
static __always_inline int take_socket(struct call *call, __s32 fd, const struct seen *seen)
{
	__u16 family = read_at(__u16, seen->sk, sock_family_offset);

	call->sk = seen->sk;
	call->event.fd = fd;
	call->event.key.inode = seen->inode;
	call->event.key.family = family;
	call->event.local.kind = read_at(__u16, seen->sk, sock_type_offset);
	call->event.local.protocol = read_at(__u16, seen->sk, sock_protocol_offset);
	call->tells_later = call->event.local.kind == SOCK_STREAM && (family == AF_INET || family == AF_INET6);
	return 1;
}

static __always_inline void forget_remote(struct call *call)
{
	struct denet_net_key *key = &call->event.key;

	key->port = 0;
	key->bytes = 0;
	key->flags &= DENET_NET_PRIVATE;
	__builtin_memset(key->address, 0, sizeof(key->address));
}

static __always_inline void forget_addresses(struct call *call)
{
	forget_remote(call);
	call->event.peer_inode = 0;
	call->event.local.port = 0;
	call->event.local.bytes = 0;
	__builtin_memset(call->event.local.address, 0, sizeof(call->event.local.address));
}

/* sun_path without the NUL of a path; a name without a file begins with one. Returns its bytes. */
#define PATH_BYTES 108

static __always_inline __u16 read_kernel_path(__u8 *to, __u64 address)
{
	__u64 from = address + unix_address_name_offset + 2;
	__s32 bytes;
	__u32 size;
	long n;

	bytes = read_at(__s32, address, unix_address_len_offset);
	if (bytes <= 2)
		return 0;
	size = bytes - 2;
	if (size > PATH_BYTES)
		size = PATH_BYTES;
	if (read_at(__u8, from, 0) == 0)
		return bpf_probe_read_kernel(to, size, (const void *)from) ? 0 : size;
	n = bpf_probe_read_kernel_str(to, PATH_BYTES + 1, (const void *)from);
	return n > 0 ? n - 1 : 0;
}

static __always_inline void describe_unix(struct denet_net_event *event, __u64 sk)
{
	__u64 peer, address, socket, file;

	if (!unix_addr_offset)
		return;
	address = read_at(__u64, sk, unix_addr_offset);
	if (address)
		event->local.bytes = read_kernel_path(event->local.address, address);
	peer = read_at(__u64, sk, unix_peer_offset);
	if (!peer)
		return;
	address = read_at(__u64, peer, unix_addr_offset);
	if (address)
		event->key.bytes = read_kernel_path(event->key.address, address);
	socket = read_at(__u64, peer, sock_socket_offset);
	file = socket ? read_at(__u64, socket, socket_file_offset) : 0;
	if (file)
		event->peer_inode = read_at(__u64, read_at(__u64, file, file_inode_offset), inode_number_offset);
}

static __always_inline void describe_inet(struct denet_net_event *event, __u64 sk, __u32 bytes, __u32 stream)
{
	struct denet_net_key *key = &event->key;
	const __u32 *words = (const __u32 *)key->address;

	event->local.port = __builtin_bswap16(read_at(__u16, sk, inet_sport_offset));
	event->local.bytes = bytes;
	key->port = __builtin_bswap16(read_at(__u16, sk, sock_dport_offset));
	key->bytes = bytes;
	if (bytes == 4) {
		bpf_probe_read_kernel(event->local.address, 4, (const void *)sk + sock_rcv_saddr_offset);
		bpf_probe_read_kernel(key->address, 4, (const void *)sk + sock_daddr_offset);
	} else {
		bpf_probe_read_kernel(event->local.address, 16, (const void *)sk + sock_v6_rcv_saddr_offset);
		bpf_probe_read_kernel(key->address, 16, (const void *)sk + sock_v6_daddr_offset);
	}
	/* A connection that is gone leaves its address behind, without the port. */
	if (!key->port && (stream || !(words[0] | words[1] | words[2] | words[3]))) {
		key->bytes = 0;
		__builtin_memset(key->address, 0, 16);
	}
}

/* Both ends, unless the descriptor has become something else meanwhile: then they are left open. */
static __noinline int describe(struct call *call)
{
	struct seen now = {};
	__u64 sk;

	if (!call || hidden(call))
		return 0;
	sk = call->sk;
	if (!sk || look_up(call->event.fd, &now) != sk)
		return 0;
	if (call->event.key.family == AF_INET)
		describe_inet(&call->event, sk, 4, has_connections(call));
	else if (call->event.key.family == AF_INET6)
		describe_inet(&call->event, sk, 16, has_connections(call));
	else if (call->event.key.family == AF_UNIX)
		describe_unix(&call->event, sk);
	return 0;
}

/* The other end, as the program's memory has it. */
static __noinline int read_remote(struct call *call, __u64 from, __u32 bytes)
{
	struct denet_net_key *key;
	__u16 family = 0, port = 0;
	__u8 first = 0;
	__u64 unread;
	__u32 size;
	long n;

	if (!call)
		return 0;
	key = &call->event.key;
	unread = hidden(call);
	forget_remote(call);
	if (bytes < 2 || read_user(&family, sizeof(family), from, unread))
		return 0;
	if (!call->sk)
		key->family = family;
	if ((family == AF_INET && bytes >= 8) || (family == AF_INET6 && bytes >= 24)) {
		read_user(&port, sizeof(port), from + 2, unread);
		key->port = __builtin_bswap16(port);
		if (family == AF_INET) {
			if (!read_user(key->address, 4, from + 4, unread))
				key->bytes = 4;
		} else if (!read_user(key->address, 16, from + 8, unread)) {
			key->bytes = 16;
		}
	} else if (family == AF_UNIX && bytes > 2) {
		size = bytes - 2;
		if (size > PATH_BYTES)
			size = PATH_BYTES;
		if (read_user(&first, 1, from + 2, unread))
			return 0;
		if (!first) {
			if (!read_user(key->address, size, from + 2, unread))
				key->bytes = size;
		} else {
			n = bpf_probe_read_user_str(key->address, size + 1, (const void *)((from + 2) | unread));
			if (n > 0)
				key->bytes = n - 1;
		}
	}
	if (!might_read(call->cred))
		forget_remote(call);
	return 0;
}

#include "net_message.h"

#endif
