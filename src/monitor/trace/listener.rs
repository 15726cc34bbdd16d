//! The programs that observe all calls: what is loaded, and how their records are reported.

use std::collections::HashSet;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use aya::maps::{Array, HashMap, Map, MapData};
use serde::Serialize;

use super::abi::{
    CALL_PRIVATE, CALL_UNFINISHED, CALL_UNSHOWN, CallFilter, CallSpec, Delivered, RECORD_CALL,
    RECORD_SIGNAL, RawCall, SIGNAL_CODE, SIGNAL_WHOLE,
};
use super::arguments::Options;
use super::followed::Followed;
use super::line::{self, Happening, Prefix, Signal};
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
        let pieces = pieces::pieces(raw);
        let call = pieces::call(raw, &pieces);
        let head = &raw.head;
        let took =
            (raw.flags & CALL_UNFINISHED == 0).then(|| head.end_ns.saturating_sub(head.start_ns));
        let is_shown = raw.flags & CALL_UNSHOWN == 0 && self.filter.keeps(&call, took);
        let executed = matches!(call.name().as_str(), "execve" | "execveat") && call.succeeded();
        let seq = self.followed.number(head, is_shown);
        if !is_shown && raw.flags & CALL_PRIVATE != 0 {
            self.followed.forget(head.tgid);
            return;
        }
        if !is_shown {
            self.followed.descriptors(head).apply(head.tgid, &call);
            self.followed.called(head.tgid, &call);
            if executed {
                self.executed(head, &call, false);
            }
            return;
        }
        let view = View {
            detail: self.detail_of(raw),
            shown: SHOWN,
            pid: head.tgid,
            descriptors: None,
        };
        let decoded = if view.detail == Detail::Private {
            // How the call changed descriptors is not known.
            self.followed.forget(head.tgid);
            arguments::decode(&call, &view)
        } else {
            let descriptors = self.followed.descriptors(head);
            let decoded = arguments::decode_and_follow(&call, &view, descriptors);
            self.followed.called(head.tgid, &call);
            decoded
        };
        if self.events.borrow().reporter.shows_lines() {
            let was_shown = self.begun.remove(&(head.tid, head.start_ns));
            if !was_shown {
                let prefix = self.prefix(head.tid, head.start_ns);
                self.line(&line::call(&prefix, &decoded, took));
            } else if !self.has_finished {
                let prefix = self.prefix(head.tid, head.end_ns);
                self.line(&line::resumed(&prefix, &decoded, took));
            }
        }
        if self.events.borrow().reporter.records.wanted() {
            let at = self.at(head.tgid, head.tid, head.start_ns);
            self.record_line(&records::call(at, &decoded, took, Some(seq)));
        }
        if executed {
            self.executed(head, &call, true);
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
                descriptors: Some(self.followed.descriptors(&head)),
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
        self.drained();
        self.events.borrow_mut().losses = *losses;
    }
}

impl ProcessMonitor for Options {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn plan(&self, _: &request::Options) -> Result<Plan, SessionError> {
        Ok(plan::plan(self.hooking, &self.filter))
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
            has_finished: false,
            lines: String::new(),
            records: Vec::new(),
        })
    }
}
