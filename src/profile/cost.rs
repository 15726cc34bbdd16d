//! What counting costs a syscall, beside the least that any program on the same hook costs.
//!
//! For `benches/`: links are opened and closed within milliseconds, so that each round sees the
//! machine in one mood, and rounds can be compared with themselves.

use std::os::fd::{AsFd as _, OwnedFd};

use aya_obj::generated::bpf_insn;

use super::Limits;
use super::follow::Follower;
use crate::bpf::KernelError;
use crate::bpf::calibrate::Calibration;
use crate::bpf::kernel::{self, Kind};
use crate::process::target::{Selection, Target};
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

/// Loads a program that returns at once, attaches it and removes both: the minimum any run does.
///
/// # Errors
/// Where eBPF cannot be used.
pub fn attach_empty() -> Result<(), KernelError> {
    let empty = load_empty()?;
    kernel::open_raw_tracepoint(empty.as_fd(), Some(c"sys_enter"))?;
    Ok(())
}

fn load_empty() -> Result<OwnedFd, KernelError> {
    let instruction = |code: u8| {
        let mut instruction = bpf_insn {
            code,
            _bitfield_align_1: [],
            _bitfield_1: Default::default(),
            off: 0,
            imm: 0,
        };
        instruction.set_dst_reg(0);
        instruction
    };
    // r0 = 0; exit
    kernel::load_program(
        "denet_empty",
        Kind::Raw,
        c"Dual MIT/GPL",
        &[instruction(0xb7), instruction(0x95)],
    )
}

fn fastest_ns() -> f64 {
    account::syscall_ns()
        .into_iter()
        .fold(f64::INFINITY, f64::min)
}

/// Measures so many rounds.
///
/// # Errors
/// Where eBPF cannot be used.
pub fn rounds(rounds: usize) -> Result<Vec<Round>, KernelError> {
    let empty = load_empty()?;
    let limits = Limits::default();
    let calibration = Calibration::start(&limits.btf)?;
    calibration.stand_in()?;
    let (layout, own, _) = calibration.finish(0)?;
    drop(calibration);
    let target = Target {
        selection: Selection::Process(own.tgid),
        descendants: true,
    };
    let mut follower = Follower::load(layout, None, &limits, (&target, None), None)?;
    let mut measured = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let bare = fastest_ns();
        let link = kernel::open_raw_tracepoint(empty.as_fd(), Some(c"sys_enter"))?;
        let empty = fastest_ns();
        drop(link);
        follower.attach()?;
        let other = fastest_ns();
        follower.enroll(own)?;
        let target = fastest_ns();
        follower.dismiss(own)?;
        follower.detach();
        measured.push(Round {
            bare,
            empty,
            other,
            target,
        });
    }
    Ok(measured)
}
