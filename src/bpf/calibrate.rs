//! Where this kernel keeps `pid`, `tgid` and the 32-bit mark in `task_struct`, and under which
//! number it knows a task of ours.
//!
//! The kernel is asked rather than its BTF read: a program copies the asking task's `task_struct`
//! beside what `bpf_get_current_pid_tgid()` says of it, once in a thread of denet and once in the
//! waiting command. Two tasks with different ids leave one place for each field. That takes half a
//! millisecond, needs no BTF, and holds for randomised layouts and backports.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::{Array, Map};

use super::abi::{SAMPLE_BYTES, SAMPLE_COOKIE, Sample};
use super::kernel::{self, KernelError};
use super::object::{self, Maps, Program};
use crate::sys::gate::Rehearsal;

/// What the programs have to be told about this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) pid_offset: u32,
    pub(crate) tgid_offset: u32,
    /// Offset of a 32-bit word of `thread_info`, and the bit in it that marks a 32-bit call.
    pub(crate) compat_offset: u32,
    pub(crate) compat_mask: u32,
}

/// A task as the kernel numbers it: in the initial pid namespace, which need not be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelIds {
    pub(crate) tid: u32,
    pub(crate) tgid: u32,
}

/// Why no layout could be told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LayoutError {
    #[error("the kernel ran the sampling program without taking a sample")]
    NoSample,
    #[error("{0} places in task_struct could be its {1}")]
    Ambiguous(usize, &'static str),
}

/// The attached sampling program.
pub(crate) struct Calibration {
    program: Program,
    samples: Array<aya::maps::MapData, Sample>,
    // Attached so that this kernel marks every task as traced: see `compat_word`.
    _link: OwnedFd,
}

impl Calibration {
    /// Loads and attaches the sampling program, and samples a thread of denet.
    pub(crate) fn start() -> Result<Self, KernelError> {
        let mut maps = Maps::new();
        let mut programs = object::load(super::CALIBRATE, &[], &[], &mut maps)?;
        let missing = |what: &str| {
            KernelError::new("embedded eBPF object", std::io::Error::other(format!("no {what}")))
        };
        let program = programs.pop().ok_or_else(|| missing("program"))?;
        let samples = maps.remove("denet_samples").ok_or_else(|| missing("denet_samples"))?;
        let samples = Array::try_from(Map::Array(samples))
            .map_err(|error| KernelError::new("denet_samples", std::io::Error::other(error)))?;
        let link = program.attach(c"sys_enter")?;
        // A thread that is not the leader: only there do tid and tgid differ.
        let run = || kernel::run_raw_tracepoint(program.fd.as_fd(), &Sampled::Thread.context());
        std::thread::scope(|scope| scope.spawn(run).join())
            .unwrap_or_else(|_| Err(std::io::Error::other("the sampling thread died")))
            .map_err(|source| KernelError::new("BPF_PROG_TEST_RUN denet_sample", source))?;
        Ok(Self { program, samples, _link: link })
    }

    /// What the waiting command is to do before it reports that it is ready.
    pub(crate) fn in_gate(&self) -> Rehearsal<'_> {
        Box::new(|| kernel::run_raw_tracepoint(self.program.fd.as_fd(), &Sampled::Gate.context()))
    }

    /// The layout, the ids of the calling process's leader, and those of the waiting command.
    pub(crate) fn finish(self) -> Result<(Layout, KernelIds, KernelIds), KernelError> {
        let read = |which: Sampled| {
            self.samples.get(&(which as u32), 0).map_err(|error| {
                KernelError::new("BPF_MAP_LOOKUP_ELEM denet_samples", std::io::Error::other(error))
            })
        };
        let (thread, gate) = (read(Sampled::Thread)?, read(Sampled::Gate)?);
        let layout = locate(&thread, &gate)
            .map_err(|error| KernelError::new("layout of task_struct", std::io::Error::other(error)))?;
        let leader = ids(&thread).tgid;
        tracing::debug!(?layout, ids = ?ids(&gate), "calibrated");
        Ok((layout, KernelIds { tid: leader, tgid: leader }, ids(&gate)))
    }
}

