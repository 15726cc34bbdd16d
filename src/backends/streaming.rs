//! Programs that report single calls.

use std::os::fd::AsFd as _;

use super::kernel::task_constants;
use super::loader::{Hook, Loaded, Loader, broken};
use super::stream::{AttachPoint, Constants, FunctionHook, Plan};
use super::table::{EVENTS_NEED, Hooking, Mechanism};
use crate::bpf::calibrate::Layout;
use crate::bpf::kernel::Kind;
use crate::bpf::{KernelError, perf, types};
use crate::facts::kernel::PREEMPTS_PROGRAMS;
use crate::sys::release::Release;

/// Since this version a helper returns the current task with its type.
const KNOWS_CURRENT: Release = Release(5, 11);

/// Loads the programs of a stream, and those that follow tasks.
pub(super) fn load(
    loader: &mut Loader<'_>,
    plan: &Plan,
    uncopied: Option<KernelError>,
) -> Result<Loaded, KernelError> {
    let preempts = PREEMPTS_PROGRAMS.is_reached();
    if preempts && matches!(plan.hooking, Hooking::Auto | Hooking::Tracepoint) {
        let name = plan.name(Mechanism::Event);
        let load = |loader: &mut Loader<'_>| {
            let constants = constants(loader, plan, true)?;
            loader.all_at_events(plan.object, plan.hooks, &constants)
        };
        if let Some(hooks) = loader.attempt(name, EVENTS_NEED, load) {
            return Ok(loader.loaded(hooks, name, Mechanism::Event, true));
        }
        if plan.hooking == Hooking::Tracepoint {
            let refusal = loader.refused.pop().and_then(|refused| refused.error);
            return Err(refusal.unwrap_or_else(|| broken("no types of the kernel")));
        }
    }
    let follow = loader.followed(uncopied);
    let mut hooks = loader.following()?;
    let typed = loader.kernel.layout.typed_only;
    let constants = constants(loader, plan, typed)?;
    let mechanism = match plan.hooking {
        Hooking::Auto | Hooking::RawTracepoint => {
            let loaded = raw(loader, plan, plan.hooks, &constants)?;
            let (before, after): (Vec<_>, Vec<_>) =
                (plan.hooks.iter().zip(loaded)).partition(|(point, _)| point.before_following);
            hooks.splice(0..0, before.into_iter().map(|(_, hook)| hook));
            hooks.extend(after.into_iter().map(|(_, hook)| hook));
            if typed {
                Mechanism::Typed
            } else {
                Mechanism::Raw
            }
        }
        Hooking::Tracepoint => {
            let programs = plan.hooks.iter().map(|it| (plan.object, it, &constants));
            hooks.extend(loader.events(programs, &[])?);
            Mechanism::Event
        }
        Hooking::Kprobe => {
            let others = plan.hooks.iter().filter(|it| it.group != "raw_syscalls");
            hooks.extend(raw(loader, plan, others, &constants)?);
            hooks.extend(functions(loader, plan, &constants)?);
            Mechanism::Function
        }
    };
    Ok(loader.loaded(hooks, plan.name(mechanism), follow, preempts))
}

impl Plan {
    /// Name of its backend with this mechanism. If there is none, the kernel refuses the programs.
    fn name(&self, mechanism: Mechanism) -> &'static str {
        let mut backends = self.backends.iter();
        let backend = backends.find(|it| it.mechanism == mechanism);
        backend.map_or("none", |backend| backend.name)
    }
}

fn constants(loader: &Loader<'_>, plan: &Plan, typed: bool) -> Result<Constants, KernelError> {
    let kernel = loader.kernel;
    let layout = &kernel.layout;
    let by_stack = typed || matches!(plan.hooking, Hooking::Tracepoint | Hooking::Kprobe);
    let knows_current = kernel.btf.exists() && KNOWS_CURRENT.is_reached();
    let sp = match by_stack {
        true => Some(kernel.types()?.sp),
        false => None,
    };
    let of_tasks = Layout {
        typed_only: typed,
        stack: sp.filter(|_| typed).unwrap_or(layout.stack),
        ..*layout
    };
    let mut constants = task_constants(kernel, &of_tasks);
    constants.extend([
        ("caller_by_stack", by_stack.into()),
        ("compat_offset", layout.compat),
        ("compat_mask", layout.compat_mask),
        ("compat_by_types", (typed || knows_current).into()),
        ("regs_are_arm64", cfg!(target_arch = "aarch64").into()),
        ("reads_kernel", (!layout.typed_only).into()),
    ]);
    constants.extend(sp.map(|sp| ("task_sp_offset", sp)));
    constants.extend_from_slice(&plan.constants);
    match types::with(&kernel.btf, plan.typed) {
        Ok(of_types) => constants.extend(of_types),
        Err(error) => tracing::debug!(%error, "what needs the kernel's types is omitted"),
    }
    Ok(constants)
}

fn raw<'p>(
    loader: &mut Loader<'_>,
    plan: &Plan,
    points: impl IntoIterator<Item = &'p AttachPoint>,
    constants: &Constants,
) -> Result<Vec<Hook>, KernelError> {
    let mut loaded = Vec::new();
    for point in points {
        let kind = if loader.kernel.layout.typed_only {
            let tracepoint = point.tracepoint.to_string_lossy();
            Kind::Typed(types::tracepoint(&loader.kernel.btf, &tracepoint)?)
        } else {
            Kind::Raw
        };
        loaded.push(Hook {
            program: loader.one(plan.object, (point.raw, kind), constants)?,
            tracepoint: point.tracepoint,
            link: None,
        });
    }
    Ok(loaded)
}

fn functions(
    loader: &mut Loader<'_>,
    plan: &Plan,
    constants: &Constants,
) -> Result<Vec<Hook>, KernelError> {
    let mut loaded = Vec::with_capacity(plan.functions.len());
    for FunctionHook {
        program: name,
        function,
        returns,
        may_lack,
    } in plan.functions
    {
        let program = loader.one(plan.object, (name, Kind::Function), constants)?;
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
