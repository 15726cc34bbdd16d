//! What `trace` and the monitors of processes have in common: a session whose calls are reported as they come.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::json;

use super::exit;
use super::profiling::observed;
use super::refusal::{granted_scope, refuse};
use crate::monitor::events::{Events, SharedEvents, joined};
use crate::monitor::losses::{self, Missing};
use crate::monitor::request::{Options, ProcessMonitor};
use crate::output::complain;
use crate::output::reporter::Reporter;
use crate::process::target::{Selection, Target};
use crate::profile::model::Run;
use crate::profile::options::{self, Ebpf, SessionError};
use crate::profile::sampling::SamplingOptions;
use crate::profile::session::Session;
use crate::profile::stream::Stream;
use crate::render::json;

/// Observes processes and reports; returns the exit code.
pub(super) fn run(selection: Selection, monitor: Box<dyn ProcessMonitor>, options: &Options) -> u8 {
    let plan = match monitor.plan(options) {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    let reporter = match Reporter::open(&options.output, "nothing was watched") {
        Ok(reporter) => reporter,
        Err(error) => return failed(&error),
    };
    let header = monitor.header(reporter.columns());
    let name = monitor.name();
    let events = Rc::new(RefCell::new(Events::new(reporter)));
    let stream = Stream {
        plan,
        interval: options.interval,
        consumer: monitor.consumer(Rc::clone(&events)),
    };
    let scope = granted_scope();
    let session = match Session::start(session_options(selection, options), Some(stream)) {
        Ok(session) => session,
        Err(error) => return refuse(&error),
    };
    {
        let reporter = &mut events.borrow_mut().reporter;
        let mut metadata = json::metadata(&observed(&session, Some("require"), scope));
        metadata["monitor"] = name.into();
        reporter.records.write(&metadata);
        reporter.lines(&header);
        if let Err(error) = reporter.records.begun() {
            return failed(&error);
        }
    }
    conclude(session.run(&mut |_| {}), &events, options)
}

/// Nothing is sampled: only calls are reported.
fn session_options(selection: Selection, options: &Options) -> options::Options {
    options::Options {
        target: Target {
            selection,
            descendants: options.descendants,
        },
        ebpf: Ebpf::Require,
        duration: options.duration,
        wait_all: options.wait_all,
        adopt: false,
        sampling: SamplingOptions {
            interval: None,
            threads: false,
            since_process_start: false,
        },
        limits: options.limits.clone(),
    }
}

fn failed(what: &str) -> u8 {
    complain(what);
    exit::FAILED
}

fn conclude(
    done: Result<(Run, Option<u64>), SessionError>,
    events: &SharedEvents,
    options: &Options,
) -> u8 {
    let run = match done {
        Ok((run, _)) => run,
        Err(error) => return refuse(&error),
    };
    let mut events = events.borrow_mut();
    let of_sums = std::mem::take(&mut events.missing_of_sums);
    let missing = Missing {
        losses: events.losses,
        unreadable: events.unreadable,
        of_sums: &of_sums,
    };
    let is_whole = missing.none();
    let general = json!({
        "kind": "summary",
        "total_time_secs": run.wall.as_secs_f64(),
        "ended_by": json::ended_by(run.end),
        "exit": json::exit_status(run.exit),
    });
    let mut record = joined(general, events.summary.take());
    record["lost"] = losses::fields(&missing.losses);
    record["unreadable"] = missing.unreadable.into();
    record["complete"] = is_whole.into();
    events.reporter.records.write(&record);
    let end = losses::end(&run, &missing, events.reporter.is_written());
    events
        .reporter
        .report_lines(&format!("{}{end}", events.table));
    if !events.reporter.end() {
        return exit::FAILED;
    }
    if options.strict && !is_whole {
        complain("something was lost, and --strict makes that an error");
        return exit::LOST;
    }
    exit::of_run(&run)
}
