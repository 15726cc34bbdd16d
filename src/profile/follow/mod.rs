//! The eBPF side of a profile: loaded, attached, told what to follow, read.

mod freed;
mod in_progress;
mod missing;
mod reading;
mod running;
mod took;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use freed::FreedUsage;
use in_progress::Begun;
use reading::Drained;
use took::Took;

use super::access::Access;
use super::model::{ActiveBackend, Estimate, WhyNot};
use super::stream::Consumer;
pub(crate) use super::stream::Stream;
use super::tally::Tally;
use super::{Limits, StartError};
use crate::backends::kernel::{Followed, Kernel, Running};
use crate::backends::load::load;
use crate::backends::loader::{Hook, Refused};
use crate::backends::stream::Plan;
use crate::bpf::KernelError;
use crate::bpf::calibrate::{Calibration, Ids, KernelTask, Layout};
use crate::bpf::object::{MapSetting, Maps};
use crate::bpf::tables::Tables;
use crate::checks::{IDS_OF_TASKS, Refusal, WAITING, backend, explain};
use crate::facts::kernel::PREEMPTS_PROGRAMS;
use crate::facts::{self, Facts};
use crate::process::target::Target;
use crate::sys::account;
use crate::sys::gate::{Execution, Gate, GateError};
use crate::sys::release::Release;
use crate::sys::root::Root;

/// Slots of the table of tasks: as many are followed at full speed and, with others whose ids
/// collide, beyond it.
const SLOTS: u32 = 4096;
/// The same where programs are preempted: of tasks elsewhere a sample asks `bpf(2)`, and while somebody is
/// preempted in that, the kernel skips what is attached to perf events on that CPU.
const SLOTS_WHERE_PREEMPTED: u32 = 16_384;
/// Tasks that may be followed beyond the slots: where memory is taken on demand, and where it has to
/// be taken ahead.
const OVERFLOW_ON_DEMAND: u32 = 32_768;
const OVERFLOW_AHEAD: u32 = 10_240;
/// Kernels from here on allocate hash entries safely in a tracing program (`bpf_mem_alloc`); before,
/// they warn, and a table allocated ahead is the only safe one.
pub(crate) const ALLOCATES_SAFELY: Release = Release(6, 1);
pub(crate) const BPF_F_NO_PREALLOC: u32 = 1;

/// A program runs for microseconds; after this long none that began before is left.
const SETTLED: Duration = Duration::from_millis(20);

/// Programs attached, command waiting, nothing lost so far.
pub(crate) struct Follower {
    tables: Tables,
    hooks: Vec<Hook>,
    may_miss_ends: bool,
    usage: Option<FreedUsage>,
    has_own_ids: bool,
    // By tracepoint, in the order of attaching.
    links: Vec<(&'static CStr, OwnedFd)>,
    // What counting cost, once it has ended.
    stopped: Option<Option<Estimate>>,
    tally: Tally,
    drained: Drained,
    backend: ActiveBackend,
    cost: Option<Cost>,
    // A walk over the tasks that run already, as often as one is wanted.
    walk: Option<OwnedFd>,
    begun: Begun,
    /// Live threads of the target that could not be followed.
    unfollowed: u64,
    stream: Option<Listening>,
}

/// Somebody listens to a stream.
struct Listening {
    consumer: Box<dyn Consumer>,
    interval: Duration,
    next: Instant,
}

/// What counting costs, so far as the start tells.
#[derive(Clone, Copy)]
struct Cost {
    own: KernelTask,
    start: Took,
}

impl Follower {
    /// Prepares everything and starts the command stopped.
    pub(crate) fn start(
        execution: &Execution,
        mask: &nix::sys::signal::SigSet,
        target: &Target,
        limits: &Limits,
        stream: Option<Stream>,
    ) -> Result<(Self, Gate), StartError> {
        let bare_ns = account::syscall_ns();
        let calibration = Calibration::start(&limits.btf).map_err(refused)?;
        let gate = match Gate::new(execution, mask, &calibration.in_gate()) {
            Err(GateError::Rehearsal(source)) => {
                return Err(refused(KernelError::new(
                    "BPF_PROG_TEST_RUN denet_sample",
                    source,
                )));
            }
            gate => gate.map_err(StartError::Gate)?,
        };
        let follower =
            Self::around(calibration, &gate, bare_ns, target, limits, stream).map_err(refused)?;
        Ok((follower, gate))
    }

