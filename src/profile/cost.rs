//! What counting costs a syscall, beside the least that any program on the same hook costs.
//!
//! For `benches/`: links are opened and closed within milliseconds, so that each round sees the
//! machine in one mood, and rounds can be compared with themselves.

use std::os::fd::AsFd as _;

use aya_obj::generated::bpf_insn;

use super::follow::Follower;
use crate::bpf::calibrate::Calibration;
use crate::bpf::{KernelError, kernel};
use crate::sys::account;

/// Nanoseconds of one `getppid`, measured one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Nothing attached.
    pub bare: f64,
    /// A program that returns at once attached to `raw_tp/sys_enter`.
    pub empty: f64,
    /// denet attached, following others.
    pub other: f64,
    /// denet attached, following the caller.
    pub target: f64,
}

const CALLS: u32 = 1000;

/// Measures so many rounds.
///
/// # Errors
/// Where eBPF cannot be used.
pub fn rounds(rounds: usize) -> Result<Vec<Round>, KernelError> {
    let instruction = |code: u8| {
        let mut instruction = bpf_insn { code, _bitfield_align_1: [], _bitfield_1: Default::default(), off: 0, imm: 0 };
        instruction.set_dst_reg(0);
        instruction
    };
    // r0 = 0; exit
    let empty = kernel::load_raw_tracepoint("denet_empty", c"Dual MIT/GPL", &[instruction(0xb7), instruction(0x95)])?;
    let (layout, own) = Calibration::of_this_process()?;
    let mut follower = Follower::load(layout, None)?;
    let mut measured = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let bare = call_ns();
        let link = kernel::open_raw_tracepoint(empty.as_fd(), c"sys_enter")?;
        let empty = call_ns();
        drop(link);
        follower.attach()?;
        let other = call_ns();
        follower.enroll(own)?;
        let target = call_ns();
        follower.dismiss(own)?;
        follower.detach();
        measured.push(Round { bare, empty, other, target });
    }
    Ok(measured)
}

fn call_ns() -> f64 {
    let burst = || {
        let start = account::monotonic_ns();
        (0..CALLS).for_each(|_| account::trivial_syscall());
        (account::monotonic_ns() - start) as f64 / f64::from(CALLS)
    };
    // The first burst warms up what the change of links left cold.
    burst();
    burst().min(burst())
}
