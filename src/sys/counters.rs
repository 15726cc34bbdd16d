//! Counters of the CPU's performance monitoring unit, or of the kernel's own, for a task and all that
//! it starts (`perf_event_open(2)`).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::FromRawFd as _;

/// What is counted (`enum perf_type_id` and its `config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// `PERF_TYPE_*`
    pub kind: u32,
    /// `PERF_COUNT_*`
    pub config: u64,
}

impl Event {
    /// Of the hardware.
    pub(crate) const fn hardware(config: u64) -> Self {
        Self { kind: 0, config }
    }
}

/// `struct perf_event_attr` as of its first version, which every kernel takes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

const TOTAL_TIME_ENABLED: u64 = 1;
const TOTAL_TIME_RUNNING: u64 = 2;
const DISABLED: u64 = 1;
const INHERIT: u64 = 1 << 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const ENABLE_ON_EXEC: u64 = 1 << 12;

/// A running counter.
#[derive(Debug)]
pub struct Counter {
    file: File,
    /// Only what runs outside the kernel is counted: the user may not see more.
    pub user_only: bool,
}

/// What a counter came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Events, as they were counted.
    pub(crate) counted: u64,
    /// Nanoseconds that it should have counted,
    pub enabled_ns: u64,
    /// and that it did: fewer where more events are wanted than the CPU has counters.
    pub running_ns: u64,
}

impl Reading {
    /// What it would have come to, had it counted all the time; `None` if it never did although it
    /// should have.
    pub fn scaled(&self) -> Option<u64> {
        match (self.running_ns, self.enabled_ns) {
            (0, 0) => Some(self.counted),
            (0, _) => None,
            (running, enabled) if running >= enabled => Some(self.counted),
            (running, enabled) => {
                Some((self.counted as f64 * enabled as f64 / running as f64) as u64)
            }
        }
    }
}

impl Counter {
    /// Counts for a task and what it starts; from its next exec on, or at once.
    ///
    /// # Errors
    /// ENOENT: the machine has no such counter. EACCES, EPERM: this user may not, not even outside the
    /// kernel.
    pub fn open(event: Event, tid: u32, from_exec: bool) -> io::Result<Self> {
        let start = if from_exec {
            DISABLED | ENABLE_ON_EXEC
        } else {
            0
        };
        let flags = INHERIT | EXCLUDE_HYPERVISOR | start;
        match open(event, tid, flags) {
            Ok(file) => Ok(Self {
                file,
                user_only: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let file = open(event, tid, flags | EXCLUDE_KERNEL)?;
                Ok(Self {
                    file,
                    user_only: true,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// What it came to so far, with all that inherited it.
    ///
    /// # Errors
    /// What `read(2)` answers.
    pub fn read(&self) -> io::Result<Reading> {
        let mut words = [[0; 8]; 3];
        (&self.file).read_exact(words.as_flattened_mut())?;
        let [counted, enabled_ns, running_ns] = words.map(u64::from_ne_bytes);
        Ok(Reading {
            counted,
            enabled_ns,
            running_ns,
        })
    }
}

/// An event of the calling thread that counts nothing: each switch leaves a record with its time, if it is mapped.
pub(super) fn switches_of_this_thread() -> io::Result<File> {
    const SOFTWARE: u32 = 1;
    const DUMMY: u64 = 9;
    const SAMPLE_TIME: u64 = 1 << 2;
    const SAMPLE_ID_ALL: u64 = 1 << 18;
    const CONTEXT_SWITCH: u64 = 1 << 26;
    let flags = EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | SAMPLE_ID_ALL | CONTEXT_SWITCH;
    let attributes = Attributes {
        kind: SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: DUMMY,
        sample_type: SAMPLE_TIME,
        flags,
        ..Attributes::default()
    };
    open_with(&attributes, 0)
}

fn open(event: Event, tid: u32, flags: u64) -> io::Result<File> {
    let attributes = Attributes {
        kind: event.kind,
        size: size_of::<Attributes>() as u32,
        config: event.config,
        read_format: TOTAL_TIME_ENABLED | TOTAL_TIME_RUNNING,
        flags,
        ..Attributes::default()
    };
    open_with(&attributes, tid)
}

fn open_with(attributes: &Attributes, tid: u32) -> io::Result<File> {
    const CLOEXEC: libc::c_ulong = 1 << 3;
    // SAFETY: the attributes live through the call and tell their size; the rest are integers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attributes),
            tid as libc::pid_t,
            -1,
            -1,
            CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_scaled_by_the_time_they_missed() {
        let of = |counted, enabled_ns, running_ns| {
            Reading {
                counted,
                enabled_ns,
                running_ns,
            }
            .scaled()
        };
        assert_eq!(of(100, 50, 50), Some(100));
        assert_eq!(of(100, 80, 20), Some(400));
        assert_eq!(of(0, 80, 0), None);
        assert_eq!(of(0, 0, 0), Some(0));
    }
}
