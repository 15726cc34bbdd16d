//! The programs that observe executions: what is loaded, and how their records are reported.

use aya::maps::{HashMap, Map, MapData, MapError};

use super::abi::{ExecBy, ExecCounts, RECORD_EXEC};
use super::arguments::Options;
use super::model::{self, By, Execution};
use super::render;
use crate::backends::stream::{AttachPoint, Constants, FunctionHook, Plan};
use crate::backends::table::{self, EXEC_RING_BYTES};
use crate::bpf::abi::{Plain, Task};
use crate::bpf::{EXEC, KernelError};
use crate::decode::btf::Btf;
use crate::decode::syscalls::{Abi, Table};
use crate::monitor::cgroups::Cgroups;
use crate::monitor::events::SharedEvents;
use crate::monitor::request::{self, ProcessMonitor};
use crate::output::complain;
use crate::profile::model::Losses;
use crate::profile::options::SessionError;
use crate::profile::stream::Consumer;

/// Attached in this order: every call whose beginning is seen has its end seen too.
#[rustfmt::skip]
const HOOKS: [AttachPoint; 3] = [
    AttachPoint::new("denet_exec_out", "denet_exec_o_t", "raw_syscalls", c"sys_exit"),
    AttachPoint::new("denet_exec_mid", "denet_exec_m_t", "sched", c"sched_process_exec"),
    AttachPoint::new("denet_exec_in", "denet_exec_in_t", "raw_syscalls", c"sys_enter"),
];

const fn function(
    program: &'static str,
    function: &'static std::ffi::CStr,
    returns: bool,
    may_lack: bool,
) -> FunctionHook {
    FunctionHook {
        program,
        function,
        returns,
        may_lack,
    }
}

/// The functions that implement the syscalls: `arch/x86/include/asm/syscall_wrapper.h`.
#[cfg(target_arch = "x86_64")]
const FUNCTIONS: [FunctionHook; 8] = [
    function("denet_exec_ret", c"__x64_sys_execve", true, false),
    function("denet_exec_ret", c"__x64_sys_execveat", true, false),
    function("denet_exec_ret", c"__ia32_compat_sys_execve", true, true),
    function("denet_exec_ret", c"__ia32_compat_sys_execveat", true, true),
    function("denet_execve_k", c"__x64_sys_execve", false, false),
    function("denet_execvat_k", c"__x64_sys_execveat", false, false),
    function("denet_execve_kc", c"__ia32_compat_sys_execve", false, true),
    function(
        "denet_execvat_c",
        c"__ia32_compat_sys_execveat",
        false,
        true,
    ),
];
#[cfg(target_arch = "aarch64")]
const FUNCTIONS: [FunctionHook; 8] = [
    function("denet_exec_ret", c"__arm64_sys_execve", true, false),
    function("denet_exec_ret", c"__arm64_sys_execveat", true, false),
    function("denet_exec_ret", c"__arm64_compat_sys_execve", true, true),
    function("denet_exec_ret", c"__arm64_compat_sys_execveat", true, true),
    function("denet_execve_k", c"__arm64_sys_execve", false, false),
    function("denet_execvat_k", c"__arm64_sys_execveat", false, false),
    function("denet_execve_kc", c"__arm64_compat_sys_execve", false, true),
    function(
        "denet_execvat_c",
        c"__arm64_compat_sys_execveat",
        false,
        true,
    ),
];

fn plan(options: &Options) -> Plan {
    let number = |abi, name: &str| {
        let mut entries = Table::of(abi).entries();
        let found = entries.find(|(_, known, _)| *known == name);
        // No call has this number.
        found.map_or(u32::MAX, |(nr, ..)| nr as u32)
    };
    Plan {
        object: EXEC,
        backends: table::EXEC,
        hooking: options.hooking,
        hooks: &HOOKS,
        functions: &FUNCTIONS,
        constants: vec![
            ("nr_execve", number(Abi::Native, "execve")),
            ("nr_execveat", number(Abi::Native, "execveat")),
            ("nr_execve_compat", number(Abi::Compat, "execve")),
            ("nr_execveat_compat", number(Abi::Compat, "execveat")),
            ("of_one_user", options.uid.is_some().into()),
            ("the_user", options.uid.unwrap_or_default()),
        ],
        typed,
        ring_bytes: EXEC_RING_BYTES,
        slots: None,
        reports_forks: false,
        earlier: None,
        settings: Vec::new(),
    }
}

