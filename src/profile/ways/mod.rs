//! The ways of asking the kernel, best first, and which of them it allows.

mod constants;
mod streams;

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

pub(crate) use constants::{Following, Kernel, Running};
use constants::{counting_constants, following_constants};

use super::model::{Backend, WhyNot};
use super::stream::{Constants, Plan};
use crate::bpf::calibrate::Layout;
use crate::bpf::kernel::Kind;
use crate::bpf::object::{self, MapSetting, Maps, Program, Request};
use crate::bpf::tables::slot_shift;
use crate::bpf::{KernelError, LIFECYCLE, SYSCALLS, perf};
use crate::checks::Refusal;
use crate::checks::backend::{self, Needs};
use crate::checks::finding::Finding;
use crate::facts::kernel::{self, PREEMPTS_PROGRAMS};
use crate::sys::release::Release;
use crate::sys::root::Root;

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
    /// Walks over the tasks that run already, where they are to be followed.
    pub(crate) walk: Option<Program>,
    pub(crate) backend: Backend,
    /// The kernel may skip the run that would tell of an end.
    pub(crate) may_miss_ends: bool,
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

/// A program at a perf event.
#[derive(Clone, Copy)]
struct EventProgram {
    object: &'static [u8],
    name: &'static str,
    /// The event as tracefs groups and names it.
    group: &'static str,
    tracepoint: &'static CStr,
    /// It follows tasks.
    follows: bool,
}

const fn following(name: &'static str, tracepoint: &'static CStr) -> EventProgram {
    EventProgram {
        object: LIFECYCLE,
        name,
        group: "sched",
        tracepoint,
        follows: true,
    }
}

const EVENTS: [EventProgram; 4] = [
    following("denet_exit_tp", FOLLOWING[0].1),
    following("denet_exec_tp", FOLLOWING[1].1),
    following("denet_fork_tp", FOLLOWING[2].1),
    EventProgram {
        object: SYSCALLS,
        name: "denet_count_tp",
        group: "raw_syscalls",
        tracepoint: COUNTED,
        follows: false,
    },
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
    plan: Option<&Plan>,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Loaded, KernelError> {
    let mut loaded = match plan {
        None => load_hooks(kernel, uncopied, settings, maps)?,
        Some(plan) => streams::load(kernel, plan, uncopied, settings, maps)?,
    };
    if let Some(running) = kernel.following.running {
        loaded.walk = Some(load_walk(kernel, running.except, settings, maps)?);
    }
    Ok(loaded)
}

fn load_walk(
    kernel: &Kernel,
    except: u32,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Program, KernelError> {
    let types = kernel.types()?;
    let walk = types.walk.ok_or_else(|| {
        let missing = io::Error::from_raw_os_error(libc::EINVAL);
        KernelError::new("BTF bpf_iter_task", missing)
    })?;
    let mut constants = following_constants(kernel, &kernel.layout);
    constants.extend([
        ("walk_pid_offset", types.pid),
        ("walk_tgid_offset", types.tgid),
        ("walk_sp_offset", types.sp),
        ("walk_exit_state_offset", walk.exit_state),
        ("walk_start_offset", walk.start_time),
        ("walk_leader_offset", walk.group_leader),
        ("walk_parent_offset", walk.real_parent),
        ("walk_skips_tgid", except),
    ]);
    let request = Request {
        bytes: LIFECYCLE,
        programs: &[("denet_walk", Kind::Iterator(walk.iterator))],
        with_types: false,
        constants: &constants,
        functions: &[],
        settings,
    };
    only(object::load(&request, maps)?)
}

fn load_hooks(
    kernel: &Kernel,
    uncopied: Option<&KernelError>,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Loaded, KernelError> {
    let mut refused = Vec::new();
    let preempts = PREEMPTS_PROGRAMS.is_reached();
    if preempts {
        match attempt(kernel, COUNTED_EVENTS, EVENTS_NEED, maps, |maps| {
            let types = kernel.types()?;
            let mut counting = counting_constants(&kernel.layout, kernel.slots, 1);
            counting.push(("task_sp_offset", types.sp));
            load_events(kernel, &EVENTS, &counting, settings, maps)
        }) {
            Ok(hooks) => {
                let backend = Backend {
                    syscalls: COUNTED_EVENTS,
                    follow: FOLLOWED_EVENTS,
                    why_not: Vec::new(),
                };
                return Ok(Loaded {
                    hooks,
                    walk: None,
                    backend,
                    // Whoever is preempted in bpf(2) keeps them from running on its CPU.
                    may_miss_ends: true,
                });
            }
            Err(obstacle) => refused.push(WhyNot {
                backend: COUNTED_EVENTS,
                finding: obstacle.finding,
            }),
        }
    }
    let follow = followed(uncopied, &mut refused);
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
                    walk: None,
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
    backend::why_not(
        &kernel::Kernel::probe(&Root::default()),
        needs,
        Refusal::of(error, &what),
    )
}

fn broken(what: &'static str) -> KernelError {
    KernelError::new("embedded eBPF object", io::Error::other(what))
}

/// Loads and attaches everything: whether a perf event may be opened shows only when it is, and to
/// close it again takes long.
fn load_events(
    running: &Kernel,
    programs: &[EventProgram],
    of_calls: &Constants,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let layout = Layout {
        typed_only: true,
        ..running.layout
    };
    let types = running.types()?;
    let event_types = types.events.ok_or_else(|| {
        let missing = io::Error::from_raw_os_error(libc::EINVAL);
        KernelError::new(
            "BTF bpf_task_from_pid, trace_event_raw_sched_process_fork",
            missing,
        )
    })?;
    let mut following = following_constants(
        running,
        &Layout {
            stack: types.sp,
            ..layout
        },
    );
    following.push(("child_pid_offset", event_types.child_pid));
    let functions: Vec<_> = TASK_FUNCTIONS
        .into_iter()
        .zip(event_types.task_functions)
        .collect();
    let mounting = !kernel::Kernel::probe(&Root::default()).is_confidential();
    let mut hooks = Vec::with_capacity(programs.len());
    for EventProgram {
        object,
        name,
        group,
        tracepoint,
        follows,
    } in programs.iter().copied()
    {
        let event = format!("{group}/{}", tracepoint.to_string_lossy());
        let request = Request {
            bytes: object,
            programs: &[(name, Kind::Event(perf::tracepoint_id(&event, mounting)?))],
            with_types: false,
            constants: if follows { &following } else { of_calls },
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

/// How tasks are followed; where they cannot be copied, by the kernel's types.
fn followed(uncopied: Option<&KernelError>, refused: &mut Vec<WhyNot>) -> &'static str {
    let Some(error) = uncopied else {
        return FOLLOWED;
    };
    refused.push(WhyNot {
        backend: FOLLOWED,
        finding: why_not(needs(5, 5, false), error),
    });
    FOLLOWED_TYPED
}

fn load_following(
    kernel: &Kernel,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let mut programs = FOLLOWING.map(|(name, _)| (name, Kind::Raw));
    if kernel.layout.typed_only {
        let typedefs = kernel.types()?.following;
        for ((_, kind), typedef) in programs.iter_mut().zip(typedefs) {
            *kind = Kind::Typed(typedef);
        }
    }
    let request = Request {
        bytes: LIFECYCLE,
        programs: &programs,
        with_types: false,
        constants: &following_constants(kernel, &kernel.layout),
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
