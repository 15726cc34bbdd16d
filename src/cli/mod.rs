//! What users type. Parsing only: nothing here touches files or processes.

mod color;
mod ebpf_diag;
mod ebpf_test;
mod monitor;
mod profile;
mod scope;
mod setup;
mod stats;
mod words;

pub(crate) use color::Color;
pub use ebpf_diag::EbpfDiag;
pub use ebpf_test::EbpfTest;
use monitor::{Monitored, Traced};
pub(crate) use profile::Profile;
pub(crate) use setup::Setup;
pub(crate) use stats::Stats;
pub use words::parsed;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands;
use crate::monitor::arguments::process_id;
use crate::monitor::request::{self, Request};
use crate::output::{self, Output};
use crate::process::target::Selection;
use crate::profile::options;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Exit status: the command's own (128+N if signal N killed it); 124 ended by --duration; \
125 denet failed or could not write all its output; 126 not executable; 127 not found; \
3 eBPF required and unavailable, or the target is not yours; 2 wrong usage.

Examples:
  denet run -- make -j2
  denet --enable-ebpf run -- ls -lR /usr/lib
  denet --enable-ebpf --wait-all --top 0 run -- make -j2
  denet --enable-ebpf=auto --out profile.jsonl --quiet run ./server
  denet --duration 10 --threads attach 4711";

/// Profiles what programs and all their descendants use, and with eBPF every syscall that they make
#[derive(Debug, Parser)]
#[command(name = "denet", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// How to profile.
    #[command(flatten)]
    profile: Profile,
    /// Whether text is coloured.
    #[command(flatten)]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a command and profile it and its descendants until it ends
    Run {
        /// The command and its arguments; options of denet's stand before it
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Profile processes that run already, and leave them as they are
    #[command(after_help = ATTACH_HELP)]
    Attach {
        /// The process, with its descendants
        #[arg(required_unless_present_any = ["cgroup", "all"], value_parser = process_id)]
        pid: Option<u32>,
        /// All processes of this cgroup and those below it
        #[arg(long, value_name = "PATH", conflicts_with_all = ["pid", "all"])]
        cgroup: Option<PathBuf>,
        /// All processes of the machine but the kernel's own
        #[arg(long, conflicts_with = "pid")]
        all: bool,
    },
    /// Watch what happens on the machine, as it happens
    #[command(subcommand)]
    Monitor(Monitored),
    /// Show every call as strace does, without stopping anybody
    Trace(Traced),
    /// Summarise what was recorded with --json or --out
    #[command(after_help = STATS_HELP)]
    Stats(Stats),
    /// Make this machine ready for profiling without root, reversibly; without a verb, list what it takes
    #[command(after_help = SETUP_HELP)]
    Setup(Setup),
}

const ATTACH_HELP: &str = "\
Exit status: 0 the process has ended, or --duration is over; 130 interrupted by Ctrl-C; 125 denet failed, \
or there is no process to attach to; 3 eBPF required and unavailable, or the target is not yours; 2 wrong usage.

If denet gets its capabilities from its file, it shows you only what ptrace(2) would: see \
ebpf_diag --explain not-yours.

Examples:
  denet attach 4711
  denet --enable-ebpf --duration 10 attach 4711
  denet --duration 60 --out web.jsonl attach --cgroup /system.slice/nginx.service";

const STATS_HELP: &str = "\
A file that is cut off, or still being written, is summarised up to where it ends. Memory does not grow \
with the file.

Exit status: 0 something could be said; 125 no such file, or no recording; 2 wrong usage.

Examples:
  denet --out web.jsonl run ./server; denet stats web.jsonl
  denet stats --json web.jsonl | jq .metrics.mem_rss_kb.p95
  zcat web.jsonl.gz | denet stats -";

const SETUP_HELP: &str = "\
Exit status: 0 done, or all holds; 1 something is in the way, does not hold any more, or does not work; \
2 wrong usage; 125 it failed (what was done before stands in the journal: --apply goes on, --rollback \
undoes it).

Examples:
  denet setup                              what would be changed, what it exposes, what undoes it
  sudo denet setup --apply --user alice
  sudo denet setup --status
  sudo denet setup --rollback";

/// What the command line asks for.
#[derive(Debug)]
enum Asked {
    /// To profile a command.
    Run(options::Options, Output),
    /// To profile running processes.
    Attach(options::Options, Output),
    /// To report what happens.
    Monitor(Request, request::Options),
    /// To summarise a recording.
    Stats(commands::stats::Options),
    /// To set a machine up.
    Setup(commands::setup::Options),
}

impl Cli {
    /// Parses the command line.
    ///
    /// # Errors
    /// clap's, with a word for those who leave out the verb.
    pub fn from_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let shared = Profile::augment_args(clap::Command::new(""));
        let shared: Vec<_> = shared
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .collect();
        let mut command = scope::shown(Self::command(), &shared);
        let matches = command
            .try_get_matches_from_mut(words)
            .map_err(|mut error| {
                if error.kind() == ErrorKind::InvalidSubcommand
                    && error.get(ContextKind::SuggestedSubcommand).is_none()
                {
                    let tip = "to run a command: denet [OPTIONS] run -- CMD [ARG]...".into();
                    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
                }
                error
            })?;
        scope::agrees(&mut command, &matches, &shared)?;
        let parsed =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        parsed.profile.agrees()?;
        Ok(parsed)
    }

    /// Does what was asked; returns the exit code.
    pub fn run(self) -> u8 {
        output::start_log(self.profile.debug);
        match self.into_asked() {
            Asked::Run(options, output) => commands::run::run(options, &output),
            Asked::Attach(options, output) => commands::attach::run(options, &output),
            Asked::Monitor(request, options) => commands::monitor::run(request, &options),
            Asked::Stats(options) => commands::stats::run(&options),
            Asked::Setup(options) => commands::setup::run(options),
        }
    }

    /// Plain options, free of the parser.
    fn into_asked(self) -> Asked {
        let Self { profile, verb, .. } = self;
        match verb {
            Verb::Stats(stats) => Asked::Stats(stats.into_parts(profile.json, profile.top)),
            Verb::Setup(setup) => Asked::Setup(setup.into_parts(profile.json)),
            Verb::Monitor(monitored) | Verb::Trace(Traced(monitored)) => {
                let options = profile.monitor(monitored.every_ms);
                Asked::Monitor(monitored.request, options)
            }
            Verb::Run { command } => {
                let session = profile.session(Selection::Command(command));
                Asked::Run(session, profile.output())
            }
            Verb::Attach { pid, cgroup, .. } => {
                let selection = match (pid, cgroup) {
                    (Some(pid), _) => Selection::Process(pid),
                    (None, Some(folder)) => Selection::Cgroup(folder),
                    (None, None) => Selection::Machine,
                };
                Asked::Attach(profile.session(selection), profile.output())
            }
        }
    }
}

#[cfg(test)]
mod tests;
