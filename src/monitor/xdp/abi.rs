//! The Rust mirror of `ebpf/xdp.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

/// `struct denet_xdp_count`: frames of a kind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// Their bytes from the Ethernet header on, without the checksum behind them.
    pub bytes: u64,
}

/// `struct denet_xdp`: the counts of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct Counts {
    /// Each frame is one of the first four.
    pub ipv4: Count,
    /// Behind the Ethernet header and its tags.
    pub ipv6: Count,
    /// Requests and answers.
    pub arp: Count,
    /// What else there is, and frames that end before they say.
    pub other: Count,
    /// Each IP packet is one of these five, unless the way there is truncated or malformed.
    pub tcp: Count,
    /// Datagrams.
    pub udp: Count,
    /// Of IPv4, and ICMPv6 of IPv6.
    pub icmp: Count,
    /// Another protocol.
    pub other_transport: Count,
    /// Of a packet in fragments the first alone has a header of its transport.
    pub later_fragment: Count,
    /// Besides: with a tag.
    pub vlan: Count,
    /// With more than one.
    pub qinq: Count,
    /// Besides, one of these at most: it ends before a header does, or before the packet says.
    pub truncated: Count,
    /// A header contradicts itself or another.
    pub malformed: Count,
}
