//! A program at each hook, which counts what this process then does.
//!
//! Everything is attached before anything is counted, and detached together: to detach one thing and
//! attach the next would wait for all CPUs each time.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

use super::{Asker, LICENSE, TRACE_FENTRY, TRACE_ITER, TRACE_RAW_TP, of, type_of};
use crate::bpf::KernelError;
use crate::bpf::assembly::{Assembly, Caller, Namespace};
use crate::bpf::kernel::{self, Kind, ProgramType, Shape};
use crate::bpf::perf::{self, Event};
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::kernel_types::{FENTRY, WALK};
use crate::facts::probes::Events;
use crate::facts::{Fact, Facts};
use crate::sys::account;
use crate::sys::root::Root;

/// How often each thing is done that is to be counted.
const CALLS: u64 = 25;
const THREADS: u64 = 2;
const SIGNALS: u64 = 2;
/// Of a socket that listens, and then no more.
const STATES: u64 = 2;
/// How often at least a walk over all tasks comes by one.
const WALKED: u64 = 1;

/// The end of a thread may be counted after it was waited for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// What is done to be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// getppid(2).
    Calls,
    /// The same, seen when it returns its answer.
    Returns,
    /// read(2).
    Reads,
    /// SIGWINCH, which means nothing to this program.
    Signals,
    /// A socket that changes its state: it listens on the loopback interface for a moment.
    States,
    /// A walk over all tasks.
    Walks,
    /// Threads that begin.
    Begins,
    /// Threads that end.
    Ends,
    /// Nothing: an execve would take a program.
    Nothing,
}

/// How a program gets to a hook.
#[derive(Clone, Copy)]
enum How<'a> {
    Raw(&'a CStr),
    Typed(ProgramType),
    Walk(ProgramType),
    Event(ProgramKind, Event<'a>),
}

/// A program that counts, for as long as this lives.
struct Counting {
    /// Index of its probe.
    probe: usize,
    /// Index of its count.
    index: u32,
    doing: Doing,
    link: OwnedFd,
}

const RAW: [(&str, &CStr, Doing); 7] = [
    ("raw_tp/sys_enter", c"sys_enter", Doing::Calls),
    ("raw_tp/sys_exit", c"sys_exit", Doing::Returns),
    (
        "raw_tp/sched_process_fork",
        c"sched_process_fork",
        Doing::Begins,
    ),
    (
        "raw_tp/sched_process_exit",
        c"sched_process_exit",
        Doing::Ends,
    ),
    (
        "raw_tp/sched_process_exec",
        c"sched_process_exec",
        Doing::Nothing,
    ),
    ("raw_tp/signal_deliver", c"signal_deliver", Doing::Signals),
    (
        "raw_tp/inet_sock_set_state",
        c"inet_sock_set_state",
        Doing::States,
    ),
];

const KPROBE_PMU: &str = "/sys/bus/event_source/devices/kprobe/type";
const FUNCTION: &CStr = c"vfs_read";

pub(super) fn ask(asker: &mut Asker, facts: &Facts) {
    let mut all = Vec::new();
    for (name, tracepoint, doing) in RAW {
        all.push((name, doing, Ok(How::Raw(tracepoint))));
    }
    let typed = |name, attach| type_of(facts, name, attach).map(How::Typed);
    let tracepoint = tracepoint(facts).map(|id| How::Event(ProgramKind::Tracepoint, id));
    let walk = type_of(facts, WALK, TRACE_ITER).map(How::Walk);
    let kprobe = kprobe().map(|event| How::Event(ProgramKind::Kprobe, event));
    all.extend([
        (
            "tp_btf/sys_enter",
            Doing::Calls,
            typed("btf_trace_sys_enter", TRACE_RAW_TP),
        ),
        ("fentry/vfs_read", Doing::Reads, typed(FENTRY, TRACE_FENTRY)),
        ("tp/raw_syscalls/sys_enter", Doing::Calls, tracepoint),
        ("kprobe/vfs_read", Doing::Reads, kprobe),
        ("iter/task", Doing::Walks, walk),
    ]);
    let namespace = namespace(facts);
    // Asked before anything counts such calls.
    let parent = nix::unistd::getppid().as_raw();
    // One map for all: a small limit of locked memory has room for few.
    let counts = counts(all.len() as u32);
    let mut counting = Vec::new();
    for (index, (name, doing, how)) in (0..).zip(all) {
        let id = format!("attach:{name}");
        match (&how, &namespace, &counts) {
            (Ok(how), Ok(namespace), Ok(counts)) => {
                let place = Place {
                    counts,
                    index,
                    namespace: *namespace,
                    parent,
                };
                let attached = asker.ask(id, name, || attach(*how, doing, &place));
                let probe = asker.all.len() - 1;
                counting.extend(attached.map(|link| Counting {
                    probe,
                    index,
                    doing,
                    link,
                }));
            }
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
                asker.skip(id, name, why.clone());
            }
        }
    }
    act(&counting);
    for one in &counting {
        let events = counts.as_ref().ok().and_then(|counts| one.events(counts));
        asker.all[one.probe].events = events;
    }
    detach(counting);
}

/// Where a program counts, and in which namespace ids are meant.
struct Place<'a> {
    counts: &'a OwnedFd,
    index: u32,
    namespace: Namespace,
    /// What the call that is made answers.
    parent: i32,
}

