//! What an eBPF object file holds: read from its bytes, not judged, and nothing is loaded.
//!
//! The file may be anybody's. What is read is bounded by the length of the file: counts are held
//! against it before anything is allocated, and code is walked over once.

mod carried;
mod code;
mod elf;
mod error;
mod maps;
mod types;

use serde::{Deserialize, Serialize};

pub(crate) use carried::inspect_file;
pub(crate) use error::ObjectError;

use super::Fact;
use crate::decode::uapi::sections::{Hook, ProgramKind};
use elf::Elf;

/// Width of addresses in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// ELFCLASS32.
    Bits32,
    /// ELFCLASS64: what clang writes and libbpf reads.
    Bits64,
}

/// Byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endianness {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endianness {
    /// That of this machine.
    pub(crate) const HOST: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };
}

/// A section of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// `sh_type`, by name where it has one: PROGBITS, NOBITS, REL; else in hexadecimal.
    pub(crate) kind: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// A helper that code calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelperCall {
    pub(crate) id: u32,
    /// Its name; `Absent` if Linux 6.18 has no such helper.
    pub(crate) name: Fact<String>,
}

/// Instructions that not every kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InstructionSet {
    /// Jumps if less (-mcpu=v2).
    JumpIfLess,
    /// Jumps that compare 32 bits (-mcpu=v3).
    Jump32,
    /// Atomic operations that return the old value, and others than add (-mcpu=v3).
    Atomics,
    /// Signed division and loads, byte swaps, long jumps (-mcpu=v4).
    V4,
}

/// A function's instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// How many, of eight bytes each; without those of the functions that it calls.
    pub(crate) instructions: usize,
    /// The helpers that it calls, by number, each once. Calls of functions of the object or of the
    /// kernel are none.
    pub(crate) helpers: Vec<HelperCall>,
    /// It calls functions of the object or of the kernel.
    pub(crate) calls_functions: bool,
    /// What it holds beyond the first instruction set, each once.
    pub(crate) instruction_sets: Vec<InstructionSet>,
}

/// A program: a function in a section of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The function's name.
    pub(crate) name: String,
    /// Its section.
    pub(crate) section: String,
    /// It is loaded unless the loader is told otherwise: no `?` stands before its section's name.
    pub(crate) autoload: bool,
    /// The type, by libbpf's conventions; `Absent` if they do not know the section.
    pub kind: Fact<ProgramKind>,
    /// Where it hangs, by the same; `Absent` likewise.
    pub(crate) hook: Fact<Hook>,
    /// What it attaches to: the tracepoint, the function; `Absent` if the section does not say.
    pub(crate) target: Fact<String>,
    pub(crate) code: Code,
}

/// A function in `.text`, which programs call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) code: Code,
}

/// How a map is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MapDefinition {
    /// By its type, in `.maps`.
    Btf,
    /// By `struct bpf_map_def`, in `maps`.
    Legacy,
}

/// A map. What its definition does not mention is `Absent`: libbpf takes 0 for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Map {
    pub(crate) name: String,
    /// How it is defined.
    pub(crate) definition: MapDefinition,
    /// `enum bpf_map_type`.
    pub(crate) kind: Fact<u32>,
    /// Bytes of a key.
    pub(crate) key_size: Fact<u32>,
    /// Bytes of a value.
    pub(crate) value_size: Fact<u32>,
    /// Entries; bytes of a ring buffer.
    pub(crate) max_entries: Fact<u32>,
    /// `map_flags`.
    pub(crate) flags: Fact<u32>,
}

/// `.BTF`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Btf {
    /// Bytes.
    pub(crate) size: usize,
    /// How many types it holds, where it can be read.
    pub(crate) types: Fact<usize>,
}

/// CO-RE relocations, of `.BTF.ext`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoreRelocations {
    pub(crate) count: usize,
    /// The kernel types that they name, each once, sorted; those without a name are left out.
    pub(crate) types: Vec<String>,
}

/// A function of the kernel that is called by name (kfunc).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelFunction {
    pub(crate) name: String,
    /// The object can do without it: the symbol is weak.
    pub(crate) optional: bool,
}

