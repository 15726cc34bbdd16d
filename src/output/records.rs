//! Where records go: lines or rows, to stdout and into a file.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::{Form, Output};
use crate::escape;
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
