//! Where this kernel keeps what the programs read of a task, and under which numbers it knows the
//! command.
//!
//! The kernel is asked rather than its BTF read: a program copies the asking task's `task_struct`
//! beside what `bpf_get_current_pid_tgid()` and `sys_exit` say of it, in a thread of denet, in its
//! main thread and in the waiting command. Their different ids leave one place for each field. That
//! takes a millisecond, needs no BTF, and holds for randomised layouts and backports.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, Map};

use super::abi::{Plain, SAMPLE_BYTES, SAMPLE_COOKIE, SAMPLES, Sample};
use super::kernel::{self, KernelError, Kind};
use super::object::{self, Maps, Program, Request};
use super::types::{self, KernelTypes};
use super::types_ids::{self, IdNamespace, IdTypes};
use crate::sys::account;
use crate::sys::gate::Rehearsal;

/// What the programs have to be told about this kernel: offsets in `task_struct`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) pid: u32,
    pub(crate) tgid: u32,
    pub(crate) stack: u32,
    /// Of a user task's `pt_regs` in its kernel stack.
    pub(crate) regs_in_stack: u32,
    /// Of a 32-bit word in `thread_info`, and the bit in it that marks a 32-bit call.
    pub(crate) compat: u32,
    pub(crate) compat_mask: u32,
    /// No helper reads kernel memory here: what has no types cannot be followed.
    pub(crate) typed_only: bool,
    pub(crate) ids: Ids,
}

/// Which ids of tasks the programs report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Those of the initial pid namespace, which denet is in.
    Initial,
    /// Those of the pid namespace that denet is in.
    Own(IdNamespace),
    /// Those of the initial pid namespace, which denet is not in: the kernel's types do not show where others are.
    Foreign,
}

impl Layout {
    /// Size of a kernel stack in bytes: `pt_regs` are the last thing in it.
    pub(crate) fn stack_bytes(&self) -> u32 {
        self.regs_in_stack.next_power_of_two()
    }
}

/// A task: its ids, which are denet's unless they are [`Ids::Foreign`], and the address that identifies it to
/// `sys_enter`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KernelTask {
    pub(crate) tid: u32,
    pub(crate) tgid: u32,
    pub(crate) regs: u64,
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
    samples: Array<aya::maps::MapData, Plain<Sample>>,
    samples_fd: RawFd,
    // Attached, the program learns where pt_regs are, and this kernel marks every task as traced:
    // see `compat_word`.
    link: OwnedFd,
    /// Where the kernel does not let a program copy tasks: what its BTF says of them instead, and why.
    instead: Option<(KernelTypes, KernelError)>,
    /// Where the ids of another pid namespace than the initial one are, if denet is in one.
    ids: Option<IdTypes>,
}

impl Calibration {
    /// Loads and attaches the sampling program, and samples a thread of denet. `btf` is read where
    /// the kernel does not let a program copy tasks.
    pub(crate) fn start(btf: &Path) -> Result<Self, KernelError> {
        let mut maps = Maps::new();
        let ids = match account::in_initial_pid_namespace() {
            true => None,
            false => types::with(btf, types_ids::offsets).ok().flatten(),
        };
        let (pid_offset, level_offset) = ids.map_or((0, 0), |ids| (ids.thread_pid, ids.level));
        let load = |maps: &mut Maps, copies_tasks: u32| {
            let request = Request {
                bytes: super::CALIBRATE,
                programs: &[("denet_sample", Kind::Raw)],
                with_types: false,
                constants: &[
                    ("copies_tasks", copies_tasks),
                    ("ids_pid_offset", pid_offset),
                    ("ids_level_offset", level_offset),
                ],
                functions: &[],
                settings: &[],
            };
            object::load(&request, maps)
        };
        let (mut programs, instead) = match load(&mut maps, 1) {
            Ok(programs) => (programs, None),
            Err(refusal) => {
                tracing::debug!(%refusal, log = refusal.log, "not: tasks copied by a program");
                // Where the second way is closed as well, it was the first refusal that matters.
                match (KernelTypes::read(btf), load(&mut maps, 0)) {
                    (Ok(types), Ok(programs)) => (programs, Some((types, refusal))),
                    _ => return Err(refusal),
                }
            }
        };
        let missing = |what: &str| {
            KernelError::new(
                "embedded eBPF object",
                io::Error::other(format!("no {what}")),
            )
        };
        let program = programs.pop().ok_or_else(|| missing("program"))?;
        let samples = maps
            .remove("denet_samples")
            .ok_or_else(|| missing("denet_samples"))?;
        let samples_fd = samples.fd().as_fd().as_raw_fd();
        let samples = Array::try_from(Map::Array(samples))
            .map_err(|error| KernelError::new("denet_samples", io::Error::other(error)))?;
        let link = program.attach(c"sys_exit")?;
        let calibration = Self {
            program,
            samples,
            samples_fd,
            link,
            instead,
            ids,
        };
        // A thread that is not the leader: only there do tid and tgid differ.
        std::thread::scope(|scope| scope.spawn(|| calibration.sample(Sampled::Thread)).join())
            .unwrap_or_else(|_| Err(io::Error::other("the sampling thread died")))
            .and_then(|()| calibration.sample(Sampled::Own))
            .map_err(|source| KernelError::new("BPF_PROG_TEST_RUN denet_sample", source))?;
        Ok(calibration)
    }