    /// Everything attached, the waiting command followed.
    fn around(
        mut calibration: Calibration,
        gate: &Gate,
        bare_ns: [f64; account::BURSTS],
        target: &Target,
        limits: &Limits,
        stream: Option<Stream>,
    ) -> Result<Self, KernelError> {
        let (layout, own, root) = calibration.finish(gate.pid.as_raw() as u32)?;
        let uncopied = calibration.take_refusal();
        let mut follower = Self::load(layout, uncopied, limits, (target, None), stream)?;
        follower.attach()?;
        // Not before: an attach that follows a detach waits for all CPUs, measurably (12 of 40 ms).
        drop(calibration);
        if follower.stream.is_none() {
            let counted_ns = follower.counted_ns(own)?;
            let start = Took {
                bare_ns,
                counted_ns,
            };
            follower.cost = Some(Cost { own, start });
        }
        gate.settle()
            .map_err(|error| KernelError::new(WAITING, error))?;
        follower.enroll(root)?;
        follower.tables.set_started(1);
        follower.tell_who_is_followed()?;
        Ok(follower)
    }

    /// `uncopied` says why tasks could not be copied, if they could not.
    pub(crate) fn load(
        layout: Layout,
        uncopied: Option<KernelError>,
        limits: &Limits,
        (target, running): (&Target, Option<Running>),
        stream: Option<Stream>,
    ) -> Result<Self, KernelError> {
        // Single calls and running processes are shown by their ids.
        if layout.ids == Ids::Foreign && (stream.is_some() || running.is_some()) {
            let errno = match limits.btf.exists() {
                true => libc::EINVAL,
                false => libc::ENOENT,
            };
            let error = std::io::Error::from_raw_os_error(errno);
            return Err(KernelError::new(IDS_OF_TASKS, error));
        }
        let (plan, mut listening) = stream.map(Listening::new).unzip();
        let max_tasks = limits.max_tasks;
        let usual = match PREEMPTS_PROGRAMS.is_reached() {
            true => SLOTS_WHERE_PREEMPTED,
            false => SLOTS,
        };
        let most = plan.as_ref().and_then(|plan| plan.slots).unwrap_or(usual);
        let slots = max_tasks.map_or(most, |tasks| tasks.next_power_of_two().clamp(2, most));
        let (on_demand, overflow, ending) = if ALLOCATES_SAFELY.is_reached() {
            (
                BPF_F_NO_PREALLOC,
                OVERFLOW_ON_DEMAND,
                2 * OVERFLOW_ON_DEMAND,
            )
        } else {
            (0, OVERFLOW_AHEAD, OVERFLOW_AHEAD)
        };
        let setting = |name, max_entries, extra_flags| MapSetting {
            name,
            max_entries: Some(max_entries),
            extra_flags,
        };
        let mut settings = vec![
            setting("denet_slots", slots, 0),
            setting("denet_claims", slots, on_demand),
            setting("denet_kept", slots, 0),
            setting("denet_overflow", max_tasks.unwrap_or(overflow), on_demand),
            setting("denet_uncounted", overflow, on_demand),
            setting(
                "denet_unfreed",
                if plan.is_none() { ending } else { 1 },
                on_demand,
            ),
        ];
        if let Some(plan) = &plan {
            settings.push(setting("denet_ended", plan.ring_bytes, 0));
            // Nothing is counted.
            settings.push(setting("denet_spill", 1, 0));
            settings.extend_from_slice(&plan.settings);
        }
        let mut maps = Maps::new();
        let followed = Followed {
            running,
            descendants: target.descendants,
            usage: plan.is_none(),
            is_limited: Access::of_user().is_limited(),
            btf: &limits.btf,
        };
        let loaded = load(
            &Kernel::new(layout, slots, followed, plan.as_ref()),
            uncopied,
            plan.as_ref(),
            &settings,
            &mut maps,
        )?;
        let mut tables = Tables::new(maps, slots)?;
        if let Some(listening) = &mut listening {
            listening.consumer.begin(&mut |name| tables.take(name))?;
        }
        let mut tally = Tally::default();
        if plan.is_none() {
            tally.keep_ended();
        }
        let backend = ActiveBackend {
            syscalls: loaded.syscalls,
            follow: loaded.follow,
            why_not: why_not(&loaded.refused, &limits.btf),
        };
        let mut links = Vec::new();
        let usage = loaded.usage.map(|hook| {
            links.extend(hook.link.map(|link| (hook.tracepoint, link)));
            FreedUsage::new(hook.program)
        });
        let walk = loaded.walk.map(|walk| walk.attach(c"task")).transpose()?;
        Ok(Self {
            tables,
            hooks: loaded.hooks,
            may_miss_ends: loaded.may_miss_ends,
            has_own_ids: layout.ids != Ids::Foreign,
            usage,
            links,
            stopped: None,
            tally,
            drained: Drained::default(),
            backend,
            cost: None,
            walk,
            begun: Begun::new(plan.as_ref().and_then(|plan| plan.earlier)),
            unfollowed: 0,
            stream: listening,
        })
    }

