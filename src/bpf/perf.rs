//! A tracepoint as a perf event, for programs that must not be preempted.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::{perf_event_attr, perf_type_id};

use super::kernel::KernelError;

/// Where tracefs is mounted, if it is.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `_IOW('$', 8, __u32)` (include/uapi/linux/perf_event.h).
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// The id of a tracepoint, e.g. `raw_syscalls/sys_enter`. Where tracefs is not mounted, `mounting`
/// allows to mount it for denet alone, in no directory.
///
/// # Errors
/// tracefs is not mounted, or not readable for us.
pub(crate) fn tracepoint_id(event: &str, mounting: bool) -> Result<u64, KernelError> {
    let name = format!("events/{event}/id");
    let mut text = Err(io::Error::from_raw_os_error(libc::ENOENT));
    for root in TRACEFS {
        match fs::read_to_string(format!("{root}/{name}")) {
            // The other may not be there at all: it is this refusal that matters.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => {
                text = read;
                break;
            }
        }
    }
    let absent = |text: &io::Result<String>| {
        let error = text.as_ref().err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    if mounting
        && absent(&text)
        && let Ok(unmounted) = read_unmounted(&name)
    {
        text = Ok(unmounted);
    }
    text.and_then(|text| text.trim().parse().map_err(io::Error::other))
        .map_err(|error| KernelError::new(format!("tracefs {name}"), error))
}

/// Reads a file of a tracefs that is nobody else's.
fn read_unmounted(name: &str) -> io::Result<String> {
    const FSCONFIG_CMD_CREATE: libc::c_int = 6;
    const CLOEXEC: libc::c_int = 1;
    let opened = |result: libc::c_long| match result {
        // SAFETY: the kernel just made this descriptor for us.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(result as i32) }),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: a NUL-terminated name.
    let context = opened(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), CLOEXEC) })?;
    let context = context.as_raw_fd();
    let nothing = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither a key nor a value.
    let created = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context,
            FSCONFIG_CMD_CREATE,
            nothing,
            nothing,
            0,
        )
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no memory is passed.
    let root = opened(unsafe { libc::syscall(libc::SYS_fsmount, context, CLOEXEC, 0) })?;
    let path = std::ffi::CString::new(name)?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path.
    let file = opened(unsafe { libc::openat(root.as_raw_fd(), path.as_ptr(), flags) }.into())?;
    let mut text = String::new();
    File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a program at a tracepoint for as long as the descriptor is open. The program sees every task
/// on every CPU, whatever the event itself is opened for.
pub(super) fn attach(program: BorrowedFd<'_>, id: u64) -> Result<OwnedFd, KernelError> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    // SAFETY: perf_event_attr consists of integers; zero asks for nothing.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.type_ = perf_type_id::PERF_TYPE_TRACEPOINT as u32;
    attr.size = size_of::<perf_event_attr>() as u32;
    attr.config = id;
    let (any_task, first_cpu, no_group) = (-1, 0, -1);
    // SAFETY: attr is a whole perf_event_attr.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &attr,
            any_task,
            first_cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    let failed = |what| KernelError::new(what, io::Error::last_os_error());
    if event < 0 {
        return Err(failed("perf_event_open PERF_TYPE_TRACEPOINT"));
    }
    // SAFETY: the kernel just made this descriptor for us.
    let event = unsafe { OwnedFd::from_raw_fd(event as i32) };
    // SAFETY: no memory is passed.
    match unsafe {
        libc::ioctl(
            event.as_raw_fd(),
            PERF_EVENT_IOC_SET_BPF,
            program.as_raw_fd(),
        )
    } {
        0 => Ok(event),
        _ => Err(failed("PERF_EVENT_IOC_SET_BPF")),
    }
}
