//! Text that is written in one call, so that nothing else appears in between.

use std::io::{self, Write};

use anstream::AutoStream;
use anstream::stream::RawStream;

use super::width;

/// Text at the width of this stream, without styles if it shows none.
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

/// Writes text to stdout in one call.
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

/// Writes text to stderr in one call. If that fails, there is nowhere to report it.
pub(crate) fn to_stderr(write: impl FnOnce(&mut dyn Write, usize) -> io::Result<()>) {
    let mut stderr = io::stderr();
    let _ = page(&stderr, write).and_then(|page| stderr.write_all(&page));
}
