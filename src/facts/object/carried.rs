//! Objects that a program carries within itself, as loaders in Rust and Go are built.

use goblin::elf::program_header::PT_LOAD;
use goblin::elf::{Elf, header::EM_BPF};

use super::{ObjectError, ObjectFacts, inspect};

/// The object that a file is or, of a program, the first one within it.
///
/// # Errors
/// What [`inspect`] says of the file, if there is none within either.
pub(crate) fn inspect_file(bytes: &[u8]) -> Result<ObjectFacts, ObjectError> {
    let error = match inspect(bytes) {
        Err(error @ (ObjectError::Machine { .. } | ObjectError::NotRelocatable { .. })) => error,
        found => return found,
    };
    let within = (1..bytes.len()).filter(|at| is_object(&bytes[*at..]));
    for at in within {
        if let Ok(mut object) = inspect(&bytes[at..]) {
            object.misaligned_by = (address(bytes, at) % 8) as u8;
            return Ok(object);
        }
    }
    Err(error)
}

/// A 64-bit ELF header for eBPF.
fn is_object(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..20) else {
        return false;
    };
    let machine = [header[18], header[19]];
    let machine = match header[5] {
        1 => u16::from_le_bytes(machine),
        2 => u16::from_be_bytes(machine),
        _ => return false,
    };
    header.starts_with(b"\x7fELF\x02") && machine == EM_BPF
}

/// Where that byte of a program is in memory, as far as alignment goes: programs are loaded at whole
/// pages from where they say.
fn address(bytes: &[u8], at: usize) -> u64 {
    let at = at as u64;
    let Ok(program) = Elf::parse(bytes) else {
        return at;
    };
    let mut loaded = program.program_headers.iter();
    let segment = loaded.find(|it| {
        it.p_type == PT_LOAD && (it.p_offset..it.p_offset.saturating_add(it.p_filesz)).contains(&at)
    });
    segment.map_or(at, |it| it.p_vaddr.wrapping_add(at - it.p_offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::object::samples;

    #[test]
    fn the_object_within_a_program_is_found_with_its_alignment() {
        let object = samples::syscalls().to_vec();
        let program = std::fs::read("/proc/self/exe").unwrap();
        for off in 0..8 {
            let mut bytes = program.clone();
            bytes.resize(bytes.len().next_multiple_of(8) + off, 0);
            let at = bytes.len();
            bytes.extend_from_slice(&object);
            // Of the two, this program may carry denet's own, which come first.
            let within = (at..bytes.len()).find(|at| is_object(&bytes[*at..]));
            assert_eq!(within, Some(at));
            assert_eq!(address(&bytes, at) % 8, off as u64);
        }
        assert!(inspect_file(&object).is_ok());
    }

    #[test]
    fn a_program_without_one_says_what_it_is() {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        header[16] = 2;
        header[18] = 62;
        assert!(matches!(
            inspect_file(&header),
            Err(ObjectError::Machine { machine: 62, .. })
        ));
        assert!(inspect_file(b"").is_err());
    }
}
