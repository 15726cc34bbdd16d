//! `perf_event_open(2)` (kernel/events/core.c).

use libc::{EACCES, EINVAL, ENOENT, ENOSYS, EPERM};

use super::operation::{Event, PerfEvent, Symbol};
use super::{Check, Checked, Conditions, Distribution, require};
use crate::facts::kernel::Lockdown;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

const FUNCTION: &str = "perf_event_open";

pub(super) fn open(event: PerfEvent, c: &Conditions) -> Checked {
    if let Some(errno) = c.seccomp.perf_event_open {
        require(false, errno, "__seccomp_filter", Check::Seccomp)?;
    }
    let check = Check::Config("CONFIG_PERF_EVENTS");
    require(c.built.perf_events, ENOSYS, "sys_ni_syscall", check)?;
    if let Some((level, caps)) = distribution_level(c) {
        let open = c.perf_event_paranoid < level || c.any_of(caps);
        let check = Check::DistributionParanoid(level, caps);
        require(open, EACCES, FUNCTION, check)?;
    }
    if let Some(errno) = c.security_modules.perf_event_open {
        require(
            false,
            errno,
            "security_perf_event_open",
            Check::SecurityModule,
        )?;
    }
    if event.kernel {
        below(2, EACCES, "perf_allow_kernel", c)?;
    }
    // perf_event_alloc: pmu->event_init
    match event.event {
        Event::SoftwareClock => {}
        Event::Tracepoint => tracepoint(event, c)?,
        Event::Kprobe(symbol) => kprobe(symbol, c)?,
    }
    // find_get_context
    if event.everywhere {
        below(1, EACCES, "perf_allow_cpu", c)?;
    }
    Ok(())
}

/// Refuses from this level of `perf_event_paranoid` on.
fn below(level: i32, errno: i32, function: &'static str, c: &Conditions) -> Checked {
    let open = c.perf_event_paranoid < level || c.any_of(c.perfmon());
    require(open, errno, function, Check::Paranoid(level, c.perfmon()))
}

/// `perf_paranoid_any`, of the patch "security,perf: Allow further restriction of perf_event_open":
/// the level at which it begins, and who is let through.
fn distribution_level(c: &Conditions) -> Option<(i32, &'static [Cap])> {
    const SYS_ADMIN: &[Cap] = &[Cap::SysAdmin];
    match c.distribution {
        Distribution::Mainline => None,
        Distribution::Debian => Some((3, SYS_ADMIN)),
        Distribution::Ubuntu(_) if !c.since(Release(5, 5)) => Some((3, SYS_ADMIN)),
        Distribution::Ubuntu(number) if takes_perfmon(number, c) => Some((4, c.perfmon())),
        Distribution::Ubuntu(_) => Some((4, SYS_ADMIN)),
    }
}

/// Ubuntu's patch lets CAP_PERFMON through since the end of 2025 (Launchpad #2131046). These are the
/// oldest kernels known to have that; some older ones of these series may.
fn takes_perfmon(number: u32, c: &Conditions) -> bool {
    match (c.version.0, c.version.1) {
        (5, 15) => number >= 203,
        (6, 8) => number >= 149,
        _ => c.since(Release(7, 0)),
    }
}

/// `perf_trace_init`.
fn tracepoint(event: PerfEvent, c: &Conditions) -> Checked {
    // tracefs is empty and tells no number, and this is what any other gets.
    let nameless = c.lockdown.at_boot && c.locked_down(Lockdown::Confidentiality);
    let check = Check::Lockdown(Lockdown::Confidentiality);
    require(!nameless, EINVAL, "perf_trace_init", check)?;
    // paranoid > -1, whoever's event it is
    if event.raw {
        below(0, EPERM, "perf_trace_event_perm", c)?;
    }
    Ok(())
}

/// `perf_kprobe_event_init`: whatever `perf_event_paranoid` says.
fn kprobe(symbol: Symbol, c: &Conditions) -> Checked {
    let since = Release(4, 17);
    require(
        c.since(since),
        ENOENT,
        "perf_init_event",
        Check::Since(since),
    )?;
    let check = Check::Config("CONFIG_KPROBE_EVENTS");
    require(c.built.kprobe_events, ENOENT, "perf_init_event", check)?;
    let held = c.any_of(c.perfmon());
    let check = Check::Capability(c.perfmon());
    require(held, EACCES, "perf_kprobe_event_init", check)?;
    register_kprobe(symbol, c)
}

/// However the probe is asked for, by the PMU or in `kprobe_events`.
pub(super) fn register_kprobe(symbol: Symbol, c: &Conditions) -> Checked {
    let level = Lockdown::Confidentiality;
    let locked = c.locked_down(level);
    require(
        !locked,
        EPERM,
        "__register_trace_kprobe",
        Check::Lockdown(level),
    )?;
    let level = Lockdown::Integrity;
    let locked = c.locked_down_by_patch();
    require(!locked, EPERM, "register_kprobe", Check::Lockdown(level))?;
    let present = symbol != Symbol::Absent;
    require(present, ENOENT, "kprobe_addr", Check::Present("function"))?;
    let free = symbol != Symbol::Blacklisted;
    require(free, EINVAL, "check_kprobe_address_safe", Check::Probeable)
}
