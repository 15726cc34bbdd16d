//! One watch: whom it follows, where its records and lines go, what was lost.

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Common, Target};
use crate::commands::exit;
use crate::output::escape::printable_lines;
use crate::output::records::Records;
use crate::output::{complain, may_write, now_ms, refuse, scope, width};
use crate::process::interval::Adaptive;
use crate::profile::attached::{AttachOptions, Attached, Whom};
use crate::profile::model::{Losses, Run};
use crate::profile::sampling::Closeness;
use crate::profile::session::{Ebpf, Options, Prepared, SessionError};
use crate::profile::stream::Stream;
use crate::render::{json, stream};
use crate::sys::epoch::{Epoch, TimeOfDay, time_of_day};
use crate::sys::patient::Patient;
use crate::sys::terminal;

/// What has been told so far, and to whom.
pub(crate) struct Watched {
    pub(crate) records: Records,
    pub(crate) epoch: Epoch,
    /// Records that are none.
    pub(crate) unreadable: u64,
    pub(crate) losses: Losses,
    monitor: &'static str,
    // Lines for people; none where they asked for quiet, or only for records.
    lines: Option<Lines>,
    // The end is told to people.
    tells_end: bool,
}

/// Lines for people.
struct Lines {
    columns: usize,
    // Whoever read them is gone.
    unread: Cell<bool>,
}

impl Lines {
    fn new() -> Self {
        Self {
            columns: terminal::columns(io::stderr().as_fd()).unwrap_or(width::OF_LINES),
            unread: Cell::new(false),
        }
    }
}

/// In one write. Each line has already been escaped in its own way; this is a safeguard.
fn show(text: &str) -> io::Result<()> {
    Patient(io::stderr()).write_all(printable_lines(text).as_bytes())
}

impl Lines {
    fn show(&self, text: &str) {
        let shown = show(text);
        let gone = shown.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        self.unread.set(self.unread.get() || gone);
    }
}

impl Watched {
    /// Opens what is to be written.
    pub(crate) fn begin(common: &Common, monitor: &'static str) -> Result<Self, u8> {
        may_write(&common.output)?;
        let records = Records::open(&common.output, "nothing was watched").map_err(failed)?;
        Ok(Self {
            records,
            epoch: Epoch::now(),
            unreadable: 0,
            losses: Losses::default(),
            monitor,
            lines: (common.output.text && common.output.samples).then(Lines::new),
            tells_end: common.output.text,
        })
    }

    /// Shows an event, if events are shown: `line` is given the room there is, and the time of day.
    pub(crate) fn line(
        &self,
        line: impl FnOnce(usize, &TimeOfDay) -> String,
        since_1970: Duration,
    ) {
        if let Some(lines) = &self.lines {
            lines.show(&line(lines.columns, &time_of_day(since_1970)));
        }
    }

    /// How wide lines may be.
    pub(crate) fn columns(&self) -> usize {
        self.lines
            .as_ref()
            .map_or(width::OF_LINES, |lines| lines.columns)
    }

    /// Lines for people are wanted.
    pub(crate) fn shows_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// The time of day of a moment of `CLOCK_MONOTONIC`.
    pub(crate) fn clock(&self, monotonic_ns: u64) -> String {
        time_of_day(self.epoch.of(monotonic_ns)).to_string()
    }

    pub(crate) fn text(&self, text: &str) {
        if let Some(lines) = &self.lines {
            lines.show(text);
        }
    }

    /// Nobody reads lines or records any more, and somebody did.
    pub(crate) fn is_unread(&self) -> bool {
        let lines = self.lines.as_ref().map(|lines| lines.unread.get());
        let records = self.records.wanted().then(|| self.records.unread());
        let all = [lines, records];
        all.iter().any(Option::is_some) && all.into_iter().flatten().all(|unread| unread)
    }

    /// Says what was lost since last told.
    pub(crate) fn tell_of(&mut self, losses: &Losses) {
        if *losses == self.losses {
            return;
        }
        let lost = losses.total() - self.losses.total();
        self.losses = *losses;
        if self.records.wanted() {
            let head = json!({ "kind": "lost", "ts_ms": now_ms() });
            self.records.write(&joined(head, stream::losses(losses)));
        }
        complain(&format!("{lost} more lost: see the summary"));
    }

    fn metadata(&mut self, metadata: &json::Metadata<'_>) {
        let mut record = json::metadata(metadata);
        record["monitor"] = self.monitor.into();
        self.records.write(&record);
    }
}

