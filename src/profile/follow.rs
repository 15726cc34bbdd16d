//! The eBPF side of a profile: loaded, attached, told what to follow, read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::model::{Backend, Losses, Snapshot};
use super::tally::Tally;
use super::ways::{self, Hook};
use super::{Limits, StartError};
use crate::bpf::KernelError;
use crate::bpf::calibrate::{Calibration, KernelTask, Layout};
use crate::bpf::kernel;
use crate::bpf::object::{MapSetting, Maps};
use crate::bpf::tables::Tables;
use crate::checks::explain;
use crate::facts::Facts;
use crate::facts::kernel::Release;
use crate::facts::privileges::{Cap, CapSet};
use crate::sys::account;
use crate::sys::capabilities;
use crate::sys::gate::{Execution, Gate, GateError};

/// Slots of the table of tasks: as many are followed at full speed and, with others whose ids
/// collide, beyond it.
const SLOTS: u32 = 4096;
/// Tasks that may be followed beyond the slots: where memory is taken on demand, and where it has to
/// be taken ahead.
const OVERFLOW_ON_DEMAND: u32 = 32_768;
const OVERFLOW_AHEAD: u32 = 10_240;
/// Kernels from here on allocate hash entries safely in a tracing program (`bpf_mem_alloc`); before,
/// they warn, and a table allocated ahead is the only safe one.
const ALLOCATES_SAFELY: Release = Release(6, 1);
const BPF_F_NO_PREALLOC: u32 = 1;
/// Kernels from here on ask for CAP_BPF only to make maps and to load programs, not to read maps.
const READS_UNPRIVILEGED: Release = Release(5, 19);

/// A program runs for microseconds; after this long none that began before is left.
const SETTLED: Duration = Duration::from_millis(20);

/// Programs attached, command waiting, nothing lost so far.
pub(crate) struct Follower {
    tables: Tables,
    hooks: Vec<Hook>,
    may_miss_ends: bool,
    links: Vec<OwnedFd>,
    tally: Tally,
    backend: Backend,
    cost: Option<Cost>,
}

/// What a call of denet's own took, the fastest seen: whatever else happens on the machine only adds.
#[derive(Clone, Copy)]
struct Cost {
    own: KernelTask,
    bare_ns: f64,
    counted_ns: f64,
}

impl Follower {
    /// Prepares everything and starts the command stopped.
    pub(crate) fn start(
        execution: &Execution,
        mask: &nix::sys::signal::SigSet,
        limits: &Limits,
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
        let follower = Self::around(calibration, &gate, bare_ns, limits).map_err(refused)?;
        Ok((follower, gate))
    }

    /// Everything attached, the waiting command followed.
    fn around(
        calibration: Calibration,
        gate: &Gate,
        bare_ns: f64,
        limits: &Limits,
    ) -> Result<Self, KernelError> {
        let (layout, own, root) = calibration.finish()?;
        let mut follower = Self::load(layout, calibration.instead(), limits)?;
        follower.attach()?;
        // Not before: an attach that follows a detach waits for all CPUs, measurably (12 of 40 ms).
        drop(calibration);
        follower.cost = Some(Cost {
            own,
            bare_ns,
            counted_ns: follower.counted_ns(own)?,
        });
        gate.settle()
            .map_err(|error| KernelError::new("the waiting command", error))?;
        follower.enroll(root)?;
        follower.tables.set_started(1);
        // From here on descriptors and mapped memory are enough, but for kernels that ask for CAP_BPF
        // also of who reads maps. Root remains root: it would only pretend.
        if !nix::unistd::geteuid().is_root() {
            let kept = if READS_UNPRIVILEGED.is_reached() {
                CapSet::default()
            } else {
                CapSet::of(Cap::Bpf)
            };
            let given_up = capabilities::keep_only(kept);
            tracing::debug!(%kept, error = ?given_up.err(), "capabilities given up");
        }
        Ok(follower)
    }

    /// `uncopied` says why tasks could not be copied, if they could not.
    pub(crate) fn load(
        layout: Layout,
        uncopied: Option<&KernelError>,
        limits: &Limits,
    ) -> Result<Self, KernelError> {
        let max_tasks = limits.max_tasks;
        let slots = max_tasks.map_or(SLOTS, |tasks| tasks.next_power_of_two().clamp(2, SLOTS));
        let (on_demand, overflow) = if ALLOCATES_SAFELY.is_reached() {
            (BPF_F_NO_PREALLOC, OVERFLOW_ON_DEMAND)
        } else {
            (0, OVERFLOW_AHEAD)
        };
        let setting = |name, max_entries, extra_flags| MapSetting {
            name,
            max_entries: Some(max_entries),
            extra_flags,
        };
        let settings = [
            setting("denet_slots", slots, 0),
            setting("denet_claims", slots, on_demand),
            setting("denet_kept", slots, 0),
            setting("denet_overflow", max_tasks.unwrap_or(overflow), on_demand),
            setting("denet_uncounted", overflow, on_demand),
        ];
        let mut maps = Maps::new();
        let loaded = ways::load(
            &ways::Kernel::new(layout, slots, limits),
            uncopied,
            &settings,
            &mut maps,
        )?;
        let tables = Tables::new(maps, slots)?;
        Ok(Self {
            tables,
            hooks: loaded.hooks,
            may_miss_ends: loaded.may_miss_ends,
            links: Vec::new(),
            tally: Tally::default(),
            backend: loaded.backend,
            cost: None,
        })
    }

