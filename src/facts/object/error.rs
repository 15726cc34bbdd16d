//! Why a file is no eBPF object.

/// What is wrong with a file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// Another format.
    #[error("not an ELF file: it looks like {looks_like}")]
    NotElf {
        /// What its first bytes say.
        looks_like: &'static str,
    },
    /// It ends too early.
    #[error("cut short: {what} ends at byte {end}, the file has {length}")]
    Truncated {
        /// What does not fit.
        what: String,
        /// Where it would end.
        end: u64,
        /// Bytes of the file.
        length: u64,
    },
    /// For a processor.
    #[error("an ELF file for {name} (machine {machine}), not for eBPF (247)")]
    Machine {
        /// `e_machine`.
        machine: u16,
        name: &'static str,
    },
    /// Linked, or a core dump.
    #[error("an eBPF file of type {name} ({kind}), not a relocatable object (REL)")]
    NotRelocatable {
        /// `e_type`.
        kind: u16,
        name: &'static str,
    },
    /// It contradicts itself.
    #[error("malformed: {what}: {why}")]
    Malformed {
        what: String,
        /// What is wrong there.
        why: String,
    },
}

impl ObjectError {
    pub(super) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            why: why.into(),
        }
    }

    pub(super) fn truncated(what: impl Into<String>, end: u64, length: usize) -> Self {
        Self::Truncated {
            what: what.into(),
            end,
            length: length as u64,
        }
    }
}

/// What a file that is no ELF file seems to be.
pub(super) fn looks_like(bytes: &[u8]) -> &'static str {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"#!", "a script"),
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
        (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
        (b"BZh", "a bzip2 archive: unpack it first"),
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"!<arch>\n", "a static library (ar)"),
        (
            b"BC\xc0\xde",
            "LLVM bitcode: compile it with -target bpf, without -emit-llvm",
        ),
        (b"\x9f\xeb", "bare BTF"),
        (b"\xeb\x9f", "bare BTF"),
        (b"\0asm", "WebAssembly"),
        (b"MZ", "a Windows program"),
        (b"\xcf\xfa\xed\xfe", "a macOS program"),
    ];
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, name)) = known {
        return name;
    }
    let start = &bytes[..bytes.len().min(512)];
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    let text = String::from_utf8_lossy(start);
    match start.iter().all(is_text) {
        true if text.contains("#include") || text.contains("SEC(\"") => {
            "C source: compile it with clang -target bpf"
        }
        true => "text",
        false => "other data",
    }
}
