//! In a build without the feature `ebpf` nothing is ever followed: there is no value of this type.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::SigSet;

use super::model::{Backend, Snapshot};
use super::{Limits, StartError};
use crate::finding::Finding;
use crate::step::Step;
use crate::sys::gate::{Execution, Gate};

pub(crate) enum Follower {}

impl Follower {
    pub(crate) fn start(_: &Execution, _: &SigSet, _: &Limits) -> Result<(Self, Gate), StartError> {
        Err(StartError::Refused(Box::new(Finding {
            id: "built-without-ebpf",
            cause: "this denet was built without eBPF".to_owned(),
            evidence: vec!["cargo feature ebpf: off".to_owned()],
            fix: vec![Step::Run("cargo build --release".to_owned())],
        })))
    }

    pub(crate) fn backend(&self) -> &Backend {
        match *self {}
    }

    pub(crate) fn may_miss_ends(&self) -> bool {
        match *self {}
    }

    pub(crate) fn drain(&mut self) {
        match *self {}
    }

    pub(crate) fn live(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn wake_on_exit(&self) {
        match *self {}
    }

    pub(crate) fn map_bytes(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn log_memory(&self, _: &str) {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<(Snapshot, f64), std::io::Error> {
        match self {}
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
