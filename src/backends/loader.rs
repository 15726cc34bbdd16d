//! Tries one backend after the other, and keeps the refusals.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::kernel::{Kernel, following_constants};
use super::stream::{AttachPoint, Constants};
use super::table::{COPYING_NEEDS, Mechanism, Needs, following};
use crate::bpf::calibrate::Layout;
use crate::bpf::kernel::Kind;
use crate::bpf::object::{self, MapSetting, Maps, Program, Request};
use crate::bpf::{KernelError, LIFECYCLE, perf};
use crate::facts::kernel;
use crate::sys::root::Root;

/// A program, its attach point, and its link if it is attached already.
pub(crate) struct Hook {
    pub(crate) program: Program,
    pub(crate) tracepoint: &'static CStr,
    pub(crate) link: Option<OwnedFd>,
}

/// The programs that were loaded.
pub(crate) struct Loaded {
    /// In the order in which they are to be attached: a task is followed before its calls are counted.
    pub(crate) hooks: Vec<Hook>,
    /// Walks over the tasks that run already, if they are to be followed.
    pub(crate) walk: Option<Program>,
    /// Name of the backend that sees calls.
    pub(crate) syscalls: &'static str,
    /// Name of the one that follows tasks.
    pub(crate) follow: &'static str,
    /// Better backends that were refused, best first.
    pub(crate) refused: Vec<Refused>,
    /// The kernel may skip the run that reports the end of a task.
    pub(crate) may_miss_ends: bool,
    /// Reports what each task used when the kernel frees it, if the kernel allows that.
    pub(crate) usage: Option<Hook>,
}

/// A backend that is not available.
pub(crate) struct Refused {
    pub(crate) backend: &'static str,
    pub(crate) needs: Needs,
    /// The kernel's refusal; `None` where it was not tried, because there are no types of the kernel.
    pub(crate) error: Option<KernelError>,
}

/// The programs that follow tasks.
#[rustfmt::skip]
const FOLLOWING: [AttachPoint; 3] = [
    AttachPoint::new("denet_exit", "denet_exit_tp", "sched", c"sched_process_exit"),
    AttachPoint::new("denet_exec", "denet_exec_tp", "sched", c"sched_process_exec"),
    AttachPoint::new("denet_fork", "denet_fork_tp", "sched", c"sched_process_fork"),
];

/// The numbers by which ebpf/lifecycle.bpf.c calls functions of the kernel.
const TASK_FUNCTIONS: [i32; 2] = [0x6465_6e01, 0x6465_6e02];

pub(super) struct Loader<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) settings: &'a [MapSetting],
    pub(super) maps: &'a mut Maps,
    pub(super) refused: Vec<Refused>,
}

pub(super) fn broken(what: &'static str) -> KernelError {
    KernelError::new("embedded eBPF object", io::Error::other(what))
}

/// The error if the kernel's BTF lacks these.
pub(super) fn missing_types(names: &str) -> KernelError {
    let missing = io::Error::from_raw_os_error(libc::EINVAL);
    KernelError::new(format!("BTF {names}"), missing)
}

