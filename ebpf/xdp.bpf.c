/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How many frames of which kind arrive at this interface? */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Looked through at most. */
#define TAGS 4
#define EXTENSIONS 6

#define QINQ_OF_OLD 0x9100
#define HIP 139
#define SHIM6 140
#define OFFSET_OF_FRAGMENT 0x1fff
#define OFFSET_OF_FRAGMENT6 0xfff8
#define MORE_FRAGMENTS 0x2000
#define MORE_FRAGMENTS6 1
#define LONGEST_PACKET 65535

/* The number in its name is that of the layout: a later denet must not go on with counters of another. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct denet_xdp);
} denet_xdp_v1 SEC(".maps");

enum verdict { FINE, TRUNCATED, MALFORMED };

struct frame {
	struct xdp_md *ctx;
	struct denet_xdp *counts;
	/* Of 64 bits, as all numbers here: before Linux 6.12 shorter ones may not be put where the compiler kept
	 * another before. */
	__u64 bytes;
	/* By pointers, else by helpers (Linux 5.18): to subtract pointers, or to add a number to one that
	 * the verifier does not know, takes CAP_PERFMON. */
	bool direct;
};

struct tag {
	__be16 tci;
	__be16 protocol;
};

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
};

struct extension {
	__u8 next;
	__u8 length;
};

struct fragment {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

static __always_inline void add(struct denet_xdp_count *to, const struct frame *frame)
{
	to->packets++;
	to->bytes += frame->bytes;
}

/* Beyond all headers that are looked through; and the verifier knows no offset of 65536. */
#define OFFSETS 0x7fff

/*
 * The same offset, but the verifier knows no longer which: it would walk all that follows once more for each number
 * of tags and extension headers before it.
 */
static __always_inline __u64 forgotten(const struct frame *frame, __u64 offset)
{
	__u64 same = frame->bytes;

	if (!frame->direct)
		return offset;
	asm volatile("" : "+r"(same));
	return (offset + (same ^ frame->bytes)) & OFFSETS;
}

/* These bytes of the frame, or 0 where it ends before. */
static __always_inline const void *bytes_at(const struct frame *frame, __u64 offset, void *copy, __u64 n)
{
	if (frame->direct) {
		void *end = (void *)(long)frame->ctx->data_end;
		void *from = (void *)(long)frame->ctx->data + offset;

		return from + n > end ? 0 : from;
	}
	return bpf_xdp_load_bytes(frame->ctx, offset, copy, n) ? 0 : copy;
}

/* A header of this many bytes, in a packet that claims to end there. */
static __always_inline enum verdict fits(const struct frame *frame, __u64 offset, __u64 n, __u64 end)
{
	if (offset + n > frame->bytes)
		return TRUNCATED;
	return offset + n > end ? MALFORMED : FINE;
}

static __always_inline enum verdict tcp(const struct frame *frame, __u64 offset, __u64 end)
{
	struct tcphdr copy;
	const struct tcphdr *tcp = bytes_at(frame, offset, &copy, sizeof(copy));

	add(&frame->counts->tcp, frame);
	if (!tcp)
		return TRUNCATED;
	if (tcp->doff < 5)
		return MALFORMED;
	return fits(frame, offset, tcp->doff * 4, end);
}

static __always_inline enum verdict udp(const struct frame *frame, __u64 offset, __u64 end, __u64 whole)
{
	struct udphdr copy;
	const struct udphdr *udp = bytes_at(frame, offset, &copy, sizeof(copy));
	__u64 length;

	add(&frame->counts->udp, frame);
	if (!udp)
		return TRUNCATED;
	length = bpf_ntohs(udp->len);
	/* A jumbogram's is 0 (RFC 2675). */
	if (!length && end - offset > LONGEST_PACKET)
		return FINE;
	if (length < sizeof(copy))
		return MALFORMED;
	return fits(frame, offset, whole ? length : sizeof(copy), end);
}

static __always_inline enum verdict transport(const struct frame *frame, __u64 offset, __u64 end, __u64 protocol,
					      __u64 icmp, __u64 whole)
{
	if (protocol == IPPROTO_TCP)
		return tcp(frame, offset, end);
	if (protocol == IPPROTO_UDP)
		return udp(frame, offset, end, whole);
	if (protocol == icmp) {
		add(&frame->counts->icmp, frame);
		return fits(frame, offset, icmp == IPPROTO_ICMP ? 8 : 4, end);
	}
	add(&frame->counts->other_transport, frame);
	return FINE;
}

static __always_inline enum verdict ipv4(const struct frame *frame, __u64 offset)
{
	struct iphdr copy;
	const struct iphdr *ip = bytes_at(frame, offset, &copy, sizeof(copy));
	__u64 left = frame->bytes - offset, header, total, fragment;
	enum verdict verdict;

	add(&frame->counts->ipv4, frame);
	if (!ip)
		return TRUNCATED;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	/* What the kernel put together itself may be longer than the field can say (BIG TCP). */
	if (!total && left > LONGEST_PACKET)
		total = left;
	if (ip->version != 4 || header < sizeof(copy) || total < header)
		return MALFORMED;
	if (left < header)
		return TRUNCATED;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & OFFSET_OF_FRAGMENT) {
		add(&frame->counts->later_fragment, frame);
		return total > left ? TRUNCATED : FINE;
	}
	verdict = transport(frame, offset + header, offset + total, ip->protocol, IPPROTO_ICMP,
			    !(fragment & MORE_FRAGMENTS));
	return total > left ? TRUNCATED : verdict;
}

