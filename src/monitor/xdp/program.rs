//! The programs of `ebpf/xdp.bpf.c` and their counters.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::counters::{Count, Counts};
use super::{StartError, abi};
use crate::bpf::kernel::Kind;
use crate::bpf::object::{self, Maps, Program, Request};
use crate::bpf::{KernelError, XDP, pins};

/// The map of ebpf/xdp.bpf.c; it goes by the version of its layout.
pub(super) const COUNTERS: &str = "denet_xdp_v1";
/// Its programs, the faster first: the second does without CAP_PERFMON.
pub(super) const PROGRAMS: [&str; 2] = ["denet_xdp", "denet_xdp_copy"];

/// Of each possible CPU.
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
        let abi::Counts {
            ipv4,
            ipv6,
            arp,
            other,
            tcp,
            udp,
            icmp,
            other_transport,
            later_fragment,
            vlan,
            qinq,
            truncated,
            malformed,
        } = *counts;
        // As Kind::ALL.
        let all = [
            ipv4,
            ipv6,
            arp,
            other,
            tcp,
            udp,
            icmp,
            other_transport,
            later_fragment,
            vlan,
            qinq,
            truncated,
            malformed,
        ];
        Self(all.map(Count::from))
    }
}

/// Loads the faster program, or where CAP_PERFMON is missing for it, the other.
pub(super) fn load(maps: &mut Maps) -> Result<Program, KernelError> {
    let [fast, modest] = PROGRAMS;
    load_one(fast, maps).or_else(|error| match error.source.raw_os_error() {
        // The verifier lets nobody else subtract pointers; the other's refusal says less.
        Some(libc::EACCES) => {
            load_one(modest, maps).map_err(|_| KernelError { log: None, ..error })
        }
        _ => Err(error),
    })
}

/// Loads one of [`PROGRAMS`].
pub(super) fn load_one(name: &str, maps: &mut Maps) -> Result<Program, KernelError> {
    let request = Request {
        bytes: XDP,
        programs: &[(name, Kind::Xdp)],
        with_types: false,
        constants: &[],
        functions: &[],
        settings: &[],
    };
    let none = || KernelError::new("embedded eBPF object", io::Error::other("no program"));
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
