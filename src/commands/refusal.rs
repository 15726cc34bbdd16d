//! Reports why a verb could not be done, with its exit code.

use std::io;

use super::exit;
use crate::checks::finding::Finding;
use crate::facts::scope::{self, Scope};
use crate::output::{complain, page};
use crate::process::program::Unrunnable;
use crate::profile::options::SessionError;
use crate::render::text;

/// Reports why there was no session; returns the exit code.
pub(super) fn refuse(error: &SessionError) -> u8 {
    complain(&error.to_string());
    match error {
        SessionError::Unrunnable(Unrunnable::NotFound(_)) => exit::NOT_FOUND,
        SessionError::Unrunnable(Unrunnable::NotExecutable(..)) => exit::NOT_EXECUTABLE,
        SessionError::Exec(_, error) if error.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
        SessionError::Exec(..) => exit::NOT_EXECUTABLE,
        SessionError::Refused(finding)
        | SessionError::NotYours(finding)
        | SessionError::NotFollowed(finding) => {
            explain(finding);
            exit::EBPF_UNAVAILABLE
        }
        SessionError::Interrupted(signal) => exit::of_signal(*signal),
        SessionError::NoTarget(_) | SessionError::Failed(..) => exit::FAILED,
    }
}

/// Reports a build without eBPF; returns the exit code.
#[cfg(not(feature = "ebpf"))]
pub(super) fn built_without() -> u8 {
    refuse(&SessionError::Refused(Box::new(
        crate::profile::follow::built_without(),
    )))
}

/// Shows a finding.
pub(super) fn explain(finding: &Finding) {
    page::to_stderr(|to, columns| text::finding(to, finding, columns));
}

/// Which processes are shown with privileges from denet's file. If the configuration is ignored, reports why.
pub(super) fn granted_scope() -> Option<Scope> {
    let granted = scope::granted()?;
    if let Some(ignored) = &granted.ignored {
        complain(ignored);
    }
    Some(granted.scope)
}
