//! Options that may stand before or after any verb mean something to some of them only. Help leaves the others
//! out, and who gives one is told.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::monitor::arguments::TABLE;
use crate::monitor::request::Monitor;
use crate::monitor::{MONITORS, trace};

/// A verb and what follows it, as typed.
type Path = Vec<&'static str>;

/// What the general options mean to a verb.
struct Scope {
    path: Path,
    /// Groups of ids.
    options: &'static [&'static [&'static str]],
    /// The help of `--interval`, if it is not that of a profile.
    interval: Option<&'static str>,
}

/// To each of these only these options mean something; to `run` and `attach` all.
fn scopes() -> Vec<Scope> {
    let plain = |verb, options| Scope {
        path: vec![verb],
        options,
        interval: None,
    };
    let of = |path, monitor: &Monitor| Scope {
        path,
        options: monitor.options,
        interval: Some(monitor.interval),
    };
    let monitors = MONITORS
        .iter()
        .map(|monitor| of(vec!["monitor", monitor.name], monitor));
    let mut scopes = vec![of(vec!["trace"], &trace::arguments::MONITOR)];
    scopes.extend(monitors);
    scopes.extend([
        plain("monitor", &[]),
        plain("stats", &[TABLE, &["json", "debug"]]),
        plain("setup", &[&["json", "debug"]]),
    ]);
    scopes
}

/// What can be said where it is of use to tests alone, or goes without saying.
const SILENT: &[&str] = &["enable_ebpf", "max_tasks", "btf"];

/// Which of the options of [`super::Profile`] are shown to whom.
pub(super) fn shown(mut command: Command, options: &[String]) -> Command {
    command.build();
    scopes().iter().fold(command, |command, scope| {
        at(command, &scope.path, |verb| {
            verb.mut_args(|arg| {
                let id = arg.get_id().as_str().to_owned();
                if !options.contains(&id) {
                    return arg;
                }
                let arg = match scope.interval {
                    Some(help) if id == "interval" => arg.help(help),
                    _ => arg,
                };
                let is_meant = is_among(scope.options, &id) && !SILENT.contains(&id.as_str());
                arg.hide(!is_meant)
            })
        })
    })
}

fn is_among(meant: &[&[&str]], id: &str) -> bool {
    meant.concat().contains(&id)
}

fn at(command: Command, path: &[&str], change: impl FnOnce(Command) -> Command) -> Command {
    match path {
        [] => change(command),
        [verb, rest @ ..] => command.mut_subcommand(verb, |verb| at(verb, rest, change)),
    }
}

/// Whether each option that was given means something to that verb.
///
/// # Errors
/// clap's, with the option and the verb.
pub(super) fn agrees(
    command: &mut Command,
    matches: &ArgMatches,
    options: &[String],
) -> Result<(), clap::Error> {
    let mut typed = Vec::new();
    let mut deepest = matches;
    while let Some((verb, matches)) = deepest.subcommand() {
        typed.push(verb);
        deepest = matches;
    }
    let Some(scope) = scopes().into_iter().find(|scope| scope.path == typed) else {
        return Ok(());
    };
    let is_given = |id: &&String| deepest.value_source(id) == Some(ValueSource::CommandLine);
    let means_nothing =
        |id: &&String| !is_among(scope.options, id) && !SILENT.contains(&id.as_str());
    match options.iter().filter(is_given).find(means_nothing) {
        None => Ok(()),
        Some(id) => {
            let (option, verb) = (id.replace('_', "-"), typed.join(" "));
            let why = format!("--{option} means nothing to denet {verb}: leave it out");
            Err(command.error(ErrorKind::ArgumentConflict, why))
        }
    }
}