    /// Why tasks could not be copied, where they could not.
    pub(crate) fn take_refusal(&mut self) -> Option<KernelError> {
        self.instead.take().map(|(_, refusal)| refusal)
    }

    /// What the waiting command is to do before it reports that it is ready.
    pub(crate) fn in_gate(&self) -> Rehearsal<'_> {
        Box::new(|| {
            self.sample(Sampled::Gate)?;
            // The gate's own copies: its exec would be the last to close them, and wait until the
            // program is detached.
            let samples = self.samples_fd;
            for fd in [self.link.as_raw_fd(), self.program.fd.as_raw_fd(), samples] {
                kernel::close_copy(fd)?;
            }
            Ok(())
        })
    }

    /// The end of this very call shows the program where the task's pt_regs are. Async-signal-safe.
    fn sample(&self, which: Sampled) -> io::Result<()> {
        let mut sample = Sample::NONE;
        // The kernel skips a program that is being preempted on the same CPU, and says nothing.
        for _ in 0..TRIES {
            kernel::run_raw_tracepoint(self.program.fd.as_fd(), &which.context())?;
            kernel::look_up(self.samples_fd, &(which as u32), &mut sample)?;
            if sample.pid_tgid != 0 && sample.regs != 0 {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Samples another thread in the command's place, for where there is no command.
    pub(crate) fn stand_in(&self) -> Result<(), KernelError> {
        let sampled = std::thread::scope(|scope| scope.spawn(|| self.sample(Sampled::Gate)).join());
        sampled
            .unwrap_or_else(|_| Err(io::Error::other("the sampling thread died")))
            .map_err(|source| KernelError::new("BPF_PROG_TEST_RUN denet_sample", source))
    }

    /// The layout, the thread that began the calibration, which calls this, and the waiting command, which has
    /// this process id.
    pub(crate) fn finish(
        &self,
        command: u32,
    ) -> Result<(Layout, KernelTask, KernelTask), KernelError> {
        let read = |which: Sampled| {
            let sample = self.samples.get(&(which as u32), 0);
            sample.map(|Plain(sample)| sample).map_err(|error| {
                KernelError::new("BPF_MAP_LOOKUP_ELEM denet_samples", io::Error::other(error))
            })
        };
        let [thread, own, gate] = [Sampled::Thread, Sampled::Own, Sampled::Gate].map(read);
        let (own, gate) = (own?, gate?);
        let samples = [thread?, own, gate];
        let layout = match &self.instead {
            None => locate(&samples),
            Some((types, _)) => described(types, &samples),
        };
        let mut layout = layout
            .map_err(|error| KernelError::new("layout of task_struct", io::Error::other(error)))?;
        layout.ids = self.ids(&own, layout.typed_only);
        tracing::debug!(?layout, "calibrated");
        let task = |sample: &Sample, in_own: (u32, u32)| {
            let (tid, tgid) = match layout.ids {
                Ids::Foreign => ids(sample),
                Ids::Initial | Ids::Own(_) => in_own,
            };
            KernelTask {
                tid,
                tgid,
                regs: sample.regs,
            }
        };
        let this_thread = (nix::unistd::gettid().as_raw() as u32, std::process::id());
        Ok((
            layout,
            task(&own, this_thread),
            task(&gate, (command, command)),
        ))
    }

    fn ids(&self, own: &Sample, typed_only: bool) -> Ids {
        if account::in_initial_pid_namespace() {
            return Ids::Initial;
        }
        let namespace = self.ids.zip(account::pid_namespace().ok());
        let namespace = namespace.map(|(types, (_, inode))| IdNamespace {
            types,
            level: own.pid_level as u32,
            inode: inode as u32,
        });
        namespace
            .filter(|namespace| namespace.is_readable(typed_only))
            .map_or(Ids::Foreign, Ids::Own)
    }
}

/// How often and after which pauses a sample is asked for.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Clone, Copy)]
enum Sampled {
    Thread = 0,
    Gate = 1,
    Own = 2,
}

impl Sampled {
    const fn context(self) -> [u64; 2] {
        [SAMPLE_COOKIE, self as u64]
    }
}

/// tid and tgid.
fn ids(sample: &Sample) -> (u32, u32) {
    (sample.pid_tgid as u32, (sample.pid_tgid >> 32) as u32)
}

fn long(sample: &Sample, offset: usize) -> u64 {
    u64::from(word(sample, offset)) | u64::from(word(sample, offset + 4)) << 32
}

fn word(sample: &Sample, offset: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&sample.task[offset..offset + 4]);
    u32::from_ne_bytes(bytes)
}

/// The layout that explains every sample.
fn locate(samples: &[Sample; SAMPLES]) -> Result<Layout, LayoutError> {
    if samples
        .iter()
        .any(|sample| sample.pid_tgid == 0 || sample.regs == 0)
    {
        return Err(LayoutError::NoSample);
    }
    let everywhere = |holds: &dyn Fn(&Sample) -> bool| samples.iter().all(holds);
    let pids = places(4, |at| {
        everywhere(&|sample| word(sample, at) == ids(sample).0)
    });
    let tgids = places(4, |at| {
        everywhere(&|sample| word(sample, at) == ids(sample).1)
    });
    let (pid, tgid) = next_to_each_other(&pids, &tgids)
        .map_or_else(|| Ok((one("pid", &pids)?, one("tgid", &tgids)?)), Ok)?;
    // Where pt_regs begin is the same for every stack, and stacks begin with a page.
    let regs_in = |sample: &Sample, at| sample.regs.wrapping_sub(long(sample, at));
    let stack = only("stack", 8, |at| {
        let offset = regs_in(&samples[0], at);
        offset < STACK_LIMIT
            && long(&samples[0], at).is_multiple_of(STACK_ALIGNMENT)
            && everywhere(&|sample| regs_in(sample, at) == offset)
    })?;
    let compat = compat_word(&samples[0]);
    Ok(Layout {
        pid,
        tgid,
        stack,
        regs_in_stack: regs_in(&samples[0], stack as usize) as u32,
        compat,
        compat_mask: COMPAT_MASK,
        typed_only: false,
        ids: Ids::Initial,
    })
}

/// The layout that BTF describes, where only ids and `pt_regs` were sampled.
fn described(types: &KernelTypes, samples: &[Sample; SAMPLES]) -> Result<Layout, LayoutError> {
    if samples.iter().any(|sample| sample.regs == 0) {
        return Err(LayoutError::NoSample);
    }
    let regs_in_stack = samples[0].regs % STACK_BYTES;
    if samples
        .iter()
        .any(|sample| sample.regs % STACK_BYTES != regs_in_stack)
    {
        return Err(LayoutError::Ambiguous(0, "stack"));
    }
    Ok(Layout {
        pid: types.pid,
        tgid: types.tgid,
        stack: types.sp,
        regs_in_stack: regs_in_stack as u32,
        compat: types.compat,
        compat_mask: COMPAT_MASK,
        typed_only: true,
        ids: Ids::Initial,
    })
}

/// The one multiple of `step` where it holds.
fn only(
    field: &'static str,
    step: usize,
    holds: impl Fn(usize) -> bool,
) -> Result<u32, LayoutError> {
    one(field, &places(step, holds))
}

fn places(step: usize, holds: impl Fn(usize) -> bool) -> Vec<u32> {
    let places = (0..SAMPLE_BYTES).step_by(step).filter(|at| holds(*at));
    places.map(|at| at as u32).collect()
}

fn one(field: &'static str, places: &[u32]) -> Result<u32, LayoutError> {
    match places {
        [place] => Ok(*place),
        _ => Err(LayoutError::Ambiguous(places.len(), field)),
    }
}

/// `pid` and `tgid` follow each other in `include/linux/sched.h`; small numbers stand elsewhere as well,
/// by chance.
fn next_to_each_other(pids: &[u32], tgids: &[u32]) -> Option<(u32, u32)> {
    let mut pairs = pids.iter().filter(|pid| tgids.contains(&(**pid + 4)));
    match (pairs.next(), pairs.next()) {
        (Some(pid), None) => Some((*pid, pid + 4)),
        _ => None,
    }
}

/// Every architecture aligns kernel stacks to at least this, and none is of 128 KiB (KASAN's are 64).
const STACK_ALIGNMENT: u64 = 4096;
const STACK_LIMIT: u64 = 128 * 1024;
/// `THREAD_SIZE` of x86-64 and arm64 without KASAN, which says nothing of itself in BTF.
const STACK_BYTES: u64 = 16 * 1024;

/// `TS_COMPAT` in `thread_info.status` (arch/x86/include/asm/thread_info.h).
#[cfg(target_arch = "x86_64")]
const COMPAT_MASK: u32 = 2;
/// `TIF_32BIT` in `thread_info.flags`.
#[cfg(target_arch = "aarch64")]
const COMPAT_MASK: u32 = 1 << 22;

/// `TS_COMPAT` in `thread_info.status`, which stands behind `syscall_work` where that exists
/// (5.11). While a syscall tracepoint is attached, `syscall_work` has `SYSCALL_WORK_SYSCALL_TRACEPOINT`
/// set (bit 1), and `status` of a 64-bit task has not: so the word at 8 tells which of both it is.
#[cfg(target_arch = "x86_64")]
fn compat_word(traced: &Sample) -> u32 {
    const SYSCALL_WORK_SYSCALL_TRACEPOINT: u32 = 2;
    let has_syscall_work = word(traced, 8) & SYSCALL_WORK_SYSCALL_TRACEPOINT != 0;
    if has_syscall_work { 16 } else { 8 }
}

#[cfg(target_arch = "aarch64")]
fn compat_word(_: &Sample) -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: usize = 2384;
    const TGID: usize = 2388;
    const STACK: usize = 32;

    fn task(tid: u32, tgid: u32, stack: u64, words: &[(usize, u32)]) -> Sample {
        let mut sample = Sample {
            pid_tgid: u64::from(tgid) << 32 | u64::from(tid),
            regs: stack + 0x3f58,
            pid_level: 0,
            task: [0; SAMPLE_BYTES],
        };
        sample.task[STACK..STACK + 8].copy_from_slice(&stack.to_ne_bytes());
        for (at, value) in [(PID, tid), (TGID, tgid)].iter().chain(words) {
            sample.task[*at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        sample
    }

    const STACKS: [u64; 3] = [
        0xffff_c900_0012_4000,
        0xffff_c900_0034_8000,
        0xffff_c900_0078_0000,
    ];

    fn samples(words: [&[(usize, u32)]; 3]) -> [Sample; SAMPLES] {
        let [thread, own, gate] = words;
        [
            task(101, 100, STACKS[0], thread),
            task(100, 100, STACKS[1], own),
            task(103, 103, STACKS[2], gate),
        ]
    }

    #[test]
    fn finds_the_fields_that_explain_every_task() {
        // Words that are right for some of the tasks only, as a neighbour's fields may be.
        let neighbours = [&[(640, 101), (8, 2)][..], &[(640, 100)], &[(644, 103)]];
        let layout = locate(&samples(neighbours)).unwrap();
        assert_eq!((layout.pid, layout.tgid), (PID as u32, TGID as u32));
        assert_eq!((layout.stack, layout.regs_in_stack), (STACK as u32, 0x3f58));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn status_stands_behind_syscall_work_where_that_exists() {
        assert_eq!(compat_word(&task(1, 1, STACKS[0], &[(8, 2)])), 16);
        assert_eq!(compat_word(&task(1, 1, STACKS[0], &[])), 8);
    }

    #[test]
    fn numbers_that_stand_elsewhere_by_chance_are_not_next_to_each_other() {
        let chance = samples([
            &[(40, 101), (800, 100)],
            &[(40, 100), (800, 100)],
            &[(40, 103), (800, 103)],
        ]);
        let layout = locate(&chance).unwrap();
        assert_eq!((layout.pid, layout.tgid), (PID as u32, TGID as u32));
    }

    #[test]
    fn refuses_to_guess() {
        let twice = samples([
            &[(40, 101), (44, 100)],
            &[(40, 100), (44, 100)],
            &[(40, 103), (44, 103)],
        ]);
        assert_eq!(locate(&twice), Err(LayoutError::Ambiguous(2, "pid")));
        let mut astray = samples([&[], &[], &[]]);
        astray[2].regs += 8;
        assert_eq!(locate(&astray), Err(LayoutError::Ambiguous(0, "stack")));
        astray[1].regs = 0;
        assert_eq!(locate(&astray), Err(LayoutError::NoSample));
    }
}
