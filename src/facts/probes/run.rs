//! Asking the running kernel, one question after the other.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use super::{Outcome, Probe, Probes};
use crate::bpf::KernelError;
use crate::bpf::assembly::{Assembly, INTEGER_TYPES};
use crate::bpf::kernel::{self, ProgramType, Shape};
use crate::decode::uapi::helpers::helper;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::kernel_types::FENTRY;
use crate::facts::{Fact, Facts};
use crate::sys::limits;
use crate::sys::release::Release;

mod hooks;
mod samples;
mod xdp;

/// What denet's own programs say.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";

/// `enum bpf_attach_type`: BPF_TRACE_RAW_TP, BPF_TRACE_FENTRY, BPF_TRACE_ITER.
const TRACE_RAW_TP: u32 = 23;
const TRACE_FENTRY: u32 = 24;
const TRACE_ITER: u32 = 28;

/// A map that is made: name, number, bytes of a key and of a value, entries, flags.
type Made = (&'static str, u32, u32, u32, u32, u32);

const NO_PREALLOC: u32 = 1;

/// Those that denet uses, and those that what it is to become will.
const MAPS: [Made; 8] = [
    ("array", 2, 4, 8, 1, 0),
    ("hash", 1, 4, 8, 1, 0),
    ("percpu_array", 6, 4, 8, 1, 0),
    ("percpu_hash", 5, 4, 8, 1, 0),
    ("lru_hash", 9, 4, 8, 1, 0),
    ("stack_trace", 7, 4, 8 * 16, 1, 0),
    ("ringbuf", 27, 0, 0, RING_BYTES, 0),
    ("perf_event_array", 4, 4, 4, 1, 0),
];

/// A power of two and a multiple of every page size that x86 and most arm64 kernels have.
const RING_BYTES: u32 = 4 << 10;

/// Where the limit of locked memory is in the way, it is so of this one and not of a small one.
const BIG: (&str, Shape<'_>) = (
    "array_1mib",
    Shape {
        number: 2,
        key_bytes: 4,
        value_bytes: 8,
        max_entries: 131_072,
        flags: 0,
        types: None,
    },
);

/// Kernels from here on do not count maps and programs against the limit of locked memory.
const COUNTS_NO_MORE: Release = Release(5, 11);

/// What is gone is given back to the limit a while later; and how often that is waited for at most.
const GIVEN_BACK: Duration = Duration::from_millis(50);
const RETRIES: u32 = 8;

const TASK_STORAGE: u32 = 29;

const TAKEN_BY_HELPERS: [&str; 4] = ["stack_trace", "perf_event_array", "ringbuf", "task_storage"];

const PROGRAMS: [ProgramKind; 8] = [
    ProgramKind::SocketFilter,
    ProgramKind::Kprobe,
    ProgramKind::Tracepoint,
    ProgramKind::RawTracepoint,
    ProgramKind::PerfEvent,
    ProgramKind::Xdp,
    ProgramKind::SchedCls,
    ProgramKind::CgroupSkb,
];

/// Helpers that a program at a raw tracepoint may call, by number.
const GET_CURRENT_TASK_BTF: i32 = 158;
const WITHOUT_ARGUMENTS: [i32; 4] = [35, GET_CURRENT_TASK_BTF, 125, 80];
const READING: [i32; 4] = [112, 113, 114, 115];
const GET_CURRENT_COMM: i32 = 16;
const PERF_EVENT_OUTPUT: i32 = 25;
const GET_STACKID: i32 = 27;
const GET_NS_CURRENT_PID_TGID: i32 = 120;
const RINGBUF_OUTPUT: i32 = 130;
const TASK_STORAGE_GET: i32 = 156;
const XDP_LOAD_BYTES: i32 = 189;

impl Probes {
    /// Asks everything; `facts` are those of this process.
    pub(in crate::facts) fn run(facts: &Facts) -> Self {
        let start = Instant::now();
        let mut asker = Asker::default();
        asker.reach();
        // As denet does it; before 5.11 each question takes of the limit.
        let raised = limits::Raised::new();
        asker.map(BIG.0, &BIG.1, &mut Maps::new());
        let unlimited = raised.as_ref().is_ok_and(limits::Raised::is_unlimited);
        let counts = facts
            .kernel
            .release()
            .is_some_and(|release| release < COUNTS_NO_MORE);
        asker.retries = if counts && !unlimited { RETRIES } else { 0 };
        let types = asker.types();
        let mut maps = asker.maps(types.as_ref());
        maps.retain(|name, _| TAKEN_BY_HELPERS.contains(name));
        let xdp = xdp::begin(&mut asker, facts);
        asker.programs(facts);
        asker.helpers(&maps);
        drop(maps);
        hooks::ask(&mut asker, facts);
        samples::ask(&mut asker);
        if let Some(pending) = xdp {
            xdp::end(&mut asker, pending);
        }
        drop(raised);
        Self {
            all: asker.all,
            duration_us: micros(start),
        }
    }
}

impl Probes {
    /// Asks only whether bpf(2) is reached at all.
    pub(in crate::facts) fn reach() -> Self {
        let start = Instant::now();
        let mut asker = Asker::default();
        asker.reach();
        Self {
            all: asker.all,
            duration_us: micros(start),
        }
    }
}

type Maps = HashMap<&'static str, OwnedFd>;

/// Asks, and notes what came of it.
#[derive(Default)]
struct Asker {
    all: Vec<Probe>,
    /// How often a refusal is not yet believed: where everything counts against a small limit, also
    /// what is gone, for a while.
    retries: u32,
}

impl Asker {
    fn ask<T>(
        &mut self,
        id: String,
        operation: &str,
        ask: impl Fn() -> Result<T, KernelError>,
    ) -> Option<T> {
        let start = Instant::now();
        let mut answer = ask();
        if self.may_be_limited(&answer) {
            self.retries -= 1;
            std::thread::sleep(GIVEN_BACK);
            answer = ask();
        }
        let mut probe = Probe {
            id,
            operation: operation.to_owned(),
            outcome: Outcome::Ok,
            events: None,
            log: None,
            duration_us: micros(start),
        };
        let result = match answer {
            Ok(made) => Some(made),
            Err(error) => {
                probe.outcome = Outcome::of(&error.source);
                probe.log = error.log.as_deref().map(tail);
                probe.operation = error.operation;
                None
            }
        };
        self.all.push(probe);
        result
    }

    /// Who may not even make an array lacks more than room.
    fn may_be_limited<T>(&self, answer: &Result<T, KernelError>) -> bool {
        let refused = |error: &KernelError| error.source.raw_os_error() == Some(libc::EPERM);
        let mut asked = self.all.iter();
        self.retries > 0
            && answer.as_ref().is_err_and(refused)
            && asked.any(|probe| probe.id == "map:array" && probe.works())
    }

    fn skip(&mut self, id: String, operation: &str, why: impl Into<String>) {
        self.all.push(Probe {
            id,
            operation: operation.to_owned(),
            outcome: Outcome::NotAttempted(why.into()),
            events: None,
            log: None,
            duration_us: 0,
        });
    }

    /// EBADF says that the system call is reached: neither seccomp nor the kernel's build refuse it.
    fn reach(&mut self) {
        let what = "BPF_MAP_LOOKUP_ELEM of no map";
        self.ask("bpf:reach".to_owned(), what, || {
            kernel::look_up(-1, &0, &mut 0_u64).map_err(|error| KernelError::new(what, error))
        });
    }

    fn types(&mut self) -> Option<OwnedFd> {
        self.ask("btf:load".to_owned(), "BPF_BTF_LOAD", || {
            kernel::load_btf(INTEGER_TYPES)
        })
    }

    fn maps(&mut self, types: Option<&OwnedFd>) -> Maps {
        let mut maps = Maps::new();
        for (name, number, key_bytes, value_bytes, max_entries, flags) in MAPS {
            let shape = Shape {
                number,
                key_bytes,
                value_bytes,
                max_entries,
                flags,
                types: None,
            };
            self.map(name, &shape, &mut maps);
        }
        let storage = "task_storage";
        match types {
            Some(types) => {
                let shape = Shape {
                    number: TASK_STORAGE,
                    key_bytes: 4,
                    value_bytes: 4,
                    max_entries: 0,
                    flags: NO_PREALLOC,
                    types: Some((types.as_fd(), 1, 1)),
                };
                self.map(storage, &shape, &mut maps);
            }
            None => self.skip(
                format!("map:{storage}"),
                &create(storage),
                "it takes types, which were not loaded",
            ),
        }
        maps
    }

    fn map(&mut self, name: &'static str, shape: &Shape<'_>, maps: &mut Maps) {
        let made = self.ask(format!("map:{name}"), &create(name), || {
            kernel::create_map(name, shape)
        });
        maps.extend(made.map(|map| (name, map)));
    }

    fn programs(&mut self, facts: &Facts) {
        for kind in PROGRAMS {
            let name = name_of(kind);
            self.load(
                &format!("program:{name}"),
                &name,
                of(kind),
                &Assembly::nothing(),
            );
        }
        for (name, typed) in [
            (
                "tp_btf",
                type_of(facts, "btf_trace_sys_enter", TRACE_RAW_TP),
            ),
            ("fentry", type_of(facts, FENTRY, TRACE_FENTRY)),
        ] {
            let id = format!("program:{name}");
            match typed {
                Ok(kind) => {
                    self.load(&id, name, kind, &Assembly::nothing());
                }
                Err(why) => self.skip(id, &format!("BPF_PROG_LOAD {name}"), why),
            }
        }
    }

    fn load(
        &mut self,
        id: &str,
        name: &str,
        kind: ProgramType,
        program: &[aya_obj::generated::bpf_insn],
    ) -> Option<OwnedFd> {
        self.ask(id.to_owned(), &format!("BPF_PROG_LOAD {name}"), || {
            kernel::load_program(name, kind, LICENSE, program)
        })
    }

    fn helpers(&mut self, maps: &Maps) {
        let program = Assembly::default;
        for number in WITHOUT_ARGUMENTS {
            self.helper(number, program());
        }
        for number in READING {
            let prepared = program().point_into_stack(1, 8).set(2, 8).set(3, 0);
            self.helper(number, prepared);
        }
        let comm = program().point_into_stack(1, 16).set(2, 16);
        self.helper(GET_CURRENT_COMM, comm);
        let ids = program()
            .set(1, 0)
            .set(2, 0)
            .point_into_stack(3, 8)
            .set(4, 8);
        self.helper(GET_NS_CURRENT_PID_TGID, ids);
        self.helper_of(maps, GET_STACKID, "stack_trace", |map| {
            program().map(2, map.as_fd()).set(3, 0)
        });
        self.helper_of(maps, PERF_EVENT_OUTPUT, "perf_event_array", |map| {
            let place = program().clear_stack().map(2, map.as_fd()).set(3, 0);
            place.point_into_stack(4, 8).set(5, 8)
        });
        self.helper_of(maps, RINGBUF_OUTPUT, "ringbuf", |map| {
            let place = program().clear_stack().map(1, map.as_fd());
            place.point_into_stack(2, 8).set(3, 8).set(4, 0)
        });
        self.helper_of(maps, TASK_STORAGE_GET, "task_storage", |map| {
            let task = program().call(GET_CURRENT_TASK_BTF).copy(2, 0);
            task.map(1, map.as_fd()).set(3, 0).set(4, 0)
        });
        let bytes = program().clear_stack().set(2, 0).point_into_stack(3, 8);
        self.helper_in(ProgramKind::Xdp, XDP_LOAD_BYTES, bytes.set(4, 8));
    }

    fn helper_of(
        &mut self,
        maps: &Maps,
        number: i32,
        map: &str,
        prepare: impl FnOnce(&OwnedFd) -> Assembly,
    ) {
        match maps.get(map) {
            Some(map) => self.helper(number, prepare(map)),
            None => {
                let name = helper_name(number);
                let why = format!("it takes a map of type {map}, which was not made");
                self.skip(format!("helper:{name}"), "BPF_PROG_LOAD helper", why);
            }
        }
    }

    fn helper(&mut self, number: i32, prepared: Assembly) {
        self.helper_in(ProgramKind::RawTracepoint, number, prepared);
    }

    fn helper_in(&mut self, kind: ProgramKind, number: i32, prepared: Assembly) {
        let id = format!("helper:{}", helper_name(number));
        let program = prepared.call(number).finish();
        self.load(&id, "helper", of(kind), &program);
    }
}

impl Outcome {
    fn of(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Refused {
                errno,
                name: errno_name(errno),
            },
            None => Self::Failed(error.to_string()),
        }
    }
}

