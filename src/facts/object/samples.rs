//! Objects to test with: denet's own, and such as are written here.

/// Bytes aligned as a loader needs them.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

macro_rules! embedded {
    ($name:literal) => {{
        static BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
            "../../../ebpf/objects/",
            $name,
            ".bpf.o"
        )));
        &BYTES.0
    }};
}

pub(crate) fn calibrate() -> &'static [u8] {
    embedded!("calibrate")
}

pub(crate) fn lifecycle() -> &'static [u8] {
    embedded!("lifecycle")
}

pub(crate) fn syscalls() -> &'static [u8] {
    embedded!("syscalls")
}

pub(crate) const PROGBITS: u32 = 1;
pub(crate) const NOBITS: u32 = 8;
pub(crate) const FUNCTION: u8 = 2;
pub(crate) const OBJECT: u8 = 1;

/// `mov r0, 0; exit`, for a machine of either byte order.
pub(crate) const RETURN_0: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// A 64-bit object in the making.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) big_endian: bool,
    pub(crate) sections: Vec<(&'static str, u32, Vec<u8>)>,
    /// Name, number of the section from 1, offset, size, type.
    pub(crate) symbols: Vec<(&'static str, u16, u64, u64, u8)>,
}

impl Sample {
    /// Adds a program that calls these helpers.
    pub(crate) fn program(self, name: &'static str, section: &'static str, ids: &[u8]) -> Self {
        let mut code = Vec::new();
        for id in ids {
            let call = [0x85, 0, 0, 0, *id, 0, 0, 0];
            let swapped = [0x85, 0, 0, 0, 0, 0, 0, *id];
            code.extend(if self.big_endian { swapped } else { call });
        }
        code.extend(RETURN_0);
        self.function(name, section, code)
    }

    /// Adds a program of these instructions.
    pub(crate) fn function(
        mut self,
        name: &'static str,
        section: &'static str,
        code: Vec<u8>,
    ) -> Self {
        let size = code.len() as u64;
        self.sections.push((section, PROGBITS, code));
        let index = u16::try_from(self.sections.len()).unwrap();
        self.symbols.push((name, index, 0, size, FUNCTION));
        self
    }

    /// Adds a section of data.
    pub(crate) fn data(mut self, name: &'static str, data: impl Into<Vec<u8>>) -> Self {
        self.sections.push((name, PROGBITS, data.into()));
        self
    }

    /// Adds a variable in the last section.
    pub(crate) fn variable(mut self, name: &'static str, offset: u64, size: u64) -> Self {
        let index = u16::try_from(self.sections.len()).unwrap();
        self.symbols.push((name, index, offset, size, OBJECT));
        self
    }

    /// The file: header, sections, symbols, names, section table.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut name = |text: &str| {
            let at = u32::try_from(names.len()).unwrap();
            names.extend(text.bytes().chain([0]));
            at
        };
        let mut out = Writer {
            bytes: vec![0; 64],
            big_endian: self.big_endian,
        };
        let mut table = vec![[0u64; 6]];
        for (title, kind, data) in &self.sections {
            let is_code = self.symbols.iter().any(|(_, index, _, _, symbol)| {
                usize::from(*index) == table.len() && *symbol == FUNCTION
            });
            let flags = if is_code { 6 } else { 3 };
            let (at, size) = (out.bytes.len() as u64, data.len() as u64);
            table.push([name(title).into(), (*kind).into(), flags, at, size, 0]);
            if *kind != NOBITS {
                out.bytes.extend(data);
            }
        }
        let (at, link) = (out.bytes.len() as u64, table.len() as u64 + 1);
        out.bytes.extend([0; 24]);
        for (title, index, offset, size, kind) in &self.symbols {
            out.word(name(title));
            out.bytes.extend([0x10 | kind, 0]);
            out.half(*index);
            out.long(*offset);
            out.long(*size);
        }
        let size = out.bytes.len() as u64 - at;
        table.push([name(".symtab").into(), 2, 0, at, size, link]);
        let title = name(".strtab").into();
        let (at, size) = (out.bytes.len() as u64, names.len() as u64);
        table.push([title, 3, 0, at, size, 0]);
        out.bytes.extend(&names);
        let (start, count) = (out.bytes.len() as u64, u16::try_from(table.len()).unwrap());
        for [title, kind, flags, at, size, link] in table {
            out.word(u32::try_from(title).unwrap());
            out.word(u32::try_from(kind).unwrap());
            for value in [flags, 0, at, size] {
                out.long(value);
            }
            out.word(u32::try_from(link).unwrap());
            out.word(0);
            out.long(1);
            out.long(if kind == 2 { 24 } else { 0 });
        }
        out.header(start, count);
        out.bytes
    }
}

struct Writer {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Writer {
    fn half(&mut self, value: u16) {
        let bytes = value.to_le_bytes();
        self.put(&bytes);
    }

    fn word(&mut self, value: u32) {
        let bytes = value.to_le_bytes();
        self.put(&bytes);
    }

    fn long(&mut self, value: u64) {
        let bytes = value.to_le_bytes();
        self.put(&bytes);
    }

    fn put(&mut self, little: &[u8]) {
        if self.big_endian {
            self.bytes.extend(little.iter().rev());
        } else {
            self.bytes.extend(little);
        }
    }

    fn header(&mut self, sections: u64, count: u16) {
        let rest = self.bytes.split_off(64);
        self.bytes.clear();
        let data = if self.big_endian { 2 } else { 1 };
        self.bytes.extend([
            0x7f, b'E', b'L', b'F', 2, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        self.half(1);
        self.half(247);
        self.word(1);
        self.long(0);
        self.long(0);
        self.long(sections);
        self.word(0);
        for value in [64, 0, 0, 64, count, count - 1] {
            self.half(value);
        }
        self.bytes.extend(rest);
    }
}
