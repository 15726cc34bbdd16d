//! What mends a finding: told as a command, and undone by one.

use std::path::PathBuf;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::shell::quoted;

/// One thing to do. What is printed and what is applied are the same value, so advice and action
/// cannot diverge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// File capabilities, effective for whoever executes the file.
    GrantCaps {
        /// The file.
        file: PathBuf,
        /// As `setcap(8)` writes them: `cap_bpf,cap_perfmon`.
        caps: &'static str,
    },
    /// A copy of a binary where root alone writes and file capabilities count.
    Install {
        /// The binary.
        from: PathBuf,
        /// The copy.
        to: PathBuf,
    },
    /// A kernel setting, until the next boot.
    Sysctl {
        /// `kernel.perf_event_paranoid`.
        key: &'static str,
        /// What it is to be.
        value: i64,
        /// What it is, if it is known.
        before: Option<i64>,
        /// What others gain.
        risk: &'static str,
    },
    /// Other options of a mount, until it is mounted anew.
    Remount {
        /// Where.
        at: &'static str,
        /// `gid=$(id -g),mode=0750`.
        options: &'static str,
        /// Those that undo it.
        before: &'static str,
        /// What others gain.
        risk: &'static str,
    },
    /// A file system that is not mounted, until the next boot.
    Mount {
        /// `tracefs`.
        kind: &'static str,
        /// Where.
        at: &'static str,
    },
    /// No limit of locked memory for this shell and what it starts.
    RaiseMemlock,
    /// Another command.
    Run(String),
    /// What no command does.
    Manual {
        /// In a sentence.
        what: String,
        /// What it gives away; empty if nothing.
        risk: &'static str,
    },
}

impl Step {
    /// What no command does, and gives nothing away.
    pub fn manual(what: impl Into<String>) -> Self {
        Self::Manual {
            what: what.into(),
            risk: "",
        }
    }

    /// Stable name of this kind of step.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GrantCaps { .. } => "grant-caps",
            Self::Install { .. } => "install",
            Self::Sysctl { .. } => "sysctl",
            Self::Remount { .. } => "remount",
            Self::Mount { .. } => "mount",
            Self::RaiseMemlock => "limit",
            Self::Run(_) => "run",
            Self::Manual { .. } => "manual",
        }
    }

    /// The command to paste, or where there is none, the sentence.
    pub fn text(&self) -> String {
        let path = |path: &PathBuf| quoted(&path.display().to_string());
        match self {
            Self::GrantCaps { file, caps } => format!("sudo setcap {caps}=ep {}", path(file)),
            Self::Install { from, to } => {
                format!(
                    "sudo install -o root -g root -m 0755 {} {}",
                    path(from),
                    path(to)
                )
            }
            Self::Sysctl { key, value, .. } => format!("sudo sysctl {key}={value}"),
            Self::Remount { at, options, .. } => format!("sudo mount -o remount,{options} {at}"),
            Self::Mount { kind, at } => {
                format!("sudo mount -t {kind} -o nosuid,nodev,noexec {kind} {at}")
            }
            Self::RaiseMemlock => "sudo prlimit --pid $$ --memlock=unlimited:unlimited".to_owned(),
            Self::Run(command) => command.clone(),
            Self::Manual { what, .. } => what.clone(),
        }
    }

    /// What it gives away, to whom; empty if nothing.
    pub fn risk(&self) -> &'static str {
        match self {
            Self::GrantCaps { .. } => {
                "whoever may run that file can then read kernel memory: keep it owned by root and, on a \
                 shared machine, executable for a trusted group only (chown root:GROUP, chmod 0750)"
            }
            Self::Sysctl { risk, .. } | Self::Remount { risk, .. } | Self::Manual { risk, .. } => {
                risk
            }
            Self::RaiseMemlock => "programs started from this shell may lock any amount of memory",
            Self::Install { .. } | Self::Mount { .. } | Self::Run(_) => "",
        }
    }

    /// It holds after the next boot.
    pub fn is_persistent(&self) -> bool {
        matches!(self, Self::GrantCaps { .. } | Self::Install { .. })
    }

    /// The command that undoes it, where one does.
    pub fn undo(&self) -> Option<String> {
        let path = |path: &PathBuf| quoted(&path.display().to_string());
        match self {
            Self::GrantCaps { file, .. } => Some(format!("sudo setcap -r {}", path(file))),
            Self::Install { to, .. } => Some(format!("sudo rm {}", path(to))),
            Self::Sysctl { key, before, .. } => {
                before.map(|value| format!("sudo sysctl {key}={value}"))
            }
            Self::Remount { at, before, .. } => {
                Some(format!("sudo mount -o remount,{before} {at}"))
            }
            Self::Mount { at, .. } => Some(format!("sudo umount {at}")),
            Self::RaiseMemlock | Self::Run(_) | Self::Manual { .. } => None,
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        let name = if matches!(self, Self::Manual { .. }) {
            "text"
        } else {
            "command"
        };
        map.serialize_entry(name, &self.text())?;
        map.serialize_entry("risk", self.risk())?;
        map.serialize_entry("persistent", &self.is_persistent())?;
        map.serialize_entry("rollback", &self.undo())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_and_steps_undone() {
        let grant = Step::GrantCaps {
            file: "/opt/my tools/denet".into(),
            caps: "cap_bpf,cap_perfmon",
        };
        assert_eq!(
            grant.text(),
            "sudo setcap cap_bpf,cap_perfmon=ep '/opt/my tools/denet'"
        );
        assert_eq!(
            grant.undo().as_deref(),
            Some("sudo setcap -r '/opt/my tools/denet'")
        );
        assert!(grant.is_persistent());
    }

    #[test]
    fn a_setting_goes_back_to_what_it_was_if_that_is_known() {
        let step = |before| Step::Sysctl {
            key: "kernel.perf_event_paranoid",
            value: 2,
            before,
            risk: "",
        };
        assert_eq!(
            step(Some(3)).undo().as_deref(),
            Some("sudo sysctl kernel.perf_event_paranoid=3")
        );
        assert_eq!(step(None).undo(), None);
    }

    #[test]
    fn scripts_get_a_command_or_a_text() {
        let json = serde_json::to_value(Step::RaiseMemlock).unwrap_or_default();
        assert_eq!(
            json["command"],
            "sudo prlimit --pid $$ --memlock=unlimited:unlimited"
        );
        assert_eq!(json["rollback"], serde_json::Value::Null);
        let json = serde_json::to_value(Step::manual("reboot")).unwrap_or_default();
        assert_eq!(
            (&json["text"], &json["kind"]),
            (&"reboot".into(), &"manual".into())
        );
    }
}
