//! Where records go: lines or rows, to stdout and into a file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use crate::cli::{Form, Output};
use crate::export::csv::Csv;
use crate::process::model::Tree;
use crate::sys::patient::Patient;
use crate::sys::place::Place;

/// The records, to everyone who asked for them.
pub(crate) struct Records {
    sinks: Vec<Sink>,
}

struct Sink {
    name: String,
    to: To,
    failed: Option<io::Error>,
}

/// How a sink wants them.
enum To {
    Lines(Box<dyn Write>),
    Rows(Csv<Box<dyn Write>>),
}

impl To {
    fn new(form: Form, to: Box<dyn Write>) -> Self {
        match form {
            Form::Json => Self::Lines(to),
            Form::Csv => Self::Rows(Csv::new(to)),
        }
    }

    /// A table has its header, also where no row will follow.
    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(_) => Ok(()),
            Self::Rows(to) => to.begin(),
        }
    }
}

impl Records {
    pub(crate) fn open(output: &Output) -> Result<Self, (String, io::Error)> {
        let mut sinks = Vec::new();
        let mut add = |name: String, form, to: Box<dyn Write>| {
            let mut to = To::new(form, to);
            let failed = to.begin().err();
            sinks.push(Sink { name, to, failed });
        };
        if let Some(form) = output.stdout {
            add("stdout".to_owned(), form, Box::new(Patient(io::stdout())));
        }
        if let Some((path, form)) = &output.out {
            let name = path.display().to_string();
            let file = Place::of_output(path).and_then(|place| place.create());
            let file = file.map_err(|error| (name.clone(), error))?;
            add(name, *form, Box::new(file));
        }
        Ok(Self { sinks })
    }

    /// Does anyone ask for them? A summary of ten thousand processes is large.
    pub(crate) fn wanted(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Every reader went away.
    pub(crate) fn unread(&self) -> bool {
        let gone = |sink: &Sink| {
            let failed = sink.failed.as_ref();
            failed.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        self.wanted() && self.sinks.iter().all(gone)
    }

    /// Writes a line to every sink of lines that has not failed yet.
    pub(crate) fn write(&mut self, line: &Value) {
        self.write_line(&line.to_string());
    }

    pub(crate) fn write_line(&mut self, line: &str) {
        self.write_lines(format!("{line}\n").as_bytes());
    }

    /// Writes whole lines, each ended, to every sink of lines that has not failed yet.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) {
        let lines = &*harmless(lines);
        for sink in self.sinks.iter_mut().filter(|sink| sink.failed.is_none()) {
            if let To::Lines(to) = &mut sink.to {
                let written = to.write_all(lines).and_then(|()| to.flush());
                sink.failed = written.err();
            }
        }
    }

    /// Writes a sample to every sink of rows that has not failed yet.
    pub(crate) fn write_row(&mut self, tree: &Tree) {
        for sink in self.sinks.iter_mut().filter(|sink| sink.failed.is_none()) {
            if let To::Rows(to) = &mut sink.to {
                sink.failed = to.write(tree).err();
            }
        }
    }

    /// The first sink that could not be written. A reader that went away has what it wanted.
    pub(crate) fn failure(&self) -> Option<(&str, &io::Error)> {
        let failed = self
            .sinks
            .iter()
            .filter_map(|sink| Some((sink.name.as_str(), sink.failed.as_ref()?)));
        failed
            .into_iter()
            .find(|(_, error)| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

/// JSON for a terminal as well: what would steer it, or turn its text around, is escaped; JSON's value is
/// the same. Serde escapes what is below a blank.
fn harmless(json: &[u8]) -> Cow<'_, [u8]> {
    let steers = |it: char| matches!(it, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Nearly always, and fast.
    if json.iter().all(|byte| *byte < 0x7f) {
        return Cow::Borrowed(json);
    }
    let text = String::from_utf8_lossy(json);
    if !text.contains(steers) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        if steers(it) {
            let _ = write!(out, "\\u{:04x}", u32::from(it));
        } else {
            out.push(it);
        }
    }
    Cow::Owned(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_means_the_same() {
        let value = serde_json::json!({"path": "a\u{9b}2J\u{202e}b\u{7f}\u{1b}ü"});
        let text = value.to_string();
        let told = String::from_utf8(harmless(text.as_bytes()).into_owned()).unwrap();
        assert!(!told.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{1b}']) && told.contains('ü'));
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), value);
        assert!(matches!(harmless(b"{}"), Cow::Borrowed(_)));
    }
}
