//! One call as the kernel saw it: registers, result, and what was captured of memory.

use crate::decode::syscalls::Abi;

/// On which side of the call memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the kernel acts: what the caller gives.
    Enter,
    /// After it: what the kernel answers.
    Exit,
}

/// How much is read behind a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Up to and without a NUL.
    String,
    /// That many bytes.
    Bytes(u16),
    /// As many items as the argument at `arg` says, of `unit` bytes each.
    BytesByArg {
        /// Index of the argument that counts.
        arg: u8,
        /// Bytes of one item.
        unit: u16,
    },
    /// As many items as the call returned, of `unit` bytes each.
    BytesByResult {
        /// Bytes of one item.
        unit: u16,
    },
    /// As many bytes as the 32-bit number says that this other argument points at.
    BytesByIntAt {
        /// Index of the pointer to the length.
        arg: u8,
    },
    /// An array of string pointers, up to the NULL: `argv`.
    Strings,
}

/// One read of the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    /// Index of the argument that is the pointer.
    pub(crate) arg: u8,
    /// On which side of the call. At [`When::Exit`] it is worth reading only if the call succeeded,
    /// or failed with EINTR or one of the restarts: what is left of a sleep is told then.
    pub(crate) when: When,
    /// How much.
    pub(crate) what: What,
    /// As much as is shown of a buffer is enough; anything else is understood only whole.
    pub(crate) is_buffer: bool,
}

/// What came of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PieceData<'a> {
    /// The pointer could not be read, or not all that was to be read.
    Fault,
    /// Bytes, of a string without its NUL.
    Bytes {
        data: &'a [u8],
        /// Nothing was cut off.
        whole: bool,
    },
    /// Strings of an array.
    Strings {
        /// In order, without their NULs; each may itself be cut at the capture's bound.
        list: Vec<&'a [u8]>,
        /// There were more.
        more: bool,
    },
}

/// One captured argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Index of the argument.
    pub(crate) arg: u8,
    /// On which side of the call.
    pub(crate) when: When,
    pub(crate) data: PieceData<'a>,
}

/// A call, entered and perhaps returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// Through which entry it came.
    pub(crate) abi: Abi,
    /// Its number there: any value at all.
    pub(crate) nr: i32,
    /// Registers, as wide as the machine's.
    pub(crate) args: [u64; 6],
    /// What it returned, a negative errno where it failed; `None` while it lasts, or where it never
    /// returns.
    pub(crate) result: Option<i64>,
    /// What was captured, in any order.
    pub(crate) pieces: &'a [Piece<'a>],
}

impl Call<'_> {
    /// Name of the call, `syscall_9999` where no table has it.
    pub(crate) fn name(&self) -> String {
        let (abi, nr) = (self.abi, self.nr);
        crate::decode::syscalls::Call { abi, nr }.describe().0
    }

    /// It returned, and no error.
    pub(crate) fn succeeded(&self) -> bool {
        self.result.is_some_and(|result| !is_error(result))
    }
}

/// Whether a result is a negative errno: the kernel's own `IS_ERR_VALUE`, so that addresses of
/// mappings are none.
pub(crate) fn is_error(result: i64) -> bool {
    (-4095..0).contains(&result)
}