/// An object file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// Width of addresses.
    pub(crate) class: Class,
    /// Byte order.
    pub(crate) endianness: Endianness,
    /// `e_machine`: 247, all others are refused.
    pub(crate) machine: u16,
    pub(crate) machine_name: String,
    /// `e_type`, by name: REL, all others are refused.
    pub(crate) object_type: String,
    /// Address of the bytes in memory, modulo 8: ELF structures need 0.
    pub(crate) misaligned_by: u8,
    /// Sections but the first, which is none, in order.
    pub(crate) sections: Vec<Section>,
    /// Programs, by section and place.
    pub(crate) programs: Vec<Program>,
    /// Functions of `.text`, by place.
    pub(crate) functions: Vec<Function>,
    /// Maps, in order of definition; those that hold variables are not among them.
    pub(crate) maps: Vec<Map>,
    /// `license`.
    pub(crate) license: Fact<String>,
    /// `version`, as LINUX_VERSION_CODE: kernels before 5.0 compared it for kprobes.
    pub(crate) kernel_version: Fact<u32>,
    /// `.BTF`.
    pub(crate) btf: Fact<Btf>,
    /// Of `.BTF.ext`; `Absent` without that section.
    pub(crate) core_relocations: Fact<CoreRelocations>,
    /// Functions of the kernel that it calls by name, from `.ksyms`.
    pub(crate) kernel_functions: Fact<Vec<KernelFunction>>,
    /// Sections of variables, which become maps of one entry.
    pub(crate) data: Vec<Section>,
    /// Constants that a loader may set before it loads: global variables in `.rodata`.
    pub(crate) constants: Vec<String>,
}

/// Reads an object.
///
/// # Errors
/// If the bytes are no relocatable ELF file for eBPF, or what they say contradicts itself. What
/// only some of their parts lack is a fact, not an error.
pub fn inspect(bytes: &[u8]) -> Result<ObjectFacts, ObjectError> {
    let elf = Elf::parse(bytes)?;
    let (programs, functions) = code::read(&elf)?;
    let types = types::Types::read(&elf);
    let sections: Vec<Section> = elf.sections.iter().map(elf::Section::describe).collect();
    let holds_variables = |section: &&Section| {
        [".data", ".rodata", ".bss", ".kconfig"].iter().any(|name| {
            let rest = section.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    Ok(ObjectFacts {
        class: elf.class,
        endianness: elf.endianness,
        machine: elf::MACHINE_BPF,
        machine_name: elf::machine_name(elf::MACHINE_BPF).to_owned(),
        object_type: "REL".to_owned(),
        misaligned_by: (bytes.as_ptr().addr() % 8) as u8,
        programs,
        functions,
        maps: maps::read(&elf, &types)?,
        license: license(&elf),
        kernel_version: kernel_version(&elf),
        btf: types.describe(),
        core_relocations: types.core_relocations(&elf),
        kernel_functions: types.kernel_functions(&elf),
        data: sections.iter().filter(holds_variables).cloned().collect(),
        constants: constants(&elf),
        sections,
    })
}

fn constants(elf: &Elf<'_>) -> Vec<String> {
    let is_constant = |symbol: &&elf::Symbol| {
        let section = elf.section_of(symbol);
        let is_rodata = section.is_some_and(|section| section.name.starts_with(".rodata"));
        symbol.is_global && !symbol.is_function && is_rodata
    };
    let constants = elf.symbols.iter().filter(is_constant);
    constants.map(|symbol| symbol.name.clone()).collect()
}

/// Longest license that the kernel copies, with its zero (`bpf_prog_load`, kernel/bpf/syscall.c).
const MAX_LICENSE: usize = 128;

fn license(elf: &Elf<'_>) -> Fact<String> {
    let Some(section) = elf.section("license") else {
        return Fact::Absent;
    };
    let text = &section.data[..section.data.len().min(MAX_LICENSE)];
    let end = text.iter().position(|byte| *byte == 0);
    match end.map(|end| std::str::from_utf8(&text[..end])) {
        Some(Ok(text)) => Fact::Known(text.to_owned()),
        Some(Err(_)) => Fact::Failed("the license is not text".to_owned()),
        None => Fact::Failed("the license does not end within 128 bytes".to_owned()),
    }
}

fn kernel_version(elf: &Elf<'_>) -> Fact<u32> {
    match elf.section("version") {
        None => Fact::Absent,
        Some(section) => elf.word(section.data, 0).map_or_else(
            || Fact::Failed("the section version has no four bytes".to_owned()),
            Fact::Known,
        ),
    }
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