#[derive(Clone, Copy)]
enum Sampled {
    Thread = 0,
    Gate = 1,
}

impl Sampled {
    const fn context(self) -> [u64; 2] {
        [SAMPLE_COOKIE, self as u64]
    }
}

fn ids(sample: &Sample) -> KernelIds {
    KernelIds {
        tid: sample.pid_tgid as u32,
        tgid: (sample.pid_tgid >> 32) as u32,
    }
}

fn word(sample: &Sample, offset: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&sample.task[offset..offset + 4]);
    u32::from_ne_bytes(bytes)
}

fn locate(thread: &Sample, gate: &Sample) -> Result<Layout, LayoutError> {
    if thread.pid_tgid == 0 || gate.pid_tgid == 0 {
        return Err(LayoutError::NoSample);
    }
    let find = |field, in_thread: u32, in_gate: u32| {
        let places: Vec<usize> = (0..SAMPLE_BYTES)
            .step_by(4)
            .filter(|at| word(thread, *at) == in_thread && word(gate, *at) == in_gate)
            .collect();
        match places.as_slice() {
            [place] => Ok(*place as u32),
            _ => Err(LayoutError::Ambiguous(places.len(), field)),
        }
    };
    let (compat_offset, compat_mask) = compat_word(thread);
    Ok(Layout {
        pid_offset: find("pid", ids(thread).tid, ids(gate).tid)?,
        tgid_offset: find("tgid", ids(thread).tgid, ids(gate).tgid)?,
        compat_offset,
        compat_mask,
    })
}

/// `TS_COMPAT` in `thread_info.status`, which stands behind `syscall_work` where that exists
/// (5.11). While a syscall tracepoint is attached, `syscall_work` has `SYSCALL_WORK_SYSCALL_TRACEPOINT`
/// set (bit 1), and `status` of a 64-bit task has not: so the word at 8 tells which of both it is.
#[cfg(target_arch = "x86_64")]
fn compat_word(traced: &Sample) -> (u32, u32) {
    const TS_COMPAT: u32 = 2;
    const SYSCALL_WORK_SYSCALL_TRACEPOINT: u32 = 2;
    let has_syscall_work = word(traced, 8) & SYSCALL_WORK_SYSCALL_TRACEPOINT != 0;
    (if has_syscall_work { 16 } else { 8 }, TS_COMPAT)
}

/// `TIF_32BIT` in `thread_info.flags`.
#[cfg(target_arch = "aarch64")]
fn compat_word(_: &Sample) -> (u32, u32) {
    (0, 1 << 22)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const PID: usize = 2384;
    const TGID: usize = 2388;

    fn task(tid: u32, tgid: u32, words: &[(usize, u32)]) -> Sample {
        let mut sample = Sample {
            pid_tgid: u64::from(tgid) << 32 | u64::from(tid),
            task: [0; SAMPLE_BYTES],
        };
        for (at, value) in [(PID, tid), (TGID, tgid)].iter().chain(words) {
            sample.task[*at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        sample
    }

    #[test]
    fn finds_the_fields_of_two_tasks() {
        let thread = task(101, 100, &[(8, 2), (640, 101)]);
        let gate = task(103, 103, &[(8, 2), (644, 103)]);
        let layout = locate(&thread, &gate).unwrap();
        assert_eq!((layout.pid_offset, layout.tgid_offset), (PID as u32, TGID as u32));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn status_stands_behind_syscall_work_where_that_exists() {
        assert_eq!(compat_word(&task(1, 1, &[(8, 2)])), (16, 2));
        assert_eq!(compat_word(&task(1, 1, &[])), (8, 2));
    }

    #[test]
    fn refuses_to_guess() {
        let thread = task(101, 100, &[(40, 101)]);
        let gate = task(103, 103, &[(40, 103)]);
        assert_eq!(locate(&thread, &gate), Err(LayoutError::Ambiguous(2, "pid")));
        let unsampled = Sample { pid_tgid: 0, task: [0; SAMPLE_BYTES] };
        assert_eq!(locate(&thread, &unsampled), Err(LayoutError::NoSample));
    }
}
