//! Names of sockets by their inode numbers, from the tables of their network namespace in `/proc/PID/net`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The tables, with the names of their protocols as `denet trace` shows them.
const TABLES: [(&str, &str); 6] = [
    ("tcp", "TCP"),
    ("tcp6", "TCPv6"),
    ("udp", "UDP"),
    ("udp6", "UDPv6"),
    ("raw", "RAW"),
    ("raw6", "RAWv6"),
];

/// Each network namespace's tables are read once, since they may be long.
#[derive(Default)]
pub(crate) struct Sockets(HashMap<PathBuf, HashMap<u64, String>>);

impl Sockets {
    /// What a socket of a process is connected to or bound to, by the text of its link in `/proc/PID/fd`.
    pub(crate) fn name(&mut self, tgid: u32, link: &[u8]) -> Option<String> {
        let inode = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
        let inode = std::str::from_utf8(inode).ok()?.parse().ok()?;
        let namespace = std::fs::read_link(format!("/proc/{tgid}/ns/net")).ok()?;
        let names = self.0.entry(namespace).or_insert_with(|| read(tgid));
        names.get(&inode).cloned()
    }
}

fn read(tgid: u32) -> HashMap<u64, String> {
    let table = |name: &str| std::fs::read(format!("/proc/{tgid}/net/{name}")).unwrap_or_default();
    let mut names = HashMap::new();
    for (name, protocol) in TABLES {
        let text = table(name);
        let lines = text.split(|byte| *byte == b'\n').skip(1);
        names.extend(lines.filter_map(|line| internet(line, protocol)));
    }
    let text = table("unix");
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    names.extend(lines.filter_map(unix));
    names
}

/// `sl local remote state … inode …`; addresses as words of memory, in hexadecimal.
fn internet(line: &[u8], protocol: &str) -> Option<(u64, String)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (local, remote) = (address(words.nth(1)?)?, address(words.next()?)?);
    let inode = words.nth(6)?.parse().ok()?;
    let name = match remote.port() {
        0 => format!("{protocol} {local}"),
        _ => format!("{protocol} {local}->{remote}"),
    };
    (inode != 0).then_some((inode, name))
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        let hex = ip.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes())
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            bytes.copy_from_slice(words.as_flattened());
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// `address: references protocol flags type state inode path`; the path is absent for most.
fn unix(line: &[u8]) -> Option<(u64, String)> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let kind = match words.nth(4)? {
        "0001" => "UNIX-STREAM",
        "0002" => "UNIX-DGRAM",
        "0005" => "UNIX-SEQPACKET",
        _ => "UNIX",
    };
    let inode = words.nth(1)?;
    let path = line.split_once(&format!(" {inode} ")).map(|(_, path)| path);
    let name = match path {
        Some(path) if !path.is_empty() => format!("{kind} {path}"),
        _ => kind.to_owned(),
    };
    Some((inode.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn rows_of_the_kernels_tables() {
        let tcp = b"   0: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 5233 1";
        let named = |name: &str| Some((5233, name.to_owned()));
        let expected = named("TCP 127.0.0.1:8080->127.0.0.1:54000");
        assert_eq!(internet(tcp, "TCP"), expected);
        let listens = b"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5233 1";
        assert_eq!(internet(listens, "TCP"), named("TCP 0.0.0.0:22"));
        let six = b"   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 5233";
        assert_eq!(internet(six, "TCPv6"), named("TCPv6 [::1]:80"));
        assert_eq!(internet(b"  sl  local_address", "TCP"), None);
    }

    #[test]
    fn sockets_of_the_machine_itself() {
        let with = b"0000000000000000: 00000002 00000000 00010000 0001 01 10543 /run/a socket";
        assert_eq!(
            unix(with),
            Some((10543, "UNIX-STREAM /run/a socket".to_owned()))
        );
        let without = b"0000000000000000: 00000003 00000000 00000000 0005 03 7";
        assert_eq!(unix(without), Some((7, "UNIX-SEQPACKET".to_owned())));
    }
}
