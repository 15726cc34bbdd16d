//! The programs of `ebpf/xdp.bpf.c` and their counters.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::counters::{Count, Counts, Kind};
use super::{StartError, abi};
use crate::backends::table::{self, Mechanism};
use crate::bpf::kernel;
use crate::bpf::object::{self, Maps, Program, Request};
use crate::bpf::{KernelError, XDP, pins};

/// The map of ebpf/xdp.bpf.c; its name has the version of its layout.
pub(super) const COUNTERS: &str = "denet_xdp_v1";
/// Its programs, the faster one first; the second does not need CAP_PERFMON.
pub(super) const PROGRAMS: [&str; 2] = ["denet_xdp", "denet_xdp_copy"];

/// The counters of each possible CPU.
pub(super) fn read(counters: &OwnedFd) -> Result<Vec<Counts>, StartError> {
    let cpus: Vec<abi::Counts> = pins::per_cpu(counters.as_fd())
        .map_err(|error| StartError::Failed(format!("cannot read the counters: {error}")))?;
    Ok(cpus.iter().map(Counts::from).collect())
}

impl From<abi::Count> for Count {
    fn from(count: abi::Count) -> Self {
        Self {
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

impl From<&abi::Counts> for Counts {
    fn from(counts: &abi::Counts) -> Self {
        // The fields are in the order of Kind::ALL.
        let all: [abi::Count; Kind::ALL.len()] = zerocopy::transmute!(*counts);
        Self(all.map(Count::from))
    }
}

/// Loads the program of the best backend; of the next if CAP_PERFMON is missing for it.
pub(super) fn load(maps: &mut Maps) -> Result<Program, KernelError> {
    let mut refusal: Option<KernelError> = None;
    for backend in table::XDP {
        let program = match backend.mechanism {
            Mechanism::XdpByHelpers => PROGRAMS[1],
            _ => PROGRAMS[0],
        };
        match (load_one(program, maps), refusal) {
            (Ok(program), _) => return Ok(program),
            // The refusal of the next program is less specific.
            (Err(_), Some(first)) => return Err(KernelError { log: None, ..first }),
            // Without CAP_PERFMON the verifier does not allow to subtract pointers.
            (Err(error), None) if error.source.raw_os_error() == Some(libc::EACCES) => {
                refusal = Some(error);
            }
            (Err(error), None) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(none))
}

fn none() -> KernelError {
    KernelError::new("embedded eBPF object", io::Error::other("no program"))
}

/// Loads one of [`PROGRAMS`].
pub(super) fn load_one(name: &str, maps: &mut Maps) -> Result<Program, KernelError> {
    let request = Request {
        bytes: XDP,
        programs: &[(name, kernel::Kind::Xdp)],
        with_types: false,
        constants: &[],
        functions: &[],
        settings: &[],
    };
    object::load(&request, maps)?
        .into_iter()
        .next()
        .ok_or_else(none)
}

pub(super) fn counters(mut maps: Maps) -> Result<OwnedFd, StartError> {
    let map = maps.remove(COUNTERS);
    let map = map.ok_or_else(|| StartError::Failed(format!("no map {COUNTERS}")))?;
    let fd = map.fd().as_fd().try_clone_to_owned();
    fd.map_err(|error| StartError::Failed(format!("cannot keep {COUNTERS}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_of_its_kind() {
        let count = |packets| abi::Count { packets, bytes: 0 };
        let counts = Counts::from(&abi::Counts {
            ipv4: count(1),
            ipv6: count(2),
            arp: count(3),
            other: count(4),
            tcp: count(5),
            udp: count(6),
            icmp: count(7),
            other_transport: count(8),
            later_fragment: count(9),
            vlan: count(10),
            qinq: count(11),
            truncated: count(12),
            malformed: count(13),
        });
        let kinds = [
            (Kind::Ipv4, 1),
            (Kind::Ipv6, 2),
            (Kind::Arp, 3),
            (Kind::Other, 4),
            (Kind::Tcp, 5),
            (Kind::Udp, 6),
            (Kind::Icmp, 7),
            (Kind::OtherTransport, 8),
            (Kind::LaterFragment, 9),
            (Kind::Vlan, 10),
            (Kind::Qinq, 11),
            (Kind::Truncated, 12),
            (Kind::Malformed, 13),
        ];
        for (kind, packets) in kinds {
            assert_eq!(counts.of(kind).packets, packets, "{kind:?}");
        }
    }
}
