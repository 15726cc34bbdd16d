//! Events of processes, as they are reported.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::losses;
use crate::output::complain;
use crate::output::reporter::Reporter;
use crate::profile::model::Losses;
use crate::sys::clock::now_ms;
use crate::sys::epoch::{Epoch, TimeOfDay, time_of_day};

/// The session reports its end, the consumer its events.
pub(crate) type SharedEvents = Rc<RefCell<Events>>;

/// Where events are reported, and the totals so far.
pub(crate) struct Events {
    pub(crate) reporter: Reporter,
    pub(crate) epoch: Epoch,
    /// Records that could not be understood.
    pub(crate) unreadable: u64,
    pub(crate) losses: Losses,
    /// What the sums lack: see [`losses::Missing`].
    pub(crate) missing_of_sums: Vec<(u64, &'static str, &'static str)>,
    /// Fields of the summary that only this monitor has.
    pub(crate) summary: Value,
    /// The table that is shown at the end.
    pub(crate) table: String,
}

impl Events {
    pub(crate) fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            epoch: Epoch::now(),
            unreadable: 0,
            losses: Losses::default(),
            missing_of_sums: Vec::new(),
            summary: json!({}),
            table: String::new(),
        }
    }

    /// Reports an event that happened at a moment of `CLOCK_MONOTONIC`, as far as it is wanted: `record` gets the
    /// time since 1970, `line` the columns and the time of day.
    pub(crate) fn event(
        &mut self,
        monotonic_ns: u64,
        record: impl FnOnce(Duration) -> Value,
        line: impl FnOnce(usize, &TimeOfDay) -> String,
    ) {
        let since_1970 = self.epoch.of(monotonic_ns);
        if self.reporter.records.wanted() {
            self.reporter.records.write(&record(since_1970));
        }
        if self.reporter.shows_lines() {
            let line = line(self.reporter.columns(), &time_of_day(since_1970));
            self.reporter.lines(&line);
        }
    }

    /// The time of day at this time of `CLOCK_MONOTONIC`.
    pub(crate) fn clock(&self, monotonic_ns: u64) -> String {
        time_of_day(self.epoch.of(monotonic_ns)).to_string()
    }

    /// Reports what was lost since the last report.
    pub(crate) fn report_losses(&mut self, losses: &Losses) {
        if *losses == self.losses {
            return;
        }
        let lost = losses.total() - self.losses.total();
        self.losses = *losses;
        if self.reporter.records.wanted() {
            let head = json!({ "kind": "lost", "ts_ms": now_ms() });
            let record = joined(head, losses::fields(losses));
            self.reporter.records.write(&record);
        }
        complain(&format!("{lost} more lost: see the summary"));
    }
}

/// A record of the fields of both, in this order.
pub(crate) fn joined(mut head: Value, mut rest: Value) -> Value {
    if let (Some(head), Some(rest)) = (head.as_object_mut(), rest.as_object_mut()) {
        head.append(rest);
    }
    head
}
