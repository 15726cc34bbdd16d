//! The verb `stats`: reads a recording and writes its summary.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::commands::exit;
use crate::output::escape;
use crate::output::{complain, page};
use crate::render::stats;
use crate::stats::{Statistics, StatsError, read};
use crate::sys::inherited;

/// Lines with samples have some kilobytes.
const BUFFER: usize = 256 << 10;

/// Where a recording comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input.
    Stdin,
    /// A file, or anything that is opened like one.
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The recording.
    pub(crate) from: Source,
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// Rows of the table of syscalls, 0 for all.
    pub(crate) top: usize,
}

/// Reads, sums up and writes to stdout; returns the exit code.
pub(crate) fn run(options: &Options) -> u8 {
    if inherited::was_closed(1) {
        complain("stdout is closed, but stats writes there");
        return exit::FAILED;
    }
    let (name, statistics) = match &options.from {
        Source::Stdin if inherited::was_closed(0) => {
            complain("standard input is closed");
            return exit::FAILED;
        }
        Source::Stdin => (
            "standard input".to_owned(),
            read(BufReader::with_capacity(BUFFER, io::stdin().lock())),
        ),
        Source::File(path) => (
            path.display().to_string(),
            open(path).map_err(StatsError::Read).and_then(read),
        ),
    };
    let statistics = match statistics {
        Ok(statistics) => statistics,
        Err(error) => {
            complain(&format!("{name}: {error}"));
            return exit::FAILED;
        }
    };
    match show(&statistics, options) {
        Ok(()) => 0,
        // The reader closed the pipe: it has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            complain(&format!("cannot write to stdout: {error}"));
            exit::FAILED
        }
    }
}

fn open(path: &Path) -> io::Result<impl BufRead + use<>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    Ok(BufReader::with_capacity(BUFFER, file))
}

fn show(statistics: &Statistics, options: &Options) -> io::Result<()> {
    page::to_stdout(|to, columns| match options.json {
        true => {
            let object = stats::object(statistics).to_string();
            writeln!(to, "{}", escape::json(&object))
        }
        false => stats::report(to, statistics, options.top, columns),
    })
}
