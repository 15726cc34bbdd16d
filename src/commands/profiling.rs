//! What `run` and `attach` have in common: a profile's records and its report, written as they come.

use std::ffi::OsString;
use std::io::{self, Write as _};

use crate::access::Scope;
use crate::cli::Output;
use crate::commands::exit;
use crate::facts;
use crate::output::records::Records;
use crate::output::status::Live;
use crate::output::{columns, complain, explain, refuse};
use crate::profile::model::{OwnCost, Run, WhyNot};
use crate::profile::sampling::Event;
use crate::profile::session::{Ebpf, SessionError};
use crate::render::json::{self, Metadata};
use crate::render::text::{self, Report};
use crate::sys::root::Root;
use crate::sys::{account, inherited};

pub(super) fn mode(ebpf: Ebpf) -> Option<&'static str> {
    match ebpf {
        Ebpf::Off => None,
        Ebpf::Auto => Some("auto"),
        Ebpf::Require => Some("require"),
    }
}

/// What is about to be profiled.
pub(super) struct About<'a> {
    pub(super) metadata: Metadata<'a>,
    pub(super) title: &'a [OsString],
    /// What has not happened if nothing can be written.
    pub(super) unbegun: &'static str,
}

/// Tells of a profile as it comes.
pub(super) struct Reporter<'a> {
    output: &'a Output,
    records: Records,
    live: Option<Live>,
    children: bool,
    title: Vec<OsString>,
    refused: bool,
    scope: Option<Scope>,
    why_not: Vec<WhyNot>,
}

impl<'a> Reporter<'a> {
    /// Opens what is to be written, and writes the first records.
    pub(super) fn begin(about: &About<'_>, output: &'a Output, children: bool) -> Result<Self, u8> {
        let ebpf = about.metadata.ebpf.as_ref();
        let refusal = ebpf.and_then(|ebpf| ebpf.refused);
        if let Some(finding) = refusal {
            complain("going on without the syscall profile:");
            explain(finding);
        }
        let failed = |what: String| {
            complain(&what);
            exit::FAILED
        };
        let mut records = Records::open(output, about.unbegun).map_err(failed)?;
        records.write(&json::metadata(&about.metadata));
        if output.env && records.wanted() {
            records.write(&facts::host::env_record(&Root::default()));
        }
        records.begun().map_err(failed)?;
        let backend = ebpf.and_then(|ebpf| ebpf.backend);
        Ok(Self {
            output,
            records,
            live: output.samples.then(|| Live::new(output.lines)),
            children,
            title: about.title.to_vec(),
            refused: refusal.is_some(),
            scope: ebpf.and_then(|ebpf| ebpf.scope),
            why_not: backend.map_or_else(Vec::new, |backend| backend.why_not.clone()),
        })
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Sample(tree) => {
                if self.records.wanted() {
                    let record = match self.children {
                        true => json::tree(&tree),
                        false => json::sample(&tree).to_string(),
                    };
                    self.records.write_line(&record);
                    self.records.write_row(&tree);
                }
                if let Some(live) = &mut self.live {
                    live.show(*tree);
                }
            }
            Event::Exit(exited) => {
                if self.records.wanted() {
                    self.records.write(&json::exited(&exited));
                }
            }
        }
    }

    /// Writes the last record and the report; returns the exit code.
    pub(super) fn conclude(
        mut self,
        done: Result<(Run, Option<u64>), SessionError>,
        code: impl Fn(&Run) -> u8,
    ) -> u8 {
        self.live = None;
        let (run, map_bytes) = match done {
            Ok(done) => done,
            Err(error) => return refuse(&error),
        };
        if self.records.wanted() {
            self.records.write(&json::summary(&run, self.output.top));
        }
        if self.output.text {
            self.show(&run, map_bytes);
        }
        self.records.end(code(&run))
    }

    fn show(&self, run: &Run, map_bytes: Option<u64>) {
        let report = Report {
            command: &self.title,
            run,
            refused: self.refused,
            scope: self.scope,
            why_not: &self.why_not,
            own: OwnCost {
                cpu: inherited::cpu_since(),
                peak_rss_kb: account::own_peak_rss_kb(),
                map_bytes,
            },
            top: self.output.top,
            columns: columns(),
        };
        // One write, so that nobody else's words come between. Where it fails there is nobody to tell.
        let choice = anstream::AutoStream::choice(&io::stderr());
        let mut page = anstream::AutoStream::new(Vec::new(), choice);
        let _ = text::report(&mut page, &report)
            .and_then(|()| io::stderr().write_all(&page.into_inner()));
    }
}
