//! The types that a kernel or an object says it has (BTF; Documentation/bpf/btf.rst).
//!
//! Reads in place: one index of four bytes a type, whatever the types hold. The bytes may be
//! anybody's: nothing that they say is believed before it is checked, and no walk over them is
//! longer than they are.

mod ext;
mod layout;

pub(crate) use ext::core_relocations;
pub use layout::{Kind, Member, Members, TypeId, Variable, Variables};

use std::borrow::Cow;
use std::ops::Range;

use layout::{Raw, Word as _};

/// Why bytes are no BTF that can be read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// Another magic number.
    #[error("not BTF: it begins with {0:#06x} instead of 0xeb9f")]
    Magic(u16),
    /// Written for a machine of the other byte order.
    #[error("BTF of the other byte order")]
    Foreign,
    /// A version that does not exist yet.
    #[error("BTF version {0}, of which nothing is known")]
    Version(u8),
    /// What should be there lies outside the bytes.
    #[error("BTF cut short or malformed: {what} at byte {at} of {length}")]
    Bounds {
        /// What should be there.
        what: &'static str,
        /// Where it should begin.
        at: usize,
        /// How many bytes there are.
        length: usize,
    },
    /// A kind of type whose length is not known, so that nothing behind it can be read.
    #[error("BTF type {id} is of the unknown kind {kind}")]
    Kind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
}

/// Longest name that is read: the kernel's own symbols have 512 at most (`KSYM_NAME_LEN`), those of
/// Rust can be longer.
pub(crate) const MAX_NAME: usize = 1024;

/// Deepest chain of typedefs, modifiers, arrays and nested structs (`MAX_RESOLVE_DEPTH` is 32).
const MAX_DEPTH: usize = 32;

/// Members looked at while one is sought, through all anonymous structs: the largest struct of
/// Linux 6.18 has some 300.
const MAX_MEMBERS: usize = 1 << 17;

/// Types, indexed.
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    data: Cow<'a, [u8]>,
    strings: Range<usize>,
    /// Where type n + 1 begins in `data`.
    starts: Vec<u32>,
}

impl<'a> Btf<'a> {
    /// Checks and indexes `.BTF`, or `/sys/kernel/btf/vmlinux`: its own bytes or borrowed ones.
    pub fn parse(data: impl Into<Cow<'a, [u8]>>) -> Result<Self, BtfError> {
        let data = data.into();
        let header = layout::Header::parse(&data)?;
        let types = header.range(&data, "types", 4)?;
        let strings = header.range(&data, "strings", 12)?;
        let bounds = |what, at| BtfError::Bounds {
            what,
            at,
            length: data.len(),
        };
        let text = &data[strings.clone()];
        if text.first() != Some(&0) || text.last() != Some(&0) {
            return Err(bounds(
                "strings that begin and end with zero",
                strings.start,
            ));
        }
        let mut starts = Vec::with_capacity(types.len() / Raw::SIZE);
        let mut at = types.start;
        while at < types.end {
            let raw = Raw::at(&data, at).ok_or_else(|| bounds("a type", at))?;
            let length = raw.length().ok_or_else(|| BtfError::Kind {
                id: u32::try_from(starts.len()).map_or(u32::MAX, |id| id.saturating_add(1)),
                kind: raw.kind_number(),
            })?;
            starts.push(u32::try_from(at).map_err(|_| bounds("a type beyond 4 GiB", at))?);
            at += length;
        }
        if at != types.end {
            return Err(bounds("a type that ends with its section", at));
        }
        Ok(Self {
            data,
            strings,
            starts,
        })
    }

