//! The verb `setup`: plans, applies, rolls back or verifies.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::commands::exit;
use crate::output::complaint::{complain, complain_in_lines};
use crate::output::{escape, width};
use crate::render::setup as render;
use crate::setup::apply::apply;
use crate::setup::boundaries::Boundaries;
use crate::setup::look::{Standing, survey};
use crate::setup::plan::PlanOptions;
use crate::setup::state::Target;
use crate::setup::status::{Line, status};
use crate::setup::system::System;
use crate::setup::undo::rollback;
use crate::setup::verify::{Proof, verify};
use crate::setup::{SetupError, command};

/// The name before error messages.
const NAME: &str = "denet setup";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// List what would be changed.
    Plan,
    /// Change it.
    Apply,
    /// Undo it.
    Rollback,
    /// Report whether it is still in place.
    Status,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) operation: Operation,
    /// What the machine is set up for.
    pub(crate) plan: PlanOptions,
    /// Another system, in this directory.
    pub(crate) root: Option<PathBuf>,
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// Do not ask for confirmation.
    pub(crate) yes: bool,
    /// For tests: the step at which denet kills itself.
    pub(crate) die_at: Option<u32>,
}

/// Plans, applies, rolls back or verifies, and reports to stdout; returns the exit code.
pub(crate) fn run(options: Options) -> u8 {
    let columns = width::of(&io::stdout());
    let mut stdout = anstream::stdout();
    let code = report(options, &mut stdout, columns);
    let _ = stdout.flush();
    code
}

fn report(mut options: Options, to: &mut dyn Write, columns: usize) -> u8 {
    if options.plan.user.is_none() {
        options.plan.user = behind_sudo();
    }
    let done = system(&options).and_then(|system| {
        let out = Out {
            to,
            columns,
            json: options.json,
        };
        match options.operation {
            Operation::Plan => plan(&system, &options, out),
            Operation::Apply => change(&system, &options, out),
            Operation::Rollback => undo(&system, &options, out),
            Operation::Status => check(&system, &options, out),
        }
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            let text = error.to_string();
            match error {
                // Several lines, each of which is already escaped.
                SetupError::Conflicts(_) | SetupError::Change { .. } => {
                    complain_in_lines(NAME, &text);
                }
                _ => complain(NAME, &text),
            }
            match error {
                SetupError::Refused(_) => exit::USAGE,
                SetupError::Conflicts(_) => exit::NOT_AS_IT_SHOULD_BE,
                _ => exit::FAILED,
            }
        }
    }
}

/// Where the result is written.
struct Out<'a> {
    to: &'a mut dyn Write,
    columns: usize,
    json: bool,
}

fn written(result: io::Result<()>) -> Result<(), SetupError> {
    result.map_err(|source| SetupError::Look {
        what: "the output could not be written".to_owned(),
        source,
    })
}

fn object(to: &mut dyn Write, object: &Value) -> io::Result<()> {
    writeln!(to, "{}", escape::json(&object.to_string()))
}

fn behind_sudo() -> Option<String> {
    let user = std::env::var("SUDO_USER").ok()?;
    Some(user).filter(|user| !user.is_empty() && user != "root")
}

fn system(options: &Options) -> Result<System, SetupError> {
    let Some(root) = &options.root else {
        let root = Path::new("/");
        return System::new(root).map_err(|source| SetupError::Look {
            what: root.display().to_string(),
            source,
        });
    };
    let refused = |why: String| {
        SetupError::Refused(format!(
            "{}: {why}; --root takes the root of a system",
            root.display()
        ))
    };
    let whole = std::fs::canonicalize(root).map_err(|error| refused(error.to_string()))?;
    if !whole.join("etc").is_dir() {
        return Err(refused("there is no etc in it".to_owned()));
    }
    System::new(&whole).map_err(|error| refused(error.to_string()))
}

fn plan(system: &System, options: &Options, out: Out<'_>) -> Result<u8, SetupError> {
    let found = survey(system, &options.plan)?;
    written(if out.json {
        object(out.to, &render::plan_json(&found, &options.plan))
    } else {
        render::plan(out.to, &found, &options.plan, out.columns)
    })?;
    let conflicts = found
        .items
        .iter()
        .any(|item| matches!(item.standing, Standing::Conflict(_)));
    Ok(if conflicts {
        exit::NOT_AS_IT_SHOULD_BE
    } else {
        0
    })
}

