//! The ways of telling of single calls.

use std::os::fd::AsFd as _;

use super::constants::wake_at;
use super::{
    EVENTS, EVENTS_NEED, EventProgram, FOLLOWED_EVENTS, Hook, Kernel, Loaded, attempt, followed,
    load_events, load_following, only,
};
use crate::bpf::KernelError;
use crate::bpf::kernel::Kind;
use crate::bpf::object::{self, MapSetting, Maps, Program, Request};
use crate::bpf::{perf, types};
use crate::facts::kernel::{self, PREEMPTS_PROGRAMS};
use crate::profile::hooking::Hooking;
use crate::profile::model::{Backend, WhyNot};
use crate::profile::stream::{Constants, FunctionHook, Plan, StreamHook};
use crate::sys::release::Release;
use crate::sys::root::Root;

const BY_RAW: &str = "raw_tp";
const BY_TYPES: &str = "tp_btf";
const BY_EVENTS: &str = "perf events of tracepoints";
const BY_FUNCTIONS: &str = "kprobes";
/// Kernels from here on hand out the current task by its type.
const KNOWS_CURRENT: Release = Release(5, 11);

/// Loads the programs of a stream, and those that follow tasks.
pub(super) fn load(
    kernel: &Kernel,
    plan: &Plan,
    uncopied: Option<&KernelError>,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Loaded, KernelError> {
    let preempts = PREEMPTS_PROGRAMS.is_reached();
    let mut refused = Vec::new();
    if preempts && matches!(plan.hooking, Hooking::Auto | Hooking::Tracepoint) {
        match attempt(kernel, BY_EVENTS, EVENTS_NEED, maps, |maps| {
            all_by_events(kernel, plan, settings, maps)
        }) {
            Ok(hooks) => return Ok(loaded(hooks, BY_EVENTS, FOLLOWED_EVENTS, refused, true)),
            Err(obstacle) if plan.hooking == Hooking::Auto => refused.push(WhyNot {
                backend: BY_EVENTS,
                finding: obstacle.finding,
            }),
            Err(obstacle) => {
                return Err(obstacle
                    .error
                    .unwrap_or_else(|| super::broken("no types of the kernel")));
            }
        }
    }
    let follow = followed(uncopied, &mut refused);
    let mut hooks = load_following(kernel, settings, maps)?;
    let constants = constants(kernel, plan, kernel.layout.typed_only)?;
    let name = match plan.hooking {
        Hooking::Auto | Hooking::RawTracepoint if kernel.layout.typed_only => BY_TYPES,
        Hooking::Auto | Hooking::RawTracepoint => BY_RAW,
        Hooking::Tracepoint => BY_EVENTS,
        Hooking::Kprobe => BY_FUNCTIONS,
    };
    match plan.hooking {
        Hooking::Auto | Hooking::RawTracepoint => {
            hooks.extend(raw(kernel, plan, plan.hooks, &constants, settings, maps)?);
            let first = |hook: &Hook| {
                !plan
                    .hooks
                    .iter()
                    .any(|it| it.before_following && it.raw == hook.program.name)
            };
            // Stable: all others stay in their order.
            hooks.sort_by_key(first);
        }
        Hooking::Tracepoint => hooks.extend(events(plan, &constants, settings, maps)?),
        Hooking::Kprobe => {
            let not_calls: Vec<_> = plan
                .hooks
                .iter()
                .filter(|hook| hook.group != "raw_syscalls")
                .copied()
                .collect();
            hooks.extend(raw(kernel, plan, &not_calls, &constants, settings, maps)?);
            hooks.extend(functions(plan, &constants, settings, maps)?);
        }
    }
    Ok(loaded(hooks, name, follow, refused, preempts))
}

fn loaded(
    hooks: Vec<Hook>,
    syscalls: &'static str,
    follow: &'static str,
    why_not: Vec<WhyNot>,
    may_miss_ends: bool,
) -> Loaded {
    Loaded {
        hooks,
        walk: None,
        backend: Backend {
            syscalls,
            follow,
            why_not,
        },
        may_miss_ends,
    }
}

/// No program is preempted: those that follow are perf events as well.
fn all_by_events(
    kernel: &Kernel,
    plan: &Plan,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let of_stream = |first| {
        let hooks = plan
            .hooks
            .iter()
            .filter(move |hook| hook.before_following == first);
        hooks.map(|hook| EventProgram {
            object: plan.object,
            name: hook.event,
            group: hook.group,
            tracepoint: hook.tracepoint,
            follows: false,
        })
    };
    let following = EVENTS.iter().filter(|program| program.follows).copied();
    let programs: Vec<_> = of_stream(true)
        .chain(following)
        .chain(of_stream(false))
        .collect();
    let mut constants = constants(kernel, plan, true)?;
    constants.retain(|(name, _)| *name != "caller_by_stack");
    constants.push(("caller_by_stack", 1));
    load_events(kernel, &programs, &constants, settings, maps)
}

fn constants(kernel: &Kernel, plan: &Plan, typed: bool) -> Result<Constants, KernelError> {
    let layout = &kernel.layout;
    let by_stack = typed || plan.hooking != Hooking::Auto && plan.hooking != Hooking::RawTracepoint;
    let stack = if typed {
        kernel.types()?.sp
    } else {
        layout.stack
    };
    let knows_current = kernel.btf.exists() && KNOWS_CURRENT.is_reached();
    let mut constants = vec![
        ("slot_shift", super::slot_shift(kernel.slots)),
        ("task_pid_offset", layout.pid),
        ("task_tgid_offset", layout.tgid),
        ("task_stack_offset", stack),
        ("stack_regs_offset", layout.regs_in_stack),
        ("stack_bytes", layout.stack_bytes()),
        ("tasks_are_typed", typed.into()),
        ("wake_at_bytes", wake_at(kernel.ring_bytes)),
        ("caller_by_stack", by_stack.into()),
        ("compat_offset", layout.compat),
        ("compat_mask", layout.compat_mask),
        ("compat_by_types", (typed || knows_current).into()),
        ("regs_are_arm64", cfg!(target_arch = "aarch64").into()),
        ("reads_kernel", (!layout.typed_only).into()),
    ];
    if by_stack {
        constants.push(("task_sp_offset", kernel.types()?.sp));
    }
    constants.extend_from_slice(&kernel.access);
    constants.extend_from_slice(&plan.constants);
    match types::with(&kernel.btf, plan.typed) {
        Ok(of_types) => constants.extend(of_types),
        Err(error) => tracing::debug!(%error, "what takes the kernel's types is left out"),
    }
    Ok(constants)
}

fn raw(
    kernel: &Kernel,
    plan: &Plan,
    hooks: &[StreamHook],
    constants: &Constants,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let mut loaded = Vec::with_capacity(hooks.len());
    for hook in hooks {
        let kind = if kernel.layout.typed_only {
            let tracepoint = hook.tracepoint.to_string_lossy();
            Kind::Typed(types::tracepoint(&kernel.btf, &tracepoint)?)
        } else {
            Kind::Raw
        };
        loaded.push(Hook {
            program: one(plan, (hook.raw, kind), constants, settings, maps)?,
            tracepoint: hook.tracepoint,
            link: None,
        });
    }
    Ok(loaded)
}

fn events(
    plan: &Plan,
    constants: &Constants,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let mounting = !kernel::Kernel::probe(&Root::default()).is_confidential();
    let mut loaded = Vec::with_capacity(plan.hooks.len());
    for hook in plan.hooks {
        let event = format!("{}/{}", hook.group, hook.tracepoint.to_string_lossy());
        let kind = Kind::Event(perf::tracepoint_id(&event, mounting)?);
        let program = one(plan, (hook.event, kind), constants, settings, maps)?;
        let link = Some(program.attach(hook.tracepoint)?);
        loaded.push(Hook {
            program,
            tracepoint: hook.tracepoint,
            link,
        });
    }
    Ok(loaded)
}

fn functions(
    plan: &Plan,
    constants: &Constants,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Vec<Hook>, KernelError> {
    let mut loaded = Vec::with_capacity(plan.functions.len());
    for FunctionHook {
        program: name,
        function,
        returns,
        may_lack,
    } in plan.functions
    {
        let program = one(plan, (name, Kind::Function), constants, settings, maps)?;
        match perf::attach_to_function(program.fd.as_fd(), function, *returns) {
            Err(error) if *may_lack && error.source.raw_os_error() == Some(libc::ENOENT) => {}
            link => loaded.push(Hook {
                program,
                tracepoint: function,
                link: Some(link?),
            }),
        }
    }
    Ok(loaded)
}

fn one(
    plan: &Plan,
    program: (&str, Kind),
    constants: &Constants,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Program, KernelError> {
    let request = Request {
        bytes: plan.object,
        programs: &[program],
        with_types: false,
        constants,
        functions: &[],
        settings,
    };
    only(object::load(&request, maps)?)
}
