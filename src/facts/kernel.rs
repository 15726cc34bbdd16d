//! The running kernel: its version, whose it is, and what it forbids to everyone.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::release::{Release, leading_number};
use crate::sys::root::Root;

/// How far the kernel protects itself from root (`kernel_lockdown(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lockdown {
    /// Not at all.
    None,
    /// It cannot be changed.
    Integrity,
    /// Nor read.
    Confidentiality,
}

/// Kernels from here on may preempt a raw tracepoint's program, and then skip its runs for other tasks
/// on that CPU until it goes on (upstream commits a46023d5616e and f7d327654b88). Perf events they do
/// not (16718274ee75).
pub const PREEMPTS_PROGRAMS: Release = Release(7, 0);

/// `/proc/sys/kernel/osrelease`, what `uname -r` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Major and minor number.
    pub(crate) release: Release,
    /// The third number, which distributions may count by themselves; `None` where there is none.
    pub(crate) patch: Option<u32>,
    pub(crate) text: String,
}

impl Version {
    fn probe(root: &Root) -> Fact<Self> {
        Fact::read(root, "/proc/sys/kernel/osrelease", parse_version)
    }
}

/// `6.1.0-50-cloud-amd64`
fn parse_version(text: &str) -> Option<Version> {
    let text = text.trim();
    Some(Version {
        release: Release::parse(text)?,
        patch: text.splitn(3, '.').nth(2).and_then(leading_number),
        text: text.to_owned(),
    })
}

/// `/etc/os-release`, `os-release(5)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// `debian`, `ubuntu`, `rhel`, `alpine`.
    pub(crate) id: String,
    /// What it is derived from, nearest first.
    pub(crate) like: Vec<String>,
    /// `12`, `22.04`; `None` for rolling ones.
    pub(crate) version: Option<String>,
    /// Its name for people.
    pub(crate) name: Option<String>,
}

impl Distribution {
    fn probe(root: &Root) -> Fact<Self> {
        match Fact::read(root, "/etc/os-release", parse_distribution) {
            Fact::Absent => Fact::read(root, "/usr/lib/os-release", parse_distribution),
            found => found,
        }
    }
}

fn parse_distribution(text: &str) -> Option<Distribution> {
    let value = |name: &str| {
        let mut values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        let value = values.next_back()?.trim().trim_matches(['"', '\'']);
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    Some(Distribution {
        // os-release(5): "linux" where it is not set, which must not make a distribution of garbage.
        id: value("ID").or_else(|| value("NAME").map(|_| "linux".to_owned()))?,
        like: value("ID_LIKE")
            .map(|like| like.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        version: value("VERSION_ID"),
        name: value("PRETTY_NAME"),
    })
}

/// What of the kernel's command line matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandLine {
    /// `lockdown=`
    pub(crate) lockdown: Option<String>,
    /// `preempt=`
    pub(crate) preempt: Option<String>,
    /// `lsm=`
    pub(crate) lsm: Option<String>,
}

fn parse_command_line(text: &str) -> CommandLine {
    let value = |name: &str| {
        // What stands behind `--` is init's. The last of several holds.
        let words = text.split_whitespace().take_while(|word| *word != "--");
        let values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.last().map(str::to_owned)
    };
    CommandLine {
        lockdown: value("lockdown"),
        preempt: value("preempt"),
        lsm: value("lsm"),
    }
}

/// The running kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its version.
    pub version: Fact<Version>,
    /// `/proc/version`: who built it, with what, when; from Debian also the kernel.org version that it
    /// was made from.
    pub(crate) build: Fact<String>,
    /// `/proc/version_signature`, Ubuntu's alone: its own version and kernel.org's.
    pub(crate) signature: Fact<String>,
    /// Of the file system that is looked at: in a container, the container's.
    pub(crate) distribution: Fact<Distribution>,
    /// `/proc/cmdline`.
    pub(crate) command_line: Fact<CommandLine>,
    /// Its lockdown; `Absent` without that LSM or without securityfs.
    pub(crate) lockdown: Fact<Lockdown>,
}

