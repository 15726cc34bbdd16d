//! The programs that observe all calls: what is loaded, and how their records are reported.

use std::collections::HashSet;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use aya::maps::{Array, HashMap, Map, MapData};
use serde::Serialize;

use super::abi::{
    CALL_ARGS_GONE, CALL_EARLIER, CALL_PRIVATE, CALL_UNFINISHED, CALL_UNSHOWN, CallFilter,
    CallSpec, Delivered, RECORD_CALL, RECORD_SIGNAL, RawCall, SIGNAL_CODE, SIGNAL_WHOLE,
};
use super::arguments::Options;
use super::earlier::{Began, Earlier, is_new_process};
use super::followed::Followed;
use super::line::{self, Happening, Prefix, Signal, Took};
use super::pieces;
use super::plan;
use super::records::{self, At};
use crate::backends::stream::Plan;
use crate::backends::table::TRACE_SLOTS;
use crate::bpf::KernelError;
use crate::bpf::abi::{self, EXIT_KNOWN, Fork, Plain, RECORD_BIRTH, Task};
use crate::decode::arguments::{self, Detail, View};
use crate::decode::call::{Call, PieceData};
use crate::decode::filter::Filter;
use crate::monitor::events::SharedEvents;
use crate::monitor::request::{self, ProcessMonitor};
use crate::process::in_call::InCall;
use crate::profile::model::Losses;
use crate::profile::options::SessionError;
use crate::profile::stream::Consumer;
use crate::sys::account;
use crate::sys::mapping::Mapping;

/// Bytes of buffers that are shown: the default of strace's `-s`.
const SHOWN: usize = 32;
/// A call that lasts longer than this is shown before it returns.
const LASTING_NS: u64 = 100_000_000;

/// Of `include/uapi/asm-generic/siginfo.h`: sent by the kernel, without further fields.
const SI_KERNEL: i32 = 0x80;

/// Calls of threads without a slot, by the address of their registers.
type FarCalls = HashMap<MapData, u64, Plain<RawCall>>;

/// Receives the records and reports them.
struct Listener {
    events: SharedEvents,
    detail: Detail,
    filter: Filter,
    followed: Followed,
    calls: Option<(FarCalls, Mapping<RawCall>)>,
    // More than one thread was seen: each line shows the thread id.
    several: bool,
    // Calls that were shown before they returned, by thread and start time.
    begun: HashSet<(u32, u64)>,
    // Calls that had begun when their threads were followed, and have not returned.
    earlier: Earlier,
    // Calls that are reported from now on have not returned.
    has_finished: bool,
    lines: String,
    records: Vec<u8>,
}

impl Listener {
    fn prefix(&self, tid: u32, monotonic_ns: u64) -> Prefix {
        let events = self.events.borrow();
        Prefix {
            tid: self.several.then_some(tid),
            time: Some(events.clock(monotonic_ns)),
        }
    }

    fn at(&self, pid: u32, tid: u32, monotonic_ns: u64) -> At {
        let since_1970 = self.events.borrow().epoch.of(monotonic_ns);
        At {
            unix_ns: since_1970.as_nanos() as u64,
            pid,
            tid,
        }
    }

    fn forked(&mut self, fork: &Fork) {
        self.several = true;
        self.followed.forked(fork);
        let begins = Happening::Started {
            pid: fork.child_tgid,
            comm: fork
                .comm
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default()
                .to_vec(),
        };
        let (pid, tid) = (fork.child_tgid, fork.child_tid);
        self.happens(&begins, pid, tid, fork.child_start_ns);
    }

    fn happens(&mut self, what: &Happening, pid: u32, tid: u32, monotonic_ns: u64) {
        self.line_of(what, tid, monotonic_ns);
        self.record_of(what, pid, tid, monotonic_ns, None);
    }

    fn line_of(&mut self, what: &Happening, tid: u32, monotonic_ns: u64) {
        let prefix = self.prefix(tid, monotonic_ns);
        self.line(&line::happening(&prefix, what));
    }

    fn record_of(&mut self, what: &Happening, pid: u32, tid: u32, ns: u64, seq: Option<u64>) {
        if self.events.borrow().reporter.records.wanted() {
            let mut record = records::happening(self.at(pid, tid, ns), what);
            if let Some(seq) = seq {
                record["seq"] = seq.into();
            }
            self.record_line(&record);
        }
    }

    fn line(&mut self, line: &str) {
        if self.events.borrow().reporter.shows_lines() {
            self.lines.push_str(line);
            self.lines.push('\n');
        }
    }

