//! The commands of `bpf(2)` that make, read and find objects (kernel/bpf/syscall.c).

use libc::{E2BIG, EACCES, EINVAL, ENOENT, ENOSYS, EPERM};

use super::files::permitted;
use super::operation::Program;
use super::{
    Because, Check, Checked, Conditions, Outcome, Prediction, Version, require, require_capability,
};
use crate::decode::uapi::helpers;
use crate::decode::uapi::maps::MapType;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::kernel::Lockdown;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

const PAGE: u64 = 4096;

/// Up to 5.18 every command asks for `unprivileged_bpf_disabled`, since then those that make objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Creates,
    Other,
}

/// What stands before every command: `__sys_bpf`.
pub(super) fn enter(command: Command, c: &Conditions) -> Checked {
    if let Some(errno) = c.seccomp.bpf {
        require(false, errno, "__seccomp_filter", Check::Seccomp)?;
    }
    let built = c.built.bpf_syscall;
    require(
        built,
        ENOSYS,
        "sys_ni_syscall",
        Check::Config("CONFIG_BPF_SYSCALL"),
    )?;
    // "bpf: Restrict kernel image access functions when the kernel is locked down"
    let locked = c.locked_down_by_patch();
    require(
        !locked,
        EPERM,
        "__sys_bpf",
        Check::Lockdown(Lockdown::Integrity),
    )?;
    let asks = match command {
        Command::Creates => !c.since(Release(6, 5)),
        Command::Other => !c.since(Release(5, 19)),
    };
    if asks {
        unprivileged("__sys_bpf", c)?;
    }
    match c.security_modules.bpf {
        Some(errno) => require(false, errno, "security_bpf", Check::SecurityModule),
        None => Ok(()),
    }
}

fn unprivileged(function: &'static str, c: &Conditions) -> Checked {
    let open = c.unprivileged_bpf_disabled == 0 || c.any_of(c.bpf());
    require(open, EPERM, function, Check::UnprivilegedBpf(c.bpf()))
}

/// Types whose `map_alloc` never asked for a capability; from 6.5 on the list is in `map_create`.
const FREE_MAPS: &[&str] = &[
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "cgroup_array",
    "array_of_maps",
    "hash_of_maps",
    "cgroup_storage",
    "percpu_cgroup_storage",
    "ringbuf",
    "user_ringbuf",
];

/// `map_create`, then `map_alloc_check` and `map_alloc` of the type.
pub(super) fn map_create(map: MapType, bytes: u64, c: &Conditions) -> Checked {
    enter(Command::Creates, c)?;
    let known = c.since(map.since);
    require(known, EINVAL, "find_and_alloc_map", Check::Since(map.since))?;
    let asks = if c.since(Release(6, 5)) {
        unprivileged("map_create", c)?;
        "map_create"
    } else {
        "map_alloc"
    };
    if map.net_admin {
        require_capability(c.net_admin(), EPERM, asks, c)?;
    } else if !FREE_MAPS.contains(&map.name) {
        require_capability(c.bpf(), EPERM, asks, c)?;
    }
    charge(bytes, c)
}

/// Before 5.11 memory of maps and programs is charged to the user, who may be root
/// (`bpf_charge_memlock`). The header of the object comes on top of the bytes.
fn charge(bytes: u64, c: &Conditions) -> Checked {
    let needed = (bytes / PAGE + 1).saturating_mul(PAGE);
    let fits = c.since(Release(5, 11)) || needed <= c.memlock;
    let limit = c.memlock;
    require(
        fits,
        EPERM,
        "bpf_charge_memlock",
        Check::Memlock { needed, limit },
    )
}

pub(super) fn map_lookup(c: &Conditions) -> Checked {
    enter(Command::Other, c)
}

pub(super) fn btf_load(c: &Conditions) -> Checked {
    enter(Command::Other, c)?;
    let since = Release(4, 18);
    require(c.since(since), EINVAL, "__sys_bpf", Check::Since(since))?;
    require_capability(c.bpf(), EPERM, "bpf_btf_load", c)
}

/// `BPF_MAXINSNS`, and `BPF_COMPLEXITY_LIMIT_INSNS`.
const SHORT: u32 = 4096;
const LONG: u32 = 1_000_000;

