/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What ebpf/net.bpf.c and user space share; src/monitor/net/abi.rs mirrors it, as src/bpf/abi.rs does abi.h. */
#ifndef DENET_NET_H
#define DENET_NET_H

#include "abi.h"

/* What a system call does with sockets: values of denet_net_ops, which is indexed by number. */
#define DENET_NET_NUMBERS 512 /* of the 64-bit entry; as many of the 32-bit one behind them */
#define DENET_NET_READ 1
#define DENET_NET_WRITE 2
#define DENET_NET_RECVFROM 3
#define DENET_NET_SENDTO 4
#define DENET_NET_RECVMSG 5
#define DENET_NET_SENDMSG 6
#define DENET_NET_RECVMMSG 7
#define DENET_NET_SENDMMSG 8
#define DENET_NET_SENDFILE 9
#define DENET_NET_SPLICE 10
#define DENET_NET_CONNECT 11
#define DENET_NET_ACCEPT 12
#define DENET_NET_SHUTDOWN 13
#define DENET_NET_CLOSE 14
#define DENET_NET_SOCKETCALL 15
#define DENET_NET_SPLICE_TO 16 /* its second descriptor is the socket; in no table */

/* What was done. */
#define DENET_NET_RECEIVED 0
#define DENET_NET_SENT 1
#define DENET_NET_CONNECTED 2
#define DENET_NET_ACCEPTED 3
#define DENET_NET_SHUT 4
#define DENET_NET_CLOSED 5
#define DENET_NET_KINDS 6
/* The end of a connect that went on when its call had returned: no call, but an outcome. */
#define DENET_NET_CONNECTED_LATER 6
#define DENET_NET_GIVEN_UP 7 /* the same, but the socket was closed before anything came of it */

/* Room for the path of a Unix socket, and one more. */
#define DENET_NET_ADDRESS_BYTES 112

#define DENET_NET_OTHERS 2 /* of a process, all for which there was no room */
#define DENET_NET_PRIVATE 4 /* the user may not trace the process: no address is reported */
#define DENET_NET_SEVERAL 1 /* the messages of one call went to, or came from, more than one */

/* Whose traffic, through which socket, with whom. */
struct denet_net_key {
	__u64 process_start_ns; /* with tgid, the process */
	__u64 inode; /* of the socket; 0: the descriptor was none */
	__u32 tgid;
	__u16 family; /* AF_ */
	__u16 port; /* the remote one */
	__u16 bytes; /* of the remote address that are in use; 0: there is none, or nobody knows */
	__u16 flags;
	__u32 _pad;
	__u8 address[DENET_NET_ADDRESS_BYTES]; /* of Unix sockets sun_path */
};

struct denet_net_local {
	__u16 kind; /* SOCK_ */
	__u16 protocol; /* IPPROTO_ */
	__u16 port;
	__u16 bytes;
	__u8 address[DENET_NET_ADDRESS_BYTES];
};

struct denet_net_endpoint {
	__u64 first_ns; /* CLOCK_MONOTONIC */
	__u64 last_ns;
	__u64 bytes_in;
	__u64 bytes_out;
	__u64 calls[DENET_NET_KINDS];
	__u64 errors;
	__u64 looks; /* received without taking anything: MSG_PEEK, MSG_ERRQUEUE */
	__u64 connected;
	__u64 connect_ns;
	__u64 connect_max_ns;
	__u64 accepted; /* times that accept made this socket */
	__u64 peer_inode; /* of a Unix socket's peer */
	struct denet_net_local local;
	char comm[DENET_COMM_LEN];
};

/* Which errors, how often. */
struct denet_net_error {
	struct denet_net_key key;
	__u32 kind; /* DENET_NET_ */
	__u32 error; /* 0 of DENET_NET_CONNECTED_LATER: closed before anything came of it */
};

/* A call, or the late end of a connect. */
struct denet_net_event {
	struct denet_event head; /* seq is 0 where it is not a call */
	__s64 result;
	__u64 bytes;
	__u32 kind;
	__s32 fd;
	__s32 nr;
	__u32 compat;
	__u64 peer_inode;
	char comm[DENET_COMM_LEN];
	struct denet_net_key key;
	struct denet_net_local local; /* last: a record ends early where its address is short */
};
#define DENET_NET_SHORT_BYTES 16

/* One entry. */
struct denet_net_control {
	__u64 begun; /* calls on sockets */
	__u64 ended;
	__u64 connects_left; /* that went on when their call had returned */
	__u64 connects_settled; /* of these, those whose outcome was seen */
	__u64 untracked_bytes; /* moved, but there was no room to say by whom */
	__u64 lengths_unknown; /* messages longer than the program's memory, and how long that is nobody knows */
	__u64 untracked_calls; /* no room for them while they lasted: what they did is not known */
	__u64 unread_calls; /* of the 32-bit entry, whose arguments were not in memory */
};

#endif
