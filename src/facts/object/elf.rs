//! The ELF file around the programs: header, sections, symbols.

use std::collections::BTreeSet;

use goblin::container::{Container, Ctx};
use goblin::elf::header::{self, Header};
use goblin::elf::section_header::{self, SectionHeader};
use goblin::elf::sym::{self, Sym};
use goblin::elf64;

use super::error::looks_like;
use super::{Class, Endianness, ObjectError};
use crate::decode::btf::MAX_NAME;

/// EM_BPF.
pub(super) const MACHINE_BPF: u16 = header::EM_BPF;

/// An object whose sections lie within it.
pub(super) struct Elf<'a> {
    pub(super) class: Class,
    pub(super) endianness: Endianness,
    /// All but the first, which is none.
    pub(super) sections: Vec<Section<'a>>,
    pub(super) symbols: Vec<Symbol>,
    /// Names that may stay without a definition.
    pub(super) weak: BTreeSet<String>,
    pub(super) length: usize,
}

pub(super) struct Section<'a> {
    /// As symbols name it.
    pub(super) index: usize,
    pub(super) name: String,
    kind: u32,
    size: u64,
    pub(super) is_code: bool,
    /// Empty where the file holds none.
    pub(super) data: &'a [u8],
}

pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) section: usize,
    /// Bytes from the section's start.
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) is_function: bool,
    pub(super) is_global: bool,
}

impl Section<'_> {
    pub(super) fn describe(&self) -> super::Section {
        super::Section {
            name: self.name.clone(),
            kind: section_kind(self.kind),
            size: self.size,
        }
    }
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ObjectError> {
        let header = parse_header(bytes)?;
        let ctx = context(&header)?;
        let headers = section_headers(bytes, &header, ctx)?;
        let names = strings(
            bytes,
            &headers,
            usize::from(header.e_shstrndx),
            "section names",
        )?;
        let mut sections = Vec::with_capacity(headers.len().saturating_sub(1));
        for (index, header) in headers.iter().enumerate().skip(1) {
            let name = name(names, header.sh_name, || format!("section {index}"))?;
            let data = data(bytes, header, || format!("section {name}"))?;
            sections.push(Section {
                index,
                kind: header.sh_type,
                size: header.sh_size,
                is_code: header.sh_type == section_header::SHT_PROGBITS && header.is_executable(),
                name,
                data,
            });
        }
        let (symbols, weak) = symbols(bytes, &headers, ctx)?;
        Ok(Self {
            class: match ctx.container {
                Container::Little => Class::Bits32,
                Container::Big => Class::Bits64,
            },
            endianness: match ctx.le {
                goblin::container::Endian::Little => Endianness::Little,
                goblin::container::Endian::Big => Endianness::Big,
            },
            symbols,
            weak,
            sections,
            length: bytes.len(),
        })
    }

    /// The first section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Where a symbol lies.
    pub(super) fn section_of(&self, symbol: &Symbol) -> Option<&Section<'a>> {
        self.sections.get(symbol.section.checked_sub(1)?)
    }

    /// A word in the file's byte order.
    pub(super) fn word(&self, data: &[u8], at: usize) -> Option<u32> {
        let bytes = data.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self.endianness {
            Endianness::Little => u32::from_le_bytes(bytes),
            Endianness::Big => u32::from_be_bytes(bytes),
        })
    }
}

fn parse_header(bytes: &[u8]) -> Result<Header, ObjectError> {
    if bytes.is_empty() {
        return Err(ObjectError::Empty);
    }
    let magic = header::ELFMAG;
    if !bytes.starts_with(&magic[..magic.len().min(bytes.len())]) {
        return Err(ObjectError::NotElf {
            looks_like: looks_like(bytes),
        });
    }
    let size = match bytes.get(header::EI_CLASS) {
        None => header::SIZEOF_IDENT,
        Some(&header::ELFCLASS32) => goblin::elf32::header::SIZEOF_EHDR,
        Some(&header::ELFCLASS64) => elf64::header::SIZEOF_EHDR,
        Some(other) => {
            let why = format!("its class is {other}: neither 32 nor 64 bits");
            return Err(ObjectError::malformed("the ELF header", why));
        }
    };
    if bytes.len() < size {
        return Err(ObjectError::truncated(
            "the ELF header",
            size as u64,
            bytes.len(),
        ));
    }
    let header = goblin::elf::Elf::parse_header(bytes)
        .map_err(|error| ObjectError::malformed("the ELF header", error.to_string()))?;
    if header.e_machine != MACHINE_BPF {
        return Err(ObjectError::Machine {
            machine: header.e_machine,
            name: machine_name(header.e_machine),
        });
    }
    if header.e_type != header::ET_REL {
        return Err(ObjectError::NotRelocatable {
            kind: header.e_type,
            name: header::et_to_str(header.e_type),
        });
    }
    Ok(header)
}

fn context(header: &Header) -> Result<Ctx, ObjectError> {
    let read = || {
        Some(Ctx::new(
            header.container().ok()?,
            header.endianness().ok()?,
        ))
    };
    read().ok_or_else(|| ObjectError::malformed("the ELF header", "no known class and byte order"))
}