/// `bpf_prog_load`, then the verifier.
pub(super) fn prog_load(program: Program, c: &Conditions) -> Checked {
    const FUNCTION: &str = "bpf_prog_load";
    enter(Command::Creates, c)?;
    if c.since(Release(6, 5)) {
        unprivileged(FUNCTION, c)?;
    }
    let long = c.since(Release(5, 2)) && c.any_of(c.bpf());
    let most = if long { LONG } else { SHORT };
    let short = program.instructions <= most;
    require(short, E2BIG, FUNCTION, Check::Instructions(most))?;
    let kind = program.kind;
    if !matches!(kind, ProgramKind::SocketFilter | ProgramKind::CgroupSkb) {
        require_capability(c.bpf(), EPERM, FUNCTION, c)?;
    }
    // Both lists came with 5.8. Before, there is CAP_SYS_ADMIN by now, which satisfies them.
    if kind.needs_net_admin() {
        require_capability(&[Cap::NetAdmin, Cap::SysAdmin], EPERM, FUNCTION, c)?;
    }
    if kind.needs_perfmon() {
        require_capability(c.perfmon(), EPERM, FUNCTION, c)?;
    }
    // bpf_prog_charge_memlock
    charge(u64::from(program.instructions) * 8, c)?;
    if let Some(since) = kind.since() {
        require(
            c.since(since),
            EINVAL,
            "find_prog_type",
            Check::Since(since),
        )?;
    }
    if kind.needs_perfmon() {
        let check = Check::Config("CONFIG_BPF_EVENTS");
        require(c.built.bpf_events, EINVAL, "find_prog_type", check)?;
    }
    if kind == ProgramKind::Tracing {
        let check = Check::Config("CONFIG_DEBUG_INFO_BTF");
        require(c.kernel_btf, EINVAL, "bpf_get_btf_vmlinux", check)?;
    }
    if let Some(helper) = program.calls {
        call(helper, c)?;
    }
    require(program.valid, EACCES, "bpf_check", Check::Verifier)
}

/// probe_read, probe_read_str, probe_read_kernel, probe_read_kernel_str.
const READS: &[u32] = &[4, 45, 113, 115];
const PROBE_WRITE_USER: u32 = 36;

/// Does a program of tracing get that helper? (`check_helper_call`, `bpf_tracing_func_proto`)
fn call(helper: u32, c: &Conditions) -> Checked {
    let since = helpers::helper(helper).map(|helper| helper.since);
    if let Some(since) = since {
        require(
            c.since(since),
            EINVAL,
            "check_helper_call",
            Check::Since(since),
        )?;
    } else {
        require(false, EINVAL, "check_helper_call", Check::Present("helper"))?;
    }
    if READS.contains(&helper) {
        // ff40e51043af. Before, the helper is there and reads zeroes.
        let asked = c.has_change(Release(5, 13), &[Version(5, 10, 44), Version(5, 12, 11)]);
        let locked = asked && c.locked_down(Lockdown::Confidentiality);
        let check = Check::Lockdown(Lockdown::Confidentiality);
        require(!locked, EINVAL, "bpf_tracing_func_proto", check)?;
    }
    if helper == PROBE_WRITE_USER {
        // 51e1bb9eeaf7
        let asked = c.has_change(Release(5, 14), &[Version(5, 10, 59), Version(5, 13, 11)]);
        let locked = asked && c.locked_down(Lockdown::Integrity);
        let check = Check::Lockdown(Lockdown::Integrity);
        require(!locked, EINVAL, "bpf_tracing_func_proto", check)?;
        require_capability(&[Cap::SysAdmin], EINVAL, "bpf_get_probe_write_proto", c)?;
    }
    if helpers::reads_the_kernel(helper) {
        require_capability(c.perfmon(), EINVAL, "bpf_base_func_proto", c)?;
    }
    Ok(())
}

/// Who may not see them gets a length of 0.
pub(super) fn read_instructions(c: &Conditions) -> Checked {
    enter(Command::Other, c)?;
    if c.any_of(c.bpf()) {
        return Ok(());
    }
    Err(Prediction {
        outcome: Outcome::Zeroes,
        because: Because {
            function: "bpf_prog_get_info_by_fd",
            check: Check::Capability(c.bpf()),
        },
    })
}

pub(super) fn next_id(exists: bool, c: &Conditions) -> Checked {
    const FUNCTION: &str = "bpf_obj_get_next_id";
    enter(Command::Other, c)?;
    require_capability(&[Cap::SysAdmin], EPERM, FUNCTION, c)?;
    require(exists, ENOENT, FUNCTION, Check::Present("object"))
}

pub(super) fn pin(c: &Conditions) -> Checked {
    enter(Command::Other, c)?;
    let Some(root) = c.bpffs else {
        return require(false, EPERM, "bpf_obj_do_pin", Check::Present("bpffs"));
    };
    let writable = permitted(root, 0o3, true, c);
    require(
        writable,
        EACCES,
        "inode_permission",
        Check::Permission("bpffs"),
    )
}
