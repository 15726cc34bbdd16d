//! Text that is written at once, so that nothing else is written in between.

use std::io::{self, Write};

use anstream::AutoStream;
use anstream::stream::RawStream;

use super::width;

/// Text with as much style as this stream shows, for its width.
///
/// # Errors
/// What `write` returns.
pub(crate) fn page(
    stream: &(impl RawStream + std::os::fd::AsFd),
    write: impl FnOnce(&mut dyn Write, usize) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut page = AutoStream::new(Vec::new(), AutoStream::choice(stream));
    write(&mut page, width::of(stream))?;
    Ok(page.into_inner())
}

/// Writes text to stdout at once.
///
/// # Errors
/// What `write` and the stream return.
pub(crate) fn to_stdout(
    write: impl FnOnce(&mut dyn Write, usize) -> io::Result<()>,
) -> io::Result<()> {
    let mut stdout = io::stdout();
    let page = page(&stdout, write)?;
    stdout.write_all(&page)?;
    stdout.flush()
}

/// Writes text to stderr at once. If that fails, there is nowhere to report it.
pub(crate) fn to_stderr(write: impl FnOnce(&mut dyn Write, usize) -> io::Result<()>) {
    let mut stderr = io::stderr();
    let _ = page(&stderr, write).and_then(|page| stderr.write_all(&page));
}
