//! Frames, byte by byte, and as what each has to be counted.

/// A frame, and the kinds that it is counted as.
pub struct Case {
    pub name: &'static str,
    pub frame: Vec<u8>,
    pub kinds: &'static [&'static str],
}

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
pub const ARP: u16 = 0x0806;
pub const VLAN: u16 = 0x8100;
pub const SERVICE: u16 = 0x88a8;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ESP: u8 = 50;
const AH: u8 = 51;
const ICMPV6: u8 = 58;
const NOTHING: u8 = 59;
const OPTIONS: u8 = 60;

/// To nobody that is there.
pub fn ethernet(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let to = [2, 0, 0, 0, 0, 9];
    let from = [2, 0, 0, 0, 0, 8];
    [&to, &from, &protocol.to_be_bytes()[..], payload].concat()
}

pub fn tag(inner: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 5], &inner.to_be_bytes()[..], payload].concat()
}

/// Fields may lie: `total` is what the header claims.
fn ipv4_of(total: usize, protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() as u8 / 4;
    let mut header = vec![0x40 | words, 0];
    header.extend((total as u16).to_be_bytes());
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    [&header, options, payload].concat()
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_of(20 + payload.len(), protocol, 0, &[], payload)
}

fn ipv6_of(length: usize, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((length as u16).to_be_bytes());
    header.extend([next, 64]);
    header.extend([0xfd; 32]);
    [&header, payload].concat()
}

pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_of(payload.len(), next, payload)
}

pub fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    header.extend([0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    [&header, payload].concat()
}

pub fn udp(payload: &[u8]) -> Vec<u8> {
    udp_of(8 + payload.len(), payload)
}

fn udp_of(length: usize, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x30, 0x39, 0, 9];
    header.extend((length as u16).to_be_bytes());
    header.extend([0, 0]);
    [&header, payload].concat()
}

fn icmp() -> Vec<u8> {
    vec![8, 0, 0, 0, 0, 1, 0, 1]
}

pub fn arp() -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
    message.extend([0; 20]);
    message
}

/// An extension header of eight bytes.
fn extension(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0], payload].concat()
}

/// A fragment header; offset in units of eight bytes.
fn fragment(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let place = offset << 3 | u16::from(more);
    [&[next, 0], &place.to_be_bytes()[..], &[0, 0, 0, 1], payload].concat()
}

fn cut(mut frame: Vec<u8>, bytes: usize) -> Vec<u8> {
    frame.truncate(bytes);
    frame
}

