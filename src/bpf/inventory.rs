//! What anybody has loaded, as the kernel lists it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya_obj::generated::{
    bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info, bpf_task_fd_type,
};

use super::kernel::{bpf, bpf_fd, zeroed};
use crate::decode::uapi::loaded::{AttachedTo, Holder, LoadedLink, LoadedMap, LoadedProgram};
use crate::decode::uapi::maps::map_type;
use crate::decode::uapi::sections::ProgramKind;
use crate::sys::root::Root;

/// Machines with more of a kind than this are listed up to here.
const MOST: usize = 10_000;

/// Names of tracepoints, functions and files that the kernel writes for us.
const NAME_BYTES: usize = 256;

/// All programs.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub(crate) fn programs() -> io::Result<Vec<LoadedProgram>> {
    let (next, open) = (
        bpf_cmd::BPF_PROG_GET_NEXT_ID,
        bpf_cmd::BPF_PROG_GET_FD_BY_ID,
    );
    each(next, open, |id, fd| {
        // SAFETY: bpf_prog_info consists of integers; no buffers are asked for.
        let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
        describe(fd, &mut info)?;
        Ok(LoadedProgram {
            id,
            kind: ProgramKind::from_number(info.type_),
            name: text(&info.name),
            uid: info.created_by_uid,
        })
    })
}

/// All maps.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub(crate) fn maps() -> io::Result<Vec<LoadedMap>> {
    let (next, open) = (bpf_cmd::BPF_MAP_GET_NEXT_ID, bpf_cmd::BPF_MAP_GET_FD_BY_ID);
    each(next, open, |id, fd| {
        // SAFETY: bpf_map_info consists of integers.
        let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
        describe(fd, &mut info)?;
        Ok(LoadedMap {
            id,
            kind: map_type(info.type_).map(|kind| kind.name.to_owned()),
            name: text(&info.name),
            max_entries: info.max_entries,
        })
    })
}

/// All links.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, EINVAL before Linux 5.8.
pub(crate) fn links() -> io::Result<Vec<LoadedLink>> {
    let (next, open) = (
        bpf_cmd::BPF_LINK_GET_NEXT_ID,
        bpf_cmd::BPF_LINK_GET_FD_BY_ID,
    );
    each(next, open, |id, fd| {
        // SAFETY: bpf_link_info consists of integers; no buffers are asked for.
        let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
        describe(fd, &mut info)?;
        Ok(LoadedLink {
            id,
            program: info.prog_id,
            at: place(fd, &info),
        })
    })
}

fn place(fd: &OwnedFd, info: &bpf_link_info) -> AttachedTo {
    let is = |kind: bpf_link_type| info.type_ == kind as u32;
    // SAFETY: integers all; which of them the kernel filled in, its type says.
    unsafe {
        let filled = &info.__bindgen_anon_1;
        if is(bpf_link_type::BPF_LINK_TYPE_RAW_TRACEPOINT) {
            AttachedTo::RawTracepoint(name_in(fd, |info, buffer| {
                info.__bindgen_anon_1.raw_tracepoint.tp_name = buffer;
                info.__bindgen_anon_1.raw_tracepoint.tp_name_len = NAME_BYTES as u32;
            }))
        } else if is(bpf_link_type::BPF_LINK_TYPE_PERF_EVENT) {
            // Where the name goes is the same for every kind of event.
            AttachedTo::PerfEvent(name_in(fd, |info, buffer| {
                let event = &mut info.__bindgen_anon_1.perf_event.__bindgen_anon_1;
                event.tracepoint.tp_name = buffer;
                event.tracepoint.name_len = NAME_BYTES as u32;
            }))
        } else if is(bpf_link_type::BPF_LINK_TYPE_TRACING) {
            AttachedTo::KernelType(filled.tracing.target_btf_id)
        } else if is(bpf_link_type::BPF_LINK_TYPE_XDP) {
            AttachedTo::Xdp(filled.xdp.ifindex)
        } else if is(bpf_link_type::BPF_LINK_TYPE_CGROUP) {
            AttachedTo::Cgroup(filled.cgroup.cgroup_id)
        } else {
            AttachedTo::Other(info.type_)
        }
    }
}

/// Asks once more with room for a name; empty where the kernel tells none.
fn name_in(fd: &OwnedFd, point_to: impl Fn(&mut bpf_link_info, u64)) -> String {
    let mut name = [0_u8; NAME_BYTES];
    // SAFETY: bpf_link_info consists of integers; the buffer that it points to outlives the call.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    point_to(&mut info, name.as_mut_ptr() as u64);
    match describe(fd, &mut info) {
        Ok(()) => until_nul(&name),
        Err(_) => String::new(),
    }
}

