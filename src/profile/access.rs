//! Which processes the user may observe with privileges from denet's file.

use std::io;

use crate::checks::finding::Finding;
use crate::checks::scope::not_yours;
use crate::facts::scope::{Scope, granted};
use crate::process::cgroup;
use crate::process::target::{Selection, Target};
use crate::sys::capabilities::{self, CapSet};
use crate::sys::processes;

/// What the user may observe with privileges from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    own_only: bool,
}

impl Access {
    /// The access of the user who runs this process.
    pub(crate) fn of_user() -> Self {
        let own_only = granted().is_some_and(|granted| granted.scope == Scope::Own);
        Self { own_only }
    }

    /// Only the user's own processes may be observed.
    pub(crate) fn is_limited(self) -> bool {
        self.own_only
    }

    /// Whether the user may observe this process. True for one that has ended: attaching to it fails anyway.
    pub(crate) fn reaches(self, pid: u32) -> bool {
        self.obstacle(pid).is_none()
    }

    /// Why the user may not observe a process.
    fn obstacle(self, pid: u32) -> Option<String> {
        if !self.own_only {
            return None;
        }
        let has_ended = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
        match processes::may_trace(pid) {
            Ok(true) => match more_permitted(pid) {
                Ok(false) => None,
                Ok(true) => Some(format!(
                    "process {pid} has capabilities that you do not have"
                )),
                Err(error) if has_ended(&error) => None,
                Err(error) => Some(format!("capabilities of process {pid}: {error}")),
            },
            Ok(false) => Some(format!("get_robust_list(2) of process {pid}: EPERM")),
            Err(error) if has_ended(&error) => None,
            Err(error) => Some(format!("get_robust_list(2) of process {pid}: {error}")),
        }
    }

    /// Refuses a target that is not the user's.
    ///
    /// # Errors
    /// `not-yours`.
    pub(crate) fn check(self, target: &Target) -> Result<(), Box<Finding>> {
        if !self.own_only {
            return Ok(());
        }
        let refused = |cause: String, evidence| Err(not_yours(&cause, evidence));
        match &target.selection {
            Selection::Command(_) => Ok(()),
            Selection::Process(pid) => match self.obstacle(*pid) {
                None => Ok(()),
                Some(evidence) => refused(format!("process {pid} is not yours"), evidence),
            },
            Selection::Cgroup(folder) => {
                let members = cgroup::folder(folder).map(|folder| cgroup::members(&folder));
                let members = members.ok().and_then(Result::ok).unwrap_or_default();
                let obstacle = |pid| Some((pid, self.obstacle(pid)?));
                match members.into_iter().find_map(obstacle) {
                    None => Ok(()),
                    Some((pid, evidence)) => {
                        let folder = folder.display();
                        let cause = format!("process {pid} in the cgroup {folder} is not yours");
                        refused(cause, evidence)
                    }
                }
            }
            Selection::Machine => Err(not_yours(
                "not all processes of this machine are yours",
                "this would show the processes of all users".to_owned(),
            )),
        }
    }
}

/// Whether a process has capabilities that the user does not have. The kernel's ptrace(2) check compares them
/// with denet's own permitted set, but without its file the user would have none. Capabilities within another
/// user namespace are ignored here: the kernel has already checked whether that namespace is the user's.
fn more_permitted(pid: u32) -> io::Result<bool> {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/user"));
    if capabilities::permitted(pid)? == CapSet::default() {
        return Ok(false);
    }
    Ok(namespace(&pid.to_string())? == namespace("thread-self")?)
}
