//! The ways of asking the kernel, best first, and which of them it allows.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::Limits;
use super::model::{Backend, WhyNot};
use crate::bpf::calibrate::Layout;
use crate::bpf::kernel::Kind;
use crate::bpf::object::{self, MapSetting, Maps, Program, Request};
use crate::bpf::tables::slot_shift;
use crate::bpf::types::KernelTypes;
use crate::bpf::{KernelError, LIFECYCLE, SYSCALLS, perf};
use crate::checks::backend::{self, Needs};
use crate::facts::kernel::{self, Lockdown, Release};
use crate::finding::Finding;

/// Kernels from here on may preempt a raw tracepoint's program, and then skip its runs for other tasks
/// on that CPU until it goes on (upstream commits a46023d5616e and f7d327654b88). Perf events they do
/// not (16718274ee75).
const PREEMPTS_PROGRAMS: Release = Release(7, 0);

/// A program, where it goes, and its link if it is attached already.
pub(crate) struct Hook {
    pub(crate) program: Program,
    pub(crate) tracepoint: &'static CStr,
    pub(crate) link: Option<OwnedFd>,
}

/// What the kernel allowed.
pub(crate) struct Loaded {
    /// In the order in which they are to be attached: a task is followed before its calls are counted.
    pub(crate) hooks: Vec<Hook>,
    pub(crate) backend: Backend,
    /// The kernel may preempt a program and leave out the end of another task.
    pub(crate) may_miss_ends: bool,
}

/// The kernel as the programs have to be told of it.
pub(crate) struct Kernel {
    layout: Layout,
    slots: u32,
    btf: PathBuf,
}

impl Kernel {
    pub(crate) fn new(layout: Layout, slots: u32, limits: &Limits) -> Self {
        let btf = limits.btf.clone();
        Self { layout, slots, btf }
    }
}

/// Raw tracepoints: the programs that follow tasks, and where.
const FOLLOWING: [(&str, &CStr); 3] = [
    ("denet_exit", c"sched_process_exit"),
    ("denet_exec", c"sched_process_exec"),
    ("denet_fork", c"sched_process_fork"),
];
const COUNTED: &CStr = c"sys_enter";
const FOLLOWED: &str = "raw_tp/sched_process_{fork,exec,exit}";
/// Where no helper may read tasks.
const FOLLOWED_TYPED: &str = "tp_btf/sched_process_{fork,exec,exit}";

/// Perf events: the object, the program in it, and the event as tracefs groups and names it.
const EVENTS: [(&[u8], &str, &str, &CStr); 4] = [
    (LIFECYCLE, "denet_exit_tp", "sched", FOLLOWING[0].1),
    (LIFECYCLE, "denet_exec_tp", "sched", FOLLOWING[1].1),
    (LIFECYCLE, "denet_fork_tp", "sched", FOLLOWING[2].1),
    (SYSCALLS, "denet_count_tp", "raw_syscalls", COUNTED),
];
const EVENTS_NEED: Needs = needs(6, 12, true);
const FOLLOWED_EVENTS: &str = "tp/sched/sched_process_{fork,exec,exit}";
const COUNTED_EVENTS: &str = "tp/raw_syscalls/sys_enter, table per task, current task by BTF";
/// By which numbers ebpf/lifecycle.bpf.c calls the kernel's functions.
const TASK_FUNCTIONS: [i32; 2] = [0x6465_6e01, 0x6465_6e02];

/// A way to tell a 32-bit call, as `ebpf/syscalls.bpf.c` numbers it.
struct Counting {
    name: &'static str,
    compat_source: u32,
    needs: Needs,
}

const BY_KEPT_POINTER: u32 = 2;

/// Ways to count at a raw tracepoint, best first; each needs an older kernel than the one before.
const COUNTING: [Counting; 3] = [
    Counting {
        name: "raw_tp/sys_enter, table per task, kept task pointer",
        compat_source: BY_KEPT_POINTER,
        needs: needs(6, 4, true),
    },
    Counting {
        name: "raw_tp/sys_enter, table per task, current task by BTF",
        compat_source: 1,
        needs: needs(5, 11, true),
    },
    Counting {
        name: "raw_tp/sys_enter, table per task, current task by probe_read",
        compat_source: 0,
        needs: needs(5, 8, false),
    },
];

