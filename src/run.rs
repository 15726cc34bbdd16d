//! The verbs `run` and `attach`: profiled, the records and the report written.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::access::{self, Scope};
use crate::cli::Output;
use crate::complaint;
use crate::escape::printable;
use crate::exit;
use crate::facts;
use crate::finding::Finding;
use crate::live::Live;
use crate::profile::attached::{AttachOptions, Attached};
use crate::profile::model::{OwnCost, Run, WhyNot};
use crate::profile::sampling::Event;
use crate::profile::session::{Ebpf, Options, Prepared, SessionError};
use crate::records::Records;
use crate::render::json::{self, EbpfMetadata, Metadata};
use crate::render::text::{self, Report};
use crate::sys::root::Root;
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
    let fields = debug_fn(|to, field, value| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => write!(to, "{value}"),
            name => write!(to, "{name}={value}"),
        }
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .fmt_fields(fields.delimited(" "));
    tracing_subscriber::registry()
        .with(lines.with_target(false))
        .with(filter)
        .init();
}

/// Runs a command and reports; returns the exit code.
pub fn run(options: Options, output: &Output) -> u8 {
    if let Err(code) = may_write(output) {
        return code;
    }
    let command = options.command.clone();
    let (mode, children) = (mode(options.ebpf), options.closeness.children);
    let scope = scope();
    let prepared = match Prepared::new(options) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    let about = About {
        metadata: Metadata {
            pid: Some(prepared.pid() as u32),
            command: &command,
            executable: Some(&prepared.executable),
            attached: None,
            t0_ms: now_ms(),
            absent: prepared.absent(),
            ebpf: mode.map(|mode| EbpfMetadata {
                mode,
                backend: prepared.backend(),
                refused: prepared.refused.as_ref(),
                scope,
            }),
        },
        title: &command,
        unbegun: "the command was not started",
    };
    let mut reporter = match Reporter::begin(&about, output, children) {
        Ok(reporter) => reporter,
        Err(code) => return code,
    };
    let done = prepared.run(&mut |event| reporter.event(event));
    reporter.conclude(done, exit::of_run)
}

/// Watches processes that run and reports; returns the exit code.
pub fn attach(options: AttachOptions, output: &Output) -> u8 {
    if let Err(code) = may_write(output) {
        return code;
    }
    let (mode, children) = (mode(options.ebpf), options.closeness.children);
    let scope = scope();
    let attached = match Attached::new(options) {
        Ok(attached) => attached,
        Err(error) => return refuse(&error),
    };
    let subject = attached.subject.clone();
    let title = match (subject.pid, subject.command.is_empty()) {
        (None, _) => vec![subject.title.clone().into()],
        (Some(pid), true) => vec![format!("{pid} [{}]", subject.title).into()],
        (Some(pid), false) => {
            let pid = OsString::from(pid.to_string());
            [&[pid], subject.command.as_slice()].concat()
        }
    };
    let about = About {
        metadata: Metadata {
            pid: subject.pid,
            command: &subject.command,
            executable: subject.executable.as_deref(),
            attached: Some(subject.title.as_str()).filter(|_| subject.pid.is_none()),
            t0_ms: now_ms(),
            absent: attached.absent(),
            ebpf: mode.map(|mode| EbpfMetadata {
                mode,
                backend: attached.backend(),
                refused: attached.refused.as_ref(),
                scope,
            }),
        },
        title: &title,
        unbegun: "nothing was watched",
    };
    let mut reporter = match Reporter::begin(&about, output, children) {
        Ok(reporter) => reporter,
        Err(code) => return code,
    };
    let done = attached.run(&mut |event| reporter.event(event));
    reporter.conclude(done, exit::of_attached)
}

fn mode(ebpf: Ebpf) -> Option<&'static str> {
    match ebpf {
        Ebpf::Off => None,
        Ebpf::Auto => Some("auto"),
        Ebpf::Require => Some("require"),
    }
}

/// Whose processes are shown with privileges from denet's file. Reports why the configuration is ignored, if it is.
pub(crate) fn scope() -> Option<Scope> {
    let granted = access::granted()?;
    if let Some(ignored) = &granted.ignored {
        complain(ignored);
    }
    Some(granted.scope)
}

pub(crate) fn may_write(output: &Output) -> Result<(), u8> {
    if output.stdout.is_some() && inherited::was_closed(1) {
        complain("stdout is closed, but records go there; redirect it, or use --out FILE");
        return Err(exit::FAILED);
    }
    Ok(())
}

pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

/// What is about to be profiled.
struct About<'a> {
    metadata: Metadata<'a>,
    title: &'a [OsString],
    /// What has not happened if nothing can be written.
    unbegun: &'static str,
}

/// Tells of a profile as it comes.
struct Reporter<'a> {
    output: &'a Output,
    records: Records,
    live: Option<Live>,
    children: bool,
    title: Vec<OsString>,
    refused: bool,
    scope: Option<Scope>,
    why_not: Vec<WhyNot>,
}

