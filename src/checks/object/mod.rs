//! What an eBPF object asks of a machine, and what is wrong with it. Nothing is loaded for that.

mod collector;
mod findings;
mod judge;
mod mechanism;

use serde::{Deserialize, Serialize};

pub(crate) use findings::findings;
pub(crate) use judge::{judge, outcome, unreadable};

use crate::decode::uapi::sections::Hook;
use crate::facts::Fact;
use crate::facts::object::ObjectFacts;
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;
use collector::Collector;

/// A feature that not every kernel has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// The first kernel that has it; `Absent` if that is not known to denet.
    pub(crate) since: Fact<Release>,
    /// The feature: a type of program or map, a helper, a flag.
    pub(crate) what: String,
    /// Which program or map asks for it.
    pub(crate) of: String,
    /// Asked for in any case. What a program takes that waits to be asked for (`?`) is not, nor a
    /// helper where a constant may switch it off: the verifier does not look at helpers in code that
    /// is never reached (Linux 5.5). Instructions that it does not know it refuses anywhere.
    pub(crate) certain: bool,
}

/// A capability that loading and attaching takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capability {
    /// Which. `CAP_BPF` and `CAP_PERFMON` came with 5.8: before, it is `CAP_SYS_ADMIN`.
    pub(crate) cap: Cap,
    /// What takes it, each reason once.
    pub(crate) reasons: Vec<String>,
}

/// Where a program is to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) program: String,
    /// The kind of hook.
    pub(crate) hook: Hook,
    /// The tracepoint, the function; `Absent` if the object leaves that open.
    pub(crate) target: Fact<String>,
    /// How it gets there, in words.
    pub(crate) mechanism: String,
    /// It takes a readable tracefs.
    pub(crate) tracefs: bool,
}

/// A reason to need the types of the kernel itself (`/sys/kernel/btf/vmlinux`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelBtf {
    /// What asks for them.
    pub(crate) reason: String,
    /// In any case: see [`Demand::certain`].
    pub(crate) certain: bool,
}

/// All that an object asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requirements {
    /// Features, the newest first, then those of unknown age; each feature once.
    pub(crate) demands: Vec<Demand>,
    /// Capabilities in the order of [`Cap`], none twice.
    pub(crate) capabilities: Vec<Capability>,
    /// One for each program whose section is known.
    pub(crate) attachments: Vec<Attachment>,
    /// Why it needs the kernel's BTF; empty if it does not.
    pub(crate) kernel_btf: Vec<KernelBtf>,
}

impl Requirements {
    /// The oldest kernel that has all that is asked for in any case. Distributions backport.
    pub(crate) fn minimum_kernel(&self) -> Option<Release> {
        let certain = self.demands.iter().filter(|demand| demand.certain);
        certain
            .filter_map(|demand| demand.since.known())
            .max()
            .copied()
    }

    /// Some program needs tracefs.
    pub(crate) fn needs_tracefs(&self) -> bool {
        self.attachments.iter().any(|attachment| attachment.tracefs)
    }
}

/// What an object asks for.
pub(crate) fn requirements(object: &ObjectFacts) -> Requirements {
    let mut found = Collector::new(object);
    for program in &object.programs {
        found.program(program);
        found.code(&program.name, &program.code, program.autoload);
    }
    for function in &object.functions {
        found.code(&function.name, &function.code, true);
    }
    for map in &object.maps {
        found.map(map);
    }
    found.object(object);
    found.finish()
}

#[cfg(test)]
mod tests;