fn change(system: &System, options: &Options, out: Out<'_>) -> Result<u8, SetupError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(SetupError::NotRoot);
    }
    let before = survey(system, &options.plan)?;
    let todo = before
        .items
        .iter()
        .filter(|item| item.standing == Standing::ToDo)
        .count();
    if todo > 0 && !options.yes && options.json {
        return Err(no_terminal(system));
    }
    if todo > 0 && !options.yes {
        written(render::plan(out.to, &before, &options.plan, out.columns))?;
        if !agreed(system, todo)? {
            return Ok(exit::NOT_AS_IT_SHOULD_BE);
        }
    }
    let mut boundaries = Boundaries::new(options.die_at);
    let (to, json, columns) = (out.to, out.json, out.columns);
    let mut reported = Ok(());
    let found = apply(system, &options.plan, &mut boundaries, |item| {
        if !json && reported.is_ok() {
            reported = render::doing(to, item, columns);
        }
    })?;
    written(reported)?;
    let proofs = prove(system, options.plan.user.as_deref(), &options.plan.prefix);
    written(if json {
        object(to, &render::applied_json(&found, &proofs))
    } else {
        render::applied(to, &found, &proofs, options.plan.user.as_deref(), columns)
    })?;
    Ok(code_of(&proofs))
}

fn code_of(proofs: &[Proof]) -> u8 {
    if proofs.iter().all(|proof| proof.ok) {
        0
    } else {
        exit::NOT_AS_IT_SHOULD_BE
    }
}

/// Nothing is tested for an image, or if no user was named.
fn prove(system: &System, user: Option<&str>, prefix: &Path) -> Vec<Proof> {
    match user {
        Some(user) if system.is_live() => verify(user, prefix),
        _ => Vec::new(),
    }
}

/// The user that the machine was set up for, and the path of the installed smoke test.
fn set_up_for(lines: &[Line]) -> (Option<&str>, Option<&Path>) {
    let user = lines.iter().find_map(|line| match &line.target {
        Target::Member { user, .. } => Some(user.as_str()),
        _ => None,
    });
    let prefix = lines.iter().find_map(|line| match &line.target {
        Target::Path(path) if path.ends_with("bin/ebpf_test") => path.ancestors().nth(2),
        _ => None,
    });
    (user, prefix)
}

fn no_terminal(system: &System) -> SetupError {
    let setup = command(system.image());
    SetupError::Refused(format!(
        "nobody can be asked here; say --yes, after reading what `{setup}` lists"
    ))
}

fn agreed(system: &System, todo: usize) -> Result<bool, SetupError> {
    if !io::stdin().is_terminal() {
        return Err(no_terminal(system));
    }
    let mut stderr = anstream::stderr();
    let _ = write!(stderr, "Make these {todo} changes? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|source| SetupError::Look {
        what: "the answer".to_owned(),
        source,
    })?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn undo(system: &System, options: &Options, out: Out<'_>) -> Result<u8, SetupError> {
    let mut boundaries = Boundaries::new(options.die_at);
    let (to, json) = (out.to, out.json);
    let mut all = Vec::new();
    let any = rollback(system, &mut boundaries, |target, undone| {
        all.push((target.clone(), undone.clone()));
    })?;
    written(if json {
        object(to, &render::undone_json(&all))
    } else {
        render::undone(to, any, &all, out.columns)
    })?;
    Ok(0)
}

fn check(system: &System, options: &Options, out: Out<'_>) -> Result<u8, SetupError> {
    let lines = status(system)?;
    let root = nix::unistd::geteuid().is_root();
    let proofs = match &lines {
        Some(lines) if root => {
            let (user, prefix) = set_up_for(lines);
            let user = options.plan.user.as_deref().or(user);
            prefix.map_or_else(Vec::new, |prefix| prove(system, user, prefix))
        }
        _ => Vec::new(),
    };
    written(if out.json {
        object(out.to, &render::status_json(lines.as_deref(), &proofs))
    } else {
        render::status(
            out.to,
            lines.as_deref(),
            &proofs,
            system.image(),
            out.columns,
        )
    })?;
    let drifts = lines
        .as_ref()
        .is_none_or(|lines| lines.iter().any(|line| line.drift.is_some()));
    Ok(if drifts {
        exit::NOT_AS_IT_SHOULD_BE
    } else {
        code_of(&proofs)
    })
}
