//! What each stage does to the kernel.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::{Failure, Options, ROUNDS, Report, Stage};
use crate::bpf::abi::Smoke;
use crate::bpf::invoke;
use crate::bpf::kernel::{self, Kind};
use crate::bpf::object::{Maps, Opened, Program, Request};
use crate::bpf::{KernelError, SMOKE};
use crate::checks::finding::Finding;
use crate::checks::smoke::{self, Miscount};
use crate::checks::{Refusal, explain};
use crate::decode::btf::Btf;
use crate::decode::syscalls::harmless::Harmless;
use crate::facts::object::{self, ObjectFacts};
use crate::facts::privileges::Privileges;
use crate::facts::{Fact, Facts};
use crate::sys::mapping::Mapping;
use crate::sys::root::Root;

const COUNTER: &str = "denet_observed";
const PROGRAM: (&str, Kind) = ("denet_smoke", Kind::Raw);

/// How often the calls are made, where the kernel skips runs of the program.
const ATTEMPTS: u32 = 5;
/// Calls that are made once the link is closed.
const AFTERWARDS: u64 = 100;

/// What a stage did, and what it leaves to the next.
type Done<T> = Result<(T, String), Failure>;

pub(super) fn run(options: &Options, report: &mut Report) -> Option<()> {
    let call = &options.call;
    let object = report.stage(Stage::Object, read_object)?;
    report.stage(Stage::Btf, || read_types(&object, &options.btf))?;
    let Made {
        opened,
        maps: _maps,
        counter,
    } = report.stage(Stage::Maps, || make_maps(call))?;
    let program = report.stage(Stage::Load, || load(&opened))?;
    let link = report.stage(Stage::Attach, || attach(&program, &counter))?;
    let mut seen = report.stage(Stage::Trigger, || trigger(call, &counter))?;
    let observed = report.stage(Stage::Observe, || {
        observe(call, &program, &counter, &mut seen)
    });
    report.observed = Some(seen.iter().sum());
    observed?;
    report.stage(Stage::Detach, || detach(link, call, &counter))
}

fn read_object() -> Done<ObjectFacts> {
    let object = object::inspect(SMOKE).map_err(|error| {
        let what = error.to_string();
        failure(what.clone(), smoke::broken_object(what))
    })?;
    let size = SMOKE.len();
    let parts = (object.programs.len(), object.maps.len());
    let detail = format!(
        "{size} bytes of ELF, programs {}, maps {}",
        parts.0, parts.1
    );
    Ok((object, detail))
}

/// The program needs none of the kernel's types; that they are there and sound says what others can do.
fn read_types(object: &ObjectFacts, path: &Path) -> Done<()> {
    let own = object.btf.known().and_then(|types| types.types.known());
    let Some(own) = own else {
        let what = format!("types of the object: {:?}", object.btf);
        return Err(failure(what.clone(), smoke::broken_object(what)));
    };
    let kernel = match Fact::of(path, std::fs::read(path)) {
        Fact::Known(bytes) => {
            let types = Btf::parse(bytes).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                failure(what.clone(), smoke::malformed_btf(what))
            })?;
            types.len().to_string()
        }
        Fact::Absent => "none (not needed)".to_owned(),
        Fact::Denied(_) | Fact::Failed(_) => "not readable (not needed)".to_owned(),
    };
    Ok((
        (),
        format!("types of the object {own}, of the kernel {kernel}"),
    ))
}

/// What a program is loaded with.
struct Made {
    opened: Opened,
    // The program names them by their descriptors until it is loaded.
    maps: Maps,
    counter: Mapping<Smoke>,
}

fn make_maps(call: &Harmless) -> Done<Made> {
    let request = Request {
        bytes: SMOKE,
        programs: &[PROGRAM],
        with_types: false,
        constants: &[("counted_nr", call.number().unsigned_abs())],
        functions: &[],
        settings: &[],
    };
    let mut maps = Maps::new();
    let opened = Opened::new(&request, &mut maps).map_err(refused)?;
    let missing = || KernelError::new(COUNTER, io::Error::other("not in the embedded object"));
    let counter = maps.get(COUNTER).ok_or_else(|| refused(missing()))?;
    let counter = Mapping::new(counter.fd().as_fd(), 1)
        .map_err(|error| refused(KernelError::new(format!("mmap {COUNTER}"), error)))?;
    let made = Made {
        opened,
        maps,
        counter,
    };
    Ok((made, format!("{COUNTER} mapped, constants frozen")))
}

