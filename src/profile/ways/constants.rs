//! What programs have to be told of this kernel, and of whom to follow.

use std::path::{Path, PathBuf};

use super::super::Limits;
use super::super::stream::{Constants, Plan};
use crate::bpf::calibrate::Layout;
use crate::bpf::tables::slot_shift;
use crate::bpf::types::{EndTypes, KernelTypes, WalkTypes};
use crate::bpf::{KernelError, types, types_access};
use crate::decode::btf::Btf;
use crate::profile::access::Access;

/// The kernel as the programs have to be told of it.
pub(crate) struct Kernel {
    pub(super) layout: Layout,
    pub(super) slots: u32,
    pub(super) btf: PathBuf,
    tells_of_ends: bool,
    pub(super) following: Following,
    pub(super) ring_bytes: u32,
    types: Option<KernelTypes>,
    // Where births are told of: of `files` in `task_struct`, 0 where that is not known.
    births: Option<u32>,
    /// Constants that limit whose memory may be read; empty if there is no limit.
    pub(super) access: Constants,
}

/// Which processes are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Following {
    /// Descendants too, not only the threads of a process.
    pub(crate) descendants: bool,
    /// Processes that are running already; `None` for a stopped command.
    pub(crate) running: Option<Running>,
}

/// Which running processes are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// All of them, and all that are started.
    pub(crate) all: bool,
    /// This process is not: denet itself.
    pub(crate) except: u32,
}

impl Kernel {
    pub(crate) fn new(
        layout: Layout,
        slots: u32,
        limits: &Limits,
        following: Following,
        plan: Option<&Plan>,
    ) -> Self {
        let btf = limits.btf.clone();
        let files = |btf: &Btf<'_>| btf.member_path("task_struct", &["files"]);
        let births = plan.is_some_and(|plan| plan.births).then(|| {
            let offset = types::with(&btf, files).ok().flatten();
            offset.unwrap_or_default()
        });
        let types = (limits.ends || following.running.is_some()).then(|| KernelTypes::read(&btf));
        Self {
            layout,
            slots,
            btf,
            tells_of_ends: limits.ends,
            following,
            ring_bytes: plan.map_or(RING_BYTES, |plan| plan.ring_bytes),
            types: types.and_then(Result::ok),
            births,
            access: access(&limits.btf),
        }
    }

    /// Reading them takes milliseconds, and is done once, unless it failed: then for the reason.
    pub(super) fn types(&self) -> Result<KernelTypes, KernelError> {
        self.types.map_or_else(|| KernelTypes::read(&self.btf), Ok)
    }

    /// Without, nobody but a parent learns how a process ended, and the record leaves it out.
    fn ends(&self) -> Option<EndTypes> {
        self.types.filter(|_| self.tells_of_ends)?.ends
    }

    fn walk(&self) -> Option<WalkTypes> {
        self.types?.walk
    }
}

/// Constants that limit whose memory may be read. Without types, no memory is read.
fn access(btf: &Path) -> Constants {
    if !Access::of_user().is_limited() {
        return Vec::new();
    }
    let offsets = types::with(btf, types_access::offsets).ok().flatten();
    let limit = [
        ("access_is_limited", 1),
        ("access_uid", nix::unistd::getuid().as_raw()),
        ("access_gid", nix::unistd::getgid().as_raw()),
    ];
    limit
        .into_iter()
        .chain(offsets.unwrap_or_default())
        .collect()
}

/// The ring buffer of `ebpf/common.h`.
const RING_BYTES: u32 = 2 * 1024 * 1024;

/// A quarter of the ring buffer: unread, so much wakes us.
pub(super) fn wake_at(ring_bytes: u32) -> u32 {
    ring_bytes / 4
}

pub(super) fn following_constants(kernel: &Kernel, layout: &Layout) -> Constants {
    let ring_bytes = kernel.ring_bytes;
    let running = kernel.following.running;
    let all = running.is_some_and(|running| running.all);
    let mut constants = vec![
        ("slot_shift", slot_shift(kernel.slots)),
        ("task_pid_offset", layout.pid),
        ("task_tgid_offset", layout.tgid),
        ("task_stack_offset", layout.stack),
        ("stack_regs_offset", layout.regs_in_stack),
        ("stack_bytes", layout.stack_bytes()),
        ("tasks_are_typed", layout.typed_only.into()),
        ("wake_at_bytes", wake_at(ring_bytes)),
        ("follow_all", all.into()),
        (
            "follow_threads_only",
            (!kernel.following.descendants).into(),
        ),
    ];
    constants.extend_from_slice(&kernel.access);
    if let Some(files) = kernel.births {
        constants.extend([("births_are_told", 1), ("task_files_offset", files)]);
    }
    if let Some(walk) = kernel.walk() {
        constants.push(("walk_flags_offset", walk.flags));
        if running.is_some_and(|running| !running.all) {
            constants.push(("ancestor_offset", walk.real_parent));
        }
    }
    if let Some(ends) = kernel.ends() {
        let [flags, live, group_exit_code] = ends.of_signal;
        constants.extend([
            ("task_exit_code_offset", ends.exit_code),
            ("task_signal_offset", ends.signal),
            ("task_parent_offset", ends.real_parent),
            ("task_leader_offset", ends.group_leader),
            ("signal_flags_offset", flags),
            ("signal_live_offset", live),
            ("signal_group_exit_code_offset", group_exit_code),
        ]);
    }
    constants
}

pub(super) fn counting_constants(layout: &Layout, slots: u32, compat_source: u32) -> Constants {
    vec![
        ("slot_shift", slot_shift(slots)),
        ("compat_offset", layout.compat),
        ("compat_mask", layout.compat_mask),
        ("compat_source", compat_source),
        ("stack_bytes", layout.stack_bytes()),
        ("stack_regs_offset", layout.regs_in_stack),
    ]
}
