//! Where results, errors and the log go, for all verbs.

pub mod complaint;
pub mod escape;
pub(crate) mod records;
pub mod shell;
pub(crate) mod status;
pub mod width;

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::access::{self, Scope};
use crate::checks::finding::Finding;
use crate::cli::Output;
use crate::commands::exit;
use crate::output::escape::printable;
use crate::profile::session::SessionError;
use crate::render::text;
use crate::sys::inherited;

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

pub(crate) fn refuse(error: &SessionError) -> u8 {
    complain(&error.to_string());
    match error {
        SessionError::Unrunnable(error) => match error {
            crate::process::program::Unrunnable::NotFound(_) => exit::NOT_FOUND,
            crate::process::program::Unrunnable::NotExecutable(..) => exit::NOT_EXECUTABLE,
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
    width::of(&io::stderr())
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
