//! The constants of the eBPF programs: what this kernel is like, and what to follow.

use std::path::{Path, PathBuf};

use super::stream::{Constants, Plan};
use super::table::RING_BYTES;
use crate::bpf::calibrate::{Ids, Layout};
use crate::bpf::tables::slot_shift;
use crate::bpf::types::{EndTypes, KernelTypes, UsageTypes, WalkTypes};
use crate::bpf::{KernelError, types, types_access};
use crate::decode::btf::Btf;

/// What the programs need to know about this kernel.
pub(crate) struct Kernel {
    pub(super) layout: Layout,
    pub(super) slots: u32,
    pub(super) btf: PathBuf,
    descendants: bool,
    reports_usage: bool,
    pub(super) running: Option<Running>,
    ring_bytes: u32,
    types: Option<KernelTypes>,
    // Where forks are reported: the offset of `files` in `task_struct`, 0 if that is not known.
    forks: Option<u32>,
    /// Calls of running tasks that began before are reported.
    pub(super) reports_earlier: bool,
    /// Constants that limit which processes' memory may be read; empty if there is no limit.
    pub(super) access: Constants,
}

/// What to follow, and what to report about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed<'a> {
    /// Processes that are running already; `None` for a stopped command.
    pub(crate) running: Option<Running>,
    /// Descendants too, not only the threads of a process.
    pub(crate) descendants: bool,
    /// What each task used.
    pub(crate) usage: bool,
    /// Only memory that this user may read is read.
    pub(crate) is_limited: bool,
    /// The file of the kernel's types.
    pub(crate) btf: &'a Path,
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
        followed: Followed<'_>,
        plan: Option<&Plan>,
    ) -> Self {
        let btf = followed.btf;
        let files = |btf: &Btf<'_>| btf.member_path("task_struct", &["files"]);
        let forks = plan.is_some_and(|plan| plan.reports_forks).then(|| {
            let offset = types::with(btf, files).ok().flatten();
            offset.unwrap_or_default()
        });
        Self {
            layout,
            slots,
            btf: btf.to_owned(),
            descendants: followed.descendants,
            reports_usage: followed.usage,
            running: followed.running,
            ring_bytes: plan.map_or(RING_BYTES, |plan| plan.ring_bytes),
            types: KernelTypes::read(btf).ok(),
            forks,
            reports_earlier: plan.is_some_and(|plan| plan.earlier.is_some()),
            access: match followed.is_limited {
                true => access(btf),
                false => Vec::new(),
            },
        }
    }

    /// The types that were read at the start, which takes milliseconds. If that failed, they are read again for the
    /// error.
    pub(super) fn types(&self) -> Result<KernelTypes, KernelError> {
        self.types.map_or_else(|| KernelTypes::read(&self.btf), Ok)
    }

    /// Without them only a parent learns how a process ended, and the record omits it.
    fn ends(&self) -> Option<EndTypes> {
        self.types?.ends
    }

    fn walk(&self) -> Option<WalkTypes> {
        self.types?.walk
    }

    /// Without them usage is known from `/proc` alone.
    pub(super) fn usage(&self) -> Option<UsageTypes> {
        self.types.filter(|_| self.reports_usage)?.usage
    }
}

/// Constants that limit which processes' memory may be read. Without types, no memory is read.
fn access(btf: &Path) -> Constants {
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

/// What both the programs that follow and those of a stream need.
pub(super) fn task_constants(kernel: &Kernel, layout: &Layout) -> Constants {
    let mut constants = vec![
        ("slot_shift", slot_shift(kernel.slots)),
        ("task_pid_offset", layout.pid),
        ("task_tgid_offset", layout.tgid),
        ("task_stack_offset", layout.stack),
        ("stack_regs_offset", layout.regs_in_stack),
        ("stack_bytes", layout.stack_bytes()),
        ("tasks_are_typed", layout.typed_only.into()),
        // Unread bytes that wake denet.
        ("wake_at_bytes", kernel.ring_bytes / 4),
    ];
    if let Ids::Own(namespace) = &layout.ids {
        // Of how the kernel lets programs read its memory, not of how this one knows tasks.
        constants.extend(namespace.constants(kernel.layout.typed_only));
    }
    constants.extend_from_slice(&kernel.access);
    constants
}

pub(super) fn following_constants(kernel: &Kernel, layout: &Layout) -> Constants {
    let all = kernel.running.is_some_and(|running| running.all);
    let mut constants = task_constants(kernel, layout);
    constants.extend([
        ("follow_all", all.into()),
        ("follow_threads_only", (!kernel.descendants).into()),
    ]);
    if let Some(files) = kernel.forks {
        constants.extend([("births_are_told", 1), ("task_files_offset", files)]);
    }
    if let Some(walk) = kernel.walk() {
        constants.push(("walk_flags_offset", walk.flags));
        if kernel.running.is_some_and(|running| !running.all) {
            constants.push(("ancestor_offset", walk.real_parent));
        }
    }
    if let Some(ends) = kernel.ends() {
        let [flags, live, group_exit_code] = ends.of_signal;
        constants.extend([
            ("task_exit_code_offset", ends.exit_code),
            ("task_signal_offset", ends.signal),
            ("task_leader_offset", ends.group_leader),
            ("signal_flags_offset", flags),
            ("signal_live_offset", live),
            ("signal_group_exit_code_offset", group_exit_code),
        ]);
    }
    if let Some(usage) = kernel.usage() {
        let [cpu, user, system, minor_faults, major_faults] = usage.of_task;
        let [read_by_calls, written_by_calls, read, written] = usage.of_io;
        constants.extend([
            ("task_start_offset", usage.started),
            ("task_cpu_offset", cpu),
            ("task_utime_offset", user),
            ("task_stime_offset", system),
            ("task_min_flt_offset", minor_faults),
            ("task_maj_flt_offset", major_faults),
            ("task_rchar_offset", read_by_calls),
            ("task_wchar_offset", written_by_calls),
            ("task_read_bytes_offset", read),
            ("task_write_bytes_offset", written),
        ]);
    }
    constants
}

pub(super) fn counting_constants(kernel: &Kernel, compat_source: u32) -> Constants {
    let layout = &kernel.layout;
    vec![
        ("slot_shift", slot_shift(kernel.slots)),
        ("compat_offset", layout.compat),
        ("compat_mask", layout.compat_mask),
        ("compat_source", compat_source),
        ("stack_bytes", layout.stack_bytes()),
        ("stack_regs_offset", layout.regs_in_stack),
    ]
}
