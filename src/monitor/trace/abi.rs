//! The Rust mirror of `ebpf/trace.h`, held against it by `tests/contract/abi.rs`.

use zerocopy::{FromBytes, IntoBytes};

use crate::bpf::abi::Event;

/// First word of a call.
pub const RECORD_CALL: u64 = 2;
/// Numbers with an entry of their own; those of the 32-bit entry stand behind the others.
pub const CALL_NRS: usize = 512;
/// Most pieces of memory of a call.
pub const CALL_PIECES: usize = 4;
/// Most bytes of one.
pub const CALL_PIECE_BYTES: usize = 1024;
/// A piece begins no later than here.
pub const CALL_DATA_BYTES: usize = 4096;

/// It is to be shown.
pub const SPEC_WANTED: u32 = 1;
/// It never returns.
pub const SPEC_NEVER_RETURNS: u32 = 2;
/// It is told of for what it does to descriptors.
pub const SPEC_SILENT: u32 = 4;

/// Where it succeeds, its arguments are gone.
pub const SPEC_NEW_MEMORY: u32 = 8;

/// Its first piece is a path, and its only one.
pub const SPEC_ONE_PATH: u32 = 16;

/// Up to a NUL.
pub const PIECE_STRING: u8 = 1;
/// As many bytes as are shown at most.
pub const PIECE_BYTES: u8 = 2;
/// As many units as another argument says.
pub const PIECE_BY_ARG: u8 = 3;
/// As many units as the call returned.
pub const PIECE_BY_RESULT: u8 = 4;
/// As many bytes as the int says that another argument points to.
pub const PIECE_BY_INT_AT: u8 = 5;
/// A list of pointers to strings.
pub const PIECE_STRINGS: u8 = 6;

/// It could not be read.
pub const PIECE_FAULT: u8 = 1;
/// There is more.
pub const PIECE_CUT: u8 = 2;
/// It is strings, each with a NUL.
pub const PIECE_LIST: u8 = 4;

/// Came through the 32-bit entry.
pub const CALL_COMPAT: u32 = 1;
/// Its thread ended in it, or it never returns.
pub const CALL_UNFINISHED: u32 = 2;
/// Not to be shown.
pub const CALL_UNSHOWN: u32 = 4;
/// No arguments are reported: the user may not trace its task.
pub const CALL_PRIVATE: u32 = 8;

/// First word of a [`Delivered`] signal.
pub const RECORD_SIGNAL: u64 = 4;

/// `struct denet_piece_spec`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct PieceSpec {
    /// The argument that points to it.
    pub arg: u8,
    /// 1: read when the call has returned.
    pub at_exit: u8,
    /// `PIECE_`; 0: none.
    pub what: u8,
    /// The other argument.
    pub by: u8,
    /// Bytes of a unit.
    pub unit: u16,
    /// Most bytes.
    pub max: u16,
}

/// `struct denet_call_spec`: what is to be told of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct CallSpec {
    /// `SPEC_`; 0: nothing.
    pub flags: u32,
    /// Padding.
    pub _pad: u32,
    /// Up to the first without a kind.
    pub pieces: [PieceSpec; CALL_PIECES],
}

/// `struct denet_call_filter`: which calls are shown, by how they ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct CallFilter {
    /// They took at least that long.
    pub least_ns: u64,
    /// A bit for each of 0 to 255; 0 is success.
    pub errnos: [u64; 4],
    /// 1: `errnos` says.
    pub by_errno: u32,
    /// 1: `path` says.
    pub by_path: u32,
    /// Their path begins like this.
    pub path: [u8; 256],
    /// The bits of `path` that count.
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

/// `struct denet_piece`: stands before each piece.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes)]
pub struct PieceHead {
    /// The argument that points to it.
    pub arg: u8,
    /// 1: read when the call had returned.
    pub at_exit: u8,
    /// `PIECE_FAULT` and so on.
    pub flags: u8,
    /// Padding.
    pub _pad: u8,
    /// Bytes that follow, filled up to eight.
    pub len: u32,
}

/// `struct denet_call`
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct RawCall {
    /// Whose, and when.
    pub head: Event,
    /// Whose it is while it lasts, else 0.
    pub regs: u64,
    /// Registers.
    pub args: [u64; 6],
    /// What it returned.
    pub result: i64,
    /// Its number.
    pub nr: i32,
    /// `CALL_`
    pub flags: u32,
    /// Of `data`.
    pub used: u32,
    /// A bit for each piece that was not in memory at the beginning.
    pub faulted: u32,
    /// Pieces; a record holds those that there are.
    pub data: [u8; CALL_DATA_BYTES + CALL_PIECE_BYTES + 16],
}

/// The kernel handed out the code of a signal.
pub const SIGNAL_CODE: u32 = 1;
/// The kernel handed out all of a signal.
pub const SIGNAL_WHOLE: u32 = 2;

/// `struct denet_signal`: a signal that is delivered.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub struct Delivered {
    /// To whom, and when.
    pub head: Event,
    /// Which.
    pub signal: i32,
    /// Its `si_code`.
    pub code: i32,
    /// The sender's process, where there is one.
    pub sender: u32,
    /// As whom it was sent.
    pub uid: u32,
    /// Of a child that ended.
    pub status: i32,
    /// `SIGNAL_`; 0: no more than its number.
    pub known: u32,
}
