//! `bpf(2)`, command by command.
//!
//! aya's loader always parses the kernel's BTF first (16 to 30 ms) and probes some twenty features. denet's
//! programs need neither, and its refusals have to name the exact command and errno that failed
//! (docs/design.md, "Crates").

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type,
};

/// A `bpf(2)` command that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub struct KernelError {
    /// The command and what it was for, e.g. `BPF_PROG_LOAD denet_count`.
    pub(crate) operation: String,
    /// The error.
    pub(crate) source: io::Error,
    /// The log of the verifier, if there is one.
    pub(crate) log: Option<String>,
}

impl KernelError {
    pub(crate) fn new(operation: impl Into<String>, source: io::Error) -> Self {
        Self {
            operation: operation.into(),
            source,
            log: None,
        }
    }
}

pub(super) fn zeroed() -> bpf_attr {
    // SAFETY: bpf_attr is a union of integers; the kernel demands that unused bytes are zero.
    unsafe { std::mem::zeroed() }
}

pub(super) fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<c_long> {
    // SAFETY: attr is a whole bpf_attr whose pointers the callers keep alive for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            cmd as libc::c_int,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

pub(super) fn bpf_fd(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = bpf(cmd, attr)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just created this descriptor for us, with O_CLOEXEC.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Bytes of verifier log that are fetched after a refusal.
const LOG_BYTES: usize = 1 << 20;

/// The type of a program, which determines its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The tracepoint's arguments as numbers (`raw_tp`).
    Raw,
    /// With the types of the kernel's BTF (`tp_btf`); the id of the tracepoint's `btf_trace_` typedef.
    Typed(u32),
    /// A walk over objects of the kernel (`iter`); the id of the function that names it.
    Iterator(u32),
    /// The record of a perf event (`tp`), which is never preempted; the event's id in tracefs.
    Event(u64),
    /// The registers at the beginning or the end of a kernel function (`kprobe`).
    Function,
    /// At a network interface.
    Xdp,
}

/// The type of a program, by the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramType {
    /// `enum bpf_prog_type`
    pub(crate) number: u32,
    /// `enum bpf_attach_type`
    pub(crate) attach: u32,
    /// The id of the kernel's type that determines the attach point.
    pub(crate) btf_id: u32,
}

impl From<Kind> for ProgramType {
    fn from(kind: Kind) -> Self {
        let of = |kind: bpf_prog_type| Self {
            number: kind as u32,
            ..Self::default()
        };
        match kind {
            Kind::Raw => of(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT),
            Kind::Event(_) => of(bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT),
            Kind::Function => of(bpf_prog_type::BPF_PROG_TYPE_KPROBE),
            Kind::Xdp => Self {
                attach: bpf_attach_type::BPF_XDP as u32,
                ..of(bpf_prog_type::BPF_PROG_TYPE_XDP)
            },
            Kind::Iterator(function) => Self {
                attach: bpf_attach_type::BPF_TRACE_ITER as u32,
                btf_id: function,
                ..of(bpf_prog_type::BPF_PROG_TYPE_TRACING)
            },
            Kind::Typed(typedef) => Self {
                attach: bpf_attach_type::BPF_TRACE_RAW_TP as u32,
                btf_id: typedef,
                ..of(bpf_prog_type::BPF_PROG_TYPE_TRACING)
            },
        }
    }
}

/// Loads a program; if the kernel refuses, once more for the log of the verifier.
pub(crate) fn load_program(
    name: &str,
    kind: impl Into<ProgramType>,
    license: &CStr,
    instructions: &[bpf_insn],
) -> Result<OwnedFd, KernelError> {
    let kind = kind.into();
    let load = |log: &mut [u8]| {
        let mut attr = zeroed();
        // SAFETY: writing plain fields of the union's program-load variant.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.prog_type = kind.number;
        load.expected_attach_type = kind.attach;
        load.attach_btf_id = kind.btf_id;
        load.insn_cnt = instructions.len() as u32;
        load.insns = instructions.as_ptr() as u64;
        load.license = license.as_ptr() as u64;
        set_name(&mut load.prog_name, name);
        if !log.is_empty() {
            load.log_level = 1;
            load.log_size = log.len() as u32;
            load.log_buf = log.as_mut_ptr() as u64;
        }
        loop {
            match bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) {
                // The verifier stops for a pending signal; the signal itself is handled elsewhere.
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                result => return result,
            }
        }
    };
    load(&mut []).map_err(|source| {
        let mut error = KernelError::new(format!("BPF_PROG_LOAD {name}"), source);
        let mut log = vec![0; LOG_BYTES];
        if load(&mut log).is_err() {
            let text = CStr::from_bytes_until_nul(&log).unwrap_or_default();
            error.log =
                Some(text.to_string_lossy().trim().to_owned()).filter(|log| !log.is_empty());
        }
        error
    })
}

fn set_name(to: &mut [libc::c_char; 16], name: &str) {
    for (to, from) in to.iter_mut().zip(name.bytes().take(15)) {
        *to = from as libc::c_char;
    }
}

/// The properties of a new map.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape<'a> {
    /// `enum bpf_map_type`
    pub(crate) number: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
    /// Loaded types, with the ids of the types of key and value.
    pub(crate) types: Option<(BorrowedFd<'a>, u32, u32)>,
}

