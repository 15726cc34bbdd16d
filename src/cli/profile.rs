//! Options that may stand before or after any verb.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, ValueEnum};

use super::Cli;
use crate::facts::kernel_types::VMLINUX;
use crate::monitor::request;
use crate::output::{Format, Output};
use crate::process::interval::Adaptive;
use crate::process::target::{Selection, Target};
use crate::profile::Limits;
use crate::profile::options::{self, Ebpf};
use crate::profile::sampling::SamplingOptions;

/// Without `--interval`.
const SAMPLED_EVERY_MS: u64 = 100;

/// Options of the profile.
#[derive(Args, Debug)]
pub(crate) struct Profile {
    /// Count every syscall: `require` (the bare flag) refuses to start the command where eBPF
    /// cannot work and says why; `auto` goes on without
    #[arg(long, global = true, value_enum, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "require", hide_possible_values = true)]
    pub(crate) enable_ebpf: Option<EbpfMode>,
    /// JSON lines on stdout instead of text on stderr
    #[arg(short, long, global = true)]
    pub(crate) json: bool,
    /// Also write the JSON lines to FILE
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Stop after SECS seconds: a command is ended (SIGTERM, two seconds later SIGKILL), what it started and
    /// left behind runs on; what was attached to is left alone
    #[arg(short, long, global = true, value_name = "SECS", value_parser = seconds, default_value = "0", hide_default_value = true)]
    pub(crate) duration: Duration,
    /// No samples on the terminal, and no report where it goes to --json or --out
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print each sample as a line of its own rather than redraw one
    #[arg(short, long, global = true)]
    pub(crate) no_update: bool,
    /// Sample every MS milliseconds during the first second [default: 100]
    #[arg(short, long, global = true, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) interval: Option<u64>,
    /// From then on less and less often, from the tenth second on every MS milliseconds
    #[arg(short, long, global = true, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) max_interval: u64,
    /// No samples: only the final summary of the whole life
    #[arg(long, global = true)]
    pub(crate) no_polling: bool,
    /// The process alone, not its descendants
    #[arg(long, global = true)]
    pub(crate) exclude_children: bool,
    /// Count bytes and page faults from the start of each process rather than from when denet attached
    #[arg(long, global = true)]
    pub(crate) since_process_start: bool,
    /// Each thread as well
    #[arg(long, global = true)]
    pub(crate) threads: bool,
    /// Continue until the last descendant has ended, not only the command itself; without eBPF this implies
    /// --adopt
    #[arg(long, global = true)]
    pub(crate) wait_all: bool,
    /// Make denet the parent of orphaned descendants, so that their usage is known without eBPF. They see another
    /// parent than without denet: a daemon that waits until it has been adopted by init does not start
    #[arg(long, global = true)]
    pub(crate) adopt: bool,
    /// Form of the records in --out, or on stdout without it: csv has one row for each sample
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t = Form::Json, hide_default_value = true)]
    pub(crate) format: Form,
    /// Write a record about this machine first: kernel, CPUs, limits
    #[arg(long, global = true)]
    pub(crate) write_env: bool,
    /// Rows of each table, entries of each top_syscalls; 0 for all
    #[arg(long, global = true, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// Loss of events is an error: exit status 4
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// Say on stderr what is loaded, attached and read, and each failed attempt (or set RUST_LOG)
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Follow no more tasks than this, to test what happens beyond
    #[cfg_attr(feature = "test-hooks", arg(long, global = true, hide = true, value_parser = clap::value_parser!(u32).range(1..=16384)))]
    #[cfg_attr(not(feature = "test-hooks"), arg(skip))]
    pub(crate) max_tasks: Option<u32>,
    /// Look here for the kernel's types, to test what happens without
    #[cfg_attr(feature = "test-hooks", arg(long, global = true, hide = true, default_value = VMLINUX))]
    #[cfg_attr(not(feature = "test-hooks"), arg(skip = VMLINUX))]
    pub(crate) btf: PathBuf,
}

/// Whether the syscall profile must work.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EbpfMode {
    /// Refuse to start the command where it cannot.
    Require,
    /// Go on without, and say so.
    Auto,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// JSON lines.
    Json,
    /// A table of the samples.
    Csv,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Json => Self::Json,
            Form::Csv => Self::Csv,
        }
    }
}

impl Profile {
    /// What the parser cannot tell: options that contradict each other only in some company.
    pub(super) fn agrees(&self) -> Result<(), clap::Error> {
        if !(self.json && self.format == Form::Csv && self.out.is_none()) {
            return Ok(());
        }
        let contradiction =
            "--json and --format csv both want stdout: name a file for one of them with --out FILE";
        Err(Cli::command().error(ErrorKind::ArgumentConflict, contradiction))
    }

    /// Options of a profile.
    pub(super) fn session(&self, selection: Selection) -> options::Options {
        options::Options {
            target: Target {
                selection,
                descendants: !self.exclude_children,
            },
            ebpf: match self.enable_ebpf {
                None => Ebpf::Off,
                Some(EbpfMode::Auto) => Ebpf::Auto,
                Some(EbpfMode::Require) => Ebpf::Require,
            },
            duration: self.duration(),
            wait_all: self.wait_all,
            adopt: self.adopt,
            sampling: self.sampling(),
            limits: self.limits(),
        }
    }

    /// Options of a monitor, which shows sums every so many milliseconds without `--interval`.
    pub(super) fn monitor(&self, every_ms: u64) -> request::Options {
        request::Options {
            descendants: !self.exclude_children,
            duration: self.duration(),
            wait_all: self.wait_all,
            interval: Duration::from_millis(self.interval.unwrap_or(every_ms)),
            output: self.output(),
            strict: self.strict,
            limits: self.limits(),
        }
    }

    fn duration(&self) -> Option<Duration> {
        Some(self.duration).filter(|duration| !duration.is_zero())
    }

    fn sampling(&self) -> SamplingOptions {
        let interval = Adaptive {
            base: Duration::from_millis(self.interval.unwrap_or(SAMPLED_EVERY_MS)),
            max: Duration::from_millis(self.max_interval),
        };
        SamplingOptions {
            interval: Some(interval).filter(|_| !self.no_polling),
            threads: self.threads,
            since_process_start: self.since_process_start,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_tasks: self.max_tasks,
            btf: self.btf.clone(),
        }
    }

    pub(super) fn output(&self) -> Output {
        // Where they are not to go to a file, records in another form than text are for stdout.
        let csv_alone = self.format == Form::Csv && self.out.is_none();
        let stdout = match (self.json, csv_alone) {
            (_, true) => Some(Format::Csv),
            (true, false) => Some(Format::Json),
            (false, false) => None,
        };
        let elsewhere = stdout.is_some() || self.out.is_some();
        let text = !(stdout == Some(Format::Json) || self.quiet && elsewhere);
        Output {
            stdout,
            out: self.out.clone().map(|path| (path, self.format.into())),
            samples: text && !self.quiet,
            text,
            lines: self.no_update,
            env: self.write_env,
            top: self.top,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "not a number of seconds".to_owned())
}