fn errno_name(errno: i32) -> String {
    // The kernel's own, which user space was never to see (include/linux/errno.h).
    const ENOTSUPP: i32 = 524;
    match nix::errno::Errno::from_raw(errno) {
        _ if errno == ENOTSUPP => "ENOTSUPP".to_owned(),
        nix::errno::Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

/// A program by its type alone.
fn of(kind: ProgramKind) -> ProgramType {
    ProgramType {
        number: kind.number(),
        ..ProgramType::default()
    }
}

/// A program that is attached by a type of the kernel's, or why there is none.
fn type_of(facts: &Facts, name: &str, attach: u32) -> Result<ProgramType, String> {
    let types = match &facts.kernel_types {
        Fact::Known(types) => types,
        Fact::Absent => return Err("the kernel does not describe its types".to_owned()),
        Fact::Denied(why) | Fact::Failed(why) => return Err(why.clone()),
    };
    let btf_id = types.id(name);
    let btf_id = btf_id.ok_or_else(|| format!("the kernel's types have no {name}"))?;
    Ok(ProgramType {
        attach,
        btf_id,
        ..of(ProgramKind::Tracing)
    })
}

/// As saved, `raw_tracepoint`.
fn name_of(kind: ProgramKind) -> String {
    let named = serde_json::to_value(kind).ok();
    let named = named.as_ref().and_then(serde_json::Value::as_str);
    named.unwrap_or_default().to_owned()
}

fn helper_name(number: i32) -> &'static str {
    let known = u32::try_from(number).ok().and_then(helper);
    known.map_or("unknown", |helper| helper.name)
}

fn create(name: &str) -> String {
    format!("BPF_MAP_CREATE {name}")
}

/// The last lines of what the verifier said.
fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("\n")
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_names() {
        let of = |errno| match Outcome::of(&std::io::Error::from_raw_os_error(errno)) {
            Outcome::Refused { name, .. } => name,
            other => format!("{other:?}"),
        };
        assert_eq!(of(libc::EPERM), "EPERM");
        assert_eq!(of(524), "ENOTSUPP");
        assert_eq!(of(4000), "errno 4000");
        assert_eq!(tail("a\nb\nc\nd\ne"), "b\nc\nd\ne");
        assert_eq!(tail(""), "");
    }

    #[test]
    fn every_type_and_helper_has_the_number_of_its_name() {
        for (name, number, ..) in MAPS {
            let known = crate::decode::uapi::maps::map_type(number).unwrap();
            assert!(name.starts_with(known.name), "{name} {}", known.name);
        }
        let names = [
            (GET_CURRENT_TASK_BTF, "bpf_get_current_task_btf"),
            (112, "bpf_probe_read_user"),
            (113, "bpf_probe_read_kernel"),
            (114, "bpf_probe_read_user_str"),
            (GET_CURRENT_COMM, "bpf_get_current_comm"),
            (PERF_EVENT_OUTPUT, "bpf_perf_event_output"),
            (GET_STACKID, "bpf_get_stackid"),
            (GET_NS_CURRENT_PID_TGID, "bpf_get_ns_current_pid_tgid"),
            (RINGBUF_OUTPUT, "bpf_ringbuf_output"),
            (TASK_STORAGE_GET, "bpf_task_storage_get"),
            (XDP_LOAD_BYTES, "bpf_xdp_load_bytes"),
        ];
        for (number, name) in names {
            assert_eq!(helper_name(number), name);
        }
        assert_eq!(name_of(ProgramKind::RawTracepoint), "raw_tracepoint");
    }
}