fn attach(how: How<'_>, doing: Doing, place: &Place<'_>) -> Result<OwnedFd, KernelError> {
    let caller = match doing {
        Doing::Calls
        | Doing::Returns
        | Doing::Reads
        | Doing::Signals
        | Doing::States
        | Doing::Walks
        | Doing::Begins => Caller::Thread(nix::unistd::gettid().as_raw() as u32),
        Doing::Ends | Doing::Nothing => Caller::Process(std::process::id()),
    };
    // A number at the end of a call is its result.
    let number = match doing {
        Doing::Calls => Some(libc::SYS_getppid as i32),
        Doing::Returns => Some(place.parent),
        _ => None,
    };
    let counts = place.counts.as_fd();
    let program = Assembly::counter(counts, place.index, caller, place.namespace, number);
    let load = |kind: ProgramType| kernel::load_program("count", kind, LICENSE, &program);
    match how {
        How::Raw(tracepoint) => {
            let program = load(Kind::Raw.into())?;
            kernel::open_raw_tracepoint(program.as_fd(), Some(tracepoint))
        }
        How::Typed(kind) => {
            let program = load(kind)?;
            kernel::open_raw_tracepoint(program.as_fd(), None)
        }
        How::Walk(kind) => kernel::link_iterator(load(kind)?.as_fd()),
        How::Event(kind, event) => perf::attach(load(of(kind))?.as_fd(), event),
    }
}

fn tracepoint(facts: &Facts) -> Result<Event<'static>, String> {
    let name = "raw_syscalls:sys_enter";
    let mut found = facts.tracepoints.iter();
    let id = found.find(|tracepoint| tracepoint.name == name);
    match id.map(|tracepoint| &tracepoint.id) {
        Some(Fact::Known(id)) => Ok(Event::Tracepoint(*id)),
        None | Some(Fact::Absent) if facts.mounts.tracefs == Fact::Absent => {
            Err("tracefs is not mounted".to_owned())
        }
        None | Some(Fact::Absent) => Err(format!("tracefs has no {name}")),
        Some(Fact::Denied(why) | Fact::Failed(why)) => Err(why.clone()),
    }
}

fn kprobe() -> Result<Event<'static>, String> {
    let number = |text: &str| text.trim().parse().ok();
    match Fact::read(&Root::default(), KPROBE_PMU, number) {
        Fact::Known(pmu) => Ok(Event::Kprobe(pmu, FUNCTION)),
        Fact::Absent => Err("the kernel has no kprobe PMU (CONFIG_KPROBE_EVENTS)".to_owned()),
        Fact::Denied(why) | Fact::Failed(why) => Err(why),
    }
}

/// Where this process' ids are meant, as programs ask for it.
fn namespace(facts: &Facts) -> Result<Namespace, String> {
    if facts.environment.initial_pid_namespace == Fact::Known(true) {
        return Ok(None);
    }
    let own = account::pid_namespace();
    own.map(Some)
        .map_err(|error| format!("/proc/self/ns/pid: {error}"))
}

/// Does what is to be counted.
fn act(counting: &[Counting]) {
    let wanted = |doing| counting.iter().any(|one| one.doing == doing);
    if wanted(Doing::Calls) || wanted(Doing::Returns) {
        (0..CALLS).for_each(|_| account::trivial_syscall());
    }
    if wanted(Doing::Reads)
        && let Ok(mut nothing) = File::open("/dev/null")
    {
        for _ in 0..CALLS {
            let _ = nothing.read(&mut [0]);
        }
    }
    if wanted(Doing::Signals) {
        (0..SIGNALS).for_each(|_| be_signalled());
    }
    if wanted(Doing::States) {
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    }
    for one in counting.iter().filter(|one| one.doing == Doing::Walks) {
        let _ = kernel::walk(one.link.as_fd());
    }
    if wanted(Doing::Begins) || wanted(Doing::Ends) {
        for _ in 0..THREADS {
            let _ = std::thread::spawn(|| ()).join();
        }
    }
}

/// A signal that is ignored is delivered all the same if it comes while it is blocked.
fn be_signalled() {
    let mut signal = SigSet::empty();
    signal.add(Signal::SIGWINCH);
    let Ok(before) = signal.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
        return;
    };
    let _ = raise(Signal::SIGWINCH);
    let _ = signal.thread_unblock();
    let _ = before.thread_set_mask();
}

impl Counting {
    /// `None` where nothing was done, or the count cannot be read.
    fn events(&self, counts: &OwnedFd) -> Option<Events> {
        let made = match self.doing {
            Doing::Calls | Doing::Returns | Doing::Reads => CALLS,
            Doing::Signals => SIGNALS,
            Doing::States => STATES,
            Doing::Walks => WALKED,
            Doing::Begins | Doing::Ends => THREADS,
            Doing::Nothing => return None,
        };
        counted(counts, self.index, made)
    }
}

/// What was counted, once it is as much as was made; `None` where the count cannot be read.
pub(super) fn counted(counts: &OwnedFd, index: u32, made: u64) -> Option<Events> {
    let mut seen = 0_u64;
    for _ in 0..TRIES {
        kernel::look_up(counts.as_raw_fd(), &index, &mut seen).ok()?;
        if seen >= made {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Some(Events { made, seen })
}

/// A map that programs count in; why there is none.
pub(super) fn counts(entries: u32) -> Result<OwnedFd, String> {
    let shape = Shape {
        number: 2,
        key_bytes: 4,
        value_bytes: 8,
        max_entries: entries,
        ..Shape::default()
    };
    kernel::create_map("count", &shape)
        .map_err(|error| format!("there is no map to count in: {error}"))
}

/// Perf events are waited for when they are closed: side by side that takes as long as one.
fn detach(counting: Vec<Counting>) {
    std::thread::scope(|scope| {
        for one in counting {
            scope.spawn(move || drop(one.link));
        }
    });
}
