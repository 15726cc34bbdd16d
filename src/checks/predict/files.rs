//! Files of the kernel: tracefs, debugfs, its types and its symbols.

use libc::{EACCES, ENOENT, EPERM};

use super::operation::{Symbol, TracefsFile};
use super::perf::register_kprobe;
use super::{
    Because, Check, Checked, Conditions, Inode, Outcome, Prediction, Tracefs, Version, require,
};
use crate::facts::kernel::Lockdown;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// `generic_permission` (fs/namei.c): the bits of the one class that the process is in, else the two
/// capabilities. `wanted` is of `rwx`.
pub(super) fn permitted(inode: Inode, wanted: u32, directory: bool, c: &Conditions) -> bool {
    let ours = c.initial_user_namespace;
    let class = if ours && inode.uid == c.uid {
        inode.mode >> 6
    } else if ours && (inode.gid == c.gid || c.groups.contains(&inode.gid)) {
        inode.mode >> 3
    } else {
        inode.mode
    };
    let reads = wanted & WRITE == 0 && (directory || wanted & SEARCH == 0);
    class & wanted == wanted
        || c.any_of(&[Cap::DacOverride])
        || reads && c.any_of(&[Cap::DacReadSearch])
}

/// How tracefs makes what is in it, of one version of Linux.
struct Makes {
    /// Mode of directories.
    directory: u32,
    /// Bits of others are kept in the mode of files.
    others: bool,
    /// The group of the root directory is the group of everything.
    group: bool,
}

fn makes(c: &Conditions) -> Makes {
    // 49d67e445742 "tracefs: Have tracefs directories not set OTH permission bits by default"
    let narrow = c.has_change(
        Release(5, 16),
        &[Version(5, 4, 160), Version(5, 10, 80), Version(5, 15, 3)],
    );
    // 48b27b6b5191 "tracefs: Set all files to the same group ownership as the mount option"
    let group = c.has_change(
        Release(5, 16),
        &[Version(5, 4, 165), Version(5, 10, 85), Version(5, 15, 8)],
    );
    // 21ccc9cd7211 "tracing: Disable "other" permission bits in the tracefs files"
    let closed = c.has_change(Release(5, 16), &[Version(5, 15, 3)]);
    // Of events, eventfs makes the directories: EVENTFS_DIR_MODE.
    let eventfs = c.since(Release(6, 6));
    Makes {
        directory: if narrow && !eventfs { 0o750 } else { 0o755 },
        others: !closed,
        group,
    }
}

fn inside(tracefs: Tracefs, mode: u32, made: &Makes) -> Inode {
    let gid = if made.group { tracefs.root.gid } else { 0 };
    let inode = Inode { uid: 0, gid, mode };
    tracefs.opened.map_or(inode, |opened| Inode {
        gid: opened.gid,
        mode: mode | opened.bits << 3,
        ..inode
    })
}

/// Mode, name, whether it lies in `events/`, and what it is opened for.
fn shape(file: TracefsFile) -> (u32, &'static str, bool, u32) {
    match file {
        TracefsFile::Root => (0, "tracefs", false, READ),
        TracefsFile::Events => (0, "tracefs events", false, READ),
        TracefsFile::Id { .. } => (0o444, "tracefs id", true, READ),
        TracefsFile::Format => (0o444, "tracefs format", true, READ),
        TracefsFile::Trace => (0o644, "tracefs trace", false, READ),
        TracefsFile::Enable => (0o644, "tracefs enable", true, WRITE),
        TracefsFile::TraceMarker => (0o220, "tracefs trace_marker", false, WRITE),
        TracefsFile::KprobeEvents => (0o644, "tracefs kprobe_events", false, WRITE),
    }
}

