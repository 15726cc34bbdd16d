//! Perf events: of tracepoints and functions, for programs that must not be preempted, and of CPUs.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::generated::{
    perf_event_attr, perf_event_sample_format, perf_hw_id, perf_sw_ids, perf_type_id,
};

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

/// What a perf event is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A tracepoint, by its id in tracefs.
    Tracepoint(u64),
    /// The beginning of a kernel function, by the kprobe PMU's number and its name.
    Kprobe(u32, &'a CStr),
}

/// Any task, or the calling thread; any CPU, or the first (`perf_event_open(2)`).
const ANY_TASK: libc::pid_t = -1;
const OWN_THREAD: libc::pid_t = 0;
const ANY_CPU: libc::c_int = -1;
const FIRST_CPU: libc::c_int = 0;

/// Runs a program at an event for as long as the descriptor is open. The program sees every task on
/// every CPU, whatever the event itself is opened for.
pub(crate) fn attach(program: BorrowedFd<'_>, event: Event<'_>) -> Result<OwnedFd, KernelError> {
    let mut attr = no_event();
    let what = match event {
        Event::Tracepoint(id) => {
            attr.type_ = perf_type_id::PERF_TYPE_TRACEPOINT as u32;
            attr.config = id;
            "PERF_TYPE_TRACEPOINT"
        }
        Event::Kprobe(pmu, function) => {
            attr.type_ = pmu;
            attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
            "kprobe"
        }
    };
    let event = open(&attr, ANY_TASK, FIRST_CPU, what)?;
    run_at(event, program)
}

/// Where the kernel describes what creates events of its functions.
const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

/// Runs a program when a function of the kernel's is called, or when it returns, for as long as the
/// descriptor is open.
///
/// # Errors
/// ENOENT for a function that is not there, or where the kernel has no kprobes
/// (`perf_kprobe_event_init`, kernel/trace/trace_event_perf.c); EPERM under lockdown.
pub(crate) fn attach_to_function(
    program: BorrowedFd<'_>,
    function: &CStr,
    returns: bool,
) -> Result<OwnedFd, KernelError> {
    let what = format!("kprobe {}", function.to_string_lossy());
    let read = |name: &str, strip: &str| {
        let text = fs::read_to_string(format!("{KPROBES}/{name}"))?;
        let digits = text.trim().trim_start_matches(strip);
        digits.parse::<u32>().map_err(io::Error::other)
    };
    let failed = |error| KernelError::new(format!("perf_event_open {what}"), error);
    let mut attr = no_event();
    attr.type_ = read("type", "").map_err(failed)?;
    attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    if returns {
        attr.config = 1 << read("format/retprobe", "config:").map_err(failed)?;
    }
    run_at(open(&attr, ANY_TASK, FIRST_CPU, &what)?, program)
}

/// What of a CPU is counted or sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Time that the calling thread is on a CPU, in user mode.
    OwnClock,
    /// Samples of all that the first CPU does, the kernel's stacks with them.
    KernelStacks,
    /// Cycles of the calling thread in user mode, by the hardware's counter.
    OwnCycles,
}

impl Counter {
    /// What the kernel calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OwnClock => "PERF_COUNT_SW_CPU_CLOCK",
            Self::KernelStacks => "PERF_COUNT_SW_CPU_CLOCK of a CPU, kernel included",
            Self::OwnCycles => "PERF_COUNT_HW_CPU_CYCLES",
        }
    }
}

/// Samples per second: what profilers take.
const FREQUENCY_HZ: u64 = 99;

/// Opens a counter, which runs until the descriptor is closed.
///
/// # Errors
/// EACCES where `kernel.perf_event_paranoid` asks for CAP_PERFMON: above 2 on some distributions for
/// any, above 0 for a whole CPU, above 1 for the kernel (`perf_event_open`, kernel/events/core.c).
/// ENOENT where no hardware counts (`perf_init_event`), ENODEV without the first CPU.
pub(crate) fn count(counter: Counter) -> Result<OwnedFd, KernelError> {
    let mut attr = match counter {
        Counter::OwnClock => own_clock(),
        Counter::KernelStacks => software_clock(),
        Counter::OwnCycles => own_cycles(),
    };
    let (task, cpu) = match counter {
        Counter::OwnClock | Counter::OwnCycles => (OWN_THREAD, ANY_CPU),
        Counter::KernelStacks => {
            attr.__bindgen_anon_1.sample_freq = FREQUENCY_HZ;
            attr.set_freq(1);
            attr.sample_type = perf_event_sample_format::PERF_SAMPLE_CALLCHAIN as u64;
            (ANY_TASK, FIRST_CPU)
        }
    };
    open(&attr, task, cpu, counter.name())
}

/// Runs a program each time that the calling thread was in user mode for so long again, until the
/// descriptor is closed.
///
/// # Errors
/// As [`count`]; EINVAL or EOPNOTSUPP for a program that is none for samples
/// (`perf_event_set_bpf_handler`).
pub(crate) fn sample(program: BorrowedFd<'_>, period_ns: u64) -> Result<OwnedFd, KernelError> {
    let mut attr = own_clock();
    attr.__bindgen_anon_1.sample_period = period_ns;
    let event = open(&attr, OWN_THREAD, ANY_CPU, Counter::OwnClock.name())?;
    run_at(event, program)
}

fn software_clock() -> perf_event_attr {
    let mut attr = no_event();
    attr.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    attr.config = perf_sw_ids::PERF_COUNT_SW_CPU_CLOCK as u64;
    attr
}

fn own_clock() -> perf_event_attr {
    let mut attr = software_clock();
    attr.set_exclude_kernel(1);
    attr.set_exclude_hv(1);
    attr
}

fn own_cycles() -> perf_event_attr {
    let mut attr = own_clock();
    attr.type_ = perf_type_id::PERF_TYPE_HARDWARE as u32;
    attr.config = perf_hw_id::PERF_COUNT_HW_CPU_CYCLES as u64;
    attr
}

fn no_event() -> perf_event_attr {
    // SAFETY: perf_event_attr consists of integers; zero asks for nothing.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr
}

fn open(
    attr: &perf_event_attr,
    task: libc::pid_t,
    cpu: libc::c_int,
    what: &str,
) -> Result<OwnedFd, KernelError> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    let no_group = -1;
    // SAFETY: attr is a whole perf_event_attr; a name in it outlives the call.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attr,
            task,
            cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if event < 0 {
        let error = io::Error::last_os_error();
        return Err(KernelError::new(format!("perf_event_open {what}"), error));
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(event as i32) })
}

fn run_at(event: OwnedFd, program: BorrowedFd<'_>) -> Result<OwnedFd, KernelError> {
    // SAFETY: no memory is passed.
    match unsafe {
        libc::ioctl(
            event.as_raw_fd(),
            PERF_EVENT_IOC_SET_BPF,
            program.as_raw_fd(),
        )
    } {
        0 => Ok(event),
        _ => Err(KernelError::new(
            "PERF_EVENT_IOC_SET_BPF",
            io::Error::last_os_error(),
        )),
    }
}
