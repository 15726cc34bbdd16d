//! The system calls that operate on sockets, and their operations. Pure.

use crate::decode::syscalls::{Abi, Table};
use crate::monitor::net::abi::NUMBERS;

/// Values of `denet_net_ops` (`DENET_NET_READ` and so on of `ebpf/net.h`), by name of the call.
const OPERATIONS: [(&str, u32); 28] = [
    ("read", 1),
    ("pread64", 1),
    ("readv", 1),
    ("preadv", 1),
    ("preadv2", 1),
    ("write", 2),
    ("pwrite64", 2),
    ("writev", 2),
    ("pwritev", 2),
    ("pwritev2", 2),
    ("recv", 3),
    ("recvfrom", 3),
    ("send", 4),
    ("sendto", 4),
    ("recvmsg", 5),
    ("sendmsg", 6),
    ("recvmmsg", 7),
    ("recvmmsg_time64", 7),
    ("sendmmsg", 8),
    ("sendfile", 9),
    ("sendfile64", 9),
    ("splice", 10),
    ("connect", 11),
    ("accept", 12),
    ("accept4", 12),
    ("shutdown", 13),
    ("close", 14),
    ("socketcall", 15),
];

/// The operation of each syscall number, by its index in `denet_net_ops`.
pub(crate) fn all() -> Vec<(u32, u32)> {
    let of = |abi: Abi, first: u32| {
        Table::of(abi).entries().filter_map(move |(nr, name, _)| {
            let nr = u32::try_from(nr).ok().filter(|nr| *nr < NUMBERS)?;
            let (_, operation) = OPERATIONS.iter().find(|(known, _)| *known == name)?;
            Some((first + nr, *operation))
        })
    };
    of(Abi::Native, 0).chain(of(Abi::Compat, NUMBERS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn both_tables_are_told() {
        let all = all();
        let of = |place: u32| all.iter().find(|(at, _)| *at == place).map(|(_, it)| *it);
        // read, socketcall, connect; write and connect of i386; and getpid, which has no operation.
        assert_eq!((of(0), of(42)), (Some(1), Some(11)));
        assert_eq!((of(NUMBERS + 4), of(NUMBERS + 102)), (Some(2), Some(15)));
        assert_eq!((of(NUMBERS + 362), of(39)), (Some(11), None));
    }
}
