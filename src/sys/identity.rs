//! An ELF note by which each of denet's programs can be identified without running it. `denet setup` gives
//! capabilities only to programs that have it.

/// Section of the note. The linker keeps note sections.
pub(crate) const SECTION: &str = ".note.denet";
/// Type of the note; there is only one.
pub(crate) const KIND: u32 = 1;

/// An ELF note of the owner "denet".
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    name_length: u32,
    length: u32,
    kind: u32,
    name: [u8; 8],
    text: [u8; N],
}

impl<const N: usize> Note<N> {
    /// A note with this text.
    pub const fn new(text: &[u8; N]) -> Self {
        Self {
            name_length: 6,
            length: N as u32,
            kind: KIND,
            name: *b"denet\0\0\0",
            text: *text,
        }
    }
}

/// Adds a note with the program's name and version.
#[macro_export]
macro_rules! identify {
    ($name:literal) => {
        const IDENTITY: &str = concat!($name, " ", env!("CARGO_PKG_VERSION"));
        #[used]
        #[unsafe(link_section = ".note.denet")]
        static NOTE: $crate::sys::identity::Note<{ IDENTITY.len() }> =
            match IDENTITY.as_bytes().first_chunk() {
                Some(text) => $crate::sys::identity::Note::new(text),
                None => unreachable!(),
            };
    };
}
