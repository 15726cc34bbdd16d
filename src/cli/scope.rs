//! Options that may stand before or after any verb mean something to some of them only. Help leaves the others
//! out, and who gives one is told.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// A verb and what follows it, as typed.
type Path = &'static [&'static str];

/// To all that watch as it happens.
const WATCHING: &[&str] = &[
    "enable_ebpf",
    "json",
    "out",
    "duration",
    "quiet",
    "interval",
    "strict",
    "debug",
];
const FOLLOWING: &[&str] = &["exclude_children", "wait_all"];
const TABLE: &[&str] = &["top"];

/// To each of these only these options mean something; to `run` and `attach` all.
const SCOPES: &[(Path, &[&[&str]])] = &[
    (&["trace"], &[WATCHING, FOLLOWING]),
    (&["monitor", "exec"], &[WATCHING, FOLLOWING, TABLE]),
    (&["monitor", "net"], &[WATCHING, FOLLOWING, TABLE]),
    (&["monitor", "xdp"], &[WATCHING, &["no_update"]]),
    (&["monitor"], &[]),
    (&["stats"], &[TABLE, &["json", "debug"]]),
    (&["setup"], &[&["json", "debug"]]),
];

/// What can be said where it is of use to tests alone, or goes without saying.
const SILENT: &[&str] = &["enable_ebpf", "max_tasks", "btf"];

/// Profiling looks at what changes; a monitor is told.
const INTERVALS: &[(Path, &str)] = &[
    (
        &["monitor", "xdp"],
        "Show the table every MS milliseconds [default: 1000]",
    ),
    (
        &["monitor", "exec"],
        "Say what was lost every MS milliseconds [default: 100]",
    ),
    (
        &["monitor", "net"],
        "Say what was lost every MS milliseconds [default: 100]",
    ),
    (
        &["trace"],
        "Show calls that last, and say what was lost, every MS milliseconds [default: 100]",
    ),
];

/// Which of the options of [`super::Profile`] are shown to whom.
pub(super) fn shown(mut command: Command, options: &[String]) -> Command {
    command.build();
    SCOPES.iter().fold(command, |command, (path, meant)| {
        at(command, path, |verb| {
            let interval = INTERVALS.iter().find(|(of, _)| of == path);
            verb.mut_args(|arg| {
                let id = arg.get_id().as_str().to_owned();
                if !options.contains(&id) {
                    return arg;
                }
                let arg = match interval {
                    Some((_, help)) if id == "interval" => arg.help(*help),
                    _ => arg,
                };
                let is_meant = is_among(meant, &id) && !SILENT.contains(&id.as_str());
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
    let Some((_, meant)) = SCOPES.iter().find(|(path, _)| *path == typed.as_slice()) else {
        return Ok(());
    };
    let is_given = |id: &&String| deepest.value_source(id) == Some(ValueSource::CommandLine);
    let means_nothing = |id: &&String| !is_among(meant, id) && !SILENT.contains(&id.as_str());
    match options.iter().filter(is_given).find(means_nothing) {
        None => Ok(()),
        Some(id) => {
            let (option, verb) = (id.replace('_', "-"), typed.join(" "));
            let why = format!("--{option} means nothing to denet {verb}: leave it out");
            Err(command.error(ErrorKind::ArgumentConflict, why))
        }
    }
}
