//! Where records go: lines or rows, to stdout and into a file.

use std::io::{self, Write};

use serde_json::Value;

use super::complain;
use crate::cli::{Form, Output};
use crate::commands::exit;
use crate::export::csv::Csv;
use crate::output::escape;
use crate::process::model::Tree;
use crate::sys::patient::Patient;
use crate::sys::place::Place;

/// The records, to everyone who asked for them.
pub(crate) struct Records {
    sinks: Vec<Sink>,
    /// What has not happened if nothing can be written.
    unbegun: &'static str,
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
    /// Opens what is to be written. `unbegun`: what has not happened if that fails.
    ///
    /// # Errors
    /// The sentence to end with.
    pub(crate) fn open(output: &Output, unbegun: &'static str) -> Result<Self, String> {
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
            let file = file.map_err(|error| refusal(&name, &error, unbegun))?;
            add(name, *form, Box::new(file));
        }
        Ok(Self { sinks, unbegun })
    }

    /// Whether the first records were written, before anything is watched or run.
    ///
    /// # Errors
    /// The sentence to end with.
    pub(crate) fn begun(&self) -> Result<(), String> {
        match self.failure() {
            Some((name, error)) => Err(refusal(name, error, self.unbegun)),
            None => Ok(()),
        }
    }

    /// This exit code, unless not all could be written.
    pub(crate) fn end(&self, code: u8) -> u8 {
        match self.failure() {
            Some((name, error)) => {
                complain(&format!("not all could be written to {name}: {error}"));
                exit::FAILED
            }
            None => code,
        }
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
        let lines = String::from_utf8_lossy(lines);
        let lines = escape::json(&lines);
        for sink in self.sinks.iter_mut().filter(|sink| sink.failed.is_none()) {
            if let To::Lines(to) = &mut sink.to {
                let written = to.write_all(lines.as_bytes()).and_then(|()| to.flush());
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
    fn failure(&self) -> Option<(&str, &io::Error)> {
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
