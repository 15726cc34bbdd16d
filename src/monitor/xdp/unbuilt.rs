//! In a build without the feature `ebpf` nothing is ever attached: there is no value of this type.

use std::io;
use std::path::Path;

use super::model::{About, Reading, Removed};
use super::{Options, StartError};
use crate::profile::follow;

pub(crate) struct Attached {
    pub(crate) about: About,
    never: std::convert::Infallible,
}

fn refused() -> StartError {
    StartError::Refused(Box::new(follow::built_without()))
}

impl Attached {
    pub(crate) fn new(_: &Options) -> Result<Self, StartError> {
        Err(refused())
    }

    pub(crate) fn first(&self) -> Reading {
        match self.never {}
    }

    pub(crate) fn read(&self) -> Result<Reading, StartError> {
        match self.never {}
    }

    pub(crate) fn is_attached(&self) -> io::Result<bool> {
        match self.never {}
    }

    pub(crate) fn finish(self) -> Result<Reading, StartError> {
        match self.never {}
    }
}

pub(crate) fn exists(_: u32) -> Result<bool, StartError> {
    Err(refused())
}

pub(crate) fn remove(_: &Options, _: &Path) -> Result<Removed, StartError> {
    Err(refused())
}