impl<'a> Reporter<'a> {
    /// Opens what is to be written, and writes the first records.
    fn begin(about: &About<'_>, output: &'a Output, children: bool) -> Result<Self, u8> {
        let ebpf = about.metadata.ebpf.as_ref();
        let refusal = ebpf.and_then(|ebpf| ebpf.refused);
        if let Some(finding) = refusal {
            complain("going on without the syscall profile:");
            explain(finding);
        }
        let failed = |name: &str, error: &io::Error| {
            complain(&format!("cannot write {name}: {error}; {}", about.unbegun));
            exit::FAILED
        };
        let mut records = Records::open(output).map_err(|(name, error)| failed(&name, &error))?;
        records.write(&json::metadata(&about.metadata));
        if output.env && records.wanted() {
            records.write(&facts::host::env_record(&Root::default()));
        }
        if let Some((name, error)) = records.failure() {
            return Err(failed(name, error));
        }
        let backend = ebpf.and_then(|ebpf| ebpf.backend);
        Ok(Self {
            output,
            records,
            live: output.samples.then(|| Live::new(output.lines)),
            children,
            title: about.title.to_vec(),
            refused: refusal.is_some(),
            scope: ebpf.and_then(|ebpf| ebpf.scope),
            why_not: backend.map_or_else(Vec::new, |backend| backend.why_not.clone()),
        })
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Sample(tree) => {
                if self.records.wanted() {
                    let record = match self.children {
                        true => json::tree(&tree),
                        false => json::sample(&tree).to_string(),
                    };
                    self.records.write_line(&record);
                    self.records.write_row(&tree);
                }
                if let Some(live) = &mut self.live {
                    live.show(*tree);
                }
            }
            Event::Exit(exited) => {
                if self.records.wanted() {
                    self.records.write(&json::exited(&exited));
                }
            }
        }
    }

    /// Writes the last record and the report; returns the exit code.
    fn conclude(
        mut self,
        done: Result<(Run, Option<u64>), SessionError>,
        code: impl Fn(&Run) -> u8,
    ) -> u8 {
        self.live = None;
        let (run, map_bytes) = match done {
            Ok(done) => done,
            Err(error) => return refuse(&error),
        };
        if self.records.wanted() {
            self.records.write(&json::summary(&run, self.output.top));
        }
        if self.output.text {
            self.show(&run, map_bytes);
        }
        match self.records.failure() {
            Some((name, error)) => {
                complain(&format!("not all could be written to {name}: {error}"));
                exit::FAILED
            }
            None => code(&run),
        }
    }

    fn show(&self, run: &Run, map_bytes: Option<u64>) {
        let report = Report {
            command: &self.title,
            run,
            refused: self.refused,
            scope: self.scope,
            why_not: &self.why_not,
            own: OwnCost {
                cpu: inherited::cpu_since(),
                peak_rss_kb: account::own_peak_rss_kb(),
                map_bytes,
            },
            top: self.output.top,
            columns: columns(),
        };
        // One write, so that nobody else's words come between. Where it fails there is nobody to tell.
        let choice = anstream::AutoStream::choice(&io::stderr());
        let mut page = anstream::AutoStream::new(Vec::new(), choice);
        let _ = text::report(&mut page, &report)
            .and_then(|()| io::stderr().write_all(&page.into_inner()));
    }
}

pub(crate) fn refuse(error: &SessionError) -> u8 {
    complain(&error.to_string());
    match error {
        SessionError::Unrunnable(error) => match error {
            crate::sys::program::Unrunnable::NotFound(_) => exit::NOT_FOUND,
            crate::sys::program::Unrunnable::NotExecutable(..) => exit::NOT_EXECUTABLE,
        },
        SessionError::Exec(_, error) if error.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
        SessionError::Exec(..) => exit::NOT_EXECUTABLE,
        SessionError::Refused(finding) | SessionError::NotYours(finding) => {
            explain(finding);
            exit::EBPF_UNAVAILABLE
        }
        SessionError::NobodyThere(_) => exit::FAILED,
        SessionError::Interrupted(signal) => exit::of_signal(*signal),
        SessionError::Failed(..) => exit::FAILED,
    }
}

pub(crate) fn columns() -> usize {
    terminal::columns(io::stderr().as_fd()).unwrap_or(COLUMNS)
}

/// What this build cannot do.
#[cfg(not(feature = "ebpf"))]
pub(crate) fn built_without() -> u8 {
    refuse(&SessionError::Refused(Box::new(
        crate::profile::follow::built_without(),
    )))
}

pub(crate) fn complain(what: &str) {
    complaint::complain("denet", what);
}

pub(crate) fn explain(finding: &Finding) {
    let _ = text::finding(&mut anstream::stderr(), finding, columns());
}
