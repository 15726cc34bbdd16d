//! `.BTF.ext`: where a program reads fields whose place it learns from the kernel (CO-RE).

use super::layout::{Header, Word as _};
use super::{BtfError, TypeId};

/// An instruction that is changed when the program is loaded (`struct bpf_core_relo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoreRelocation {
    /// Bytes from the start of its section.
    pub(crate) instruction: u32,
    /// The type, in the object's own BTF, that it is about.
    pub(crate) type_id: TypeId,
    /// What is asked (`enum bpf_core_relo_kind`): 0 for a field's offset.
    pub(crate) kind: u32,
}

/// `sizeof(struct bpf_core_relo)`; later ones may be longer.
const RECORD: usize = 16;

/// All of them, section after section.
pub(crate) fn core_relocations(data: &[u8]) -> Result<Vec<CoreRelocation>, BtfError> {
    let header = Header::parse(data)?;
    // Functions, lines, relocations: a pair of words each. clang before 9 wrote the first two.
    if header.length < 32 {
        return Ok(Vec::new());
    }
    let range = header.range(data, "CO-RE relocations", 20)?;
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let (mut at, end) = (range.start, range.end);
    let mut next = || {
        let word = data[..end].word(at).ok_or(BtfError::Bounds {
            what: "a CO-RE relocation",
            at,
            length: end,
        })?;
        at += 4;
        Ok(word)
    };
    let size = next()?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size < RECORD || !size.is_multiple_of(4) {
        return Err(BtfError::Bounds {
            what: "CO-RE relocations of 16 bytes or more",
            at: range.start,
            length: end,
        });
    }
    let mut found = Vec::new();
    let mut left = (range.len() - 4) / 4;
    while left > 0 {
        let (_section, records) = (next()?, next()?);
        for _ in 0..records {
            let (instruction, type_id, _access, kind) = (next()?, next()?, next()?, next()?);
            for _ in RECORD / 4..size / 4 {
                next()?;
            }
            found.push(CoreRelocation {
                instruction,
                type_id: TypeId(type_id),
                kind,
            });
        }
        let words = usize::try_from(records).unwrap_or(usize::MAX);
        left = left.saturating_sub(words.saturating_mul(size / 4).saturating_add(2));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(words: &[u32]) -> Vec<u8> {
        let mut data = vec![0x9f, 0xeb, 1, 0];
        data.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        data
    }

    #[test]
    fn reads_two_sections() {
        let mut words = vec![32, 0, 0, 0, 0, 0, 15 * 4];
        words.extend([16, 1, 1, 8, 5, 0, 0, 2, 2, 24, 6, 0, 2, 32, 7]);
        let cut = blob(&words);
        assert!(matches!(
            core_relocations(&cut),
            Err(BtfError::Bounds { .. })
        ));
        words[6] = 17 * 4;
        words.extend([0, 4]);
        let read = core_relocations(&blob(&words));
        let read = read.map(|all| all.iter().map(|one| (one.type_id.0, one.kind)).collect());
        assert_eq!(read, Ok(vec![(5, 0), (6, 2), (7, 4)]));
    }

    #[test]
    fn none_is_no_error() {
        assert_eq!(core_relocations(&blob(&[24, 0, 0, 0, 0])), Ok(vec![]));
        let empty = [32, 0, 0, 0, 0, 0, 0];
        assert_eq!(core_relocations(&blob(&empty)), Ok(vec![]));
    }

    #[test]
    fn a_count_is_not_believed() {
        let words = [32, 0, 0, 0, 0, 0, 12, 16, 1, u32::MAX];
        assert!(matches!(
            core_relocations(&blob(&words)),
            Err(BtfError::Bounds { .. })
        ));
    }
}
