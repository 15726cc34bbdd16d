//! Where records go: lines or rows, to stdout and into a file.

use std::io::{self, Write};

use serde_json::Value;

use super::escape;
use super::{Format, Output};
use crate::sys::blocking_writer::BlockingWriter;
use crate::sys::place::Place;

/// Writes the records to every output that was requested.
pub(crate) struct Records {
    sinks: Vec<Sink>,
    /// For the error if nothing can be written: what was not done.
    unbegun: &'static str,
}

struct Sink {
    name: String,
    format: Format,
    to: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl Records {
    /// Opens the outputs. `unbegun`: what was not done, for the error.
    ///
    /// # Errors
    /// The sentence to end with.
    pub(crate) fn open(output: &Output, unbegun: &'static str) -> Result<Self, String> {
        let mut sinks = Vec::new();
        let mut add = |name: String, format, to: Box<dyn Write>| {
            sinks.push(Sink {
                name,
                format,
                to,
                failed: None,
            });
        };
        if let Some(format) = output.stdout {
            add(
                "stdout".to_owned(),
                format,
                Box::new(BlockingWriter(io::stdout())),
            );
        }
        if let Some((path, format)) = &output.out {
            let name = path.display().to_string();
            let file = Place::of_output(path).and_then(|place| place.create());
            let file = file.map_err(|error| refusal(&name, &error, unbegun))?;
            add(name, *format, Box::new(file));
        }
        Ok(Self { sinks, unbegun })
    }

    /// Checks that the first records were written, before anything is observed or run.
    ///
    /// # Errors
    /// The sentence to end with.
    pub(crate) fn begun(&self) -> Result<(), String> {
        match self.failure() {
            Some((name, error)) => Err(refusal(name, error, self.unbegun)),
            None => Ok(()),
        }
    }

    /// Whether records were requested: a summary of ten thousand processes is large.
    pub(crate) fn wanted(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// No output has failed, and no reader has closed its pipe.
    pub(crate) fn are_written(&self) -> bool {
        self.sinks.iter().all(|sink| sink.failed.is_none())
    }

    /// Every reader has closed its pipe.
    pub(crate) fn unread(&self) -> bool {
        let gone = |sink: &Sink| {
            let failed = sink.failed.as_ref();
            failed.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        self.wanted() && self.sinks.iter().all(gone)
    }

    /// Writes a line to every sink of lines that has not failed.
    pub(crate) fn write(&mut self, line: &Value) {
        self.write_line(&line.to_string());
    }

    pub(crate) fn write_line(&mut self, line: &str) {
        self.write_lines(format!("{line}\n").as_bytes());
    }

    /// Writes whole lines, with their line breaks, to every sink of lines that has not failed.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) {
        let lines = String::from_utf8_lossy(lines);
        let lines = escape::json(&lines);
        self.write_all(Format::Json, lines.as_bytes());
    }

    /// Writes a row to every sink of rows that has not failed, in one call: a reader never sees a part of it.
    pub(crate) fn write_row<F: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = F>) {
        let mut row = csv::WriterBuilder::new()
            .buffer_capacity(1024)
            .from_writer(Vec::new());
        // Writing to memory does not fail.
        if row.write_record(fields).is_ok()
            && let Ok(row) = row.into_inner()
        {
            self.write_all(Format::Csv, &row);
        }
    }

    fn write_all(&mut self, format: Format, bytes: &[u8]) {
        for sink in &mut self.sinks {
            if sink.format == format && sink.failed.is_none() {
                let written = sink.to.write_all(bytes).and_then(|()| sink.to.flush());
                sink.failed = written.err();
            }
        }
    }

    /// The first sink that failed, other than by a closed pipe.
    pub(super) fn failure(&self) -> Option<(&str, &io::Error)> {
        let failed = self
            .sinks
            .iter()
            .filter_map(|sink| Some((sink.name.as_str(), sink.failed.as_ref()?)));
        failed
            .into_iter()
            .find(|(_, error)| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

fn refusal(name: &str, error: &io::Error, unbegun: &str) -> String {
    format!("cannot write {name}: {error}; {unbegun}")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Accepts whole rows only, and fails from the second on.
    struct Full(Rc<Cell<u32>>);

    impl Write for Full {
        fn write(&mut self, row: &[u8]) -> io::Result<usize> {
            assert_eq!(row.last(), Some(&b'\n'));
            self.0.set(self.0.get() + 1);
            if self.0.get() > 1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(row.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn rows_are_written_whole_until_one_fails() {
        let written = Rc::new(Cell::new(0));
        let sink = Sink {
            name: "a".to_owned(),
            format: Format::Csv,
            to: Box::new(Full(Rc::clone(&written))),
            failed: None,
        };
        let mut records = Records {
            sinks: vec![sink],
            unbegun: "nothing",
        };
        records.write_row(["a", "b"]);
        assert!(records.begun().is_ok());
        records.write_row(["1", "2,3"]);
        records.write_row(["4", "5"]);
        let (name, error) = records.failure().unwrap();
        assert_eq!((name, error.kind()), ("a", io::ErrorKind::StorageFull));
        assert_eq!(written.get(), 2);
    }
}
