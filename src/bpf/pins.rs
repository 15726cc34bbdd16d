//! Objects that outlive the process which made them: by a name in a bpffs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info};

use super::inventory::{describe, text};
use super::kernel::{KernelError, bpf, bpf_fd, zeroed};
use crate::sys::root::Root;

/// More than any program of denet's uses.
const MAPS: usize = 8;

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Program,
    Map,
    Link,
}

/// What the kernel says of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapInfo {
    pub(crate) id: u32,
    /// `enum bpf_map_type`
    pub(crate) kind: u32,
    pub(crate) name: String,
    pub(crate) value_bytes: u32,
    pub(crate) max_entries: u32,
}

/// What the kernel says of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramInfo {
    pub(crate) id: u32,
    /// `enum bpf_prog_type`
    pub(crate) kind: u32,
    pub(crate) name: String,
    /// Ids of its maps; the first eight.
    pub(crate) maps: Vec<u32>,
}

/// What the kernel says of the link of an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpLinkInfo {
    pub(crate) program: u32,
    /// Number of the interface; 0 once that is gone, or the program was taken off.
    pub(crate) interface: u32,
}

/// Gives an object a name in a bpffs, under which it stays.
///
/// # Errors
/// EINVAL where that is no bpffs (before Linux 6.x EPERM), EEXIST where the name is given
/// (`bpf_obj_do_pin`, kernel/bpf/inode.c), else what `mknod(2)` answers.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError> {
    let name = named(path).map_err(|error| failed("BPF_OBJ_PIN", path, error))?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = name.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = object.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr)
        .map(drop)
        .map_err(|error| failed("BPF_OBJ_PIN", path, error))
}

/// Opens the object of this name, and says what it is.
///
/// # Errors
/// EACCES for a file that is none (`bpf_inode_type`, kernel/bpf/inode.c), else what `open(2)` answers.
pub(crate) fn open(path: &Path) -> Result<(ObjectKind, OwnedFd), KernelError> {
    let of = |error| failed("BPF_OBJ_GET", path, error);
    let name = named(path).map_err(of)?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = name.as_ptr() as u64;
    let fd = bpf_fd(bpf_cmd::BPF_OBJ_GET, &mut attr).map_err(of)?;
    Ok((kind_of(&fd).map_err(of)?, fd))
}

fn named(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn failed(command: &str, path: &Path, error: io::Error) -> KernelError {
    KernelError::new(format!("{command} {}", path.display()), error)
}

/// The kernel fills in whatever structure belongs to the descriptor, so that is asked first.
fn kind_of(fd: &OwnedFd) -> io::Result<ObjectKind> {
    let link = Root::default().read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    match link.to_string_lossy().strip_prefix("anon_inode:") {
        Some("bpf-prog") => Ok(ObjectKind::Program),
        Some("bpf-map") => Ok(ObjectKind::Map),
        Some("bpf_link" | "bpf-link") => Ok(ObjectKind::Link),
        _ => Err(io::Error::other(format!("{}: unknown", link.display()))),
    }
}

/// # Errors
/// What `BPF_OBJ_GET_INFO_BY_FD` answers.
pub(crate) fn map(fd: &OwnedFd) -> io::Result<MapInfo> {
    // SAFETY: bpf_map_info consists of integers.
    let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
    describe(fd, &mut info)?;
    Ok(MapInfo {
        id: info.id,
        kind: info.type_,
        name: text(&info.name),
        value_bytes: info.value_size,
        max_entries: info.max_entries,
    })
}

/// # Errors
/// What `BPF_OBJ_GET_INFO_BY_FD` answers.
pub(crate) fn program(fd: &OwnedFd) -> io::Result<ProgramInfo> {
    let mut maps = [0_u32; MAPS];
    // SAFETY: bpf_prog_info consists of integers; the buffer outlives the call.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    info.nr_map_ids = MAPS as u32;
    info.map_ids = maps.as_mut_ptr() as u64;
    describe(fd, &mut info)?;
    Ok(ProgramInfo {
        id: info.id,
        kind: info.type_,
        name: text(&info.name),
        maps: maps.into_iter().filter(|id| *id != 0).collect(),
    })
}

/// `None` for a link of another kind.
///
/// # Errors
/// What `BPF_OBJ_GET_INFO_BY_FD` answers.
pub(crate) fn xdp_link(fd: &OwnedFd) -> io::Result<Option<XdpLinkInfo>> {
    // SAFETY: bpf_link_info consists of integers; no buffers are asked for.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    describe(fd, &mut info)?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
        return Ok(None);
    }
    Ok(Some(XdpLinkInfo {
        program: info.prog_id,
        // SAFETY: the kernel filled in this variant.
        interface: unsafe { info.__bindgen_anon_1.xdp.ifindex },
    }))
}

/// The only value of a per-CPU array, of each possible CPU. `T` consists of integers, in 8 bytes each.
///
/// # Errors
/// What `BPF_MAP_LOOKUP_ELEM` answers, or where `/sys` does not tell how many CPUs are possible.
pub(crate) fn per_cpu<T: Copy + Default>(map: BorrowedFd<'_>) -> io::Result<Vec<T>> {
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
    let mut values = vec![T::default(); cpus];
    let key = 0_u32;
    let mut attr = zeroed();
    // SAFETY: writing plain fields of the union's map-element variant.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = std::ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = values.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr)?;
    Ok(values)
}
