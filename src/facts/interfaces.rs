//! Network interfaces, and the XDP programs on them.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::netlink::{self, INTERFACE_HEADER, attributes, u32_at};
use crate::sys::root::Root;

/// Where in the way of a packet an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum XdpMode {
    /// In the driver, before the kernel makes anything of the packet.
    #[serde(rename = "drv")]
    Native,
    /// In the network stack: with every driver, and slower.
    #[serde(rename = "skb")]
    Generic,
    /// In the network card.
    #[serde(rename = "hw")]
    Offloaded,
}

impl XdpMode {
    /// As people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

/// A program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpProgram {
    /// Where it runs.
    pub mode: XdpMode,
    /// Its number, as [`LoadedProgram::id`](crate::decode::uapi::loaded::LoadedProgram::id).
    pub program: u32,
}

/// A network interface of this process' network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name, `eth0`; what is no UTF-8 in it is replaced.
    pub name: String,
    /// It was brought up (IFF_UP); whether there is a carrier is another question.
    pub up: bool,
    /// The programs on it: one at most, or one native or generic and one offloaded. `Absent` where the
    /// kernel says nothing about XDP (before Linux 4.8), `Failed` where it says that there is one and
    /// not which (before 4.13). From `rtnl_xdp_fill` (net/core/rtnetlink.c).
    pub xdp: Fact<Vec<XdpProgram>>,
}

/// include/uapi/linux/if_link.h, the latter ones nested in IFLA_XDP.
const IFLA_IFNAME: u16 = 3;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;

/// Which number `IFLA_XDP_ATTACHED` has for a mode, and which attribute the program (since Linux 4.19).
const MODES: [(XdpMode, u8, u16); 3] = [
    (XdpMode::Native, 1, 5),
    (XdpMode::Generic, 2, 6),
    (XdpMode::Offloaded, 3, 7),
];

const IFF_UP: u32 = 1;

impl Interface {
    /// Lists them, in the order of the kernel; takes no privilege. A recorded tree does not hold them:
    /// `Failed`.
    pub fn probe_all(root: &Root) -> Fact<Vec<Self>> {
        if !root.is_live() {
            return Fact::Failed("interfaces are in no file".to_owned());
        }
        Fact::of("RTM_GETLINK", netlink::interfaces(Self::parse))
    }

    /// Of a `struct ifinfomsg` and the attributes behind it; `None` where it is none.
    fn parse(message: &[u8]) -> Option<Self> {
        let attributes = attributes(message.get(INTERFACE_HEADER..)?)?;
        let name = find(&attributes, IFLA_IFNAME)?.split(|byte| *byte == 0);
        Some(Self {
            index: u32_at(message, 4)?,
            name: String::from_utf8_lossy(name.into_iter().next()?).into_owned(),
            up: u32_at(message, 8)? & IFF_UP != 0,
            xdp: find(&attributes, netlink::IFLA_XDP).map_or(Fact::Absent, programs),
        })
    }
}

fn programs(nested: &[u8]) -> Fact<Vec<XdpProgram>> {
    let malformed = || Fact::Failed("IFLA_XDP: malformed".to_owned());
    let Some(attributes) = attributes(nested) else {
        return malformed();
    };
    let program = |attribute| find(&attributes, attribute).and_then(|value| u32_at(value, 0));
    let named: Vec<_> = MODES
        .iter()
        .filter_map(|(mode, _, attribute)| {
            program(*attribute).map(|program| XdpProgram {
                mode: *mode,
                program,
            })
        })
        .collect();
    if !named.is_empty() {
        return Fact::Known(named);
    }
    let attached = find(&attributes, IFLA_XDP_ATTACHED).and_then(<[u8]>::first);
    let mode = MODES.iter().find(|(_, number, _)| attached == Some(number));
    match (attached, mode, program(IFLA_XDP_PROG_ID)) {
        (Some(0), ..) => Fact::Known(Vec::new()),
        (_, Some((mode, ..)), Some(program)) => Fact::Known(vec![XdpProgram {
            mode: *mode,
            program,
        }]),
        (_, Some(_), None) => {
            Fact::Failed("IFLA_XDP: a program without its number (Linux before 4.13)".to_owned())
        }
        (_, None, _) => malformed(),
    }
}

fn find<'a>(attributes: &[(u16, &'a [u8])], wanted: u16) -> Option<&'a [u8]> {
    let found = attributes.iter().find(|(kind, _)| *kind == wanted);
    found.map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