fn typed(btf: &Btf<'_>) -> Constants {
    let members = [
        ("task_real_parent_offset", "task_struct", "real_parent"),
        ("task_mm_offset", "task_struct", "mm"),
        ("mm_arg_start_offset", "mm_struct", "arg_start"),
        ("mm_arg_end_offset", "mm_struct", "arg_end"),
        ("binprm_filename_offset", "linux_binprm", "filename"),
    ];
    let offset = |(constant, structure, member)| {
        let offset = btf.member_path(structure, &[member])?;
        Some((constant, offset))
    };
    members.into_iter().filter_map(offset).collect()
}

/// Reports executions.
struct Listener {
    events: SharedEvents,
    cgroups: Cgroups,
    counts: Option<HashMap<MapData, Plain<ExecBy>, Plain<ExecCounts>>>,
}

impl Listener {
    fn by(&self) -> Result<Vec<By>, MapError> {
        let counts = self.counts.iter().flat_map(HashMap::iter);
        let counts = counts.map(|entry| {
            let (Plain(key), Plain(counts)) = entry?;
            Ok(By {
                uid: key.uid,
                command: model::name(&key.comm),
                succeeded: counts.succeeded,
                failed: counts.failed,
            })
        });
        let mut by = counts.collect::<Result<Vec<_>, MapError>>()?;
        by.sort_by_key(|by| {
            let calls = by.succeeded + by.failed;
            (std::cmp::Reverse(calls), by.uid, by.command.clone())
        });
        Ok(by)
    }
}

impl Consumer for Listener {
    fn begin(&mut self, take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<(), KernelError> {
        let counts = take("denet_exec_by").map(|map| HashMap::try_from(Map::HashMap(map)));
        self.counts = counts
            .transpose()
            .map_err(|error| KernelError::new("denet_exec_by", std::io::Error::other(error)))?;
        Ok(())
    }

    fn record(&mut self, bytes: &[u8]) {
        if !bytes.starts_with(&RECORD_EXEC.to_ne_bytes()) {
            return;
        }
        let mut events = self.events.borrow_mut();
        let Some(execution) = Execution::of(bytes) else {
            events.unreadable += 1;
            return;
        };
        events.event(
            execution.start_ns,
            |since_1970| {
                let cgroup = self.cgroups.path(execution.cgroup);
                render::record(&execution, since_1970, cgroup)
            },
            |columns, time| render::line(&execution, time, columns),
        );
    }

    fn is_unread(&self) -> bool {
        self.events.borrow().reporter.is_unread()
    }

    fn tick(&mut self, losses: &Losses) {
        self.events.borrow_mut().report_losses(losses);
    }

    fn finish(&mut self, losses: &Losses, _: &[Task]) {
        let by = self.by();
        let mut events = self.events.borrow_mut();
        events.losses = *losses;
        match by {
            Ok(by) => {
                events.summary = render::summary(&by);
                events.table = render::table(&by, events.reporter.output().top);
            }
            Err(error) => {
                complain(&format!("cannot read what was added up: {error}"));
                events.unreadable += 1;
            }
        }
    }
}

impl ProcessMonitor for Options {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn plan(&self, _: &request::Options) -> Result<Plan, SessionError> {
        Ok(plan(self))
    }

    fn header(&self, columns: usize) -> String {
        render::header(columns).to_owned()
    }

    fn consumer(self: Box<Self>, events: SharedEvents) -> Box<dyn Consumer> {
        Box::new(Listener {
            events,
            cgroups: Cgroups::default(),
            counts: None,
        })
    }
}
