//! What users type. Parsing only: nothing here touches files or processes.

mod ebpf_test;

pub use ebpf_test::EbpfTest;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::profile::Limits;
use crate::profile::session::{Ebpf, Options};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Exit status: the command's own (128+N if signal N killed it); 124 ended by --duration; \
125 denet failed or could not write all its output; 126 not executable; 127 not found; \
3 eBPF required and unavailable; 2 wrong usage.

Examples:
  denet --enable-ebpf run -- ls -lR /usr/lib
  denet --enable-ebpf --wait-all --top 0 run -- make -j2
  denet --enable-ebpf=auto --out profile.jsonl --quiet run ./server";

/// Profiles what a command and all its descendants ask of the kernel
#[derive(Debug, Parser)]
#[command(name = "denet", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// How to profile.
    #[command(flatten)]
    pub profile: Profile,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of the profile.
#[derive(Args, Debug)]
pub struct Profile {
    /// Count every syscall: `require` (the bare flag) refuses to start the command where eBPF
    /// cannot work and says why; `auto` goes on without
    #[arg(long, global = true, value_enum, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "require", hide_possible_values = true)]
    pub enable_ebpf: Option<EbpfMode>,
    /// JSON lines on stdout instead of text on stderr
    #[arg(short, long, global = true)]
    pub json: bool,
    /// Also write the JSON lines to FILE
    #[arg(short, long, global = true, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// End the command after SECS seconds (SIGTERM, two seconds later SIGKILL); what it started and
    /// left behind runs on
    #[arg(short, long, global = true, value_name = "SECS", value_parser = seconds, default_value = "0", hide_default_value = true)]
    pub duration: Duration,
    /// No report on the terminal when it goes to --json or --out
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Only the final summary of the whole life, no samples in between (as yet, always so)
    #[arg(long, global = true)]
    pub no_polling: bool,
    /// Go on until the last descendant has ended, not only the command itself
    #[arg(long, global = true)]
    pub wait_all: bool,
    /// Rows of each table, entries of each top_syscalls; 0 for all
    #[arg(long, global = true, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Say on stderr what is loaded, attached and read, and each failed attempt (or set RUST_LOG)
    #[arg(long, global = true)]
    pub debug: bool,
    /// Follow no more tasks than this, to test what happens beyond
    #[arg(long, global = true, hide = true, value_parser = clap::value_parser!(u32).range(1..=16384))]
    pub max_tasks: Option<u32>,
    /// Look here for the kernel's types, to test what happens without
    #[arg(
        long,
        global = true,
        hide = true,
        default_value = "/sys/kernel/btf/vmlinux"
    )]
    pub btf: PathBuf,
}

/// Whether the syscall profile must work.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EbpfMode {
    /// Refuse to start the command where it cannot.
    Require,
    /// Go on without, and say so.
    Auto,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a command and profile it and its descendants until it ends
    Run {
        /// The command and its arguments; options of denet's stand before it
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
}

/// Where results go.
#[derive(Clone, Debug)]
pub struct Output {
    /// JSON lines on stdout.
    pub json: bool,
    /// JSON lines into this file.
    pub out: Option<PathBuf>,
    /// Text on stderr.
    pub text: bool,
    /// Rows of each table, 0 for all.
    pub top: usize,
}

impl Cli {
    /// Parses the command line.
    ///
    /// # Errors
    /// clap's, with a word for those who leave out the verb.
    pub fn from_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(words).map_err(|mut error| {
            if error.kind() == ErrorKind::InvalidSubcommand
                && error.get(ContextKind::SuggestedSubcommand).is_none()
            {
                let tip = "to run a command: denet [OPTIONS] run -- CMD [ARG]...".into();
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
            }
            error
        })
    }

    /// Plain options, free of the parser.
    pub fn into_parts(self) -> (Options, Output, bool) {
        let Self {
            profile,
            verb: Verb::Run { command },
        } = self;
        let options = Options {
            command,
            ebpf: match profile.enable_ebpf {
                None => Ebpf::Off,
                Some(EbpfMode::Auto) => Ebpf::Auto,
                Some(EbpfMode::Require) => Ebpf::Require,
            },
            duration: Some(profile.duration).filter(|duration| !duration.is_zero()),
            wait_all: profile.wait_all,
            limits: Limits {
                max_tasks: profile.max_tasks,
                btf: profile.btf,
            },
        };
        let elsewhere = profile.json || profile.out.is_some();
        let output = Output {
            json: profile.json,
            text: !(profile.json || profile.quiet && elsewhere),
            out: profile.out,
            top: profile.top,
        };
        (options, output, profile.debug)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "not a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_verb_and_the_rest_is_the_commands() {
        let (options, output, _) = parse("denet --json run --enable-ebpf=auto ls -l --json")
            .unwrap()
            .into_parts();
        assert_eq!(options.command, ["ls", "-l", "--json"]);
        assert_eq!(options.ebpf, Ebpf::Auto);
        assert!(output.json && !output.text);
        let (options, ..) = parse("denet --enable-ebpf run -- --odd")
            .unwrap()
            .into_parts();
        assert_eq!(
            (options.command, options.ebpf),
            (vec!["--odd".into()], Ebpf::Require)
        );
    }

    #[test]
    fn quiet_leaves_the_report_where_it_was_asked_for() {
        assert!(parse("denet -q run x").unwrap().into_parts().1.text);
        assert!(!parse("denet -q --out f run x").unwrap().into_parts().1.text);
        assert!(parse("denet --out f run x").unwrap().into_parts().1.text);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for line in [
            "denet",
            "denet run",
            "denet run --",
            "denet --bogus run x",
            "denet -d -1 run x",
            "denet -d nan run x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        let suggestion = parse("denet --enable-epbf run x").unwrap_err().to_string();
        assert!(suggestion.contains("--enable-ebpf"), "{suggestion}");
    }
}