impl Loader<'_> {
    /// Tries one backend; a refusal is kept.
    pub(super) fn attempt<T>(
        &mut self,
        backend: &'static str,
        needs: Needs,
        load: impl FnOnce(&mut Self) -> Result<T, KernelError>,
    ) -> Option<T> {
        let btf = &self.kernel.btf;
        let error = if needs.btf && !btf.exists() {
            tracing::debug!(btf = %btf.display(), "no types of the kernel; not: {backend}");
            None
        } else {
            match load(self) {
                Ok(loaded) => return Some(loaded),
                Err(error) => {
                    tracing::debug!(%error, log = error.log, "not: {backend}");
                    // This map may have been made with task pointers, which the next backend does not keep.
                    self.maps.remove("denet_kept");
                    Some(error)
                }
            }
        };
        self.refused.push(Refused {
            backend,
            needs,
            error,
        });
        None
    }

    /// The result, once everything is loaded.
    pub(super) fn loaded(
        &mut self,
        hooks: Vec<Hook>,
        syscalls: &'static str,
        follow: Mechanism,
        may_miss_ends: bool,
    ) -> Loaded {
        Loaded {
            hooks,
            walk: None,
            syscalls,
            follow: following(follow),
            refused: std::mem::take(&mut self.refused),
            may_miss_ends,
            usage: None,
        }
    }

    /// The program that reports what tasks used, attached; none on a kernel that does not allow it. Also where the
    /// other programs are at perf events, which do not report the address of a task.
    pub(super) fn usage(&mut self) -> Option<Hook> {
        let kernel = self.kernel;
        let types = kernel.usage()?;
        let kind = match kernel.layout.typed_only {
            true => Kind::Typed(types.free),
            false => Kind::Raw,
        };
        let constants = following_constants(kernel, &kernel.layout);
        let tracepoint = c"sched_process_free";
        let hook = self.one(LIFECYCLE, ("denet_free", kind), &constants);
        let hook = hook.and_then(|program| {
            Ok(Hook {
                link: Some(program.attach(tracepoint)?),
                program,
                tracepoint,
            })
        });
        hook.inspect_err(|error| tracing::debug!(%error, "what tasks used is not reported"))
            .ok()
    }

    pub(super) fn load(&mut self, request: Request<'_>) -> Result<Vec<Program>, KernelError> {
        let settings = self.settings;
        object::load(
            &Request {
                settings,
                ..request
            },
            self.maps,
        )
    }

    pub(super) fn one(
        &mut self,
        bytes: &[u8],
        program: (&str, Kind),
        constants: &Constants,
    ) -> Result<Program, KernelError> {
        let programs = &[program];
        only(self.load(request(bytes, programs, constants))?)
    }

    /// How tasks are followed: if they cannot be copied, by the kernel's types.
    pub(super) fn followed(&mut self, uncopied: Option<KernelError>) -> Mechanism {
        if uncopied.is_none() {
            return Mechanism::Raw;
        }
        self.refused.push(Refused {
            backend: following(Mechanism::Raw),
            needs: COPYING_NEEDS,
            error: uncopied,
        });
        Mechanism::Typed
    }

    /// The programs that follow tasks, for raw tracepoints.
    pub(super) fn following(&mut self) -> Result<Vec<Hook>, KernelError> {
        let kernel = self.kernel;
        let mut programs = FOLLOWING.map(|point| (point.raw, Kind::Raw));
        if kernel.layout.typed_only {
            let typedefs = kernel.types()?.following;
            for ((_, kind), typedef) in programs.iter_mut().zip(typedefs) {
                *kind = Kind::Typed(typedef);
            }
        }
        let constants = following_constants(kernel, &kernel.layout);
        let loaded = self.load(request(LIFECYCLE, &programs, &constants))?;
        let hooks = loaded.into_iter().zip(FOLLOWING);
        let hooks = hooks.map(|(program, point)| Hook {
            program,
            tracepoint: point.tracepoint,
            link: None,
        });
        Ok(hooks.collect())
    }

    /// All programs at perf events, where none is preempted: those that follow tasks, and these around them.
    pub(super) fn all_at_events(
        &mut self,
        object: &[u8],
        points: &[AttachPoint],
        constants: &Constants,
    ) -> Result<Vec<Hook>, KernelError> {
        let types = self.kernel.types()?;
        let event_types = types.events.ok_or_else(|| {
            missing_types("bpf_task_from_pid, trace_event_raw_sched_process_fork")
        })?;
        let layout = Layout {
            typed_only: true,
            stack: types.sp,
            ..self.kernel.layout
        };
        let mut following = following_constants(self.kernel, &layout);
        following.push(("child_pid_offset", event_types.child_pid));
        let functions = [0, 1].map(|it| (TASK_FUNCTIONS[it], event_types.task_functions[it]));
        let own = points.iter().map(|point| (object, point, constants));
        let (before, after): (Vec<_>, Vec<_>) =
            own.partition(|(_, point, _)| point.before_following);
        let following = FOLLOWING.iter().map(|point| (LIFECYCLE, point, &following));
        let programs = before.into_iter().chain(following).chain(after);
        self.events(programs, &functions)
    }

    /// Loads and attaches in one step: only opening a perf event shows whether that is allowed, and closing it
    /// again takes long.
    pub(super) fn events<'p>(
        &mut self,
        programs: impl Iterator<Item = (&'p [u8], &'p AttachPoint, &'p Constants)>,
        functions: &[(i32, u32)],
    ) -> Result<Vec<Hook>, KernelError> {
        let mounting = !kernel::Kernel::probe(&Root::default()).is_confidential();
        let mut hooks = Vec::new();
        for (object, point, constants) in programs {
            let event = format!("{}/{}", point.group, point.tracepoint.to_string_lossy());
            let kind = Kind::Event(perf::tracepoint_id(&event, mounting)?);
            let program = only(self.load(Request {
                functions,
                ..request(object, &[(point.event, kind)], constants)
            })?)?;
            let link = Some(program.attach(point.tracepoint)?);
            hooks.push(Hook {
                program,
                tracepoint: point.tracepoint,
                link,
            });
        }
        Ok(hooks)
    }
}

pub(super) fn request<'a>(
    bytes: &'a [u8],
    programs: &'a [(&'a str, Kind)],
    constants: &'a Constants,
) -> Request<'a> {
    Request {
        bytes,
        programs,
        with_types: false,
        constants,
        functions: &[],
        settings: &[],
    }
}

pub(super) fn only(mut programs: Vec<Program>) -> Result<Program, KernelError> {
    programs.pop().ok_or_else(|| broken("no program"))
}