impl Kernel {
    pub(crate) fn probe(root: &Root) -> Self {
        let line = |path| Fact::of(path, root.text(path)).map(|text| text.trim_end().to_owned());
        Self {
            version: Version::probe(root),
            build: line("/proc/version"),
            signature: line("/proc/version_signature"),
            distribution: Distribution::probe(root),
            command_line: line("/proc/cmdline").map(|text| parse_command_line(&text)),
            lockdown: Fact::read(root, "/sys/kernel/security/lockdown", parse_lockdown),
        }
    }

    /// Nothing of the kernel's may be read: tracefs is empty, and Linux 6.12 crashes when one goes that
    /// was mounted so. Where securityfs is not mounted the command line tells.
    pub(crate) fn is_confidential(&self) -> bool {
        let asked = self
            .command_line
            .known()
            .and_then(|line| line.lockdown.as_deref());
        self.lockdown == Fact::Known(Lockdown::Confidentiality) || asked == Some("confidentiality")
    }

    /// Major and minor number.
    pub(crate) fn release(&self) -> Option<Release> {
        self.version.known().map(|version| version.release)
    }
}

/// `[none] integrity confidentiality`: the one in brackets holds.
fn parse_lockdown(text: &str) -> Option<Lockdown> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A kernel of which nothing is known but this.
    pub(crate) fn kernel(release: Release, lockdown: Fact<Lockdown>) -> Kernel {
        let nothing = Kernel::probe(&Root::new("/proc/self/no-such-tree"));
        Kernel {
            version: Fact::Known(Version {
                release,
                patch: None,
                text: release.to_string(),
            }),
            lockdown,
            ..nothing
        }
    }

    #[test]
    fn reads_versions() {
        let read = |text| parse_version(text).map(|version| (version.release, version.patch));
        assert_eq!(
            read("6.1.0-50-cloud-amd64\n"),
            Some((Release(6, 1), Some(0)))
        );
        assert_eq!(read("5.10-rc1"), Some((Release(5, 10), None)));
        assert_eq!(
            read("5.15.153.1-microsoft-standard-WSL2"),
            Some((Release(5, 15), Some(153)))
        );
        for garbage in ["linux", "6", "6.x", "", "6.99999999999", "-6.1", "é.é"] {
            assert_eq!(read(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn reads_the_bracketed_word() {
        assert_eq!(
            parse_lockdown("[none] integrity confidentiality\n"),
            Some(Lockdown::None)
        );
        assert_eq!(
            parse_lockdown("none integrity [confidentiality]\n"),
            Some(Lockdown::Confidentiality)
        );
        for garbage in ["", "none", "[", "][", "[none", "[some] none"] {
            assert_eq!(parse_lockdown(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn knows_distributions() {
        let text = "PRETTY_NAME=\"Ubuntu 22.04 LTS\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=\"debian x\"\n";
        let ubuntu = parse_distribution(text).unwrap();
        assert_eq!((ubuntu.id.as_str(), ubuntu.like.len()), ("ubuntu", 2));
        assert_eq!(ubuntu.version.as_deref(), Some("22.04"));
        assert_eq!(ubuntu.name.as_deref(), Some("Ubuntu 22.04 LTS"));
        assert_eq!(parse_distribution("ID='arch'").unwrap().version, None);
        assert_eq!(parse_distribution("NAME=Odd").unwrap().id, "linux");
        assert_eq!(parse_distribution("garbage\u{fffd}"), None);
        assert_eq!(parse_distribution("ID=\n"), None);
    }

    #[test]
    fn reads_the_command_line() {
        let line = parse_command_line(
            "quiet lockdown=integrity lockdown=confidentiality preempt=full -- lsm=x",
        );
        assert_eq!(line.lockdown.as_deref(), Some("confidentiality"));
        assert_eq!(line.preempt.as_deref(), Some("full"));
        assert_eq!(line.lsm, None);
        assert_eq!(parse_command_line(""), CommandLine::default());
    }
}
