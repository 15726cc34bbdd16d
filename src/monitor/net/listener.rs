//! The programs that observe calls on sockets: what is loaded, and how their records and sums are reported.

use std::io;

use aya::maps::{Array, HashMap, Map, MapData};

use super::abi::{NetControl, NetEndpoint, NetError, NetKey, RECORD_SOCKET};
use super::arguments::Options;
use super::call::Call;
use super::model::{self, Seen};
use super::{operations, render, types};
use crate::backends::stream::{AttachPoint, Constants, Plan};
use crate::backends::table::{self, NET_RING_BYTES};
use crate::bpf::abi::{Plain, Task};
use crate::bpf::object::MapSetting;
use crate::bpf::{self, KernelError, NET};
use crate::checks::{Refusal, explain, findings};
use crate::facts::Facts;
use crate::monitor::events::SharedEvents;
use crate::monitor::request::{self, ProcessMonitor};
use crate::output::complain;
use crate::profile::follow::{ALLOCATES_SAFELY, BPF_F_NO_PREALLOC};
use crate::profile::model::Losses;
use crate::profile::options::SessionError;
use crate::profile::stream::Consumer;

/// A record of a call is some four hundred bytes: room for eighty thousand of them.
const RING_BYTES: u32 = 32 << 20;
/// Attached in this order: every call whose beginning is seen has its end seen too, and every connection that a call
/// makes has its states seen.
#[rustfmt::skip]
const HOOKS: [AttachPoint; 3] = [
    AttachPoint::new("denet_net_state", "denet_net_sta_t", "sock", c"inet_sock_set_state"),
    AttachPoint::new("denet_net_out", "denet_net_out_t", "raw_syscalls", c"sys_exit"),
    AttachPoint::new("denet_net_in", "denet_net_in_t", "raw_syscalls", c"sys_enter"),
];

/// Rows, if maps allocate memory on demand; if it has to be allocated in advance, 8192, and half as many for errors.
const ENDPOINTS_ON_DEMAND: u32 = 65_536;
/// Processes without room for more rows, simultaneous calls and simultaneous connections; otherwise 1024 and 4096.
const AT_A_TIME_ON_DEMAND: u32 = 16_384;

/// Maps whose size differs from that in the object.
fn settings(options: &Options) -> Vec<MapSetting> {
    let asked = options.max_endpoints;
    let (on_demand, most, at_a_time) = if ALLOCATES_SAFELY.is_reached() {
        let flag = BPF_F_NO_PREALLOC;
        (flag, Some(ENDPOINTS_ON_DEMAND), Some(AT_A_TIME_ON_DEMAND))
    } else {
        (0, None, None)
    };
    let setting = |name, max_entries| MapSetting {
        name,
        max_entries,
        extra_flags: on_demand,
    };
    vec![
        setting("denet_endpoints", asked.or(most)),
        setting("denet_net_rest", at_a_time),
        setting("denet_net_errs", most),
        setting("denet_net_calls", asked.or(at_a_time)),
        setting("denet_connects", asked.or(at_a_time)),
    ]
}

fn plan(options: &Options, mut constants: Constants) -> Plan {
    constants.push(("tells_events", options.events.into()));
    Plan {
        object: NET,
        backends: table::NET,
        hooking: options.hooking,
        hooks: &HOOKS,
        functions: &[],
        constants,
        typed: |_| Vec::new(),
        ring_bytes: if options.events {
            RING_BYTES
        } else {
            NET_RING_BYTES
        },
        slots: None,
        reports_forks: false,
        earlier: None,
        settings: settings(options),
    }
}

type Endpoints = HashMap<MapData, Plain<NetKey>, Plain<NetEndpoint>>;

/// Maps of the eBPF program.
struct Tables {
    endpoints: Endpoints,
    rest: Endpoints,
    errors: HashMap<MapData, Plain<NetError>, u64>,
    control: Array<MapData, Plain<NetControl>>,
    // The program can use this map as long as it is open.
    _operations: Array<MapData, u32>,
}

