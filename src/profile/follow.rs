//! The eBPF side of a profile: loaded, attached, told what to follow, read.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::StartError;
use super::model::{Backend, Losses, Snapshot};
use super::tally::Tally;
use crate::bpf::calibrate::{Calibration, KernelTask, Layout};
use crate::bpf::kernel;
use crate::bpf::object::{self, MapSetting, Maps, Program};
use crate::bpf::tables::{Tables, slot_shift};
use crate::bpf::{KernelError, LIFECYCLE, SYSCALLS};
use crate::checks::{Refusal, explain};
use crate::facts::Facts;
use crate::facts::kernel::Release;
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
/// A quarter of the ring buffer of `ebpf/common.h`: unread, so much wakes us.
const WAKE_AT_BYTES: u32 = 512 * 1024;
/// Kernels from here on allocate hash entries safely in a tracing program (`bpf_mem_alloc`); before,
/// they warn, and a table allocated ahead is the only safe one.
const ALLOCATES_SAFELY: Release = Release(6, 1);
const BPF_F_NO_PREALLOC: u32 = 1;
/// Kernels from here on ask for CAP_BPF only to make maps and to load programs, not to read maps.
const READS_UNPRIVILEGED: Release = Release(5, 19);

/// Where each program goes; a task is followed before its calls are counted.
const HOOKS: [(&str, &CStr); 4] = [
    ("denet_exit", c"sched_process_exit"),
    ("denet_exec", c"sched_process_exec"),
    ("denet_fork", c"sched_process_fork"),
    ("denet_count", c"sys_enter"),
];

/// A program runs for microseconds; after this long none that began before is left.
const SETTLED: Duration = Duration::from_millis(20);

/// Programs attached, command waiting, nothing lost so far.
pub(crate) struct Follower {
    tables: Tables,
    programs: Vec<Program>,
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
    /// Prepares everything and starts the command stopped. `max_tasks` limits how many tasks can be
    /// followed, for tests of what happens beyond.
    pub(crate) fn start(
        execution: &Execution,
        mask: &nix::sys::signal::SigSet,
        max_tasks: Option<u32>,
    ) -> Result<(Self, Gate), StartError> {
        let bare_ns = account::syscall_ns();
        let calibration = Calibration::start().map_err(refused)?;
        let gate = match Gate::new(execution, mask, &calibration.in_gate()) {
            Err(GateError::Rehearsal(source)) => {
                return Err(refused(KernelError::new(
                    "BPF_PROG_TEST_RUN denet_sample",
                    source,
                )));
            }
            gate => gate.map_err(StartError::Gate)?,
        };
        let follower = Self::around(calibration, &gate, bare_ns, max_tasks).map_err(refused)?;
        Ok((follower, gate))
    }

    /// Everything attached, the waiting command followed.
    fn around(
        calibration: Calibration,
        gate: &Gate,
        bare_ns: f64,
        max_tasks: Option<u32>,
    ) -> Result<Self, KernelError> {
        let (layout, own, root) = calibration.finish()?;
        let mut follower = Self::load(layout, max_tasks)?;
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
        // From here on descriptors and mapped memory are enough, where the kernel (5.19) lets
        // their holder read maps. Root remains root: it would only pretend.
        if !nix::unistd::geteuid().is_root() && is_at_least(READS_UNPRIVILEGED) {
            let dropped = capabilities::drop_all();
            tracing::debug!(error = ?dropped.err(), "capabilities given up");
        }
        Ok(follower)
    }

    pub(crate) fn load(layout: Layout, max_tasks: Option<u32>) -> Result<Self, KernelError> {
        let slots = max_tasks.map_or(SLOTS, |tasks| tasks.next_power_of_two().clamp(2, SLOTS));
        let (on_demand, overflow) = if is_at_least(ALLOCATES_SAFELY) {
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
        let mut programs = object::load(
            LIFECYCLE,
            false,
            &[
                ("slot_shift", slot_shift(slots)),
                ("task_pid_offset", layout.pid),
                ("task_tgid_offset", layout.tgid),
                ("task_stack_offset", layout.stack),
                ("stack_regs_offset", layout.regs_in_stack),
                ("wake_at_bytes", WAKE_AT_BYTES),
            ],
            &settings,
            &mut maps,
        )?;
        let (backend, counting) = load_counting(layout, slots, &settings, &mut maps)?;
        programs.extend(counting);
        let tables = Tables::new(maps, slots)?;
        Ok(Self {
            tables,
            programs,
            links: Vec::new(),
            tally: Tally::default(),
            backend,
            cost: None,
        })
    }

    pub(crate) fn attach(&mut self) -> Result<(), KernelError> {
        for (name, tracepoint) in HOOKS {
            let program = self.programs.iter().find(|program| program.name == name);
            let missing =
                || KernelError::new(name, io::Error::other("not in the embedded objects"));
            self.links
                .push(program.ok_or_else(missing)?.attach(tracepoint)?);
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
    pub(crate) fn backend(&self) -> Backend {
        self.backend
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
            programs,
            ..
        } = self;
        let control = tables.control();
        if tables.live() > 0 {
            tables.each_live(|task| tally.add(task))?;
        }
        tables.each_spilled(|key, count| tally.add_spilled(key, count))?;
        let mut skipped_runs = 0;
        for program in &programs {
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
    let refusal = Refusal {
        what: &what,
        errno: error.source.raw_os_error(),
        log: error.log.as_deref(),
    };
    StartError::Refused(Box::new(explain(&Facts::probe(), refusal)))
}

/// Ways to tell a 32-bit call, cheapest first, as `ebpf/syscalls.bpf.c` numbers them; each needs an
/// older kernel than the one before.
const COMPAT_SOURCES: [(u32, &str); 3] = [
    (2, "raw_tp/sys_enter, table per task, kept task pointer"),
    (1, "raw_tp/sys_enter, table per task, current task by BTF"),
    (
        0,
        "raw_tp/sys_enter, table per task, current task by probe_read",
    ),
];

fn load_counting(
    layout: Layout,
    slots: u32,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<(Backend, Vec<Program>), KernelError> {
    let mut refusal = None;
    for (source, syscalls) in COMPAT_SOURCES {
        let constants = [
            ("slot_shift", slot_shift(slots)),
            ("compat_offset", layout.compat),
            ("compat_mask", layout.compat_mask),
            ("compat_source", source),
        ];
        let keeps_pointers = source == 2;
        match object::load(SYSCALLS, keeps_pointers, &constants, settings, maps) {
            Ok(programs) => {
                let backend = Backend {
                    syscalls,
                    follow: "raw_tp/sched_process_{fork,exec,exit}",
                };
                return Ok((backend, programs));
            }
            Err(error) => {
                tracing::debug!(%error, log = error.log, "not: {syscalls}");
                // It was made for pointers, which the next way does not keep.
                maps.remove("denet_kept");
                refusal = refusal.or(Some(error));
            }
        }
    }
    Err(refusal.unwrap_or_else(|| {
        KernelError::new("embedded eBPF object", io::Error::other("no program"))
    }))
}

/// A kernel whose version is not known counts as old.
fn is_at_least(release: Release) -> bool {
    Release::probe()
        .known()
        .is_some_and(|running| *running >= release)
}
