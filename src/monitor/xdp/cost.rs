//! The cost of counting a frame, compared with a program that only lets it pass.
//!
//! For `benches/`: all programs take turns, so that each runs under the same conditions.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;

use super::program;
use crate::bpf::KernelError;
use crate::bpf::assembly::Assembly;
use crate::bpf::kernel::{self, Kind};
use crate::bpf::object::Maps;
use crate::bpf::trial;

/// `enum xdp_action`
const XDP_PASS: i32 = 2;

/// Runs of a program per measurement: enough to hide the cost of adding it to the kernel's dispatcher.
const TIMES: u32 = 200_000;

/// Nanoseconds of one run.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// A program that returns XDP_PASS at once.
    pub pass: f64,
    /// denet's program.
    pub counted: f64,
    /// denet's program for users without CAP_PERFMON; `None` before Linux 5.18.
    pub by_helpers: Option<f64>,
}

/// Measures a number of rounds with a frame.
///
/// # Errors
/// Why eBPF cannot be used.
pub fn rounds(frame: &[u8], rounds: usize) -> Result<Vec<Round>, KernelError> {
    let pass = Assembly::default().finish_with(XDP_PASS);
    let pass = kernel::load_program("denet_pass", Kind::Xdp, c"Dual MIT/GPL", &pass)?;
    let mut maps = Maps::new();
    let [counting, by_helpers] = program::PROGRAMS.map(|name| program::load_one(name, &mut maps));
    let counting = counting?;
    let by_helpers = by_helpers.ok();
    let ns = |program| ns(program, frame);
    let round = |_| {
        Ok(Round {
            pass: ns(pass.as_fd())?,
            counted: ns(counting.fd.as_fd())?,
            by_helpers: match &by_helpers {
                Some(program) => Some(ns(program.fd.as_fd())?),
                None => None,
            },
        })
    };
    (0..rounds).map(round).collect()
}

fn ns(program: BorrowedFd<'_>, frame: &[u8]) -> Result<f64, KernelError> {
    let failed = |error: io::Error| KernelError::new("BPF_PROG_TEST_RUN", error);
    let now = || ClockId::CLOCK_THREAD_CPUTIME_ID.now();
    let begin = now().map_err(|errno| failed(errno.into()))?;
    let said = trial::xdp(program, frame, TIMES).map_err(failed)?;
    let end = now().map_err(|errno| failed(errno.into()))?;
    if said != XDP_PASS as u32 {
        return Err(failed(io::Error::other("the frame was not to pass")));
    }
    Ok((end - begin).num_nanoseconds() as f64 / f64::from(TIMES))
}