impl Tables {
    fn new(take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<Self, KernelError> {
        let mut map = |name: &'static str| {
            take(name).ok_or_else(|| KernelError::new(name, io::Error::other("no such map")))
        };
        let failed = |name: &'static str| {
            move |error: aya::maps::MapError| KernelError::new(name, io::Error::other(error))
        };
        let ops = "denet_net_ops";
        let mut operations: Array<_, u32> =
            Map::Array(map(ops)?).try_into().map_err(failed(ops))?;
        for (number, operation) in operations::all() {
            operations.set(number, operation, 0).map_err(failed(ops))?;
        }
        let (endpoints, rest) = ("denet_endpoints", "denet_net_rest");
        let (errors, control) = ("denet_net_errs", "denet_net_ctl");
        Ok(Self {
            endpoints: Map::HashMap(map(endpoints)?)
                .try_into()
                .map_err(failed(endpoints))?,
            rest: Map::HashMap(map(rest)?).try_into().map_err(failed(rest))?,
            errors: Map::HashMap(map(errors)?)
                .try_into()
                .map_err(failed(errors))?,
            control: Map::Array(map(control)?)
                .try_into()
                .map_err(failed(control))?,
            _operations: operations,
        })
    }

    fn read(&self) -> Result<Seen, aya::maps::MapError> {
        let all = self.endpoints.iter().chain(self.rest.iter());
        let endpoints = all
            .map(|entry| entry.map(|(Plain(key), Plain(endpoint))| (key, endpoint)))
            .collect::<Result<Vec<_>, _>>()?;
        let errors = self.errors.iter();
        let errors = errors
            .map(|entry| entry.map(|(Plain(error), count)| (error, count)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Seen {
            endpoints: model::endpoints(&endpoints, &errors),
            control: self.control.get(&0, 0)?.0,
        })
    }
}

/// Reports calls and sums.
struct Listener {
    events: SharedEvents,
    tables: Option<Tables>,
}

impl Consumer for Listener {
    fn begin(&mut self, take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<(), KernelError> {
        self.tables = Some(Tables::new(take)?);
        Ok(())
    }

    fn record(&mut self, bytes: &[u8]) {
        if !bytes.starts_with(&RECORD_SOCKET.to_ne_bytes()) {
            return;
        }
        let mut events = self.events.borrow_mut();
        let Some(call) = Call::of(bytes) else {
            events.unreadable += 1;
            return;
        };
        events.event(
            call.start_ns,
            |since_1970| render::record(&call, since_1970),
            |columns, time| render::line(&call, time, columns),
        );
    }

    fn is_unread(&self) -> bool {
        self.events.borrow().reporter.is_unread()
    }

    fn tick(&mut self, losses: &Losses) {
        self.events.borrow_mut().report_losses(losses);
    }

    fn finish(&mut self, losses: &Losses, _: &[Task]) {
        let mut events = self.events.borrow_mut();
        events.losses = *losses;
        let seen = match self.tables.as_ref().map(Tables::read) {
            Some(Ok(seen)) => Some(seen),
            Some(Err(error)) => {
                complain(&format!("cannot read what was added up: {error}"));
                None
            }
            None => None,
        };
        match &seen {
            Some(seen) if events.reporter.records.wanted() => {
                for endpoint in &seen.endpoints {
                    let record = render::endpoint(endpoint);
                    events.reporter.records.write(&record);
                }
            }
            Some(_) => {}
            None => events.unreadable += 1,
        }
        let (top, columns) = (
            events.reporter.output().top,
            events.reporter.terminal_columns(),
        );
        events.missing_of_sums = seen.as_ref().map_or_else(Vec::new, |seen| seen.missing());
        events.summary = render::summary(seen.as_ref());
        events.table = render::table(seen.as_ref(), top, columns);
    }
}

impl ProcessMonitor for Options {
    fn name(&self) -> &'static str {
        "net"
    }

    fn plan(&self, options: &request::Options) -> Result<Plan, SessionError> {
        Ok(plan(self, sockets(options)?))
    }

    fn header(&self, columns: usize) -> String {
        match self.events {
            true => render::header(columns),
            false => String::new(),
        }
    }

    fn consumer(self: Box<Self>, events: SharedEvents) -> Box<dyn Consumer> {
        Box::new(Listener {
            events,
            tables: None,
        })
    }
}

/// The error without the kernel's types: it is not known which descriptors are sockets.
fn sockets(options: &request::Options) -> Result<Constants, SessionError> {
    let btf = &options.limits.btf;
    if !btf.exists() {
        return Err(SessionError::Refused(Box::new(
            findings::kernel_without_btf(btf),
        )));
    }
    let what = "cannot read the kernel's types";
    let refused = |error: KernelError| {
        let what = error.to_string();
        let finding = explain(&Facts::probe(), Refusal::of(&error, &what));
        SessionError::Refused(Box::new(finding))
    };
    bpf::types::with(btf, types::offsets)
        .map_err(refused)?
        .map_err(|missing| SessionError::Failed(what, io::Error::other(format!("no {missing}"))))
}
