//! What each of denet's programs says of itself in an ELF note, where another one reads it without
//! running it: `denet setup` gives capabilities to nothing else.

/// Where the note is. The linker keeps sections of notes.
pub const SECTION: &str = ".note.denet";
/// Its type: there is one.
pub const KIND: u32 = 1;

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
    /// The note that says this.
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

/// Puts the note into a program: its name and version.
#[macro_export]
macro_rules! identify {
    ($name:literal) => {
        const IDENTITY: &str = concat!($name, " ", env!("CARGO_PKG_VERSION"));
        #[used]
        #[unsafe(link_section = ".note.denet")]
        static NOTE: $crate::identity::Note<{ IDENTITY.len() }> =
            match IDENTITY.as_bytes().first_chunk() {
                Some(text) => $crate::identity::Note::new(text),
                None => unreachable!(),
            };
    };
}