    fn record_line(&mut self, record: &impl Serialize) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.records, record);
        self.records.push(b'\n');
    }

    fn detail_of(&self, raw: &RawCall) -> Detail {
        match raw.flags & CALL_PRIVATE {
            0 => self.detail,
            _ => Detail::Private,
        }
    }

    fn call(&mut self, raw: &RawCall) {
        let known = self.earlier.take(&raw.head);
        let known = known.filter(|it| raw.flags & CALL_EARLIER != 0 && it.call.nr == raw.nr);
        let before = known.as_ref().map(|it| it.call.pieces());
        let pieces = pieces::with_earlier(pieces::pieces(raw), before.unwrap_or_default());
        let mut call = pieces::call(raw, &pieces);
        let mut detail = self.detail_of(raw);
        if raw.flags & CALL_ARGS_GONE != 0 {
            match &known {
                Some(known) => call.args = known.call.args,
                None => detail = Detail::None,
            }
        }
        let began = match (raw.flags & CALL_EARLIER, &known) {
            (0, _) => Began::Now,
            (_, Some(known)) if known.is_shown => Began::Shown,
            _ => Began::Earlier,
        };
        self.report(&raw.head, raw.flags, &call, (detail, began));
    }

    fn report(
        &mut self,
        head: &abi::Event,
        flags: u32,
        call: &Call<'_>,
        (detail, began): (Detail, Began),
    ) {
        // How long a call lasted that began earlier is not known.
        let is_timed = flags & CALL_UNFINISHED == 0 && began == Began::Now;
        let took = is_timed.then(|| head.end_ns.saturating_sub(head.start_ns));
        let judged_ns = match began {
            Began::Now => took,
            Began::Earlier | Began::Shown => Some(u64::MAX),
        };
        let is_shown = flags & CALL_UNSHOWN == 0
            && self.filter.keeps(call, judged_ns)
            && !(began != Began::Now && is_new_process(call));
        let executed = matches!(call.name().as_str(), "execve" | "execveat") && call.succeeded();
        let seq = self.followed.number(head, is_shown);
        let is_private = detail == Detail::Private;
        if !is_shown && is_private {
            self.followed.forget(head.tgid);
            return;
        }
        // Descriptors were read after such a call began.
        let known_ns = match began {
            Began::Now => head.start_ns,
            Began::Earlier | Began::Shown => self.followed.known_since(head),
        };
        if !is_shown {
            let descriptors = self.followed.descriptors(known_ns, head.end_ns);
            descriptors.apply(head.tgid, call);
            self.followed.called(head.tgid, call);
            if executed {
                self.executed(head, call, false);
            }
            return;
        }
        let view = View {
            detail,
            shown: SHOWN,
            pid: head.tgid,
            descriptors: None,
        };
        let decoded = if is_private {
            // How the call changed descriptors is not known.
            self.followed.forget(head.tgid);
            arguments::decode(call, &view)
        } else {
            let descriptors = self.followed.descriptors(known_ns, head.end_ns);
            let decoded = arguments::decode_and_follow(call, &view, descriptors);
            self.followed.called(head.tgid, call);
            decoded
        };
        if self.events.borrow().reporter.shows_lines() {
            let took = match began {
                Began::Now => took.map(Took::Ns),
                Began::Earlier | Began::Shown => Some(Took::Longer),
            };
            let was_shown = self.begun.remove(&(head.tid, head.start_ns)) || began == Began::Shown;
            if !was_shown {
                let at_ns = match began {
                    Began::Now => head.start_ns,
                    Began::Earlier | Began::Shown => head.end_ns,
                };
                let prefix = self.prefix(head.tid, at_ns);
                self.line(&line::call(&prefix, &decoded, took));
            } else if !self.has_finished {
                let prefix = self.prefix(head.tid, head.end_ns);
                self.line(&line::resumed(&prefix, &decoded, took));
            }
        }
        if self.events.borrow().reporter.records.wanted() {
            let at = self.at(head.tgid, head.tid, head.start_ns);
            let record = records::call(at, &decoded, took, Some(seq));
            self.record_line(&match began {
                Began::Now => record,
                Began::Earlier | Began::Shown => record.began_earlier(),
            });
        }
        if executed {
            self.executed(head, call, true);
        }
    }

    /// If the call itself is shown, its line is enough.
    fn executed(&mut self, head: &abi::Event, call: &Call<'_>, is_shown: bool) {
        let former = (head.tid != head.tgid).then_some(head.tid);
        self.followed.executed(head.tid, head.tgid);
        let path = call.pieces.iter().find_map(|piece| match piece.data {
            PieceData::Bytes { data, .. } => data.split(|byte| *byte == 0).next(),
            _ => None,
        });
        let what = Happening::Executed {
            path: path.map(<[u8]>::to_vec),
            former,
        };
        if let Some(by) = former {
            let prefix = self.prefix(head.tgid, head.end_ns);
            self.line(&line::superseded(&prefix, by));
        }
        if !is_shown {
            self.line_of(&what, head.tgid, head.end_ns);
        }
        self.record_of(&what, head.tgid, head.tgid, head.end_ns, None);
    }

    fn signal(&mut self, it: &Delivered) {
        // The kernel does not keep the origin of SIGKILL, and sends one to each thread of a process that exits:
        // how the process ended is reported when it has ended.
        let is_reported = it.signal != libc::SIGKILL;
        let seq = self.followed.number(&it.head, is_reported);
        if !is_reported {
            return;
        }
        let head = it.head;
        let what = Happening::Signal(signal_of(it));
        self.line_of(&what, head.tid, head.end_ns);
        self.record_of(&what, head.tgid, head.tid, head.end_ns, Some(seq));
    }

    /// Calls in progress, read from the slots of their threads.
    fn under_way(&self) -> Vec<RawCall> {
        let Some((far, calls)) = &self.calls else {
            return Vec::new();
        };
        let word = |slot: usize, field: usize| {
            let place = calls.word(slot * size_of::<RawCall>() + field);
            place.load(Ordering::Acquire)
        };
        let regs = offset_of!(RawCall, regs);
        let start_ns = offset_of!(RawCall, head) + offset_of!(abi::Event, start_ns);
        (0..calls.len())
            .filter(|slot| word(*slot, regs) != 0)
            .map(|slot| (slot, calls.read(slot)))
            // Not a call that was replaced by the next one while it was copied.
            .filter(|(slot, call)| word(*slot, start_ns) == call.head.start_ns)
            .map(|(_, call)| call)
            .chain(far.iter().flatten().map(|(_, Plain(call))| call))
            .filter(|call| call.regs != 0 && call.flags & CALL_UNSHOWN == 0)
            .collect()
    }

    /// Shows calls that last long before they return.
    fn show_lasting(&mut self) {
        if !self.events.borrow().reporter.shows_lines() || self.filter.asks_for_the_end() {
            return;
        }
        let now_ns = account::monotonic_ns();
        for mut raw in self.under_way() {
            let head = raw.head;
            let lasts = now_ns.saturating_sub(head.start_ns) > LASTING_NS;
            raw.flags |= CALL_UNFINISHED;
            let pieces = pieces::pieces(&raw);
            let call = pieces::call(&raw, &pieces);
            let is_wanted = lasts && self.filter.keeps_path(&call);
            if !(is_wanted && self.begun.insert((head.tid, head.start_ns))) {
                continue;
            }
            let view = View {
                detail: self.detail_of(&raw),
                shown: SHOWN,
                pid: head.tgid,
                descriptors: Some(self.followed.descriptors(head.start_ns, head.end_ns)),
            };
            let decoded = arguments::decode(&call, &view);
            let prefix = self.prefix(head.tid, head.start_ns);
            self.line(&line::unfinished(&prefix, &decoded));
        }
    }
}

