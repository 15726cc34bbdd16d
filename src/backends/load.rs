//! Loads the programs that count calls or report them, with the best backend that the kernel supports.

use super::kernel::{Kernel, following_constants};
use super::loader::{Loaded, Loader, missing_types};
use super::stream::Plan;
use super::{counting, streaming};
use crate::bpf::kernel::Kind;
use crate::bpf::object::{MapSetting, Maps, Program};
use crate::bpf::{KernelError, LIFECYCLE};

/// Loads the programs of a profile, or of the stream that takes their place; `uncopied` is the refusal to copy
/// tasks, where there was one.
pub(crate) fn load(
    kernel: &Kernel,
    uncopied: Option<KernelError>,
    plan: Option<&Plan>,
    settings: &[MapSetting],
    maps: &mut Maps,
) -> Result<Loaded, KernelError> {
    let mut loader = Loader {
        kernel,
        settings,
        maps,
        refused: Vec::new(),
    };
    let mut loaded = match plan {
        None => {
            let usage = loader.usage();
            Loaded {
                usage,
                ..counting::load(&mut loader, uncopied)?
            }
        }
        Some(plan) => streaming::load(&mut loader, plan, uncopied)?,
    };
    if let Some(running) = kernel.running {
        loaded.walk = Some(load_walk(&mut loader, running.except)?);
    }
    Ok(loaded)
}

fn load_walk(loader: &mut Loader<'_>, except: u32) -> Result<Program, KernelError> {
    let types = loader.kernel.types()?;
    let walk = types.walk.ok_or_else(|| missing_types("bpf_iter_task"))?;
    let mut constants = following_constants(loader.kernel, &loader.kernel.layout);
    constants.extend([
        ("walk_pid_offset", types.pid),
        ("walk_tgid_offset", types.tgid),
        ("walk_sp_offset", types.sp),
        ("walk_exit_state_offset", walk.exit_state),
        ("walk_start_offset", walk.start_time),
        ("walk_leader_offset", walk.group_leader),
        ("walk_parent_offset", walk.real_parent),
        ("walk_skips_tgid", except),
        ("walk_marks_calls", loader.kernel.reports_earlier.into()),
    ]);
    let program = ("denet_walk", Kind::Iterator(walk.iterator));
    loader.one(LIFECYCLE, program, &constants)
}
