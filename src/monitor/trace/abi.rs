//! The Rust mirror of `ebpf/trace.h`. `tests/contract/abi.rs` compares every size and offset with clang's.

use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::abi::Event;

/// First word of a call.
pub const RECORD_CALL: u64 = 2;
/// Syscall numbers with a specification; those of the 32-bit entry follow the native ones.
pub const CALL_NRS: usize = 512;
/// Maximum number of pieces of memory of a call.
pub const CALL_PIECES: usize = 4;
/// Maximum length of a piece.
pub const CALL_PIECE_BYTES: usize = 1024;
/// Largest offset at which a piece begins.
pub const CALL_DATA_BYTES: usize = 4096;

/// The call is to be shown.
pub const SPEC_WANTED: u32 = 1;
/// The call never returns.
pub const SPEC_NEVER_RETURNS: u32 = 2;
/// The call is reported only for its effect on descriptors.
pub const SPEC_SILENT: u32 = 4;

/// If it succeeds, the memory of its arguments is gone.
pub const SPEC_NEW_MEMORY: u32 = 8;

/// Its first piece is its only path.
pub const SPEC_ONE_PATH: u32 = 16;

/// A string up to its NUL.
pub const PIECE_STRING: u8 = 1;
/// A fixed number of bytes.
pub const PIECE_BYTES: u8 = 2;
/// As many units as another argument specifies.
pub const PIECE_BY_ARG: u8 = 3;
/// As many units as the call returned.
pub const PIECE_BY_RESULT: u8 = 4;
/// As many bytes as specified by the int to which another argument points.
pub const PIECE_BY_INT_AT: u8 = 5;
/// A list of pointers to strings.
pub const PIECE_STRINGS: u8 = 6;

/// The piece could not be read.
pub const PIECE_FAULT: u8 = 1;
/// The piece was cut.
pub const PIECE_CUT: u8 = 2;
/// The piece consists of strings, each with a NUL.
pub const PIECE_LIST: u8 = 4;

/// The call came through the 32-bit entry.
pub const CALL_COMPAT: u32 = 1;
/// The thread ended during the call, or it never returns.
pub const CALL_UNFINISHED: u32 = 2;
/// The call is not to be shown.
pub const CALL_UNSHOWN: u32 = 4;
/// No arguments are reported: the user may not trace its task.
pub const CALL_PRIVATE: u32 = 8;
/// The call began before its thread was followed; `start_ns` is when that was.
pub const CALL_EARLIER: u32 = 16;
/// Its arguments are not known: they went with the memory of its caller.
pub const CALL_ARGS_GONE: u32 = 32;

/// First word of a [`Delivered`] signal.
pub const RECORD_SIGNAL: u64 = 4;

/// `struct denet_piece_spec`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct PieceSpec {
    /// The argument that points to it.
    pub arg: u8,
    /// 1: read after the call has returned.
    pub at_exit: u8,
    /// `PIECE_`; 0: none.
    pub what: u8,
    /// Index of the other argument.
    pub by: u8,
    /// Bytes per unit.
    pub unit: u16,
    /// Maximum number of bytes.
    pub max: u16,
}

/// `struct denet_call_spec`: what is to be reported about a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct CallSpec {
    /// `SPEC_`; 0: nothing.
    pub flags: u32,
    /// Padding.
    pub _pad: u32,
    /// The list ends at the first piece without a kind.
    pub pieces: [PieceSpec; CALL_PIECES],
}

/// `struct denet_call_filter`: which calls are shown, by how they ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct CallFilter {
    /// Minimum duration.
    pub least_ns: u64,
    /// A bit for each of 0 to 255; 0 is success.
    pub errnos: [u64; 4],
    /// 1: compare with `errnos`.
    pub by_errno: u32,
    /// 1: compare with `path`.
    pub by_path: u32,
    /// The beginning of the path.
    pub path: [u8; 256],
    /// The bits of `path` that are compared.
    pub path_mask: [u8; 256],
}

impl CallFilter {
    /// Every call is shown.
    pub const NONE: Self = Self {
        least_ns: 0,
        errnos: [0; 4],
        by_errno: 0,
        by_path: 0,
        path: [0; 256],
        path_mask: [0; 256],
    };
}

/// `struct denet_piece`: precedes each piece.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct PieceHead {
    /// The argument that points to it.
    pub arg: u8,
    /// 1: read after the call had returned.
    pub at_exit: u8,
    /// `PIECE_FAULT` and so on.
    pub flags: u8,
    /// Padding.
    pub _pad: u8,
    /// Bytes that follow, padded to a multiple of eight.
    pub len: u32,
}

/// `struct denet_call`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct RawCall {
    /// Which thread, and when.
    pub head: Event,
    /// The identity of the caller while the call lasts, else 0.
    pub regs: u64,
    /// Registers.
    pub args: [u64; 6],
    /// What it returned.
    pub result: i64,
    /// Its number.
    pub nr: i32,
    /// `CALL_`
    pub flags: u32,
    /// Bytes used in `data`.
    pub used: u32,
    /// A bit for each piece that could not be read at the beginning.
    pub faulted: u32,
    /// The pieces; a record ends after the last one.
    pub data: [u8; CALL_DATA_BYTES + CALL_PIECE_BYTES + 16],
}

/// The code of the signal is known.
pub const SIGNAL_CODE: u32 = 1;
/// All fields of the signal are known.
pub const SIGNAL_WHOLE: u32 = 2;

/// `struct denet_signal`: a signal that is delivered.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Delivered {
    /// The receiving thread, and when.
    pub head: Event,
    /// Number of the signal.
    pub signal: i32,
    /// Its `si_code`.
    pub code: i32,
    /// Process id of the sender, if there is one.
    pub sender: u32,
    /// Real user of the sender.
    pub uid: u32,
    /// Exit status or signal of a child, for `SIGCHLD`.
    pub status: i32,
    /// `SIGNAL_`; 0: only the number is known.
    pub known: u32,
}
