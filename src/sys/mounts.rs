//! Mounting, and what a mounted file system's root looks like.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::mount::{MsFlags, mount, umount};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Mounts a file system of the kernel's own where nothing in it is executed, set-id or a device.
///
/// # Errors
/// What `mount(2)` answers.
pub(crate) fn add(kind: &str, at: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some(kind), at, Some(kind), flags, None::<&str>)?)
}

/// Unmounts it.
///
/// # Errors
/// What `umount(2)` answers: EBUSY where something in it is open.
pub(crate) fn remove(at: &Path) -> io::Result<()> {
    Ok(umount(at)?)
}

/// Gives the root of a mounted file system another group and mode, and keeps how it is mounted.
///
/// # Errors
/// What `statvfs(3)` or `mount(2)` answers.
pub(crate) fn remount(at: &Path, gid: u32, mode: u32) -> io::Result<()> {
    let known = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
    ];
    let set = statvfs(at)?.flags();
    let kept = known.iter().filter(|(flag, _)| set.contains(*flag));
    let flags = kept.fold(MsFlags::MS_REMOUNT, |flags, (_, flag)| flags | *flag);
    let options = format!("gid={gid},mode={mode:o}");
    Ok(mount(
        None::<&str>,
        at,
        None::<&str>,
        flags,
        Some(options.as_str()),
    )?)
}

/// Group and mode of a directory.
///
/// # Errors
/// What `stat(2)` answers.
pub(crate) fn group_and_mode(at: &Path) -> io::Result<(u32, u32)> {
    let metadata = std::fs::symlink_metadata(at)?;
    Ok((metadata.gid(), metadata.permissions().mode() & 0o777))
}

/// Gives or takes the group's write permission of everything below a directory, links left alone. Its
/// own mode is the mount's: whoever undoes that must find it as it was put.
///
/// # Errors
/// What `readdir(3)` or `chmod(2)` answers.
pub(crate) fn group_write(at: &Path, granted: bool) -> io::Result<()> {
    for entry in std::fs::read_dir(at)? {
        group_write_of(&entry?.path(), granted)?;
    }
    Ok(())
}

fn group_write_of(at: &Path, granted: bool) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(at)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let wanted = if granted { mode | 0o020 } else { mode & !0o020 };
    if wanted != mode {
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(wanted))?;
    }
    if metadata.is_dir() {
        group_write(at, granted)?;
    }
    Ok(())
}

/// Whether a file lies in a bpffs.
///
/// # Errors
/// What `statfs(2)` answers.
pub(crate) fn is_bpffs(at: &Path) -> io::Result<bool> {
    // BPF_FS_MAGIC (include/uapi/linux/magic.h).
    const MAGIC: u64 = 0xcafe_4a11;
    let kind = nix::sys::statfs::statfs(at)?.filesystem_type();
    // The type of the number is another on each architecture.
    Ok(kind.0 as u64 & 0xffff_ffff == MAGIC)
}
