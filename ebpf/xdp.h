/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What ebpf/xdp.bpf.c counts, shared with src/monitor/xdp/abi.rs: fixed widths, explicit padding. */
#ifndef DENET_XDP_H
#define DENET_XDP_H

#include <linux/types.h>

/* Frames, and their bytes from the Ethernet header on, without the checksum behind them. */
struct denet_xdp_count {
	__u64 packets;
	__u64 bytes;
};

/* The counts of one CPU. */
struct denet_xdp {
	/* What follows the Ethernet header and its tags: each frame is one of these four. */
	struct denet_xdp_count ipv4;
	struct denet_xdp_count ipv6;
	struct denet_xdp_count arp;
	struct denet_xdp_count other;
	/* What follows the IP header: one of these, unless the way to it is truncated or malformed. */
	struct denet_xdp_count tcp;
	struct denet_xdp_count udp;
	struct denet_xdp_count icmp; /* of IPv4, and ICMPv6 of IPv6 */
	struct denet_xdp_count other_transport;
	struct denet_xdp_count later_fragment; /* the first alone has a header of its transport */
	/* Besides: with a tag, with more than one. */
	struct denet_xdp_count vlan;
	struct denet_xdp_count qinq;
	/* Besides, one of these at most: it ends before a header or the packet does; a header contradicts. */
	struct denet_xdp_count truncated;
	struct denet_xdp_count malformed;
};

#endif
