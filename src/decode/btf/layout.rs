//! How BTF lies in memory (include/uapi/linux/btf.h).

use std::ops::Range;

use super::BtfError;

/// The number of a type; 0 is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// What a type is (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "named as the kernel names them")]
pub enum Kind {
    Integer = 1,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Function,
    Prototype,
    Variable,
    DataSection,
    Float,
    DeclarationTag,
    TypeTag,
    Enum64,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Integer,
        Self::Pointer,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Forward,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Function,
        Self::Prototype,
        Self::Variable,
        Self::DataSection,
        Self::Float,
        Self::DeclarationTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    /// Another name for a type, or a modifier of it.
    pub(super) fn refers(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    pub(super) fn has_members(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Says its size itself.
    pub(super) fn is_sized(self) -> bool {
        self.has_members()
            || matches!(
                self,
                Self::Integer | Self::Enum | Self::Enum64 | Self::Float | Self::DataSection
            )
    }

    /// Bytes behind `struct btf_type`, by the count that it holds.
    #[inline]
    fn trailer(self, count: usize) -> usize {
        match self {
            Self::Integer | Self::Variable | Self::DeclarationTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::DataSection | Self::Enum64 => 12 * count,
            Self::Enum | Self::Prototype => 8 * count,
            _ => 0,
        }
    }
}

/// Unaligned words at any place.
pub(super) trait Word {
    fn word(&self, at: usize) -> Option<u32>;
}

impl Word for [u8] {
    #[inline]
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.get(at..at.checked_add(4)?)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    }
}

/// `struct btf_header`, and the beginning of `struct btf_ext_header`.
pub(super) struct Header {
    pub(super) length: usize,
}

impl Header {
    const MAGIC: u16 = 0xeb9f;

    pub(super) fn parse(data: &[u8]) -> Result<Self, BtfError> {
        let bounds = |what| BtfError::Bounds {
            what,
            at: 0,
            length: data.len(),
        };
        let first = data.word(0).ok_or(bounds("the header"))?.to_ne_bytes();
        let magic = u16::from_ne_bytes([first[0], first[1]]);
        if magic == Self::MAGIC.swap_bytes() {
            return Err(BtfError::Foreign);
        }
        if magic != Self::MAGIC {
            return Err(BtfError::Magic(magic));
        }
        if first[2] != 1 {
            return Err(BtfError::Version(first[2]));
        }
        let length = data.word(4).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(bounds("the header"))?;
        // Two pairs of offset and length, at the least.
        if !(24..=data.len()).contains(&length) {
            return Err(bounds("the header"));
        }
        Ok(Self { length })
    }

    /// The part whose offset from the header's end, and length, stand this many bytes behind the
    /// header's own length.
    pub(super) fn range(
        &self,
        data: &[u8],
        what: &'static str,
        field: usize,
    ) -> Result<Range<usize>, BtfError> {
        let word = |at| data.word(at).and_then(|word| usize::try_from(word).ok());
        let read = || {
            let start = self.length.checked_add(word(4 + field)?)?;
            let end = start.checked_add(word(8 + field)?)?;
            (end <= data.len()).then_some(start..end)
        };
        read().ok_or(BtfError::Bounds {
            what,
            at: self.length,
            length: data.len(),
        })
    }
}

/// `struct btf_type`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) name: u32,
    info: u32,
    pub(super) size_or_type: u32,
}

impl Raw {
    pub(super) const SIZE: usize = 12;

    #[inline]
    pub(super) fn at(data: &[u8], at: usize) -> Option<Self> {
        Some(Self {
            name: data.word(at)?,
            info: data.word(at + 4)?,
            size_or_type: data.word(at + 8)?,
        })
    }

    #[inline]
    pub(super) fn kind_number(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    #[inline]
    pub(super) fn kind(self) -> Option<Kind> {
        let index = usize::try_from(self.kind_number().checked_sub(1)?).ok()?;
        Kind::ALL.get(index).copied()
    }

    #[inline]
    fn count(self) -> usize {
        usize::from((self.info & 0xffff) as u16)
    }

    fn has_bitfields(self) -> bool {
        self.info >> 31 != 0
    }

    /// With what follows it.
    #[inline]
    pub(super) fn length(self) -> Option<usize> {
        Some(Self::SIZE + self.kind()?.trailer(self.count()))
    }
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub(super) name: u32,
    pub(crate) type_id: TypeId,
    /// Where it begins.
    pub(crate) bit_offset: u32,
    /// The width of a bitfield; 0 for other members.
    pub(crate) bit_size: u32,
}

/// Members, in order.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    data: &'a [u8],
    at: usize,
    left: usize,
    bitfields: bool,
}

impl<'a> Members<'a> {
    pub(super) fn new(data: &'a [u8], located: Option<(usize, Raw)>) -> Self {
        Self {
            data,
            at: located.map_or(0, |(at, _)| at + Raw::SIZE),
            left: located.map_or(0, |(_, raw)| raw.count()),
            bitfields: located.is_some_and(|(_, raw)| raw.has_bitfields()),
        }
    }
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        self.at += 12;
        let offset = self.data.word(at + 8)?;
        let (bit_offset, bit_size) = if self.bitfields {
            (offset & 0x00ff_ffff, offset >> 24)
        } else {
            (offset, 0)
        };
        Some(Member {
            name: self.data.word(at)?,
            type_id: TypeId(self.data.word(at + 4)?),
            bit_offset,
            bit_size,
        })
    }
}

/// What lies in a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// A `Kind::Variable`, or a `Kind::Function` in `.ksyms`.
    pub(crate) type_id: TypeId,
    /// Bytes from the section's start; 0 in objects that are not linked.
    pub(crate) offset: u32,
    /// Bytes.
    pub(crate) size: u32,
}

/// Variables, in order.
#[derive(Clone, Debug)]
pub struct Variables<'a> {
    data: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Variables<'a> {
    pub(super) fn new(data: &'a [u8], located: Option<(usize, Raw)>) -> Self {
        Self {
            data,
            at: located.map_or(0, |(at, _)| at + Raw::SIZE),
            left: located.map_or(0, |(_, raw)| raw.count()),
        }
    }
}

impl Iterator for Variables<'_> {
    type Item = Variable;

    fn next(&mut self) -> Option<Variable> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        self.at += 12;
        Some(Variable {
            type_id: TypeId(self.data.word(at)?),
            offset: self.data.word(at + 4)?,
            size: self.data.word(at + 8)?,
        })
    }
}