/// Descriptors of all processes that `/proc` shows which keep a program at an event.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub(crate) fn holders() -> io::Result<Vec<Holder>> {
    // Who may not ask does not see the descriptors either, and would take that for nobody's having any.
    query(std::process::id(), 0, &mut [])?;
    let root = Root::default();
    let mut holders = Vec::new();
    for name in root.read_dir("/proc")? {
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end meanwhile, and another user's may be closed to us.
        let folder = format!("/proc/{pid}/fd");
        for fd in root.read_dir(&folder).unwrap_or_default() {
            let Some(fd) = fd.to_str().and_then(|fd| fd.parse::<u32>().ok()) else {
                continue;
            };
            let link = root.read_link(format!("{folder}/{fd}"));
            if link.is_ok_and(|link| may_hold(&link.to_string_lossy()))
                && let Some(holder) = held(&root, pid, fd)?
            {
                holders.push(holder);
            }
            if holders.len() >= MOST {
                return Ok(holders);
            }
        }
    }
    Ok(holders)
}

fn may_hold(link: &str) -> bool {
    let kinds = ["[perf_event]", "bpf-raw-tracepoint", "bpf_link", "bpf-link"];
    link.strip_prefix("anon_inode:")
        .is_some_and(|kind| kinds.contains(&kind))
}

fn held(root: &Root, pid: u32, fd: u32) -> io::Result<Option<Holder>> {
    let mut name = [0_u8; NAME_BYTES];
    let Some((program, kind)) = query(pid, fd, &mut name)? else {
        return Ok(None);
    };
    let command = root.text(format!("/proc/{pid}/comm")).unwrap_or_default();
    Ok(Some(Holder {
        pid,
        command: command.trim_end().to_owned(),
        program,
        how: how(kind).to_owned(),
        at: until_nul(&name),
    }))
}

/// The program behind a descriptor and how it hangs there; `None` where there is no program, or the
/// process has ended. Fails where we may not ask.
fn query(pid: u32, fd: u32, name: &mut [u8]) -> io::Result<Option<(u32, u32)>> {
    let mut attr = zeroed();
    attr.task_fd_query.pid = pid;
    attr.task_fd_query.fd = fd;
    attr.task_fd_query.buf = name.as_mut_ptr() as u64;
    attr.task_fd_query.buf_len = name.len() as u32;
    match bpf(bpf_cmd::BPF_TASK_FD_QUERY, &mut attr) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(error),
        Err(_) => Ok(None),
        Ok(_) => {
            // SAFETY: the kernel filled in this variant.
            let answer = unsafe { attr.task_fd_query };
            Ok(Some((answer.prog_id, answer.fd_type)))
        }
    }
}

fn how(number: u32) -> &'static str {
    use bpf_task_fd_type as Type;
    let named = [
        (Type::BPF_FD_TYPE_RAW_TRACEPOINT, "raw_tracepoint"),
        (Type::BPF_FD_TYPE_TRACEPOINT, "tracepoint"),
        (Type::BPF_FD_TYPE_KPROBE, "kprobe"),
        (Type::BPF_FD_TYPE_KRETPROBE, "kretprobe"),
        (Type::BPF_FD_TYPE_UPROBE, "uprobe"),
        (Type::BPF_FD_TYPE_URETPROBE, "uretprobe"),
    ];
    let found = named.iter().find(|(kind, _)| *kind as u32 == number);
    found.map_or("unknown", |(_, name)| name)
}

/// Walks over all numbers; what is gone when it is looked at is left out.
fn each<T>(
    next: bpf_cmd,
    open: bpf_cmd,
    describe: impl Fn(u32, &OwnedFd) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let is_gone = |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
    let mut found = Vec::new();
    let mut id = 0;
    while found.len() < MOST {
        let mut attr = zeroed();
        with_id(&mut attr, id);
        match bpf(next, &mut attr) {
            Err(error) if is_gone(&error) => break,
            result => result?,
        };
        // SAFETY: the kernel filled in this field.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        let mut attr = zeroed();
        with_id(&mut attr, id);
        match bpf_fd(open, &mut attr).and_then(|fd| describe(id, &fd)) {
            Ok(one) => found.push(one),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn with_id(attr: &mut bpf_attr, id: u32) {
    attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
}

/// `BPF_OBJ_GET_INFO_BY_FD` into a structure of integers.
pub(super) fn describe<T>(fd: &OwnedFd, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    attr.info.bpf_fd = fd.as_raw_fd() as u32;
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = std::ptr::from_mut(info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

pub(super) fn text(name: &[libc::c_char; 16]) -> String {
    until_nul(&name.map(|letter| letter as u8))
}

fn until_nul(bytes: &[u8]) -> String {
    CStr::from_bytes_until_nul(bytes)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