/// Creates a map.
pub(crate) fn create_map(name: &str, shape: &Shape<'_>) -> Result<OwnedFd, KernelError> {
    let mut attr = zeroed();
    // SAFETY: writing plain fields of the union's map-create variant.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = shape.number;
    create.key_size = shape.key_bytes;
    create.value_size = shape.value_bytes;
    create.max_entries = shape.max_entries;
    create.map_flags = shape.flags;
    set_name(&mut create.map_name, name);
    if let Some((types, key, value)) = shape.types {
        create.btf_fd = types.as_raw_fd() as u32;
        create.btf_key_type_id = key;
        create.btf_value_type_id = value;
    }
    bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr)
        .map_err(|source| KernelError::new(format!("BPF_MAP_CREATE {name}"), source))
}

/// Loads type information.
pub(crate) fn load_btf(types: &[u8]) -> Result<OwnedFd, KernelError> {
    let mut attr = zeroed();
    // SAFETY: writing plain fields of the union's BTF variant.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = types.as_ptr() as u64;
    load.btf_size = types.len() as u32;
    bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attr)
        .map_err(|source| KernelError::new("BPF_BTF_LOAD", source))
}

/// Attaches a program to a raw tracepoint; the name is omitted if the type of the program determines it. The link
/// lasts as long as the descriptor.
pub(crate) fn open_raw_tracepoint(
    program: BorrowedFd<'_>,
    tracepoint: Option<&CStr>,
) -> Result<OwnedFd, KernelError> {
    let mut attr = zeroed();
    attr.raw_tracepoint.name = tracepoint.map_or(0, |name| name.as_ptr() as u64);
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    bpf_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr).map_err(|source| {
        let name = tracepoint.map_or("tp_btf".into(), CStr::to_string_lossy);
        KernelError::new(format!("BPF_RAW_TRACEPOINT_OPEN {name}"), source)
    })
}

/// Attaches an XDP program to a network interface for as long as the link is open; `flags` are `XDP_FLAGS_`,
/// including the mode.
///
/// # Errors
/// EINVAL before Linux 5.9, EBUSY or EEXIST if there is another program, EOPNOTSUPP for a mode that the
/// driver does not support (`bpf_xdp_link_attach`, net/core/dev.c).
pub(crate) fn link_xdp(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: u32,
) -> Result<OwnedFd, KernelError> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_ifindex = interface;
    attr.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.link_create.flags = flags;
    bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
        .map_err(|source| KernelError::new("BPF_LINK_CREATE BPF_XDP", source))
}

/// Detaches a program, even if other processes have the link open.
///
/// # Errors
/// The error of `bpf_xdp_link_detach` (Linux 5.9).
pub(crate) fn detach(link: &OwnedFd) -> Result<(), KernelError> {
    let mut attr = zeroed();
    attr.link_detach.link_fd = link.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr)
        .map(drop)
        .map_err(|source| KernelError::new("BPF_LINK_DETACH", source))
}

/// Attaches a walk, which each call of [`walk`] performs once.
///
/// # Errors
/// The error of `bpf_link_create`: EINVAL before Linux 5.8.
pub(crate) fn link_iterator(program: BorrowedFd<'_>) -> Result<OwnedFd, KernelError> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr)
        .map_err(|source| KernelError::new("BPF_LINK_CREATE BPF_TRACE_ITER", source))
}

/// Walks once, from the first object to the last.
///
/// # Errors
/// The error of `BPF_ITER_CREATE` or of reading.
pub(crate) fn walk(link: BorrowedFd<'_>) -> Result<(), KernelError> {
    let failed = |source| KernelError::new("BPF_ITER_CREATE", source);
    let mut attr = zeroed();
    attr.iter_create.link_fd = link.as_raw_fd() as u32;
    let walk = bpf_fd(bpf_cmd::BPF_ITER_CREATE, &mut attr).map_err(failed)?;
    // The programs write nothing: the first read walks to the end.
    io::copy(&mut std::fs::File::from(walk), &mut io::sink()).map_err(failed)?;
    Ok(())
}

/// Runs a raw tracepoint program once, in the calling task. Async-signal-safe.
pub(crate) fn run_raw_tracepoint(program: BorrowedFd<'_>, context: &[u64]) -> io::Result<()> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    attr.test.ctx_in = context.as_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(context) as u32;
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr).map(drop)
}

/// Reads a map's value. Async-signal-safe.
pub(crate) fn look_up<T: Copy>(map: RawFd, key: &u32, value: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: writing plain fields of the union's map-element variant.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map as u32;
    element.key = std::ptr::from_ref(key) as u64;
    element.__bindgen_anon_1.value = std::ptr::from_mut(value) as u64;
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr).map(drop)
}

/// Closes a forked child's copy of a descriptor that the parent owns. Async-signal-safe.
pub(crate) fn close_copy(fd: RawFd) -> io::Result<()> {
    // SAFETY: only called in a child that executes or exits and so never drops the owner's copy.
    match unsafe { libc::close(fd) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How often the kernel skipped a program because another ran on the same CPU (≥ 5.12, else 0).
pub(crate) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: bpf_prog_info consists of integers; no buffers are requested.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info.recursion_misses)
}

/// Fills a one-entry array, such as the one behind `.rodata`.
pub(crate) fn fill_array(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let index = 0_u32;
    let mut attr = zeroed();
    // SAFETY: writing plain fields of the union's map-element variant.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = std::ptr::from_ref(&index) as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Makes a map read-only for user space, so that the verifier treats its values as constants.
pub(crate) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
}