/// Follows the target until its end. `conclude` gives the summary's own part, and a table for people.
pub(crate) fn follow(
    common: &Common,
    stream: Stream,
    watched: &RefCell<Watched>,
    header: &str,
    conclude: impl FnOnce(&Losses) -> (Value, String),
) -> u8 {
    let run = match &common.target {
        Target::Command(command) => of_command(common, command, stream, watched, header),
        Target::Process(pid) => of_running(common, Whom::Process(*pid), stream, watched, header),
        Target::Cgroup(folder) => of_running(
            common,
            Whom::Cgroup(folder.clone()),
            stream,
            watched,
            header,
        ),
        Target::Machine => of_running(common, Whom::All, stream, watched, header),
    };
    let run = match run {
        Ok(run) => run,
        Err(code) => return code,
    };
    let mut watched = watched.borrow_mut();
    let losses = watched.losses;
    let (summary, table) = conclude(&losses);
    let whole = losses.none() && watched.unreadable == 0;
    let general = json!({
        "kind": "summary",
        "total_time_secs": run.wall.as_secs_f64(),
        "ended_by": json::ended_by(run.end),
        "exit": json::exit_status(run.exit),
    });
    let mut record = joined(general, summary);
    record["lost"] = stream::losses(&losses);
    record["unreadable"] = watched.unreadable.into();
    record["complete"] = whole.into();
    watched.records.write(&record);
    if watched.tells_end {
        // Where nobody reads any more there is nobody to tell.
        let _ = show(&(table + &stream::end(&run, &losses, watched.unreadable)));
    }
    if watched.records.end(0) != 0 {
        return exit::FAILED;
    }
    if common.strict && !whole {
        complain("something was lost, and --strict makes that an error");
        return exit::LOST;
    }
    match common.target {
        Target::Command(_) => exit::of_run(&run),
        Target::Process(_) | Target::Cgroup(_) | Target::Machine => exit::of_attached(&run),
    }
}

/// A record of the fields of both, in this order.
fn joined(mut head: Value, mut rest: Value) -> Value {
    if let (Some(head), Some(rest)) = (head.as_object_mut(), rest.as_object_mut()) {
        head.append(rest);
    }
    head
}

/// Of the processes nothing but their calls is wanted.
fn closeness() -> Closeness {
    Closeness {
        interval: None::<Adaptive>,
        children: true,
        threads: false,
        since_process_start: false,
        top: 0,
    }
}

fn of_command(
    common: &Common,
    command: &[std::ffi::OsString],
    stream: Stream,
    watched: &RefCell<Watched>,
    header: &str,
) -> Result<Run, u8> {
    let options = Options {
        command: command.to_vec(),
        ebpf: Ebpf::Require,
        duration: common.duration,
        wait_all: common.wait_all,
        closeness: closeness(),
        limits: common.limits.clone(),
    };
    let scope = scope();
    let prepared = Prepared::listening(options, Some(stream)).map_err(|error| refuse(&error))?;
    begin(
        watched,
        header,
        &json::Metadata {
            pid: Some(prepared.pid() as u32),
            command,
            executable: Some(&prepared.executable),
            attached: None,
            t0_ms: now_ms(),
            absent: prepared.absent(),
            ebpf: Some(json::EbpfMetadata {
                mode: "require",
                backend: prepared.backend(),
                refused: None,
                scope,
            }),
        },
    )?;
    ended(prepared.run(&mut |_| {}))
}

fn of_running(
    common: &Common,
    whom: Whom,
    stream: Stream,
    watched: &RefCell<Watched>,
    header: &str,
) -> Result<Run, u8> {
    let options = AttachOptions {
        whom,
        ebpf: Ebpf::Require,
        duration: common.duration,
        wait_all: common.wait_all,
        closeness: closeness(),
        limits: common.limits.clone(),
    };
    let scope = scope();
    let attached = Attached::listening(options, Some(stream)).map_err(|error| refuse(&error))?;
    let subject = &attached.subject;
    begin(
        watched,
        header,
        &json::Metadata {
            pid: subject.pid,
            command: &subject.command,
            executable: subject.executable.as_deref(),
            attached: Some(subject.title.as_str()).filter(|_| subject.pid.is_none()),
            t0_ms: now_ms(),
            absent: attached.absent(),
            ebpf: Some(json::EbpfMetadata {
                mode: "require",
                backend: attached.backend(),
                refused: None,
                scope,
            }),
        },
    )?;
    ended(attached.run(&mut |_| {}))
}

fn begin(
    watched: &RefCell<Watched>,
    header: &str,
    metadata: &json::Metadata<'_>,
) -> Result<(), u8> {
    let mut watched = watched.borrow_mut();
    watched.metadata(metadata);
    watched.text(header);
    watched.records.begun().map_err(failed)
}

fn failed(what: String) -> u8 {
    complain(&what);
    exit::FAILED
}

fn ended(done: Result<(Run, Option<u64>), SessionError>) -> Result<Run, u8> {
    done.map(|(run, _)| run).map_err(|error| refuse(&error))
}
