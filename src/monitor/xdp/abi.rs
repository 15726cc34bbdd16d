//! The Rust mirror of `ebpf/xdp.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

/// `struct denet_xdp_count`: frames of a kind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// Their bytes from the Ethernet header on, without the checksum at the end.
    pub bytes: u64,
}

/// `struct denet_xdp`: the counts of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Counts {
    /// Each frame is one of the first four.
    pub ipv4: Count,
    /// By the type after the Ethernet header and its tags.
    pub ipv6: Count,
    /// Requests and replies.
    pub arp: Count,
    /// Any other type, and frames that end before their type.
    pub other: Count,
    /// Each IP packet is one of these five, unless a header before is truncated or malformed.
    pub tcp: Count,
    /// Datagrams.
    pub udp: Count,
    /// Of IPv4, and ICMPv6 of IPv6.
    pub icmp: Count,
    /// Another protocol.
    pub other_transport: Count,
    /// Fragments after the first one, which have no transport header.
    pub later_fragment: Count,
    /// Counted in addition: with a VLAN tag.
    pub vlan: Count,
    /// Counted in addition: with more than one tag.
    pub qinq: Count,
    /// Counted in addition, this or the next: the frame ends within a header, or before the length of the packet.
    pub truncated: Count,
    /// A header contradicts itself or another.
    pub malformed: Count,
}
