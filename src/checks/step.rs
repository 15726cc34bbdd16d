//! What mends a finding: told as a command, and undone by one.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::output::shell::quoted;

/// One thing to do. What is printed and what is applied are the same value, so advice and action
/// cannot diverge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// File capabilities, effective for whoever executes the file.
    GrantCaps {
        /// The file.
        file: PathBuf,
        /// As `setcap(8)` writes them: `cap_bpf,cap_perfmon`. It replaces all that the file had.
        caps: Cow<'static, str>,
        /// What the file has now, as `getcap(8)` writes it; `None` if nothing.
        before: Option<String>,
    },
    /// A copy of a binary where root alone writes and file capabilities count.
    Install {
        /// The binary.
        from: PathBuf,
        /// The copy.
        to: PathBuf,
        /// The group that may execute it; everyone may without one.
        group: Option<&'static str>,
    },
    /// A group of the system.
    AddGroup(&'static str),
    /// A user among its members, from the next login on.
    AddMember {
        /// Who.
        user: String,
        /// Of which group.
        group: &'static str,
    },
    /// A directory of root's.
    MakeDirectory(PathBuf),
    /// A file of denet's own, as it lies in setup/.
    InstallFile {
        /// Below setup/.
        from: &'static str,
        /// Where to.
        to: PathBuf,
        /// What it gives away; empty if nothing.
        risk: &'static str,
    },
    /// A file of settings that are asked for, or more lines at the end of one that is installed.
    WriteLines {
        /// Where to.
        to: PathBuf,
        /// All of them.
        lines: Vec<String>,
        /// Behind those that are there.
        append: bool,
        /// What they give away; empty if nothing.
        risk: String,
    },
    /// A unit of systemd's that is started at boot.
    Enable(&'static str),
    /// Write permission for the group, for everything below.
    GroupWrite(&'static str),
    /// A kernel setting, until the next boot.
    Sysctl {
        /// `kernel.perf_event_paranoid`.
        key: Cow<'static, str>,
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
        options: String,
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
        risk: Cow<'static, str>,
    },
}

impl Step {
    /// What no command does, and gives nothing away.
    pub(crate) fn manual(what: impl Into<String>) -> Self {
        Self::Manual {
            what: what.into(),
            risk: "".into(),
        }
    }

    /// Stable name of this kind of step.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::GrantCaps { .. } => "grant-caps",
            Self::Install { .. } => "install",
            Self::AddGroup(_) => "group",
            Self::AddMember { .. } => "member",
            Self::MakeDirectory(_) => "directory",
            Self::InstallFile { .. } | Self::WriteLines { .. } => "install-file",
            Self::Enable(_) => "enable",
            Self::GroupWrite(_) => "group-write",
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
            Self::GrantCaps { file, caps, .. } => format!("sudo setcap {caps}=ep {}", path(file)),
            Self::Install { from, to, group } => {
                let (group, mode) = group.map_or(("root", "0755"), |group| (group, "0750"));
                let (from, to) = (path(from), path(to));
                format!("sudo install -o root -g {group} -m {mode} {from} {to}")
            }
            Self::AddGroup(name) => format!("sudo groupadd --system {name}"),
            Self::AddMember { user, group } => {
                format!("sudo usermod -a -G {group} {}", quoted(user))
            }
            Self::MakeDirectory(at) => format!("sudo install -d -m 0755 {}", path(at)),
            Self::InstallFile { from, to, .. } => {
                format!("sudo install -m 0644 setup/{from} {}", path(to))
            }
            Self::WriteLines {
                to, lines, append, ..
            } => {
                let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
                let option = if *append { "-a " } else { "" };
                format!(
                    "printf '%s\\n' {} | sudo tee {option}{}",
                    lines.join(" "),
                    path(to)
                )
            }
            Self::Enable(unit) => format!("sudo systemctl enable {unit}"),
            Self::GroupWrite(at) => format!("sudo chmod -R g+w {at}"),
            Self::Sysctl { key, value, .. } => format!("sudo sysctl {key}={value}"),
            Self::Remount { at, options, .. } => format!("sudo mount -o remount,{options} {at}"),
            Self::Mount { kind, at } => {
                // Of its own accord a bpffs lets everyone pin (mode 01777).
                let mode = if *kind == "bpf" { ",mode=0700" } else { "" };
                format!("sudo mount -t {kind} -o nosuid,nodev,noexec{mode} {kind} {at}")
            }
            Self::RaiseMemlock => "sudo prlimit --pid $$ --memlock=unlimited:unlimited".to_owned(),
            Self::Run(command) => command.clone(),
            Self::Manual { what, .. } => what.clone(),
        }
    }

    /// What it gives away, to whom; empty if nothing.
    pub(crate) fn risk(&self) -> &str {
        match self {
            Self::GrantCaps { caps, .. } if caps.contains("net_admin") => {
                "whoever may run that file can then read kernel memory and change the network: keep it owned \
                 by root and, on a shared machine, executable for a trusted group only (chown root:GROUP and chmod 0750 before \
                 setcap: chown takes capabilities away)"
            }
            Self::GrantCaps { .. } => {
                "whoever may run that file can then read kernel memory: keep it owned by root and, on a \
                 shared machine, executable for a trusted group only (chown root:GROUP and chmod 0750 before \
                 setcap: chown takes capabilities away)"
            }
            Self::Sysctl { risk, .. }
            | Self::Remount { risk, .. }
            | Self::InstallFile { risk, .. } => risk,
            Self::Manual { risk, .. } => risk,
            Self::WriteLines { risk, .. } => risk,
            Self::AddMember { .. } => {
                "the user can profile any process, and with that read the memory of the kernel and of all \
                 programs"
            }
            Self::GroupWrite(_) => {
                "members of the group read arbitrary kernel memory through kprobes, without any capability"
            }
            Self::RaiseMemlock => "programs started from this shell may lock any amount of memory",
            Self::Install { .. }
            | Self::AddGroup(_)
            | Self::MakeDirectory(_)
            | Self::Enable(_)
            | Self::Mount { .. }
            | Self::Run(_) => "",
        }
    }

    /// It holds after the next boot.
    pub(crate) fn is_persistent(&self) -> bool {
        !matches!(
            self,
            Self::Sysctl { .. }
                | Self::Remount { .. }
                | Self::Mount { .. }
                | Self::GroupWrite(_)
                | Self::RaiseMemlock
                | Self::Run(_)
                | Self::Manual { .. }
        )
    }

    /// The command that undoes it, where one does.
    pub(crate) fn undo(&self) -> Option<String> {
        let path = |path: &PathBuf| quoted(&path.display().to_string());
        match self {
            Self::GrantCaps { file, before, .. } => Some(match before {
                None => format!("sudo setcap -r {}", path(file)),
                Some(before) => format!("sudo setcap {} {}", quoted(before), path(file)),
            }),
            Self::Install { to, .. }
            | Self::InstallFile { to, .. }
            | Self::WriteLines {
                to, append: false, ..
            } => Some(format!("sudo rm {}", path(to))),
            // They go with their file.
            Self::WriteLines { .. } => None,
            Self::AddGroup(name) => Some(format!("sudo groupdel {name}")),
            Self::AddMember { user, group } => {
                Some(format!("sudo gpasswd -d {} {group}", quoted(user)))
            }
            Self::MakeDirectory(at) => Some(format!("sudo rmdir {}", path(at))),
            Self::Enable(unit) => Some(format!("sudo systemctl disable {unit}")),
            Self::GroupWrite(at) => Some(format!("sudo chmod -R g-w {at}")),
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
            caps: "cap_bpf,cap_perfmon".into(),
            before: None,
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
        let more = Step::GrantCaps {
            file: "/x".into(),
            caps: "cap_bpf,cap_perfmon,cap_syslog".into(),
            before: Some("cap_bpf,cap_perfmon=ep".to_owned()),
        };
        let undo = more.undo();
        assert_eq!(
            undo.as_deref(),
            Some("sudo setcap cap_bpf,cap_perfmon=ep /x")
        );
    }

    #[test]
    fn lines_are_written_by_what_is_pasted() {
        let step = |append| Step::WriteLines {
            to: "/etc/x.conf".into(),
            lines: vec!["# it's".to_owned(), "a = 1".to_owned()],
            append,
            risk: String::new(),
        };
        let lines = r"printf '%s\n' '# it'\''s' 'a = 1' | sudo tee";
        assert_eq!(step(false).text(), format!("{lines} /etc/x.conf"));
        assert_eq!(step(true).text(), format!("{lines} -a /etc/x.conf"));
        assert_eq!(step(false).undo().as_deref(), Some("sudo rm /etc/x.conf"));
        assert_eq!(step(true).undo(), None);
    }

    #[test]
    fn a_setting_goes_back_to_what_it_was_if_that_is_known() {
        let step = |before| Step::Sysctl {
            key: "kernel.perf_event_paranoid".into(),
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
