//! The counts of all CPUs, added up, and their rates. Pure.

use std::time::Duration;

/// Frames of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// Their bytes from the Ethernet header on, without the checksum at the end.
    pub bytes: u64,
}

/// The kinds of frames that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the type after the Ethernet header and its tags: each frame is one of the first four.
    Ipv4,
    /// The same.
    Ipv6,
    /// The same.
    Arp,
    /// Any other type, and frames that end before their type.
    Other,
    /// By the protocol in the IP header: each packet is one of these five, unless a header before is truncated or
    /// malformed.
    Tcp,
    /// The same.
    Udp,
    /// Of IPv4, and ICMPv6 of IPv6.
    Icmp,
    /// Another protocol.
    OtherTransport,
    /// Fragments after the first one, which have no transport header.
    LaterFragment,
    /// Counted in addition: with a VLAN tag in the frame.
    Vlan,
    /// Counted in addition: with more than one tag.
    Qinq,
    /// Counted in addition: the frame ends within a header, or before the length of the packet.
    Truncated,
    /// Counted in addition: a header contradicts itself or another one; never together with truncated.
    Malformed,
}

impl Kind {
    /// All kinds, in the order of `struct denet_xdp`.
    pub const ALL: [Self; 13] = [
        Self::Ipv4,
        Self::Ipv6,
        Self::Arp,
        Self::Other,
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::OtherTransport,
        Self::LaterFragment,
        Self::Vlan,
        Self::Qinq,
        Self::Truncated,
        Self::Malformed,
    ];

    /// Each frame is exactly one of these.
    pub(crate) const FRAMES: [Self; 4] = [Self::Ipv4, Self::Ipv6, Self::Arp, Self::Other];

    /// Stable name, for scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Arp => "arp",
            Self::Other => "other",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::OtherTransport => "other_transport",
            Self::LaterFragment => "later_fragment",
            Self::Vlan => "vlan",
            Self::Qinq => "qinq",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
        }
    }
}

/// The counts of every kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub [Count; Kind::ALL.len()]);

impl Count {
    /// What was added since `before`.
    #[must_use]
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Counts {
    /// The sum over all CPUs.
    pub(crate) fn sum<'a>(cpus: impl IntoIterator<Item = &'a Self>) -> Self {
        cpus.into_iter().fold(Self::default(), |sum, cpu| {
            Self(std::array::from_fn(|at| sum.0[at].and(cpu.0[at])))
        })
    }

    /// The count of a kind.
    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.0[kind as usize]
    }

    /// All frames.
    pub(crate) fn frames(&self) -> Count {
        let each = Kind::FRAMES.into_iter().map(|kind| self.of(kind));
        each.fold(Count::default(), Count::and)
    }

    /// What was added since `before`.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].since(before.0[at])))
    }
}

/// A rate per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    /// Frames.
    pub(crate) packets_per_sec: f64,
    /// Bytes.
    pub(crate) bytes_per_sec: f64,
}

impl Rate {
    /// `None` if no time has passed.
    pub(crate) fn of(added: Count, over: Duration) -> Option<Self> {
        let seconds = over.as_secs_f64();
        (seconds > 0.0).then(|| Self {
            packets_per_sec: added.packets as f64 / seconds,
            bytes_per_sec: added.bytes as f64 / seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: impl Fn(Kind) -> u64) -> Counts {
        Counts(Kind::ALL.map(|kind| Count {
            packets: of(kind),
            bytes: of(kind) * 100,
        }))
    }

    #[test]
    fn kinds_stand_in_the_order_of_their_numbers() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }

    #[test]
    fn each_frame_is_in_the_sum_once() {
        let one = counts(|kind| kind as u64 + 1);
        let sum = Counts::sum(&[one, one]);
        assert_eq!(
            sum.frames(),
            Count {
                packets: 20,
                bytes: 2000
            }
        );
        assert_eq!(sum.of(Kind::Malformed).packets, 26);
        assert_eq!(sum.since(&one), one);
        assert_eq!(Counts::sum([]).frames(), Count::default());
    }

    #[test]
    fn rates_are_over_time() {
        let added = counts(|_| 5).of(Kind::Tcp);
        let rate = Rate::of(added, Duration::from_millis(500));
        let rate = rate.map(|rate| (rate.packets_per_sec, rate.bytes_per_sec));
        assert_eq!(rate, Some((10.0, 1000.0)));
        assert_eq!(Rate::of(added, Duration::ZERO), None);
    }
}
