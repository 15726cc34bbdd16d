//! What is so on this machine, for this process: read, not judged.

pub mod binary;
pub mod btf;
pub mod kernel;
pub mod object;
pub mod privileges;

use std::io;

/// Something that was looked for. "No" is not "could not look".
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It is so.
    Known(T),
    /// It does not exist here.
    Absent,
    /// We may not look; the reason.
    Denied(String),
    /// Looking failed; the reason.
    Failed(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Denied(_) | Self::Failed(_) => None,
        }
    }

    /// Makes another fact of what is known.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(make(value)),
            Self::Absent => Fact::Absent,
            Self::Denied(why) => Fact::Denied(why),
            Self::Failed(why) => Fact::Failed(why),
        }
    }
}

impl<T> From<io::Result<T>> for Fact<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Self::Absent,
                io::ErrorKind::PermissionDenied => Self::Denied(error.to_string()),
                _ => Self::Failed(error.to_string()),
            },
        }
    }
}

/// Everything that decides whether this process may use eBPF.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What this process may do.
    pub privileges: Fact<privileges::Privileges>,
    /// The file that it runs from.
    pub binary: binary::Binary,
    /// What the kernel forbids to everyone.
    pub kernel: kernel::Kernel,
}

impl Facts {
    /// Reads them.
    pub fn probe() -> Self {
        Self {
            privileges: privileges::Privileges::probe(),
            binary: binary::Binary::probe(),
            kernel: kernel::Kernel::probe(),
        }
    }
}
