//! `denet monitor net`: who talks to whom, how much, and what goes wrong?

pub mod call;

pub mod model;
mod operations;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use aya::maps::{Array, HashMap, Map, MapData};

use self::call::Call;
use self::model::Endpoint;
use super::{Common, NetOptions, Watched};
use crate::bpf::abi::{RECORD_SOCKET, Task};
use crate::bpf::abi_net::{NetControl, NetEndpoint, NetError, NetKey};
use crate::bpf::object::MapSetting;
use crate::bpf::{KernelError, NET, types, types_net};
use crate::checks::{backend, explain};
use crate::facts::Facts;
use crate::output::width;
use crate::profile::follow::{ALLOCATES_SAFELY, BPF_F_NO_PREALLOC};
use crate::profile::model::Losses;
use crate::profile::session::SessionError;
use crate::profile::stream::{Constants, Consumer, Plan, Stream, StreamHook};
use crate::render::net as render;
use crate::sys::terminal;

/// A record of a call is some four hundred bytes: room for eighty thousand of them.
const RING_BYTES: u32 = 32 << 20;
/// Where calls are only added up, threads that ended are all that is told.
pub(crate) const RING_BYTES_WITHOUT_EVENTS: u32 = 1 << 20;

/// The end of calls before their beginning, and what tells of connections before the calls that make
/// them.
const HOOKS: [StreamHook; 3] = [
    StreamHook {
        raw: "denet_net_state",
        event: "denet_net_sta_t",
        group: "sock",
        tracepoint: c"inet_sock_set_state",
        before_following: false,
    },
    StreamHook {
        raw: "denet_net_out",
        event: "denet_net_out_t",
        group: "raw_syscalls",
        tracepoint: c"sys_exit",
        before_following: false,
    },
    StreamHook {
        raw: "denet_net_in",
        event: "denet_net_in_t",
        group: "raw_syscalls",
        tracepoint: c"sys_enter",
        before_following: false,
    },
];

/// Where memory is taken on demand; where it has to be taken ahead there is room for 8192, and for half
/// as many errors.
const ENDPOINTS_ON_DEMAND: u32 = 65_536;
/// Of processes without room for more rows, of calls and of connections at a time; else 1024 and 4096.
const AT_A_TIME_ON_DEMAND: u32 = 16_384;

/// Tables that are to have other lengths than in the object.
fn settings(options: &NetOptions) -> Vec<MapSetting> {
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

fn plan(options: &NetOptions, mut constants: Constants) -> Plan {
    constants.push(("tells_events", options.events.into()));
    Plan {
        object: NET,
        hooking: options.hooking,
        hooks: &HOOKS,
        functions: &[],
        constants,
        typed: |_| Vec::new(),
        ring_bytes: if options.events {
            RING_BYTES
        } else {
            RING_BYTES_WITHOUT_EVENTS
        },
        slots: None,
        births: false,
        settings: settings(options),
    }
}

/// What the kernel side added up.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By process, socket and other end.
    pub endpoints: Vec<Endpoint>,
    /// What is not in there.
    pub control: NetControl,
}

/// Maps of the kernel side.
struct Tables {
    endpoints: HashMap<MapData, NetKey, NetEndpoint>,
    rest: HashMap<MapData, NetKey, NetEndpoint>,
    errors: HashMap<MapData, NetError, u64>,
    control: Array<MapData, NetControl>,
    // As long as this is open, programs find it.
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
        let endpoints = self
            .endpoints
            .iter()
            .chain(self.rest.iter())
            .collect::<Result<Vec<_>, _>>()?;
        let errors = self.errors.iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Seen {
            endpoints: model::endpoints(&endpoints, &errors),
            control: self.control.get(&0, 0)?,
        })
    }
}

/// Listens, and tells.
struct Listener {
    watched: Rc<RefCell<Watched>>,
    tables: Option<Tables>,
    seen: Rc<RefCell<Option<Seen>>>,
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
        let mut watched = self.watched.borrow_mut();
        let Some(call) = Call::of(bytes) else {
            watched.unreadable += 1;
            return;
        };
        let since_1970 = watched.epoch.of(call.start_ns);
        if watched.records.wanted() {
            watched.records.write(&render::record(&call, since_1970));
        }
        watched.line(
            |columns, time| render::line(&call, time, columns),
            since_1970,
        );
    }

    fn ended(&mut self, _: &Task) {}

    fn is_unread(&self) -> bool {
        self.watched.borrow().is_unread()
    }

    fn tick(&mut self, losses: &Losses) {
        self.watched.borrow_mut().tell_of(losses);
    }

    fn finish(&mut self, losses: &Losses, _: &[Task]) {
        let mut watched = self.watched.borrow_mut();
        watched.losses = *losses;
        match self.tables.as_ref().map(Tables::read) {
            Some(Ok(seen)) => {
                if watched.records.wanted() {
                    for endpoint in &seen.endpoints {
                        watched.records.write(&render::endpoint(endpoint));
                    }
                }
                *self.seen.borrow_mut() = Some(seen);
            }
            Some(Err(error)) => {
                crate::output::complain(&format!("cannot read what was added up: {error}"));
                watched.unreadable += 1;
            }
            None => watched.unreadable += 1,
        }
    }
}

/// Watches and reports; returns the exit code.
pub fn run(options: &NetOptions, common: &Common) -> u8 {
    let constants = match sockets(common) {
        Ok(constants) => constants,
        Err(error) => return crate::output::refuse(&error),
    };
    let watched = match Watched::begin(common, "net") {
        Ok(watched) => Rc::new(RefCell::new(watched)),
        Err(code) => return code,
    };
    let seen = Rc::new(RefCell::new(None));
    let stream = Stream {
        plan: plan(options, constants),
        interval: common.interval,
        consumer: Box::new(Listener {
            watched: Rc::clone(&watched),
            tables: None,
            seen: Rc::clone(&seen),
        }),
    };
    let columns = terminal::columns(io::stderr().as_fd());
    let header = match options.events {
        true => render::header(columns.unwrap_or(width::OF_LINES)),
        false => String::new(),
    };
    super::follow(common, stream, &watched, &header, |_| {
        let seen = seen.borrow();
        (
            render::summary(seen.as_ref()),
            render::table(seen.as_ref(), common.output.top, columns),
        )
    })
}

/// Without the kernel's types no descriptor is known for a socket.
fn sockets(common: &Common) -> Result<Constants, SessionError> {
    let btf = &common.limits.btf;
    if !btf.exists() {
        return Err(SessionError::Refused(Box::new(backend::without_btf(btf))));
    }
    let what = "cannot read the kernel's types";
    let refused = |error: KernelError| {
        let what = error.to_string();
        let finding = explain(&Facts::probe(), error.as_refusal(&what));
        SessionError::Refused(Box::new(finding))
    };
    types::with(btf, types_net::offsets)
        .map_err(refused)?
        .map_err(|missing| SessionError::Failed(what, io::Error::other(format!("no {missing}"))))
}
