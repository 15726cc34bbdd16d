//! Programs and functions, and what their instructions call.

use std::collections::BTreeSet;

use super::elf::{Elf, Section, Symbol};
use super::{Code, Endianness, Function, HelperCall, InstructionSet, ObjectError, Program};
use crate::decode::uapi::{helpers, sections};
use crate::facts::Fact;

const INSTRUCTION: usize = 8;

/// Programs, and the functions of `.text`. Every function elsewhere is a program, as libbpf has it.
pub(super) fn read(elf: &Elf<'_>) -> Result<(Vec<Program>, Vec<Function>), ObjectError> {
    let (mut programs, mut functions) = (Vec::new(), Vec::new());
    let mut found: Vec<(&Section<'_>, &Symbol)> = elf
        .symbols
        .iter()
        .filter(|symbol| symbol.is_function)
        .filter_map(|symbol| Some((elf.section_of(symbol)?, symbol)))
        .filter(|(section, _)| section.is_code)
        .collect();
    found.sort_by_key(|(section, symbol)| (section.index, symbol.offset));
    let mut left = elf.length;
    for (section, symbol) in found {
        let bytes = body(section, symbol)?;
        left = left.checked_sub(bytes.len()).ok_or_else(|| {
            ObjectError::malformed(&symbol.name, "the functions before it lie over each other")
        })?;
        let code = walk(bytes, elf.endianness);
        if section.name == ".text" {
            functions.push(Function {
                name: symbol.name.clone(),
                code,
            });
        } else {
            programs.push(program(section, symbol, code));
        }
    }
    Ok((programs, functions))
}

fn program(section: &Section<'_>, symbol: &Symbol, code: Code) -> Program {
    let rule = sections::rule_of(&section.name);
    let target = rule.and_then(|(_, target)| target);
    Program {
        name: symbol.name.clone(),
        section: section.name.clone(),
        autoload: !section.name.starts_with('?'),
        kind: rule.map_or(Fact::Absent, |(rule, _)| Fact::Known(rule.kind)),
        hook: rule.map_or(Fact::Absent, |(rule, _)| Fact::Known(rule.hook)),
        target: target.map_or(Fact::Absent, |target| Fact::Known(target.to_owned())),
        code,
    }
}

/// The instructions of a function.
fn body<'a>(section: &Section<'a>, symbol: &Symbol) -> Result<&'a [u8], ObjectError> {
    let range = || {
        let start = usize::try_from(symbol.offset).ok()?;
        let end = start.checked_add(usize::try_from(symbol.size).ok()?)?;
        section.data.get(start..end)
    };
    let malformed = |why: String| ObjectError::malformed(&symbol.name, why);
    let bytes = range().ok_or_else(|| {
        malformed(format!(
            "it does not lie within its section {}",
            section.name
        ))
    })?;
    if !bytes.len().is_multiple_of(INSTRUCTION) {
        let why = format!("{} bytes are no whole instructions", bytes.len());
        return Err(malformed(why));
    }
    Ok(bytes)
}

/// Looks at each instruction once (Documentation/bpf/standardization/instruction-set.rst).
fn walk(bytes: &[u8], endianness: Endianness) -> Code {
    const LOAD_64: u8 = 0x18;
    const CALL: u8 = 0x85;
    let mut helpers = BTreeSet::new();
    let mut sets = BTreeSet::new();
    let mut calls_functions = false;
    let mut instructions = bytes.chunks_exact(INSTRUCTION);
    while let Some(bytes) = instructions.next() {
        let instruction = Instruction::of(bytes, endianness);
        match instruction.code {
            // The second half holds the upper word, and no instruction.
            LOAD_64 => drop(instructions.next()),
            CALL if instruction.source == 0 => {
                helpers.insert(instruction.immediate);
            }
            CALL => calls_functions = true,
            _ => sets.extend(instruction.set()),
        }
    }
    let named = |id| HelperCall {
        id,
        name: helpers::helper(id)
            .map_or(Fact::Absent, |helper| Fact::Known(helper.name.to_owned())),
    };
    Code {
        instructions: bytes.len() / INSTRUCTION,
        helpers: helpers.into_iter().map(named).collect(),
        calls_functions,
        instruction_sets: sets.into_iter().collect(),
    }
}

struct Instruction {
    code: u8,
    source: u8,
    offset: u16,
    immediate: u32,
}