const fn needs(major: u32, minor: u32, btf: bool) -> Needs {
    Needs {
        since: Release(major, minor),
        btf,
    }
}

/// Loads the programs in the best way that the kernel allows, and says of the better ones why not.
/// `uncopied` says why tasks could not be copied, if they could not.
pub(crate) fn load(
    kernel: &Kernel,
    uncopied: Option<&KernelError>,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Loaded, KernelError> {
    let mut refused = Vec::new();
    let preempts = PREEMPTS_PROGRAMS.is_reached();
    if preempts {
        match attempt(kernel, COUNTED_EVENTS, EVENTS_NEED, maps, |maps| {
            load_events(kernel, settings, maps)
        }) {
            Ok(hooks) => {
                let backend = Backend {
                    syscalls: COUNTED_EVENTS,
                    follow: FOLLOWED_EVENTS,
                    why_not: Vec::new(),
                };
                return Ok(Loaded {
                    hooks,
                    backend,
                    may_miss_ends: false,
                });
            }
            Err(obstacle) => refused.push(WhyNot {
                backend: COUNTED_EVENTS,
                finding: obstacle.finding,
            }),
        }
    }
    let mut follow = FOLLOWED;
    if let Some(error) = uncopied {
        refused.push(WhyNot {
            backend: follow,
            finding: why_not(needs(5, 5, false), error),
        });
        follow = FOLLOWED_TYPED;
    }
    let mut hooks = load_following(kernel, settings, maps)?;
    let mut refusal = None;
    for way in &COUNTING {
        let counting = attempt(kernel, way.name, way.needs, maps, |maps| {
            load_counting(way, kernel, settings, maps)
        });
        match counting {
            Ok(program) => {
                hooks.push(Hook {
                    program,
                    tracepoint: COUNTED,
                    link: None,
                });
                let backend = Backend {
                    syscalls: way.name,
                    follow,
                    why_not: refused,
                };
                return Ok(Loaded {
                    hooks,
                    backend,
                    may_miss_ends: preempts,
                });
            }
            Err(obstacle) => {
                refused.push(WhyNot {
                    backend: way.name,
                    finding: obstacle.finding,
                });
                refusal = refusal.or(obstacle.error);
            }
        }
    }
    Err(refusal.unwrap_or_else(|| broken("no program")))
}

/// What stands in the way, and the kernel's refusal if it was asked.
struct Obstacle {
    finding: Finding,
    error: Option<KernelError>,
}

/// Tries one way; a refusal comes with what is behind it.
fn attempt<T>(
    kernel: &Kernel,
    name: &str,
    needs: Needs,
    maps: &mut Maps,
    load: impl FnOnce(&mut Maps) -> Result<T, KernelError>,
) -> Result<T, Box<Obstacle>> {
    if needs.btf && !kernel.btf.exists() {
        tracing::debug!(btf = %kernel.btf.display(), "no types of the kernel; not: {name}");
        return Err(Box::new(Obstacle {
            finding: backend::without_btf(&kernel.btf),
            error: None,
        }));
    }
    load(maps).map_err(|error| {
        tracing::debug!(%error, log = error.log, "not: {name}");
        // It may have been made for pointers, which the next way does not keep.
        maps.remove("denet_kept");
        Box::new(Obstacle {
            finding: why_not(needs, &error),
            error: Some(error),
        })
    })
}

fn why_not(needs: Needs, error: &KernelError) -> Finding {
    let what = error.to_string();
    backend::why_not(&kernel::Kernel::probe(), needs, error.as_refusal(&what))
}

fn broken(what: &'static str) -> KernelError {
    KernelError::new("embedded eBPF object", io::Error::other(what))
}

/// Loads and attaches everything: whether a perf event may be opened shows only when it is, and to
/// close it again takes long.
fn load_events(
    running: &Kernel,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let layout = Layout {
        typed_only: true,
        ..running.layout
    };
    let types = KernelTypes::read(&running.btf)?;
    let event_types = types.events.ok_or_else(|| {
        let missing = io::Error::from_raw_os_error(libc::EINVAL);
        KernelError::new(
            "BTF bpf_task_from_pid, trace_event_raw_sched_process_fork",
            missing,
        )
    })?;
    let mut following = following_constants(
        &Layout {
            stack: types.sp,
            ..layout
        },
        running.slots,
    );
    following.push(("child_pid_offset", event_types.child_pid));
    let mut counting = counting_constants(&layout, running.slots, 1);
    counting.push(("task_sp_offset", types.sp));
    let functions: Vec<_> = TASK_FUNCTIONS
        .into_iter()
        .zip(event_types.task_functions)
        .collect();
    // Under lockdown=confidentiality tracefs is empty, and Linux 6.12 crashes when it goes.
    let mounting = kernel::Kernel::probe().lockdown.known() != Some(&Lockdown::Confidentiality)
        && !std::fs::read_to_string("/proc/cmdline")
            .is_ok_and(|words| words.contains("lockdown=confidentiality"));
    let mut hooks = Vec::with_capacity(EVENTS.len());
    for (bytes, name, group, tracepoint) in EVENTS {
        let of_tasks = group == "sched";
        let event = format!("{group}/{}", tracepoint.to_string_lossy());
        let request = Request {
            bytes,
            programs: &[(name, Kind::Event(perf::tracepoint_id(&event, mounting)?))],
            with_types: false,
            constants: if of_tasks { &following } else { &counting },
            functions: &functions,
            settings,
        };
        let program = only(object::load(&request, maps)?)?;
        let link = Some(program.attach(tracepoint)?);
        hooks.push(Hook {
            program,
            tracepoint,
            link,
        });
    }
    Ok(hooks)
}

fn only(mut programs: Vec<Program>) -> Result<Program, KernelError> {
    programs.pop().ok_or_else(|| broken("no program"))
}

fn load_following(
    kernel: &Kernel,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let mut programs = FOLLOWING.map(|(name, _)| (name, Kind::Raw));
    if kernel.layout.typed_only {
        let typedefs = KernelTypes::read(&kernel.btf)?.following;
        for ((_, kind), typedef) in programs.iter_mut().zip(typedefs) {
            *kind = Kind::Typed(typedef);
        }
    }
    let request = Request {
        bytes: LIFECYCLE,
        programs: &programs,
        with_types: false,
        constants: &following_constants(&kernel.layout, kernel.slots),
        functions: &[],
        settings,
    };
    let loaded = object::load(&request, maps)?.into_iter().zip(FOLLOWING);
    let hooks = loaded.map(|(program, (_, tracepoint))| Hook {
        program,
        tracepoint,
        link: None,
    });
    Ok(hooks.collect())
}

fn load_counting(
    way: &Counting,
    kernel: &Kernel,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Program, KernelError> {
    let request = Request {
        bytes: SYSCALLS,
        programs: &[("denet_count", Kind::Raw)],
        with_types: way.compat_source == BY_KEPT_POINTER,
        constants: &counting_constants(&kernel.layout, kernel.slots, way.compat_source),
        functions: &[],
        settings,
    };
    only(object::load(&request, maps)?)
}

type Constants = Vec<(&'static str, u32)>;

/// A quarter of the ring buffer of `ebpf/common.h`: unread, so much wakes us.
const WAKE_AT_BYTES: u32 = 512 * 1024;

fn following_constants(layout: &Layout, slots: u32) -> Constants {
    vec![
        ("slot_shift", slot_shift(slots)),
        ("task_pid_offset", layout.pid),
        ("task_tgid_offset", layout.tgid),
        ("task_stack_offset", layout.stack),
        ("stack_regs_offset", layout.regs_in_stack),
        ("stack_bytes", layout.stack_bytes()),
        ("tasks_are_typed", layout.typed_only.into()),
        ("wake_at_bytes", WAKE_AT_BYTES),
    ]
}

fn counting_constants(layout: &Layout, slots: u32, compat_source: u32) -> Constants {
    vec![
        ("slot_shift", slot_shift(slots)),
        ("compat_offset", layout.compat),
        ("compat_mask", layout.compat_mask),
        ("compat_source", compat_source),
        ("stack_bytes", layout.stack_bytes()),
        ("stack_regs_offset", layout.regs_in_stack),
    ]
}