fn load(opened: &Opened) -> Done<Program> {
    let mut loaded = opened.load(&[PROGRAM], &[]).map_err(refused)?;
    let program = loaded.pop().ok_or_else(|| {
        let none = io::Error::other("no program");
        refused(KernelError::new("embedded eBPF object", none))
    })?;
    let detail = format!("{} verified", program.name);
    Ok((program, detail))
}

/// The program learns by which ids the kernel knows this task; in a pid namespace they are not its own ones.
fn attach(program: &Program, counter: &Mapping<Smoke>) -> Done<OwnedFd> {
    let learnt = kernel::run_raw_tracepoint(program.fd.as_fd(), &[0, 0]);
    let learnt = learnt.and_then(|()| match counter.read(0).caller {
        0 => Err(io::Error::other("the program did not run")),
        _ => Ok(()),
    });
    learnt.map_err(|error| {
        refused(KernelError::new(
            format!("BPF_PROG_TEST_RUN {}", program.name),
            error,
        ))
    })?;
    let link = program.attach(c"sys_enter").map_err(refused)?;
    let (tgid, tid) = (std::process::id(), nix::unistd::gettid());
    Ok((
        link,
        format!("raw_tp/sys_enter, process {tgid}, thread {tid}"),
    ))
}

fn trigger(call: &Harmless, counter: &Mapping<Smoke>) -> Done<[u64; 2]> {
    let seen = attempt(call, counter);
    let [first, second] = ROUNDS;
    let (name, number) = (call.name(), call.number());
    Ok((
        seen,
        format!("{name} ({number}), {first} and {second} times"),
    ))
}

/// Makes the calls; how many of each lot the program saw. Nothing else is called in between.
fn attempt(call: &Harmless, counter: &Mapping<Smoke>) -> [u64; 2] {
    ROUNDS.map(|times| {
        let before = counter.read(0).calls;
        invoke::repeat(call, times);
        counter.read(0).calls.wrapping_sub(before)
    })
}

/// Compares; where the kernel skipped runs of the program, `seen` is what the last attempt saw.
fn observe(
    call: &Harmless,
    program: &Program,
    counter: &Mapping<Smoke>,
    seen: &mut [u64; 2],
) -> Done<()> {
    let skipped_runs = || {
        kernel::recursion_misses(program.fd.as_fd()).map_err(|source| {
            let operation = format!("BPF_OBJ_GET_INFO_BY_FD {}", program.name);
            refused(KernelError::new(operation, source))
        })
    };
    let mut attempts = 1;
    while *seen != ROUNDS && attempts < ATTEMPTS && skipped_runs()? > 0 {
        *seen = attempt(call, counter);
        attempts += 1;
    }
    let [first, second] = *seen;
    if *seen == ROUNDS {
        let again = match attempts {
            1 => String::new(),
            more => format!(", at attempt {more}: runs were skipped"),
        };
        return Ok(((), format!("{first} and {second} calls{again}")));
    }
    let count = Miscount {
        syscall: call.name(),
        expected: ROUNDS.iter().sum(),
        observed: seen.iter().sum(),
        attempts,
        skipped_runs: skipped_runs()?,
    };
    let detail = format!(
        "{first} and {second} calls instead of {} and {}",
        ROUNDS[0], ROUNDS[1]
    );
    Err(failure(
        detail,
        smoke::miscounted(&Privileges::probe(&Root::default()), count),
    ))
}

/// Another process that lists links (bpftool, `ebpf_diag`) keeps each open for a moment, and until then the program
/// runs on.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);

fn detach(link: OwnedFd, call: &Harmless, counter: &Mapping<Smoke>) -> Done<()> {
    drop(link);
    let counted = || {
        let before = counter.read(0).calls;
        invoke::repeat(call, AFTERWARDS);
        counter.read(0).calls.wrapping_sub(before)
    };
    let mut last = counted();
    for _ in 1..TRIES {
        if last == 0 {
            break;
        }
        std::thread::sleep(PAUSE);
        last = counted();
    }
    match last {
        0 => Ok((
            (),
            format!("link closed; {AFTERWARDS} more calls, none counted"),
        )),
        counted => Err(failure(
            format!("{counted} of {AFTERWARDS} calls counted after it"),
            smoke::still_attached(call.name(), AFTERWARDS, counted),
        )),
    }
}

fn failure(detail: String, finding: Finding) -> Failure {
    Failure {
        detail,
        finding: Box::new(finding),
    }
}

/// What the kernel refused, and what is behind that.
fn refused(error: KernelError) -> Failure {
    let what = error.to_string();
    tracing::debug!(%error, log = error.log, "refused");
    let finding = explain(&Facts::probe(), Refusal::of(&error, &what));
    failure(what, finding)
}
