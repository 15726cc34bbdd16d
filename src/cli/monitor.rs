//! `denet monitor`: a subcommand for each entry of [`MONITORS`]; and `denet trace`.

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::monitor::request::{Monitor, Request};
use crate::monitor::{MONITORS, trace};

/// What is to be monitored, and how often sums are shown without `--interval`, in milliseconds.
#[derive(Debug)]
pub(crate) struct Monitored {
    pub(super) request: Request,
    pub(super) every_ms: u64,
}

impl Monitored {
    fn parse(monitor: &Monitor, matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            request: (monitor.parse)(matches)?,
            every_ms: monitor.every_ms,
        })
    }
}

impl FromArgMatches for Monitored {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = matches.subcommand();
        let found = typed.and_then(|(name, matches)| {
            let monitor = MONITORS.iter().find(|monitor| monitor.name == name)?;
            Some((monitor, matches))
        });
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (monitor, matches) = found.ok_or_else(missing)?;
        Self::parse(monitor, matches)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Monitored {
    fn augment_subcommands(command: Command) -> Command {
        let of = |monitor: &Monitor| {
            // Arguments that are flattened bring their own description.
            (monitor.arguments)(Command::new(monitor.name))
                .about(monitor.about)
                .after_help(monitor.after_help)
        };
        command
            .subcommands(MONITORS.iter().map(of))
            .subcommand_required(true)
            .arg_required_else_help(true)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        MONITORS.iter().any(|monitor| monitor.name == name)
    }
}

/// What is to be traced.
#[derive(Debug)]
pub(crate) struct Traced(pub(super) Monitored);

impl FromArgMatches for Traced {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Monitored::parse(&trace::arguments::MONITOR, matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Traced {
    fn augment_args(command: Command) -> Command {
        let monitor = &trace::arguments::MONITOR;
        (monitor.arguments)(command)
            .about(monitor.about)
            .after_help(monitor.after_help)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