    pub(crate) fn attach(&mut self) -> Result<(), KernelError> {
        for hook in &mut self.hooks {
            let link = match hook.link.take() {
                Some(link) => link,
                None => hook.program.attach(hook.tracepoint)?,
            };
            self.links.push(link);
        }
        Ok(())
    }

    /// Counting ends before following: a task that ended unseen leaves its place to somebody else.
    pub(crate) fn detach(&mut self) {
        while self.links.pop().is_some() {}
    }

    /// Follows a task of this process.
    pub(crate) fn enroll(&mut self, own: KernelTask) -> Result<(), KernelError> {
        self.tables.enroll(own, account::monotonic_ns())
    }

    /// Forgets it again, and its counts.
    pub(crate) fn dismiss(&mut self, own: KernelTask) -> Result<(), KernelError> {
        self.tables.dismiss(own)
    }

    /// Which way calls are counted and tasks followed.
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The end of a task may go unseen here, and `live` be too high for good.
    pub(crate) fn may_miss_ends(&self) -> bool {
        self.may_miss_ends
    }

    /// Nanoseconds of a call that is counted.
    fn counted_ns(&mut self, own: KernelTask) -> Result<f64, KernelError> {
        self.enroll(own)?;
        let counted_ns = account::syscall_ns();
        self.dismiss(own)?;
        Ok(counted_ns)
    }

    /// Takes in what waits in the ring buffer.
    pub(crate) fn drain(&mut self) {
        let tally = &mut self.tally;
        self.tables.drain(|task| tally.add(task));
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

    /// Detaches; before and after, the cost is measured once more, in whatever mood the machine is now.
    fn detach_measuring(&mut self) -> f64 {
        let Some(mut cost) = self.cost else {
            self.detach();
            return 0.0;
        };
        // While tasks live the slot may be somebody's.
        if self.live() == 0
            && let Ok(counted_ns) = self.counted_ns(cost.own)
        {
            cost.counted_ns = cost.counted_ns.min(counted_ns);
        }
        self.detach();
        cost.bare_ns = cost.bare_ns.min(account::syscall_ns());
        tracing::debug!(?cost.bare_ns, ?cost.counted_ns, "a call of denet's own");
        (cost.counted_ns - cost.bare_ns).max(0.0)
    }

    /// Detaches and reads everything: nothing is attached or followed afterwards. Returns also what
    /// counting added to a syscall, in nanoseconds.
    pub(crate) fn finish(mut self) -> Result<(Snapshot, f64), KernelError> {
        let ns_per_syscall = self.detach_measuring();
        if self.live() > 0 {
            // Programs that began before the links closed may still run for the tasks that live.
            if let Err(error) = account::kernel_barrier() {
                tracing::debug!(%error, "no membarrier, waiting instead");
                std::thread::sleep(SETTLED);
            }
        }
        self.drain();
        let Self {
            tables,
            mut tally,
            hooks,
            ..
        } = self;
        let control = tables.control();
        if tables.live() > 0 {
            tables.each_live(|task| tally.add(task))?;
        }
        tables.each_spilled(|key, count| tally.add_spilled(key, count))?;
        let mut skipped_runs = 0;
        for Hook { program, .. } in &hooks {
            skipped_runs += kernel::recursion_misses(program.fd.as_fd()).map_err(|source| {
                KernelError::new(format!("BPF_OBJ_GET_INFO_BY_FD {}", program.name), source)
            })?;
        }
        let mut snapshot = tally.finish(Losses {
            calls: control.lost_calls,
            map_full: control.tasks_without_memory + control.spill_full,
            records: control.records_lost,
            unfollowed: control.tasks_unfollowed,
            skipped_runs,
        });
        // A task that lives may have renamed itself since the kernel side last looked.
        for process in snapshot
            .processes
            .iter_mut()
            .filter(|process| process.running)
        {
            if let Some(name) = account::command_of(process.pid) {
                process.command = name;
            }
        }
        Ok((snapshot, ns_per_syscall))
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tables.as_fd()
    }
}

/// Says what is behind a refusal.
fn refused(error: KernelError) -> StartError {
    let what = error.to_string();
    StartError::Refused(Box::new(explain(&Facts::probe(), error.as_refusal(&what))))
}