/// Path walk, then permission, then the file's own `open`.
pub(super) fn tracefs(file: TracefsFile, c: &Conditions) -> Checked {
    const WALK: &str = "inode_permission";
    let Some(tracefs) = c.tracefs else {
        return require(false, ENOENT, "path_openat", Check::Present("tracefs"));
    };
    let (mode, name, in_events, wanted) = shape(file);
    if file == TracefsFile::Root {
        let readable = permitted(tracefs.root, READ, true, c);
        return require(readable, EACCES, WALK, Check::Permission(name));
    }
    let searchable = permitted(tracefs.root, SEARCH, true, c);
    require(searchable, EACCES, WALK, Check::Permission("tracefs"))?;
    exists(file, c)?;

    let made = makes(c);
    let directory = inside(tracefs, made.directory, &made);
    if file == TracefsFile::Events {
        let readable = permitted(directory, READ, true, c);
        return require(readable, EACCES, WALK, Check::Permission(name));
    }
    let searchable = !in_events || permitted(directory, SEARCH, true, c);
    require(
        searchable,
        EACCES,
        WALK,
        Check::Permission("tracefs events"),
    )?;
    let mode = if made.others { mode } else { mode & 0o770 };
    let openable = permitted(inside(tracefs, mode, &made), wanted, false, c);
    require(openable, EACCES, WALK, Check::Permission(name))?;

    // What tells of events only has no tracing_check_open_get_tr.
    let level = Lockdown::Confidentiality;
    let told = matches!(file, TracefsFile::Id { .. } | TracefsFile::Format);
    let locked = !told && c.locked_down(level);
    require(
        !locked,
        EPERM,
        "tracing_check_open_get_tr",
        Check::Lockdown(level),
    )?;
    match file {
        TracefsFile::KprobeEvents => register_kprobe(Symbol::Present, c),
        _ => Ok(()),
    }
}

fn exists(file: TracefsFile, c: &Conditions) -> Checked {
    let level = Lockdown::Confidentiality;
    let empty = c.lockdown.at_boot && c.locked_down(level);
    require(
        !empty,
        ENOENT,
        "tracefs_create_file",
        Check::Lockdown(level),
    )?;
    let (built, switch) = match file {
        TracefsFile::Id { syscall: true } => (c.built.ftrace_syscalls, "CONFIG_FTRACE_SYSCALLS"),
        TracefsFile::KprobeEvents => (c.built.kprobe_events, "CONFIG_KPROBE_EVENTS"),
        _ => return Ok(()),
    };
    require(built, ENOENT, "tracefs_create_file", Check::Config(switch))
}

pub(super) fn debugfs(c: &Conditions) -> Checked {
    let Some(root) = c.debugfs else {
        return require(false, ENOENT, "path_openat", Check::Present("debugfs"));
    };
    let readable = permitted(root, READ, true, c);
    require(
        readable,
        EACCES,
        "inode_permission",
        Check::Permission("debugfs"),
    )
}

/// Whoever runs may read it.
pub(super) fn kernel_btf(c: &Conditions) -> Checked {
    let check = Check::Config("CONFIG_DEBUG_INFO_BTF");
    require(c.kernel_btf, ENOENT, "btf_vmlinux_init", check)
}

/// The lookup is that of libbpf or aya, in what they read there.
pub(super) fn kernel_type(since: Release, c: &Conditions) -> Checked {
    kernel_btf(c)?;
    require(
        c.since(since),
        ENOENT,
        "btf_vmlinux_read",
        Check::Since(since),
    )
}

/// `kallsyms_show_value` (kernel/kallsyms.c).
pub(super) fn kallsyms(c: &Conditions) -> Checked {
    let for_perf = c.kptr_restrict == 0 && c.perf_event_paranoid <= 1;
    let for_syslog = c.kptr_restrict <= 1 && c.any_of(&[Cap::Syslog]);
    if for_perf || for_syslog {
        return Ok(());
    }
    Err(Prediction {
        outcome: Outcome::Zeroes,
        because: Because {
            function: "kallsyms_show_value",
            check: Check::KptrRestrict,
        },
    })
}
