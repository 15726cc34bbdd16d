//! In a build without the feature `ebpf` nothing is ever followed: there is no value of this type.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::sys::signal::SigSet;

use super::model::{ActiveBackend, Estimate, InProgress, Snapshot};
use super::{Counts, EndedProcess, Limits, StartError};
use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::process::accounts::{Identity, TaskSums};
use crate::process::target::Target;
use crate::sys::gate::{Execution, Gate};

pub(crate) enum Follower {}

/// Nothing can be listened to either.
pub(crate) enum Stream {}

pub(crate) fn built_without() -> Finding {
    Finding {
        id: "built-without-ebpf",
        cause: "this denet was built without eBPF".to_owned(),
        evidence: vec!["cargo feature ebpf: off".to_owned()],
        fix: vec![Step::Run("cargo build --release".to_owned())],
    }
}

impl Follower {
    pub(crate) fn start(
        _: &Execution,
        _: &SigSet,
        _: &Target,
        _: &Limits,
        _: Option<Stream>,
    ) -> Result<(Self, Gate), StartError> {
        Err(StartError::Refused(Box::new(built_without())))
    }

    pub(crate) fn attach_to(_: &Target, _: &Limits, _: Option<Stream>) -> Result<Self, StartError> {
        Err(StartError::Refused(Box::new(built_without())))
    }

    pub(crate) fn follow_joined(&mut self, _: &[u32]) -> Result<(), std::io::Error> {
        match *self {}
    }

    pub(crate) fn in_progress(&self) -> &InProgress {
        match *self {}
    }

    pub(crate) fn take_ended(&mut self) -> Vec<EndedProcess> {
        match *self {}
    }

    pub(crate) fn take_freed(&mut self) -> Vec<(Identity, TaskSums)> {
        match *self {}
    }

    pub(crate) fn reports_ends(&self) -> bool {
        match *self {}
    }

    pub(crate) fn reports_usage(&self) -> bool {
        match *self {}
    }

    pub(crate) fn unfreed(&self) -> HashMap<Identity, u32> {
        match *self {}
    }

    pub(crate) fn stop_counting(&mut self) -> Option<Estimate> {
        match *self {}
    }

    pub(crate) fn drain_whole(&mut self) -> bool {
        match *self {}
    }

    pub(crate) fn knows_all_usage(&self) -> bool {
        match *self {}
    }

    pub(crate) fn forget_the_dead(&mut self) {
        match *self {}
    }

    pub(crate) fn live_processes(&self) -> Vec<Identity> {
        match *self {}
    }

    pub(crate) fn counts(&mut self) -> Result<Counts, std::io::Error> {
        match *self {}
    }

    pub(crate) fn backend(&self) -> &ActiveBackend {
        match *self {}
    }

    pub(crate) fn may_miss_ends(&self) -> bool {
        match *self {}
    }

    pub(crate) fn has_own_ids(&self) -> bool {
        match *self {}
    }

    pub(crate) fn drain(&mut self) {
        match *self {}
    }

    pub(crate) fn tick(&mut self) {
        match *self {}
    }

    pub(crate) fn is_unread(&self) -> bool {
        match *self {}
    }

    pub(crate) fn due(&self) -> Option<Instant> {
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

    pub(crate) fn finish(self) -> Result<(Snapshot, Option<Estimate>), std::io::Error> {
        match self {}
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