static __always_inline enum verdict ipv6(const struct frame *frame, __u64 offset)
{
	struct ipv6hdr copy;
	const struct ipv6hdr *ip = bytes_at(frame, offset, &copy, sizeof(copy));
	enum verdict verdict = MALFORMED;
	__u64 whole = true, end, next;

	add(&frame->counts->ipv6, frame);
	if (!ip)
		return TRUNCATED;
	if (ip->version != 6)
		return MALFORMED;
	next = ip->nexthdr;
	end = offset + sizeof(copy) + bpf_ntohs(ip->payload_len);
	/* A jumbogram says its length in an option. */
	if (!ip->payload_len && next == IPPROTO_HOPOPTS)
		end = frame->bytes;
	offset += sizeof(copy);
#pragma unroll
	for (int i = 0; i < EXTENSIONS; i++) {
		struct fragment bytes;
		const struct fragment *fragment;
		const struct extension *extension;

		switch (next) {
		case IPPROTO_FRAGMENT:
			fragment = bytes_at(frame, offset, &bytes, sizeof(bytes));
			if (!fragment)
				return TRUNCATED;
			next = fragment->next;
			offset = forgotten(frame, offset + sizeof(bytes));
			if (fragment->offset & bpf_htons(OFFSET_OF_FRAGMENT6)) {
				add(&frame->counts->later_fragment, frame);
				return end > frame->bytes ? TRUNCATED : offset > end ? MALFORMED : FINE;
			}
			if (fragment->offset & bpf_htons(MORE_FRAGMENTS6))
				whole = false;
			break;
		case IPPROTO_AH:
			extension = bytes_at(frame, offset, &bytes, sizeof(*extension));
			if (!extension)
				return TRUNCATED;
			next = extension->next;
			offset = forgotten(frame, offset + (extension->length + 2) * 4);
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_MH:
		case HIP:
		case SHIM6:
			extension = bytes_at(frame, offset, &bytes, sizeof(*extension));
			if (!extension)
				return TRUNCATED;
			next = extension->next;
			offset = forgotten(frame, offset + (extension->length + 1) * 8);
			break;
		default:
			goto reached;
		}
	}
reached:
	if (offset > frame->bytes)
		return TRUNCATED;
	if (offset <= end)
		verdict = transport(frame, offset, end, next, IPPROTO_ICMPV6, whole);
	return end > frame->bytes ? TRUNCATED : verdict;
}

static __always_inline enum verdict arp(const struct frame *frame, __u64 offset)
{
	struct arp copy;
	const struct arp *arp = bytes_at(frame, offset, &copy, sizeof(copy));

	add(&frame->counts->arp, frame);
	if (!arp)
		return TRUNCATED;
	if (arp->protocol == bpf_htons(ETH_P_IP) && arp->protocol_bytes != 4)
		return MALFORMED;
	return fits(frame, offset, sizeof(copy) + 2 * (arp->hardware_bytes + arp->protocol_bytes), frame->bytes);
}

static __always_inline bool is_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD) ||
	       protocol == bpf_htons(QINQ_OF_OLD);
}

static __always_inline enum verdict ethernet(const struct frame *frame)
{
	struct ethhdr copy;
	const struct ethhdr *ethernet = bytes_at(frame, 0, &copy, sizeof(copy));
	__u64 offset = sizeof(copy);
	__be16 protocol;

	if (!ethernet) {
		add(&frame->counts->other, frame);
		return TRUNCATED;
	}
	protocol = ethernet->h_proto;
#pragma unroll
	for (int i = 0; i < TAGS; i++) {
		struct tag bytes;
		const struct tag *tag;

		if (!is_tag(protocol))
			break;
		if (i == 0)
			add(&frame->counts->vlan, frame);
		if (i == 1)
			add(&frame->counts->qinq, frame);
		tag = bytes_at(frame, offset, &bytes, sizeof(bytes));
		if (!tag) {
			add(&frame->counts->other, frame);
			return TRUNCATED;
		}
		protocol = tag->protocol;
		offset = forgotten(frame, offset + sizeof(bytes));
	}
	switch (protocol) {
	case bpf_htons(ETH_P_IP):
		return ipv4(frame, offset);
	case bpf_htons(ETH_P_IPV6):
		return ipv6(frame, offset);
	case bpf_htons(ETH_P_ARP):
		return arp(frame, offset);
	}
	add(&frame->counts->other, frame);
	return FINE;
}

static __always_inline int count(const struct frame *frame)
{
	enum verdict verdict = ethernet(frame);

	if (verdict == TRUNCATED)
		add(&frame->counts->truncated, frame);
	else if (verdict == MALFORMED)
		add(&frame->counts->malformed, frame);
	return XDP_PASS;
}

SEC("xdp")
int denet_xdp(struct xdp_md *ctx)
{
	struct frame frame = { .ctx = ctx, .bytes = ctx->data_end - ctx->data, .direct = true };
	__u32 zero = 0;

	frame.counts = bpf_map_lookup_elem(&denet_xdp_v1, &zero);
	return frame.counts ? count(&frame) : XDP_PASS;
}

/* The same for who lacks CAP_PERFMON. */
SEC("xdp")
int denet_xdp_copy(struct xdp_md *ctx)
{
	struct frame frame = { .ctx = ctx, .bytes = bpf_xdp_get_buff_len(ctx), .direct = false };
	__u32 zero = 0;

	frame.counts = bpf_map_lookup_elem(&denet_xdp_v1, &zero);
	return frame.counts ? count(&frame) : XDP_PASS;
}
