//! The verbs `monitor` and `trace`: events are reported as they occur.

use super::exit;
use super::refusal::explain;
use crate::monitor::request::{Options, Request};
use crate::monitor::xdp::model::End;
use crate::monitor::xdp::watch::{self, Finished};
use crate::monitor::xdp::{self, StartError};
use crate::output::complain;

/// Observes and reports; returns the exit code.
pub(crate) fn run(request: Request, options: &Options) -> u8 {
    match request {
        Request::Interface(interface) => of_interface(&interface, options),
        #[cfg(feature = "ebpf")]
        Request::Processes(selection, monitor) => {
            super::processes::run(selection, monitor, options)
        }
        #[cfg(not(feature = "ebpf"))]
        Request::Processes(..) => super::refusal::built_without(),
    }
}

fn of_interface(interface: &xdp::Options, options: &Options) -> u8 {
    match watch::run(interface, options) {
        Err(StartError::Refused(finding)) => {
            complain("cannot count at that interface");
            explain(&finding);
            exit::EBPF_UNAVAILABLE
        }
        Err(StartError::Failed(why)) => {
            complain(&why);
            exit::FAILED
        }
        Ok((Finished::Removed(Some(left)), _)) => {
            complain(&format!("cannot remove {left}"));
            exit::FAILED
        }
        Ok((_, false)) => exit::FAILED,
        Ok((Finished::Counted(End::Interrupted(signal)), true)) => exit::of_signal(signal),
        Ok((Finished::Counted(_) | Finished::Removed(None), true)) => 0,
    }
}