impl Instruction {
    fn of(bytes: &[u8], endianness: Endianness) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let (offset, immediate) = ([byte(2), byte(3)], [byte(4), byte(5), byte(6), byte(7)]);
        match endianness {
            Endianness::Little => Self {
                code: byte(0),
                source: byte(1) >> 4,
                offset: u16::from_le_bytes(offset),
                immediate: u32::from_le_bytes(immediate),
            },
            Endianness::Big => Self {
                code: byte(0),
                source: byte(1) & 0xf,
                offset: u16::from_be_bytes(offset),
                immediate: u32::from_be_bytes(immediate),
            },
        }
    }

    /// What a kernel must know besides the first instruction set.
    fn set(&self) -> Option<InstructionSet> {
        const LDX: u8 = 1;
        const STX: u8 = 3;
        const ALU: u8 = 4;
        const JMP: u8 = 5;
        const JMP32: u8 = 6;
        const ALU64: u8 = 7;
        let (class, operation) = (self.code & 7, self.code >> 4);
        let mode = self.code & 0xe0;
        match (class, operation) {
            // JA with a 32-bit distance.
            (JMP32, 0) => Some(InstructionSet::V4),
            (JMP32, _) => Some(InstructionSet::Jump32),
            (JMP, 0xa..=0xd) => Some(InstructionSet::JumpIfLess),
            // MEMSX: loads that extend the sign.
            (LDX, _) if mode == 0x80 => Some(InstructionSet::V4),
            // ATOMIC; add alone is as old as eBPF.
            (STX, _) if mode == 0xc0 && self.immediate != 0 => Some(InstructionSet::Atomics),
            // DIV and MOD, MOV, with an offset: signed.
            (ALU | ALU64, 3 | 9 | 0xb) if self.offset != 0 => Some(InstructionSet::V4),
            // END of 64 bits: an unconditional swap.
            (ALU64, 0xd) => Some(InstructionSet::V4),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(words: &[[u8; 8]]) -> Code {
        walk(&words.concat(), Endianness::Little)
    }

    #[test]
    fn tells_helpers_from_functions() {
        let walked = code(&[
            [0x85, 0, 0, 0, 14, 0, 0, 0],
            [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0x85, 0x20, 0, 0, 99, 0, 0, 0],
            [0x18, 0, 0, 0, 0, 0, 0, 0],
            [0x85, 0, 0, 0, 7, 0, 0, 0], // upper half of the load
            [0x85, 0, 0, 0, 0xe8, 3, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ]);
        let called: Vec<_> = walked.helpers.iter().map(|helper| helper.id).collect();
        assert_eq!((called, walked.calls_functions), (vec![14, 1000], true));
        assert_eq!(walked.helpers[1].name, Fact::Absent);
        assert_eq!((walked.instructions, walked.instruction_sets.len()), (7, 0));
        let big = walk(&[0x85, 1, 0, 0, 0, 0, 0, 14], Endianness::Big);
        assert!(big.calls_functions && big.helpers.is_empty());
        let big = walk(&[0x85, 0, 0, 0, 0, 0, 0, 14], Endianness::Big);
        assert_eq!(big.helpers[0].id, 14);
    }

    #[test]
    fn tells_instruction_sets() {
        let set = |word| code(&[word]).instruction_sets;
        assert_eq!(set([0xdb, 0, 0, 0, 0, 0, 0, 0]), [], "xadd");
        assert_eq!(set([0xdb, 0, 0, 0, 1, 0, 0, 0]), [InstructionSet::Atomics]);
        assert_eq!(set([0x56, 0, 1, 0, 0, 0, 0, 0]), [InstructionSet::Jump32]);
        assert_eq!(set([0x55, 0, 1, 0, 0, 0, 0, 0]), [], "jne");
        assert_eq!(
            set([0xa5, 0, 1, 0, 0, 0, 0, 0]),
            [InstructionSet::JumpIfLess]
        );
        assert_eq!(set([0x06, 0, 0, 0, 0, 1, 0, 0]), [InstructionSet::V4]);
        assert_eq!(set([0xbf, 0x10, 8, 0, 0, 0, 0, 0]), [InstructionSet::V4]);
        assert_eq!(set([0xbf, 0x10, 0, 0, 0, 0, 0, 0]), []);
        assert_eq!(set([0xd7, 0, 0, 0, 64, 0, 0, 0]), [InstructionSet::V4]);
        assert_eq!(set([0xdc, 0, 0, 0, 64, 0, 0, 0]), [], "to big-endian");
        assert_eq!(set([0x81, 0, 0, 0, 0, 0, 0, 0]), [InstructionSet::V4]);
    }
}
