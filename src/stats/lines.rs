//! Lines of any length up to a limit, one at a time.

use std::io::{self, BufRead, Read as _};

/// A line without its end.
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) bytes: &'a [u8],
    /// A newline stands behind it: it was written whole.
    pub(super) ended: bool,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

#[derive(Debug)]
pub(super) enum LinesError {
    TooLong { number: u64, limit: usize },
    Read(io::Error),
}

pub(super) struct Lines<R> {
    from: R,
    limit: usize,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R, limit: usize) -> Self {
        Self {
            from,
            limit,
            number: 0,
            buffer: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, LinesError> {
        self.buffer.clear();
        // The newline is one more.
        let most = self.limit as u64 + 1;
        let mut piece = (&mut self.from).take(most);
        let read = piece.read_until(b'\n', &mut self.buffer);
        if read.map_err(LinesError::Read)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let ended = self.buffer.last() == Some(&b'\n');
        let bytes = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        if bytes.len() > self.limit {
            return Err(LinesError::TooLong {
                number: self.number,
                limit: self.limit,
            });
        }
        Ok(Some(Line {
            number: self.number,
            bytes,
            ended,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_numbers_ends_and_a_limit() {
        let mut lines = Lines::new(&b"1234\n\n12"[..], 4);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.number, line.bytes.len(), line.ended));
        }
        assert_eq!(seen, [(1, 4, true), (2, 0, true), (3, 2, false)]);
        for text in ["12345", "12345\n", "123456789"] {
            let mut lines = Lines::new(text.as_bytes(), 4);
            let error = lines.next().map(|_| ()).unwrap_err();
            assert!(matches!(
                error,
                LinesError::TooLong {
                    number: 1,
                    limit: 4
                }
            ));
        }
    }
}
