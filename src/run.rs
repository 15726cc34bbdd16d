//! The verb `run`: a command profiled, its records and report written.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, OFlag};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::Output;
use crate::exit;
use crate::finding::Finding;
use crate::profile::model::{OwnCost, Run, WhyNot};
use crate::profile::session::{Ebpf, Options, Prepared, SessionError};
use crate::render::json::{self, EbpfMetadata, Metadata};
use crate::render::text::{self, Report};
use crate::sys::{account, inherited, terminal};

/// Where stderr is no terminal.
const COLUMNS: usize = 80;

/// Sends the log to stderr: all of denet's own with `--debug`, or what RUST_LOG asks for.
pub fn start_log(debug: bool) {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| filter.parse::<Targets>().ok());
    let filter = match (asked, debug) {
        (Some(asked), _) => asked,
        (None, true) => Targets::new().with_target("denet", LevelFilter::DEBUG),
        (None, false) => return,
    };
    let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours);
    tracing_subscriber::registry()
        .with(lines.with_target(false))
        .with(filter)
        .init();
}

/// Runs a command and reports; returns the exit code.
pub fn run(options: Options, output: &Output) -> u8 {
    let mode = match options.ebpf {
        Ebpf::Off => None,
        Ebpf::Auto => Some("auto"),
        Ebpf::Require => Some("require"),
    };
    if output.json && inherited::was_closed(1) {
        complain("stdout is closed, but --json writes there; redirect it, or use --out FILE");
        return exit::FAILED;
    }
    let command = options.command.clone();
    let prepared = match Prepared::new(options) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    if let Some(finding) = &prepared.refused {
        complain("going on without the syscall profile:");
        explain(finding);
    }
    let mut records = match Records::open(output) {
        Ok(records) => records,
        Err((name, error)) => {
            complain(&format!(
                "cannot write {name}: {error}; the command was not started"
            ));
            return exit::FAILED;
        }
    };
    records.write(&metadata(&prepared, &command, mode));
    if let Some((name, error)) = records.failure() {
        complain(&format!(
            "cannot write {name}: {error}; the command was not started"
        ));
        return exit::FAILED;
    }
    let refused = prepared.refused.is_some();
    let why_not = prepared
        .backend()
        .map_or_else(Vec::new, |backend| backend.why_not.clone());
    let (run, map_bytes) = match prepared.run() {
        Ok(done) => done,
        Err(error) => return refuse(&error),
    };
    if records.wanted() {
        records.write(&json::summary(&run, output.top));
    }
    if output.text {
        show(&command, &run, refused, &why_not, map_bytes, output.top);
    }
    match records.failure() {
        Some((name, error)) => {
            complain(&format!(
                "the summary could not be written to {name}: {error}"
            ));
            exit::FAILED
        }
        None => exit::of_run(&run),
    }
}

fn metadata(prepared: &Prepared, command: &[OsString], mode: Option<&'static str>) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    json::metadata(&Metadata {
        pid: prepared.pid(),
        command,
        executable: &prepared.executable,
        t0_ms: now.as_millis() as u64,
        ebpf: mode.map(|mode| EbpfMetadata {
            mode,
            backend: prepared.backend(),
            refused: prepared.refused.as_ref(),
        }),
    })
}

fn show(
    command: &[OsString],
    run: &Run,
    refused: bool,
    why_not: &[WhyNot],
    map_bytes: Option<u64>,
    top: usize,
) {
    let report = Report {
        command,
        run,
        refused,
        why_not,
        own: OwnCost {
            cpu: account::own_cpu(),
            peak_rss_kb: account::own_peak_rss_kb(),
            map_bytes,
        },
        top,
        columns: columns(),
    };
    // One write, so that nobody else's words come between. Where it fails there is nobody to tell.
    let choice = anstream::AutoStream::choice(&io::stderr());
    let mut page = anstream::AutoStream::new(Vec::new(), choice);
    let _ =
        text::report(&mut page, &report).and_then(|()| io::stderr().write_all(&page.into_inner()));
}

fn refuse(error: &SessionError) -> u8 {
    complain(&error.to_string());
    match error {
        SessionError::Unrunnable(error) => match error {
            crate::sys::program::Unrunnable::NotFound(_) => exit::NOT_FOUND,
            crate::sys::program::Unrunnable::NotExecutable(..) => exit::NOT_EXECUTABLE,
        },
        SessionError::Exec(_, error) if error.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
        SessionError::Exec(..) => exit::NOT_EXECUTABLE,
        SessionError::Refused(finding) => {
            explain(finding);
            exit::EBPF_UNAVAILABLE
        }
        SessionError::Interrupted(signal) => exit::of_signal(*signal),
        SessionError::Failed(..) => exit::FAILED,
    }
}

fn columns() -> usize {
    terminal::columns(io::stderr().as_fd()).unwrap_or(COLUMNS)
}

fn complain(what: &str) {
    let _ = writeln!(anstream::stderr(), "denet: {what}");
}

fn explain(finding: &Finding) {
    let _ = text::finding(&mut anstream::stderr(), finding, columns());
}

/// A file to be written from its start. A FIFO that nobody reads is an error, not something to wait
/// for: the command is waiting too.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NONBLOCK);
    let file = options.open(path)?;
    nix::fcntl::fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// The JSON lines, to everyone who asked for them.
struct Records {
    sinks: Vec<Sink>,
}

struct Sink {
    name: String,
    to: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl Records {
    fn open(output: &Output) -> Result<Self, (String, io::Error)> {
        let mut sinks = Vec::new();
        if output.json {
            sinks.push(Sink {
                name: "stdout".to_owned(),
                to: Box::new(io::stdout()),
                failed: None,
            });
        }
        if let Some(path) = &output.out {
            let name = path.display().to_string();
            let file = create(path).map_err(|error| (name.clone(), error))?;
            sinks.push(Sink {
                name,
                to: Box::new(file),
                failed: None,
            });
        }
        Ok(Self { sinks })
    }

    /// Does anyone ask for them? A summary of ten thousand processes is large.
    fn wanted(&self) -> bool {
        !self.sinks.is_empty()
    }

    /// Writes a line to every sink that has not failed yet.
    fn write(&mut self, line: &Value) {
        let line = format!("{line}\n");
        for sink in self.sinks.iter_mut().filter(|sink| sink.failed.is_none()) {
            sink.failed = sink
                .to
                .write_all(line.as_bytes())
                .and_then(|()| sink.to.flush())
                .err();
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