    pub(crate) fn attach(&mut self) -> Result<(), KernelError> {
        for hook in &mut self.hooks {
            let link = match hook.link.take() {
                Some(link) => link,
                None => hook.program.attach(hook.tracepoint)?,
            };
            self.links.push((hook.tracepoint, link));
        }
        Ok(())
    }

    /// Counting ends before following: a task that ended unseen leaves its place to another one.
    pub(crate) fn detach(&mut self) {
        self.detach_all_but_ends();
        while self.links.pop().is_some() {}
    }

    /// Detaches all programs except those that report how tasks end and what they used.
    pub(super) fn detach_all_but_ends(&mut self) {
        const ENDS: [&CStr; 2] = [c"sched_process_exit", c"sched_process_free"];
        let links = std::mem::take(&mut self.links).into_iter();
        let (ends, others): (Vec<_>, Vec<_>) =
            links.partition(|(tracepoint, _)| ENDS.contains(tracepoint));
        self.links = ends;
        others.into_iter().rev().for_each(drop);
    }

    /// Follows a task of this process.
    pub(crate) fn enroll(&mut self, own: KernelTask) -> Result<(), KernelError> {
        self.tables.enroll(own, account::monotonic_ns())
    }

    /// Forgets it again, and its counts.
    pub(crate) fn dismiss(&mut self, own: KernelTask) -> Result<(), KernelError> {
        self.tables.dismiss(own)
    }

    /// How calls are counted and tasks followed.
    pub(crate) fn backend(&self) -> &ActiveBackend {
        &self.backend
    }

    /// The end of a task may go unseen here, and `live` be too high for good.
    pub(crate) fn may_miss_ends(&self) -> bool {
        self.may_miss_ends
    }

    /// The kernel reports how each process ended. A stream does not ask for it.
    pub(crate) fn reports_ends(&self) -> bool {
        self.stream.is_none()
    }

    /// Ids of tasks are those of denet's own pid namespace.
    pub(crate) fn has_own_ids(&self) -> bool {
        self.has_own_ids
    }

    /// Followed tasks that live.
    pub(crate) fn live(&self) -> u64 {
        self.tables.live()
    }

    /// From now on, be woken at each end of a task.
    pub(crate) fn wake_on_exit(&self) {
        self.tables.wake_on_exit();
    }

    /// Kernel memory of all maps in bytes, where the kernel says.
    pub(crate) fn map_bytes(&self) -> Option<u64> {
        self.tables.memory().iter().map(|map| map.bytes).sum()
    }

    /// Each map and what it costs the kernel.
    pub(crate) fn log_memory(&self, when: &str) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for map in self.tables.memory() {
            tracing::debug!(map = map.name, bytes = map.bytes, "kernel memory {when}");
        }
        tracing::debug!(bytes = self.map_bytes(), "kernel memory of all maps {when}");
    }
}

impl Listening {
    fn new(stream: Stream) -> (Plan, Self) {
        let listening = Self {
            consumer: stream.consumer,
            interval: stream.interval,
            next: Instant::now() + stream.interval,
        };
        (stream.plan, listening)
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tables.as_fd()
    }
}

/// What is behind the refusals of better backends.
fn why_not(refused: &[Refused], btf: &Path) -> Vec<WhyNot> {
    if refused.is_empty() {
        return Vec::new();
    }
    let kernel = facts::kernel::Kernel::probe(&Root::default());
    let why_not = refused.iter().map(|refused| WhyNot {
        backend: refused.backend,
        finding: backend::refused(&kernel, refused, btf),
    });
    why_not.collect()
}

/// Says what is behind a refusal.
fn refused(error: KernelError) -> StartError {
    let what = error.to_string();
    StartError::Refused(Box::new(explain(
        &Facts::probe(),
        Refusal::of(&error, &what),
    )))
}
