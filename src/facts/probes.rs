//! What the kernel answers when it is asked to do what denet needs, and no more.
//!
//! The smallest map and program of each type, each helper, and at each hook a program that counts
//! calls which are then made. Everything is a descriptor, gone when it is dropped. Nothing is written,
//! mounted or pinned.
//!
//! | id | what is asked |
//! |---|---|
//! | `bpf:reach` | whether `bpf(2)` is reached at all |
//! | `btf:load` | types of a program's own |
//! | `map:*`, `program:*`, `helper:*` | the smallest map or program of a type, a program that calls a helper |
//! | `attach:raw_tp/*`, `attach:tp_btf/*`, `attach:fentry/*`, `attach:tp/*`, `attach:kprobe/*` | a program at a tracepoint or function |
//! | `attach:iter/task` | a program that walks over all tasks, once |
//! | `attach:xdp` | a generic XDP program on `lo` of a network namespace made for it, whose datagrams it counts; `NotAttempted` without CAP_SYS_ADMIN, which making one takes. Nobody's interface is touched |
//! | `attach:perf_event` | a program that samples this thread in user mode, every 100 µs; one sample is waited for |
//! | `perf:software` | the software clock of this thread in user mode: what sampling oneself takes |
//! | `perf:kernel` | the software clock of CPU 0, all tasks, kernel stacks included: what sampling the kernel takes |
//! | `perf:cycles` | the hardware's cycles of this thread in user mode; ENOENT without a PMU, as in most virtual machines |

use serde::{Deserialize, Serialize};

#[cfg(feature = "ebpf")]
mod run;

/// The question whether bpf(2) is reached at all: it names no map, and EBADF is the kernel's own answer.
pub(crate) const REACH: &str = "bpf:reach";

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It works.
    Ok,
    /// The kernel's answer.
    Refused {
        /// Its number.
        errno: i32,
        /// Its name, `EPERM`.
        name: String,
    },
    /// It went wrong before or after the kernel was asked; the reason.
    Failed(String),
    /// What it takes is not there; what that is.
    NotAttempted(String),
}

/// Calls, datagrams or samples that a program at a hook was to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// How many were made.
    pub made: u64,
    /// How many it counted: more where other threads of this process call as well, and of samples and
    /// tasks, of which one is made sure.
    pub seen: u64,
}

/// One question to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Stable name: `map:ringbuf`, `program:xdp`, `helper:bpf_probe_read_kernel`,
    /// `attach:raw_tp/sys_enter`, `perf:cycles`.
    pub(crate) id: String,
    /// The command that was given last: the one that was refused, if one was.
    pub operation: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Of a program at a hook: what it saw. `None` too where no event could be made.
    pub events: Option<Events>,
    /// The end of what the verifier said.
    pub(crate) log: Option<String>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

impl Probe {
    /// The kernel did it, and no event was missed.
    pub fn works(&self) -> bool {
        if self.id == REACH {
            return matches!(
                self.outcome,
                Outcome::Refused {
                    errno: libc::EBADF,
                    ..
                }
            );
        }
        self.outcome == Outcome::Ok && self.events.is_none_or(|events| events.seen >= events.made)
    }
}

/// All questions, in the order in which they were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// The questions.
    pub all: Vec<Probe>,
    /// How long all of it took, in microseconds.
    pub duration_us: u64,
}

impl Probes {
    /// The one with this name.
    pub fn get(&self, id: &str) -> Option<&Probe> {
        self.all.iter().find(|probe| probe.id == id)
    }
}