/// The signal of a record, with the fields that are known. Signals without a sender come from the kernel.
fn signal_of(it: &Delivered) -> Signal {
    let is_whole = it.known == SIGNAL_WHOLE;
    let of_child = it.signal == libc::SIGCHLD && it.code > 0;
    let sent = is_whole && (it.code <= 0 || of_child);
    let faults = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ];
    let faulted = is_whole && faults.contains(&it.signal) && it.code > 0 && it.code != SI_KERNEL;
    Signal {
        signal: it.signal,
        code: (it.known >= SIGNAL_CODE).then_some(it.code),
        pid: sent.then_some(it.sender as i32),
        uid: sent.then_some(it.uid),
        status: (is_whole && of_child).then_some(it.status),
        // Shares its eight bytes with the sender.
        address: faulted.then_some(u64::from(it.sender) | u64::from(it.uid) << 32),
    }
}

impl Consumer for Listener {
    fn begin(&mut self, take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<(), KernelError> {
        let failed = |map: &str| {
            let map = map.to_owned();
            move |error: io::Error| KernelError::new(map, error)
        };
        let mut array = |name: &str| {
            let map = take(name).ok_or_else(|| io::Error::other("not in the embedded objects"));
            map.map_err(failed(name))
        };
        let calls = array("denet_calls")?;
        let mapping = Mapping::new(calls.fd().as_fd(), TRACE_SLOTS as usize);
        let other = |error: aya::maps::MapError| io::Error::other(error);
        let far = Map::HashMap(array("denet_calls_far")?).try_into();
        self.calls = Some((
            far.map_err(other).map_err(failed("denet_calls_far"))?,
            mapping.map_err(failed("denet_calls"))?,
        ));
        let mut specs: Array<_, Plain<CallSpec>> = Map::Array(array("denet_specs")?)
            .try_into()
            .map_err(other)
            .map_err(failed("denet_specs"))?;
        for (index, spec) in plan::specs(self.detail, SHOWN as u16, &self.filter) {
            specs
                .set(index, Plain(spec), 0)
                .map_err(other)
                .map_err(failed("denet_specs"))?;
        }
        let mut filter: Array<_, Plain<CallFilter>> = Map::Array(array("denet_filter")?)
            .try_into()
            .map_err(other)
            .map_err(failed("denet_filter"))?;
        filter
            .set(0, Plain(plan::conditions(&self.filter)), 0)
            .map_err(other)
            .map_err(failed("denet_filter"))
    }

    fn following(&mut self, live: &[Task]) {
        self.several |= live.len() > 1;
        self.followed.add(live);
    }

    fn in_progress(&mut self, task: &Task, call: &InCall) {
        let now_ns = account::monotonic_ns();
        let pieces = call.pieces();
        let entered = call.call(&pieces);
        let is_shown = self.filter.keeps_number(call.abi, call.nr)
            && self.filter.keeps_path(&entered)
            && !self.filter.asks_for_the_end();
        self.earlier.insert(task, call, is_shown);
        if !is_shown {
            return;
        }
        let view = View {
            detail: self.detail,
            shown: SHOWN,
            pid: task.tgid,
            descriptors: Some(self.followed.descriptors(now_ns, now_ns)),
        };
        let decoded = arguments::decode(&entered, &view);
        let prefix = self.prefix(task.tid, now_ns);
        self.line(&line::in_progress(&prefix, &decoded));
        if self.events.borrow().reporter.records.wanted() {
            let at = self.at(task.tgid, task.tid, now_ns);
            self.record_line(&records::in_progress(at, &decoded));
        }
    }

    fn record(&mut self, bytes: &[u8]) {
        let kind = bytes.first_chunk().map(|word| u64::from_ne_bytes(*word));
        let understood = match kind {
            Some(RECORD_CALL) => pieces::raw(bytes).map(|raw| self.call(&raw)),
            Some(RECORD_SIGNAL) => {
                abi::front_of(bytes, size_of::<Delivered>()).map(|it| self.signal(&it))
            }
            Some(RECORD_BIRTH) => {
                abi::front_of(bytes, size_of::<Fork>()).map(|it| self.forked(&it))
            }
            _ => None,
        };
        if understood.is_none() {
            self.events.borrow_mut().unreadable += 1;
        }
    }

    fn ended(&mut self, task: &Task) {
        if !self.followed.ended(task.tid) {
            return;
        }
        let status = task.exit_status as i32;
        let what = if task.exit_flags & EXIT_KNOWN == 0 {
            return;
        } else if status & 0x7f == 0 {
            Happening::Exited {
                code: status >> 8 & 0xff,
            }
        } else {
            Happening::Killed {
                signal: status & 0x7f,
                core: status & 0x80 != 0,
            }
        };
        self.happens(&what, task.tgid, task.tid, task.end_ns);
    }

    fn drained(&mut self) {
        let mut events = self.events.borrow_mut();
        if !self.lines.is_empty() {
            events.reporter.lines(&self.lines);
            self.lines.clear();
        }
        if !self.records.is_empty() {
            events.reporter.records.write_lines(&self.records);
            self.records.clear();
        }
    }

    fn is_unread(&self) -> bool {
        self.events.borrow().reporter.is_unread()
    }

    fn tick(&mut self, losses: &Losses) {
        self.show_lasting();
        self.drained();
        self.events.borrow_mut().report_losses(losses);
    }

    fn finish(&mut self, losses: &Losses, live: &[Task]) {
        self.has_finished = true;
        let lives = |call: &RawCall| live.iter().any(|task| task.regs == call.regs);
        for mut raw in self.under_way().into_iter().filter(lives) {
            raw.flags |= CALL_UNFINISHED;
            // Not a record of the eBPF program, and so not numbered by it.
            raw.head.seq = 0;
            self.call(&raw);
        }
        for (head, known) in self.earlier.unfinished(live) {
            let began = match known.is_shown {
                true => Began::Shown,
                false => Began::Earlier,
            };
            let pieces = known.call.pieces();
            let call = known.call.call(&pieces);
            self.report(&head, CALL_UNFINISHED, &call, (self.detail, began));
        }
        self.drained();
        self.events.borrow_mut().losses = *losses;
    }
}

impl ProcessMonitor for Options {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn plan(&self, _: &request::Options) -> Result<Plan, SessionError> {
        Ok(plan::plan(self.hooking, self.detail, SHOWN, &self.filter))
    }

    fn consumer(self: Box<Self>, events: SharedEvents) -> Box<dyn Consumer> {
        Box::new(Listener {
            events,
            detail: self.detail,
            filter: self.filter,
            followed: Followed::default(),
            calls: None,
            several: false,
            begun: HashSet::new(),
            earlier: Earlier::default(),
            has_finished: false,
            lines: String::new(),
            records: Vec::new(),
        })
    }
}
