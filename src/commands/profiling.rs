//! What `run` and `attach` have in common: a session whose records and report are written.

use std::ffi::OsString;
use std::time::Instant;

use super::exit;
use super::refusal::{explain, granted_scope, refuse};
use crate::facts;
use crate::facts::scope::Scope;
use crate::output::reporter::Reporter;
use crate::output::{Output, complain};
use crate::process::model::Tree;
use crate::process::seen::Subject;
use crate::process::source;
use crate::profile::model::{OwnCost, Run, WhyNot};
use crate::profile::options::{Ebpf, Options, SessionError};
use crate::profile::sampling::{Event, Sample};
use crate::profile::session::Session;
use crate::render::json::{self, EbpfMetadata, Metadata};
use crate::render::text::{self, Report};
use crate::render::{csv, live};
use crate::sys::clock::now_ms;
use crate::sys::inherited;
use crate::sys::root::Root;

/// The proportional set size is read in some samples only, and shown for so long.
const PSS_SHOWN_MS: u64 = 15_000;

/// What is about to be profiled.
pub(super) struct About {
    /// The title of the report.
    pub(super) title: Vec<OsString>,
    /// For the error if nothing can be written: what was not done.
    pub(super) unbegun: &'static str,
}

/// Profiles and reports; returns the exit code.
pub(super) fn run(options: Options, output: &Output, about: fn(&Subject) -> About) -> u8 {
    if let Err(error) = Reporter::check(output) {
        complain(&error);
        return exit::FAILED;
    }
    let mode = match options.ebpf {
        Ebpf::Off => None,
        Ebpf::Auto => Some("auto"),
        Ebpf::Require => Some("require"),
    };
    let descendants = options.target.descendants;
    let scope = granted_scope();
    let session = match Session::start(options, None) {
        Ok(session) => session,
        Err(error) => return refuse(&error),
    };
    let about = about(&session.subject);
    let metadata = observed(&session, mode, scope);
    let mut profiled = match Profiled::begin(about, &metadata, output, descendants) {
        Ok(profiled) => profiled,
        Err(error) => {
            complain(&error);
            return exit::FAILED;
        }
    };
    let done = session.run(&mut |event| profiled.event(event));
    profiled.conclude(done)
}

/// What is observed, for the first record.
pub(super) fn observed<'a>(
    session: &'a Session,
    mode: Option<&'static str>,
    scope: Option<Scope>,
) -> Metadata<'a> {
    let subject = &session.subject;
    Metadata {
        pid: subject.pid,
        command: &subject.command,
        executable: subject.executable.as_deref(),
        attached: Some(&subject.title).filter(|_| subject.pid.is_none()),
        t0_ms: now_ms(),
        absent: session.absent(),
        ebpf: mode.map(|mode| EbpfMetadata {
            mode,
            backend: session.backend(),
            refused: session.refused.as_ref(),
            scope,
        }),
    }
}

/// A profile in progress.
struct Profiled {
    reporter: Reporter,
    title: Vec<OsString>,
    descendants: bool,
    started: Instant,
    // The last sample, without its processes.
    before: Option<Tree>,
    // The proportional set size that was last read, and when, in milliseconds since 1970.
    pss: Option<(u64, u64)>,
    refused: bool,
    scope: Option<Scope>,
    why_not: Vec<WhyNot>,
}

impl Profiled {
    /// Opens the outputs, and writes the first records.
    fn begin(
        about: About,
        metadata: &Metadata<'_>,
        output: &Output,
        descendants: bool,
    ) -> Result<Self, String> {
        let ebpf = metadata.ebpf.as_ref();
        let refusal = ebpf.and_then(|ebpf| ebpf.refused);
        if let Some(finding) = refusal {
            complain("going on without the syscall profile:");
            explain(finding);
        }
        let mut reporter = Reporter::open(output, about.unbegun)?;
        let records = &mut reporter.records;
        records.write_row(csv::header());
        records.write(&json::metadata(metadata));
        if output.env && records.wanted() {
            records.write(&facts::host::env_record(&Root::default()));
        }
        records.begun()?;
        let backend = ebpf.and_then(|ebpf| ebpf.backend);
        Ok(Self {
            reporter,
            title: about.title,
            descendants,
            started: Instant::now(),
            before: None,
            pss: None,
            refused: refusal.is_some(),
            scope: ebpf.and_then(|ebpf| ebpf.scope),
            why_not: backend.map_or_else(Vec::new, |backend| backend.why_not.clone()),
        })
    }

    fn event(&mut self, event: Event) {
        let records = &mut self.reporter.records;
        match event {
            Event::Sample(sample) => self.sample(*sample),
            Event::Exit(exited) => {
                if records.wanted() {
                    records.write(&json::exited(&exited));
                }
            }
        }
    }

    fn sample(&mut self, sample: Sample) {
        let top = self.reporter.output().top;
        let mut tree = sample.tree;
        let syscalls = sample.syscalls;
        tree.aggregated.ebpf = syscalls.map(|syscalls| json::ebpf_so_far(&syscalls, top));
        let records = &mut self.reporter.records;
        if records.wanted() {
            let record = match self.descendants {
                true => json::tree(&tree),
                false => json::sample(&tree).to_string(),
            };
            records.write_line(&record);
            records.write_row(csv::row(&tree));
        }
        let now_ms = tree.ts_ms;
        let read = tree.aggregated.metrics.mem_pss_kb;
        self.pss = read.map(|kb| (kb, now_ms)).or(self.pss);
        let pss = self
            .pss
            .filter(|(_, at_ms)| now_ms.saturating_sub(*at_ms) <= PSS_SHOWN_MS);
        let pss = pss.map(|(kb, _)| kb);
        let (before, elapsed) = (self.before.as_ref(), self.started.elapsed());
        self.reporter
            .status(|columns| live::line(&tree, before, pss, elapsed, columns));
        // The sum is enough to compare with.
        self.before = Some(Tree {
            children: Vec::new(),
            ..tree
        });
    }

    /// Writes the last record and the report; returns the exit code.
    fn conclude(mut self, done: Result<(Run, Option<u64>), SessionError>) -> u8 {
        self.reporter.clear();
        let (run, map_bytes) = match done {
            Ok(done) => done,
            Err(error) => return refuse(&error),
        };
        let top = self.reporter.output().top;
        if self.reporter.records.wanted() {
            self.reporter.records.write(&json::summary(&run, top));
        }
        let own = OwnCost {
            cpu: inherited::cpu_since(),
            peak_rss_kb: source::peak_resident_kb("self"),
            map_bytes,
        };
        self.reporter.report(|to, columns| {
            let report = Report {
                command: &self.title,
                run: &run,
                refused: self.refused,
                scope: self.scope,
                why_not: &self.why_not,
                own,
                top,
                columns,
            };
            text::report(to, &report)
        });
        match self.reporter.end() {
            true => exit::of_run(&run),
            false => exit::FAILED,
        }
    }
}