/// With a byte set.
fn with(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

fn case(name: &'static str, frame: Vec<u8>, kinds: &'static [&'static str]) -> Case {
    Case { name, frame, kinds }
}

/// Every way through the program.
pub fn all() -> Vec<Case> {
    [
        plain(),
        tagged(),
        extended(),
        fragments(),
        truncated(),
        malformed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn plain() -> Vec<Case> {
    let four = |packet: Vec<u8>| ethernet(IPV4, &packet);
    let six = |packet: Vec<u8>| ethernet(IPV6, &packet);
    let padded = |mut frame: Vec<u8>| {
        frame.resize(60.max(frame.len()), 0);
        frame
    };
    let options = ipv4_of(32 + 8, UDP, 0, &[1; 12], &udp(b""));
    vec![
        case("TCP", four(ipv4(TCP, &tcp(b"hello"))), &["ipv4", "tcp"]),
        case("UDP", four(ipv4(UDP, &udp(b"hello"))), &["ipv4", "udp"]),
        case("ICMP", four(ipv4(ICMP, &icmp())), &["ipv4", "icmp"]),
        case("GRE", four(ipv4(47, &[0; 8])), &["ipv4", "other_transport"]),
        case(
            "ICMPv6 in IPv4",
            four(ipv4(ICMPV6, &icmp())),
            &["ipv4", "other_transport"],
        ),
        case("options", four(options), &["ipv4", "udp"]),
        case(
            "padding",
            padded(four(ipv4(UDP, &udp(b"")))),
            &["ipv4", "udp"],
        ),
        case("full", four(ipv4(UDP, &udp(&[7; 1472]))), &["ipv4", "udp"]),
        case(
            "TCP on IPv6",
            six(ipv6(TCP, &tcp(b"hello"))),
            &["ipv6", "tcp"],
        ),
        case(
            "UDP on IPv6",
            six(ipv6(UDP, &udp(b"hello"))),
            &["ipv6", "udp"],
        ),
        case(
            "ICMPv6",
            six(ipv6(ICMPV6, &[128, 0, 0, 0])),
            &["ipv6", "icmp"],
        ),
        case(
            "ICMP in IPv6",
            six(ipv6(ICMP, &icmp())),
            &["ipv6", "other_transport"],
        ),
        case(
            "no next header",
            six(ipv6(NOTHING, b"")),
            &["ipv6", "other_transport"],
        ),
        case("ARP", ethernet(ARP, &arp()), &["arp"]),
        case("padded ARP", padded(ethernet(ARP, &arp())), &["arp"]),
        case("MPLS", ethernet(0x8847, &[0; 46]), &["other"]),
        case("802.3", ethernet(46, &[0; 46]), &["other"]),
        case(
            "nothing behind the header",
            ethernet(0x88b5, b""),
            &["other"],
        ),
    ]
}

fn tagged() -> Vec<Case> {
    let udp = ipv4(UDP, &udp(b"tagged"));
    let one = ethernet(VLAN, &tag(IPV4, &udp));
    let two = ethernet(SERVICE, &tag(VLAN, &tag(IPV4, &udp)));
    let old = ethernet(0x9100, &tag(VLAN, &tag(IPV6, &ipv6(TCP, &tcp(b"")))));
    let four = tag(VLAN, &tag(VLAN, &tag(VLAN, &tag(IPV4, &udp))));
    let four = ethernet(VLAN, &four);
    let five = tag(VLAN, &tag(VLAN, &tag(VLAN, &tag(VLAN, &tag(IPV4, &udp)))));
    let five = ethernet(VLAN, &five);
    vec![
        case("VLAN", one, &["ipv4", "udp", "vlan"]),
        case(
            "VLAN, ARP",
            ethernet(VLAN, &tag(ARP, &arp())),
            &["arp", "vlan"],
        ),
        case(
            "priority tag, IPv6",
            ethernet(VLAN, &tag(IPV6, &ipv6(ICMPV6, &[128, 0, 0, 0]))),
            &["ipv6", "icmp", "vlan"],
        ),
        case("QinQ", two, &["ipv4", "udp", "vlan", "qinq"]),
        case("QinQ of old", old, &["ipv6", "tcp", "vlan", "qinq"]),
        case("four tags", four, &["ipv4", "udp", "vlan", "qinq"]),
        case("five tags", five, &["other", "vlan", "qinq"]),
        case(
            "a tag without its end",
            cut(ethernet(VLAN, &tag(IPV4, &[])), 16),
            &["other", "vlan", "truncated"],
        ),
        case(
            "a second tag without its end",
            ethernet(VLAN, &tag(VLAN, &[0, 1])),
            &["other", "vlan", "qinq", "truncated"],
        ),
    ]
}

fn extended() -> Vec<Case> {
    let six = |next: u8, packet: Vec<u8>| ethernet(IPV6, &ipv6(next, &packet));
    let header = |next: u8, length: u8, payload: &[u8]| {
        let bytes = if next == AH {
            0
        } else {
            8 + usize::from(length) * 8
        };
        let mut header = vec![0; bytes];
        header[0] = TCP;
        header[1] = length;
        [&header, payload].concat()
    };
    let mut authentication = vec![UDP, 4];
    authentication.resize(24, 0);
    authentication.extend(udp(b""));
    let many = |count: usize| {
        let mut packet = extension(UDP, &udp(b""));
        for _ in 1..count {
            packet = extension(OPTIONS, &packet);
        }
        packet
    };
    vec![
        case(
            "hop by hop",
            six(0, extension(TCP, &tcp(b"x"))),
            &["ipv6", "tcp"],
        ),
        case(
            "routing, options",
            six(ROUTING, extension(OPTIONS, &extension(UDP, &udp(b"")))),
            &["ipv6", "udp"],
        ),
        case(
            "long options",
            six(OPTIONS, header(OPTIONS, 20, &tcp(b""))),
            &["ipv6", "tcp"],
        ),
        case("authentication", six(AH, authentication), &["ipv6", "udp"]),
        case("ESP", six(ESP, vec![0; 40]), &["ipv6", "other_transport"]),
        case("six extensions", six(OPTIONS, many(6)), &["ipv6", "udp"]),
        case(
            "seven extensions",
            six(OPTIONS, many(7)),
            &["ipv6", "other_transport"],
        ),
        case(
            "an extension beyond the frame",
            six(OPTIONS, header(OPTIONS, 2, b"")[..8].to_vec()),
            &["ipv6", "truncated"],
        ),
        case(
            "half an extension",
            six(OPTIONS, vec![TCP]),
            &["ipv6", "truncated"],
        ),
    ]
}

fn fragments() -> Vec<Case> {
    let four = |fragment: u16, payload: &[u8]| {
        ethernet(
            IPV4,
            &ipv4_of(20 + payload.len(), UDP, fragment, &[], payload),
        )
    };
    let six = |packet: Vec<u8>| ethernet(IPV6, &ipv6(FRAGMENT, &packet));
    // The length of the whole datagram is more than is in its first fragment.
    let first = udp_of(3000, &[1; 32]);
    vec![
        case("first", four(0x2000, &first), &["ipv4", "udp"]),
        case(
            "middle",
            four(0x2005, &[1; 40]),
            &["ipv4", "later_fragment"],
        ),
        case("last", four(0x0172, &[1; 13]), &["ipv4", "later_fragment"]),
        case(
            "first of IPv6",
            six(fragment(UDP, 0, true, &first)),
            &["ipv6", "udp"],
        ),
        case(
            "later of IPv6",
            six(fragment(UDP, 5, true, &[1; 16])),
            &["ipv6", "later_fragment"],
        ),
        case(
            "last of IPv6",
            six(fragment(UDP, 370, false, &[1; 3])),
            &["ipv6", "later_fragment"],
        ),
        case(
            "atomic",
            six(fragment(TCP, 0, false, &tcp(b""))),
            &["ipv6", "tcp"],
        ),
        case(
            "cut later fragment",
            cut(four(0x2005, &[1; 40]), 50),
            &["ipv4", "later_fragment", "truncated"],
        ),
        case(
            "half a fragment header",
            six(vec![UDP, 0, 0, 0]),
            &["ipv6", "truncated"],
        ),
    ]
}

fn truncated() -> Vec<Case> {
    let whole = ethernet(IPV4, &ipv4(TCP, &tcp(b"payload")));
    let six = ethernet(IPV6, &ipv6(UDP, &udp(b"payload")));
    let options = ethernet(IPV4, &ipv4_of(60, UDP, 0, &[1; 40], b""));
    vec![
        case(
            "no IPv4 header",
            cut(whole.clone(), 14),
            &["ipv4", "truncated"],
        ),
        case(
            "half an IPv4 header",
            cut(whole.clone(), 33),
            &["ipv4", "truncated"],
        ),
        case("no IPv4 options", cut(options, 40), &["ipv4", "truncated"]),
        case(
            "no TCP header",
            cut(whole.clone(), 34),
            &["ipv4", "tcp", "truncated"],
        ),
        case(
            "half a TCP header",
            cut(whole.clone(), 53),
            &["ipv4", "tcp", "truncated"],
        ),
        case(
            "no end of the payload",
            cut(whole, 60),
            &["ipv4", "tcp", "truncated"],
        ),
        case(
            "half an IPv6 header",
            cut(six.clone(), 53),
            &["ipv6", "truncated"],
        ),
        case(
            "half a UDP header",
            cut(six.clone(), 60),
            &["ipv6", "udp", "truncated"],
        ),
        case(
            "no end of the datagram",
            cut(six, 68),
            &["ipv6", "udp", "truncated"],
        ),
        case(
            "half an ICMP header",
            cut(ethernet(IPV4, &ipv4(ICMP, &icmp())), 38),
            &["ipv4", "icmp", "truncated"],
        ),
        case(
            "half an ARP message",
            cut(ethernet(ARP, &arp()), 30),
            &["arp", "truncated"],
        ),
        case(
            "no ARP message",
            ethernet(ARP, &[0, 1, 8]),
            &["arp", "truncated"],
        ),
    ]
}

fn malformed() -> Vec<Case> {
    let four = |packet: Vec<u8>| ethernet(IPV4, &packet);
    let six = |packet: Vec<u8>| ethernet(IPV6, &packet);
    let packet = ipv4(TCP, &tcp(b"payload"));
    vec![
        case(
            "version 5",
            four(with(packet.clone(), 0, 0x55)),
            &["ipv4", "malformed"],
        ),
        case(
            "a header of four words",
            four(with(packet, 0, 0x44)),
            &["ipv4", "malformed"],
        ),
        case(
            "total length 0",
            four(ipv4_of(0, UDP, 0, &[], &udp(b""))),
            &["ipv4", "malformed"],
        ),
        case(
            "total length in the header",
            four(ipv4_of(19, UDP, 0, &[], &udp(b""))),
            &["ipv4", "malformed"],
        ),
        case(
            "TCP header of four words",
            four(ipv4(TCP, &with(tcp(b""), 12, 0x40))),
            &["ipv4", "tcp", "malformed"],
        ),
        case(
            "TCP beyond its packet",
            four(ipv4_of(40, TCP, 0, &[], &with(tcp(&[0; 20]), 12, 0xa0))),
            &["ipv4", "tcp", "malformed"],
        ),
        case(
            "TCP header cut by its packet",
            four(ipv4_of(30, TCP, 0, &[], &tcp(b""))),
            &["ipv4", "tcp", "malformed"],
        ),
        case(
            "UDP of seven bytes",
            four(ipv4(UDP, &udp_of(7, b""))),
            &["ipv4", "udp", "malformed"],
        ),
        case(
            "UDP beyond its packet",
            four(ipv4_of(28, UDP, 0, &[], &udp_of(16, &[0; 8]))),
            &["ipv4", "udp", "malformed"],
        ),
        case(
            "IPv4 as IPv6",
            six(with(ipv6(UDP, &udp(b"")), 0, 0x45)),
            &["ipv6", "malformed"],
        ),
        case(
            "IPv6 of length 0",
            six(ipv6_of(0, UDP, &udp(b""))),
            &["ipv6", "udp", "malformed"],
        ),
        case(
            "extension beyond its packet",
            six(ipv6_of(4, OPTIONS, &extension(UDP, &udp(b"")))),
            &["ipv6", "malformed"],
        ),
        case(
            "ARP of odd addresses",
            ethernet(ARP, &with(arp(), 5, 16)),
            &["arp", "malformed"],
        ),
    ]
}
