//! `denet monitor xdp`: how many frames of which kind arrive at an interface. Nothing is dropped or
//! changed.
//!
//! `program` loads, `attach` attaches the program and reads its counters, `pin` keeps both after denet ends, `watch`
//! observes until the end: these have effects. `counters` adds up, `model` has the types, `render` and `records`
//! show them.

#[cfg(feature = "ebpf")]
pub mod abi;
pub(crate) mod arguments;
#[cfg(feature = "ebpf")]
mod attach;
#[cfg(not(feature = "ebpf"))]
#[path = "unbuilt.rs"]
mod attach;
#[cfg(all(feature = "ebpf", feature = "test-hooks"))]
pub mod cost;
pub mod counters;
pub mod model;
#[cfg(feature = "ebpf")]
mod pin;
#[cfg(feature = "ebpf")]
mod program;
pub mod records;
mod render;
pub(crate) mod watch;

use std::path::PathBuf;

use crate::checks::finding::Finding;
use crate::facts::interfaces::XdpMode;

/// Where the program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the driver, else in the network stack.
    Auto,
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Mode {
    /// Whether this mode of a program satisfies the request.
    pub(crate) fn allows(self, mode: XdpMode) -> bool {
        match self {
            Self::Auto => true,
            Self::Native => mode == XdpMode::Native,
            Self::Generic => mode == XdpMode::Generic,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Name of the interface.
    pub(crate) interface: String,
    /// Where the program is to run.
    pub(crate) mode: Mode,
    /// Keep program and counters in this directory of a bpffs, or continue with those that are pinned there.
    pub(crate) pin: Option<PathBuf>,
    /// Only detach the program that is pinned in this directory, and remove the pins.
    pub(crate) unpin: Option<PathBuf>,
}

/// Why nothing is counted.
#[derive(Debug)]
pub(crate) enum StartError {
    /// eBPF cannot be used for this interface.
    Refused(Box<Finding>),
    /// Any other reason, as a sentence; names in it may contain control characters.
    Failed(String),
}

#[cfg(feature = "ebpf")]
fn refused(error: &crate::bpf::KernelError) -> StartError {
    let what = error.to_string();
    let facts = crate::facts::Facts::probe();
    let finding = crate::checks::xdp::refused(&facts, crate::checks::Refusal::of(error, &what));
    StartError::Refused(Box::new(finding))
}
