//! `ebpf_diag`: gathers facts or reads saved ones, judges them and writes the report.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::checks::goals::Status;
use crate::checks::pages;
use crate::checks::report::{Diagnosis, Selection};
use crate::commands::exit;
use crate::facts::object::{ObjectError, ObjectFacts, inspect_file};
use crate::facts::{Fact, Facts, SavedError, Target, accounts};
use crate::output::complaint::complain;
use crate::output::{escape, page};
use crate::render::doctor as render;
use crate::sys::inherited;
use crate::sys::place::Place;
use crate::sys::root::Root;

/// Where facts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This machine, whose kernel is probed as well.
    Live,
    /// A tree of files; nothing is probed.
    Tree(PathBuf),
    /// A file that `--save-facts` wrote.
    Saved(PathBuf),
}

/// What to judge, and how to report it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where facts come from.
    pub(crate) source: Source,
    /// Which user and binary are judged.
    pub(crate) target: Target,
    /// Which checks and goals.
    pub(crate) selection: Selection,
    /// An eBPF object to judge as well.
    pub(crate) object: Option<PathBuf>,
    /// File to which the facts are saved.
    pub(crate) save: Option<PathBuf>,
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// All lines, not only those that matter.
    pub(crate) verbose: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoctorError {
    /// The options contradict each other or the target; nothing was judged.
    #[error("{0}")]
    Usage(String),
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Input { path: PathBuf, source: io::Error },
    /// The facts could not be saved.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A facts file without facts.
    #[error("{}: {source}; make one with ebpf_diag --save-facts", path.display())]
    Facts { path: PathBuf, source: SavedError },
    /// The report could not be written.
    #[error("the report could not be written: {0}")]
    Output(io::Error),
}

impl DoctorError {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Input { .. } | Self::Facts { .. } => exit::TOOL_USAGE,
            Self::File { .. } | Self::Output(_) => exit::TOOL_FAILED,
        }
    }
}

const NAME: &str = "ebpf_diag";

/// Judges and reports to stdout, or shows the page about a finding; returns the exit code.
pub fn run(options: &Options, page: Option<&str>) -> u8 {
    if inherited::was_closed(1) {
        complain(NAME, "stdout is closed, and the report goes there");
        return exit::TOOL_FAILED;
    }
    let mut done = Ok(0);
    let written = page::to_stdout(|to, columns| {
        done = match page {
            Some(id) => explain(id, to).map(|()| 0),
            None => judge(options, to, columns).map(exit_code),
        };
        match &done {
            // Output from before the error is not shown.
            Err(_) => Err(io::Error::other("no report")),
            Ok(_) => Ok(()),
        }
    });
    let done = match (done, written) {
        // The reader closed the pipe: it has what it wanted.
        (Ok(_), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(DoctorError::Output(error))
        }
        (done, _) => done,
    };
    done.unwrap_or_else(|error| {
        complain(NAME, &error.to_string());
        error.exit_code()
    })
}

/// Judges, and writes the report at this width; returns the worst status.
///
/// # Errors
/// The options cannot be satisfied, or files cannot be read or written.
fn judge(options: &Options, to: &mut dyn Write, columns: usize) -> Result<Status, DoctorError> {
    let object = options.object.as_deref().map(read_object).transpose()?;
    let facts = gather(options)?;
    if let Some(path) = &options.save {
        save(path, &facts)?;
    }
    let mut diagnosis = Diagnosis::of(&facts, &options.selection);
    if diagnosis.checks.is_empty() && diagnosis.goals.is_empty() && object.is_none() {
        let nothing = "--only and --skip leave nothing to judge";
        return Err(DoctorError::Usage(nothing.to_owned()));
    }
    if let Some(object) = object {
        diagnosis = diagnosis.with_object(object);
    }
    let written = if options.json {
        let object = render::json(&diagnosis).to_string();
        writeln!(to, "{}", escape::json(&object))
    } else {
        render::text(to, &diagnosis, options.verbose, columns)
    };
    written.map_err(DoctorError::Output)?;
    Ok(diagnosis.status())
}