    /// How many types there are, void aside.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// All of them but void, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TypeId> {
        (1u32..).take(self.len()).map(TypeId)
    }

    /// The first type of this kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<TypeId> {
        self.ids().find(|id| {
            self.raw(*id)
                .is_some_and(|raw| raw.kind_number() == kind as u32 && self.is(raw.name, name))
        })
    }

    /// The first type of each kind and name, in one pass.
    pub(crate) fn find_all(&self, wanted: &[(Kind, &str)]) -> Vec<Option<TypeId>> {
        let mut found = vec![None; wanted.len()];
        for id in self.ids() {
            let Some(raw) = self.raw(id) else { continue };
            for (at, (kind, name)) in wanted.iter().enumerate() {
                let fits = found[at].is_none() && raw.kind_number() == *kind as u32;
                if fits && self.is(raw.name, name) {
                    found[at] = Some(id);
                }
            }
        }
        found
    }

    /// Its kind; `None` for void and ids that do not exist.
    pub(crate) fn kind(&self, id: TypeId) -> Option<Kind> {
        self.raw(id)?.kind()
    }

    /// Its name; `None` if it has none.
    pub(crate) fn name(&self, id: TypeId) -> Option<&str> {
        self.text(self.raw(id)?.name)
    }

    /// Its size in bytes, through typedefs, modifiers and arrays.
    pub(crate) fn size(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut times) = (id, 1u64);
        for _ in 0..MAX_DEPTH {
            let raw = self.raw(id)?;
            match raw.kind()? {
                Kind::Array => {
                    let (element, count) = self.array(id)?;
                    times = times.checked_mul(u64::from(count))?;
                    id = element;
                }
                Kind::Pointer => return times.checked_mul(8),
                kind if kind.refers() => id = TypeId(raw.size_or_type),
                kind if kind.is_sized() => return times.checked_mul(raw.size_or_type.into()),
                _ => return None,
            }
        }
        None
    }

    /// What is left without typedefs and modifiers: void is 0.
    pub(crate) fn resolve(&self, id: TypeId) -> Option<TypeId> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            if id.0 == 0 {
                return Some(id);
            }
            let raw = self.raw(id)?;
            if !raw.kind()?.refers() {
                return Some(id);
            }
            id = TypeId(raw.size_or_type);
        }
        None
    }

    /// What a pointer, a typedef, a modifier, a variable or a function refers to.
    pub(crate) fn target(&self, id: TypeId) -> Option<TypeId> {
        let raw = self.raw(id)?;
        let kind = raw.kind()?;
        let refers =
            kind.refers() || matches!(kind, Kind::Pointer | Kind::Variable | Kind::Function);
        refers.then_some(TypeId(raw.size_or_type))
    }

    /// An array's element and length.
    pub(crate) fn array(&self, id: TypeId) -> Option<(TypeId, u32)> {
        let (at, raw) = self.located(id)?;
        (raw.kind()? == Kind::Array)
            .then(|| Some((TypeId(self.data.word(at + 12)?), self.data.word(at + 20)?)))?
    }

    /// The members of a struct or union; none of anything else.
    pub(crate) fn members(&self, id: TypeId) -> Members<'_> {
        let located = self.located(id);
        let structs = located.filter(|(_, raw)| raw.kind().is_some_and(Kind::has_members));
        Members::new(&self.data, structs)
    }

    /// The variables of a data section (`.maps`, `.ksyms`); none of anything else.
    pub(crate) fn variables(&self, id: TypeId) -> Variables<'_> {
        let located = self.located(id);
        let sections = located.filter(|(_, raw)| raw.kind() == Some(Kind::DataSection));
        Variables::new(&self.data, sections)
    }

    /// A member's name; `None` if it has none.
    pub(crate) fn member_name(&self, member: &Member) -> Option<&str> {
        self.text(member.name)
    }

    /// The member of a struct or union with this name, also within its anonymous ones.
    /// Offsets are those in the outer type.
    pub(crate) fn member(&self, id: TypeId, name: &str) -> Option<Member> {
        self.search(self.resolve(id)?, name, 0, &mut { MAX_MEMBERS })
    }

    /// How many bytes into `struct NAME` the last of these members lies, each in the one before it;
    /// `None` also for a bitfield that begins within a byte.
    pub fn member_path(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = self.find(Kind::Struct, structure)?;
        let mut bits = 0u32;
        for name in path {
            let member = self.member(id, name)?;
            bits = bits.checked_add(member.bit_offset)?;
            id = member.type_id;
        }
        (bits.is_multiple_of(8)).then_some(bits / 8)
    }

    fn search(&self, id: TypeId, name: &str, depth: usize, left: &mut usize) -> Option<Member> {
        if depth > MAX_DEPTH {
            return None;
        }
        for member in self.members(id) {
            *left = left.checked_sub(1)?;
            if member.name != 0 {
                if self.is(member.name, name) {
                    return Some(member);
                }
                continue;
            }
            let inner = self.resolve(member.type_id)?;
            if let Some(found) = self.search(inner, name, depth + 1, left) {
                let bit_offset = member.bit_offset.checked_add(found.bit_offset)?;
                return Some(Member {
                    bit_offset,
                    ..found
                });
            }
        }
        None
    }

    fn located(&self, id: TypeId) -> Option<(usize, Raw)> {
        let index = usize::try_from(id.0.checked_sub(1)?).ok()?;
        let at = usize::try_from(*self.starts.get(index)?).ok()?;
        Some((at, Raw::at(&self.data, at)?))
    }

    fn raw(&self, id: TypeId) -> Option<Raw> {
        self.located(id).map(|(_, raw)| raw)
    }

    /// The strings from this offset on.
    fn strings_from(&self, offset: u32) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        self.data[self.strings.clone()].get(offset..)
    }

    fn is(&self, offset: u32, name: &str) -> bool {
        let rest = self
            .strings_from(offset)
            .and_then(|text| text.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }

    fn text(&self, offset: u32) -> Option<&str> {
        let bytes = self.strings_from(offset)?;
        let bytes = &bytes[..bytes.len().min(MAX_NAME)];
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&bytes[..end]).ok()?;
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