fn section_headers(
    bytes: &[u8],
    header: &Header,
    ctx: Ctx,
) -> Result<Vec<SectionHeader>, ObjectError> {
    const WHAT: &str = "the section table";
    let entry = SectionHeader::size(ctx);
    if header.e_shoff == 0 {
        return Err(ObjectError::malformed(WHAT, "there is none"));
    }
    if usize::from(header.e_shentsize) != entry {
        let why = format!("entries of {} bytes instead of {entry}", header.e_shentsize);
        return Err(ObjectError::malformed(WHAT, why));
    }
    // A count of 0 stands for more than fit the field: the first entry has it.
    let count = usize::from(header.e_shnum);
    let length = (count.max(1) * entry) as u64;
    let end = header.e_shoff.checked_add(length);
    let end = end.ok_or_else(|| ObjectError::malformed(WHAT, "it lies beyond any file"))?;
    if end > bytes.len() as u64 {
        return Err(ObjectError::truncated(WHAT, end, bytes.len()));
    }
    let at = usize::try_from(header.e_shoff).unwrap_or(usize::MAX);
    SectionHeader::parse(bytes, at, count, ctx)
        .map_err(|error| ObjectError::malformed(WHAT, error.to_string()))
}

/// What a section holds in the file.
fn data<'a>(
    bytes: &'a [u8],
    header: &SectionHeader,
    what: impl Fn() -> String,
) -> Result<&'a [u8], ObjectError> {
    if header.sh_type == section_header::SHT_NOBITS || header.sh_type == section_header::SHT_NULL {
        return Ok(&[]);
    }
    let end = header.sh_offset.checked_add(header.sh_size);
    let end = end.ok_or_else(|| ObjectError::malformed(what(), "it lies beyond any file"))?;
    let range = usize::try_from(header.sh_offset)
        .ok()
        .zip(usize::try_from(end).ok());
    range
        .and_then(|(start, end)| bytes.get(start..end))
        .ok_or_else(|| ObjectError::truncated(what(), end, bytes.len()))
}

/// The string table that is this section.
fn strings<'a>(
    bytes: &'a [u8],
    headers: &[SectionHeader],
    index: usize,
    what: &str,
) -> Result<&'a [u8], ObjectError> {
    match headers.get(index) {
        Some(header) if header.sh_type == section_header::SHT_STRTAB => {
            data(bytes, header, || what.to_owned())
        }
        _ => {
            let why = format!("section {index} is no string table");
            Err(ObjectError::malformed(what, why))
        }
    }
}

fn name(
    strings: &[u8],
    offset: impl TryInto<usize>,
    whose: impl Fn() -> String,
) -> Result<String, ObjectError> {
    let offset = offset.try_into().unwrap_or(usize::MAX);
    let rest = strings.get(offset..).unwrap_or_default();
    let rest = &rest[..rest.len().min(MAX_NAME)];
    let Some(end) = rest.iter().position(|byte| *byte == 0) else {
        let why = format!("its name does not end within {} bytes", rest.len());
        return Err(ObjectError::malformed(whose(), why));
    };
    Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// Functions and variables that lie in a section, and the names of weak ones that lie in none.
fn symbols(
    bytes: &[u8],
    headers: &[SectionHeader],
    ctx: Ctx,
) -> Result<(Vec<Symbol>, BTreeSet<String>), ObjectError> {
    const WHAT: &str = "the symbol table";
    let (mut symbols, mut weak) = (Vec::new(), BTreeSet::new());
    let table = headers
        .iter()
        .find(|header| header.sh_type == section_header::SHT_SYMTAB);
    let Some(table) = table else {
        return Ok((symbols, weak));
    };
    let names = usize::try_from(table.sh_link).unwrap_or(usize::MAX);
    let names = strings(bytes, headers, names, "symbol names")?;
    let data = data(bytes, table, || WHAT.to_owned())?;
    let entry = match ctx.container {
        Container::Little => goblin::elf32::sym::SIZEOF_SYM,
        Container::Big => elf64::sym::SIZEOF_SYM,
    };
    let read = Sym::parse(data, 0, data.len() / entry, ctx)
        .map_err(|error| ObjectError::malformed(WHAT, error.to_string()))?;
    for (index, symbol) in read.iter().enumerate() {
        let name = || name(names, symbol.st_name, || format!("symbol {index}"));
        let is_function = symbol.st_type() == sym::STT_FUNC;
        if symbol.st_shndx == 0 && symbol.st_bind() == sym::STB_WEAK {
            weak.insert(name()?);
        } else if (1..headers.len()).contains(&symbol.st_shndx)
            && (is_function || symbol.st_type() == sym::STT_OBJECT)
        {
            symbols.push(Symbol {
                name: name()?,
                section: symbol.st_shndx,
                offset: symbol.st_value,
                size: symbol.st_size,
                is_function,
                is_global: symbol.st_bind() != sym::STB_LOCAL,
            });
        }
    }
    Ok((symbols, weak))
}

/// The processor.
pub(super) fn machine_name(machine: u16) -> &'static str {
    match machine {
        header::EM_386 => "32-bit x86",
        header::EM_X86_64 => "x86-64",
        header::EM_ARM => "32-bit ARM",
        header::EM_AARCH64 => "arm64",
        header::EM_RISCV => "RISC-V",
        header::EM_S390 => "s390",
        header::EM_PPC64 => "64-bit PowerPC",
        header::EM_BPF => "eBPF",
        other => header::machine_to_str(other),
    }
}

fn section_kind(kind: u32) -> String {
    match kind {
        0x6fff_4c03 => "LLVM_ADDRSIG".to_owned(),
        0..=11 => section_header::sht_to_str(kind)
            .trim_start_matches("SHT_")
            .to_owned(),
        other => format!("{other:#x}"),
    }
}