/// Writes the page about a finding.
///
/// # Errors
/// There is no such page, or the output cannot be written.
fn explain(id: &str, to: &mut dyn Write) -> Result<(), DoctorError> {
    let page =
        pages::page(id).ok_or_else(|| DoctorError::Usage(format!("no page is about {id}")))?;
    to.write_all(page.as_bytes()).map_err(DoctorError::Output)
}

/// The exit code after a report.
fn exit_code(status: Status) -> u8 {
    match status {
        Status::Ready => 0,
        Status::Blocked => exit::GOAL_BLOCKED,
        Status::Degraded | Status::Unknown => exit::GOAL_DEGRADED,
    }
}

fn gather(options: &Options) -> Result<Facts, DoctorError> {
    let root = match &options.source {
        Source::Saved(path) => return saved(path),
        Source::Live => Root::default(),
        Source::Tree(path) => tree(path)?,
    };
    if let Some(user) = &options.target.user {
        known_user(&root, user)?;
    }
    if let Some(binary) = &options.target.binary {
        let found = root.stat(binary);
        found.map_err(|source| DoctorError::Input {
            path: binary.clone(),
            source,
        })?;
    }
    Ok(match options.source {
        // Nothing is probed, even if the tree is this machine's own.
        Source::Tree(_) => Facts::read(&root, &options.target),
        Source::Live | Source::Saved(_) => look(&root, &options.target),
    })
}

#[cfg(feature = "ebpf")]
fn look(root: &Root, target: &Target) -> Facts {
    Facts::with_probes(root, target)
}

#[cfg(not(feature = "ebpf"))]
fn look(root: &Root, target: &Target) -> Facts {
    Facts::read(root, target)
}

/// Largest facts file that is read; a usual one has about 40 kB.
const FACTS_MIB: u64 = 16;

fn saved(path: &Path) -> Result<Facts, DoctorError> {
    let failed = |source| DoctorError::Input {
        path: path.to_owned(),
        source,
    };
    let bytes = Root::default()
        .read_at_most(path, FACTS_MIB)
        .map_err(failed)?;
    let not_text = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"));
    let text = String::from_utf8(bytes).map_err(not_text)?;
    Facts::from_json(&text).map_err(|source| DoctorError::Facts {
        path: path.to_owned(),
        source,
    })
}

fn tree(path: &Path) -> Result<Root, DoctorError> {
    let whole = fs::canonicalize(path).and_then(|path| {
        if fs::metadata(&path)?.is_dir() {
            Ok(path)
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOTDIR))
        }
    });
    match whole {
        Ok(path) if path.join("proc").is_dir() => Ok(Root::new(path)),
        Ok(path) => Err(DoctorError::Usage(format!(
            "{}: no root of a system: there is no proc in it",
            path.display()
        ))),
        Err(error) => Err(DoctorError::Usage(format!(
            "{}: {error}; --sysroot takes a directory",
            path.display()
        ))),
    }
}

fn known_user(root: &Root, user: &str) -> Result<(), DoctorError> {
    match accounts::exists(root, user) {
        Fact::Known(()) => Ok(()),
        Fact::Absent => Err(DoctorError::Usage(format!(
            "no user is called {user}, nor has this number"
        ))),
        Fact::Denied(why) | Fact::Failed(why) => Err(DoctorError::Usage(format!(
            "the user {user} could not be looked up: {why}"
        ))),
    }
}

fn read_object(path: &Path) -> Result<Result<ObjectFacts, ObjectError>, DoctorError> {
    let bytes = Root::default()
        .read(path)
        .map_err(|source| DoctorError::Input {
            path: path.to_owned(),
            source,
        })?;
    Ok(inspect_file(&bytes))
}

/// Written completely or not at all: a reader never sees half of it.
fn save(path: &Path, facts: &Facts) -> Result<(), DoctorError> {
    let failed = |source| DoctorError::File {
        path: path.to_owned(),
        source,
    };
    let text = facts.to_json().map_err(|source| DoctorError::Facts {
        path: path.to_owned(),
        source,
    })?;
    let saved = Place::of_output(path)
        .and_then(|place| place.save(format!("{}\n", escape::json(&text)).as_bytes()));
    saved.map_err(failed)
}
