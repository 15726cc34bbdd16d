//! Programs that count calls, for a profile.

use super::kernel::counting_constants;
use super::loader::{Hook, Loaded, Loader, broken, only, request};
use super::stream::AttachPoint;
use super::table::{BY_KEPT_POINTER, COUNTING, COUNTING_AT_EVENT, Counting, Mechanism};
use crate::bpf::kernel::Kind;
use crate::bpf::object::{Program, Request};
use crate::bpf::{KernelError, SYSCALLS};
use crate::facts::kernel::PREEMPTS_PROGRAMS;

const CALLS: AttachPoint = AttachPoint::new(
    "denet_count",
    "denet_count_tp",
    "raw_syscalls",
    c"sys_enter",
);

/// Loads the programs that count calls, and those that follow tasks.
pub(super) fn load(
    loader: &mut Loader<'_>,
    uncopied: Option<KernelError>,
) -> Result<Loaded, KernelError> {
    let preempts = PREEMPTS_PROGRAMS.is_reached();
    if preempts
        && let counting = &COUNTING_AT_EVENT
        && let Some(hooks) = loader.attempt(counting.name, counting.needs, at_events)
    {
        // A process that is preempted in bpf(2) keeps these programs from running on its CPU.
        let may_miss_ends = true;
        return Ok(loader.loaded(hooks, counting.name, Mechanism::Event, may_miss_ends));
    }
    let follow = loader.followed(uncopied);
    let mut hooks = loader.following()?;
    let tried = loader.refused.len();
    for counting in &COUNTING {
        let load = |loader: &mut Loader<'_>| at_raw_tracepoint(loader, counting);
        if let Some(program) = loader.attempt(counting.name, counting.needs, load) {
            hooks.push(Hook {
                program,
                tracepoint: CALLS.tracepoint,
                link: None,
            });
            return Ok(loader.loaded(hooks, counting.name, follow, preempts));
        }
    }
    let mut refusals = loader.refused.drain(tried..).filter_map(|it| it.error);
    Err(refusals.next().unwrap_or_else(|| broken("no program")))
}

fn at_events(loader: &mut Loader<'_>) -> Result<Vec<Hook>, KernelError> {
    let mut constants = counting_constants(loader.kernel, COUNTING_AT_EVENT.compat_source);
    constants.push(("task_sp_offset", loader.kernel.types()?.sp));
    loader.all_at_events(SYSCALLS, &[CALLS], &constants)
}

fn at_raw_tracepoint(loader: &mut Loader<'_>, counting: &Counting) -> Result<Program, KernelError> {
    let constants = counting_constants(loader.kernel, counting.compat_source);
    only(loader.load(Request {
        with_types: counting.compat_source == BY_KEPT_POINTER,
        ..request(SYSCALLS, &[(CALLS.raw, Kind::Raw)], &constants)
    })?)
}
