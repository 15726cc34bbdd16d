//! Mounted file systems: those that eBPF and tracing go through, as `/proc/self/mountinfo` lists them.
//!
//! Only what is listed there is ever looked at: to walk into `/sys/kernel/debug/tracing` would make
//! debugfs mount tracefs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Fact;
use super::access::Trail;
use super::fact::malformed;
use super::privileges::Privileges;
use crate::sys::root::Root;

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// Which of its directories is.
    pub root: String,
    /// Type of the file system.
    pub kind: String,
    /// Options of the mount (`nosuid`, `ro`).
    pub options: Vec<String>,
    /// Options of the file system itself (`gid=990`, `mode=750`, `memory`, `hidepid=2`).
    pub super_options: Vec<String>,
}

impl Mount {
    /// Is this option set, of the mount?
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }

    /// Nothing can be written there.
    pub fn is_read_only(&self) -> bool {
        self.has("ro") || self.super_options.iter().any(|set| set == "ro")
    }

    /// The value of `name=value` among the options of the file system.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut options = self.super_options.iter();
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// A mounted file system and the way to its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// How it is mounted.
    pub mount: Mount,
    /// Owner, group and mode of its root, and of each directory above.
    pub trail: Trail,
}

/// Every mount of each file system that matters, in the order of mounting; `Absent` if it is
/// mounted nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// Tracepoints and their ids.
    pub tracefs: Fact<Vec<FileSystem>>,
    /// The kernel's debugging files.
    pub debugfs: Fact<Vec<FileSystem>>,
    /// Pinned programs and maps.
    pub bpffs: Fact<Vec<FileSystem>>,
    /// What security modules say.
    pub securityfs: Fact<Vec<FileSystem>>,
    /// Control groups, version 2.
    pub cgroup2: Fact<Vec<FileSystem>>,
    /// Control groups, version 1: one a controller.
    pub cgroup1: Fact<Vec<FileSystem>>,
    /// `/proc` hides other users' processes. `Absent` if it hides nothing.
    pub hidepid: Fact<HidePid>,
    /// What `/` is: `overlay` in most containers.
    pub root_kind: Fact<String>,
}

/// What a mount of `/proc` hides, and from whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HidePid {
    /// `noaccess`, `invisible`, `ptraceable`; before Linux 5.8 `1`, `2`.
    pub level: String,
    /// The group that sees all the same (`gid=`).
    pub group: u32,
}

impl HidePid {
    /// Whether processes of others show to this one (`has_pid_permissions`, fs/proc/base.c); whoever may
    /// trace them sees them in any case.
    pub fn lets_through(&self, who: &Privileges) -> bool {
        self.exempts() && (who.gid == self.group || who.groups.contains(&self.group))
    }

    /// Some group is exempted; not from `ptraceable`.
    pub fn exempts(&self) -> bool {
        !["ptraceable", "4"].contains(&self.level.as_str())
    }
}

/// All mounts that this process sees.
pub fn table(root: &Root) -> Fact<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    Fact::of(path, root.text(path)).and_then(|text| match parse(&text) {
        Ok(mounts) => Fact::Known(mounts),
        Err(line) => Fact::Failed(malformed(path, line)),
    })
}

impl Mounts {
    /// Looks at the roots of those in the table that matter.
    pub fn probe(root: &Root, table: &Fact<Vec<Mount>>) -> Self {
        let of = |kind: &str| {
            table.as_ref().and_then(|table| {
                let ours = table.iter().filter(|mount| mount.kind == kind);
                some(ours.map(|mount| FileSystem::probe(root, mount)).collect())
            })
        };
        Self {
            tracefs: of("tracefs"),
            debugfs: of("debugfs"),
            bpffs: of("bpf"),
            securityfs: of("securityfs"),
            cgroup2: of("cgroup2"),
            cgroup1: of("cgroup"),
            hidepid: table.as_ref().and_then(|table| hidepid(table)),
            root_kind: table.as_ref().and_then(|table| {
                let found = holding(table, Path::new("/"));
                found.map_or(Fact::Absent, |mount| Fact::Known(mount.kind.clone()))
            }),
        }
    }
}

impl FileSystem {
    fn probe(root: &Root, mount: &Mount) -> Self {
        Self {
            mount: mount.clone(),
            trail: Trail::probe(root, &mount.point),
        }
    }
}

fn some<T>(all: Vec<T>) -> Fact<Vec<T>> {
    if all.is_empty() {
        Fact::Absent
    } else {
        Fact::Known(all)
    }
}

fn hidepid(table: &[Mount]) -> Fact<HidePid> {
    let shows_all = ["0", "off"];
    let proc = holding(table, Path::new("/proc")).filter(|mount| mount.kind == "proc");
    let level = proc.and_then(|mount| mount.value("hidepid"));
    let group = proc.and_then(|mount| mount.value("gid")?.parse().ok());
    match level.filter(|level| !shows_all.contains(level)) {
        Some(level) => Fact::Known(HidePid {
            level: level.to_owned(),
            // Of root's group nothing is said (proc_show_options).
            group: group.unwrap_or(0),
        }),
        None => Fact::Absent,
    }
}

/// The mount that a file without symbolic links lies in: of those that lead to it the longest, and of
/// these the one mounted last.
pub fn holding<'a>(table: &'a [Mount], file: &Path) -> Option<&'a Mount> {
    let leading = table.iter().filter(|mount| file.starts_with(&mount.point));
    leading.max_by_key(|mount| Path::new(&mount.point).components().count())
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS`; an error is the
/// first line that is not.
pub fn parse(text: &str) -> Result<Vec<Mount>, &str> {
    let placed = parse_placed(text)?;
    Ok(placed.into_iter().map(|placed| placed.mount).collect())
}

/// A mount, with what is another one at each boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The number of the mount.
    pub id: u64,
    /// The device of the file system, `major:minor`.
    pub device: String,
    /// The rest.
    pub mount: Mount,
}

/// Every mount of `/proc/PID/mountinfo`.
///
/// # Errors
/// The line that is not understood.
pub fn parse_placed(text: &str) -> Result<Vec<Placed>, &str> {
    text.lines()
        .map(|line| parse_line(line).ok_or(line))
        .collect()
}

fn parse_line(line: &str) -> Option<Placed> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let id = mount.next()?.parse().ok()?;
    let device = mount.nth(1)?.to_owned();
    let mut system = system.split(' ');
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    let mount = Mount {
        root: unescape(mount.next()?),
        point: unescape(mount.next()?),
        options: list(mount.next()?),
        kind: system.next()?.to_owned(),
        // A source may be empty or hold spaces; the options are the last word.
        super_options: list(system.next_back()?),
    };
    PathBuf::from(&mount.point)
        .is_absolute()
        .then_some(Placed { id, device, mount })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(word: &str) -> String {
    let mut parts = word.split('\\');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).map(|digits| u8::from_str_radix(digits, 8));
        match code {
            Some(Ok(byte)) if byte.is_ascii() => {
                whole.push(char::from(byte));
                whole.push_str(&part[3..]);
            }
            _ => {
                whole.push('\\');
                whole.push_str(part);
            }
        }
    }
    whole
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    pub(crate) const MOUNTINFO: &str = "\
22 27 0:21 / /proc rw,nosuid,relatime shared:5 - proc proc rw,gid=990,hidepid=invisible
23 27 0:22 / /sys rw,relatime - sysfs sysfs rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
30 23 0:12 / /sys/kernel/tracing rw,nosuid,nodev,noexec,relatime - tracefs tracefs rw,gid=990,mode=750
31 23 0:13 / /sys/fs/bpf ro,nosuid - bpf none rw,mode=700
40 27 0:50 /sub /home/my\\040files rw,nosuid - btrfs /dev/my disk rw
41 27 0:51 / /home rw - tmpfs  rw
42 41 0:52 / /home rw,noexec - tmpfs tmpfs rw
";

    #[test]
    fn reads_mounts() {
        let mounts = parse(MOUNTINFO).unwrap();
        let tracefs = &mounts[3];
        assert_eq!(tracefs.kind, "tracefs");
        assert_eq!(
            (tracefs.value("gid"), tracefs.value("mode")),
            (Some("990"), Some("750"))
        );
        assert!(tracefs.has("nosuid") && !tracefs.is_read_only());
        assert!(mounts[4].is_read_only());
        let odd = &mounts[5];
        assert_eq!(
            (odd.point.as_str(), odd.root.as_str()),
            ("/home/my files", "/sub")
        );
        assert_eq!(odd.kind, "btrfs");
    }

    #[test]
    fn a_file_lies_in_the_last_of_the_longest() {
        let mounts = parse(MOUNTINFO).unwrap();
        let of = |path| holding(&mounts, Path::new(path)).unwrap();
        assert_eq!(of("/usr/bin/x").kind, "ext4");
        assert_eq!(of("/home/my files/x").kind, "btrfs");
        assert!(of("/home/my").has("noexec"), "the second mount on /home");
        assert_eq!(of("/homeless").kind, "ext4");
    }

    #[test]
    fn looks_at_the_roots_of_what_is_mounted() {
        let tree = Tree::with(&[
            ("/proc/self/mountinfo", MOUNTINFO),
            ("/sys/kernel/tracing/README", ""),
        ]);
        let root = tree.root();
        let mounts = Mounts::probe(&root, &table(&root));
        let tracefs = mounts.tracefs.known().unwrap();
        assert_eq!(tracefs[0].trail.0.len(), 4);
        assert!(tracefs[0].trail.last().known().is_some());
        let bpffs = mounts.bpffs.known().unwrap();
        assert_eq!(bpffs[0].trail.last(), Fact::Absent);
        assert_eq!(mounts.debugfs, Fact::Absent);
        let hidden = HidePid {
            level: "invisible".to_owned(),
            group: 990,
        };
        let mut who = crate::facts::privileges::tests::nobody();
        assert!(!hidden.lets_through(&who));
        who.groups.push(990);
        assert!(hidden.lets_through(&who));
        let by_tracing = HidePid {
            level: "ptraceable".to_owned(),
            ..hidden.clone()
        };
        assert!(!by_tracing.lets_through(&who));
        assert_eq!(mounts.hidepid, Fact::Known(hidden));
        assert_eq!(mounts.root_kind, Fact::Known("ext4".into()));
    }

    #[test]
    fn garbage_is_said_to_be_garbage() {
        assert_eq!(unescape(r"a\040b\134\9\0400\"), "a b\\\\9 0\\");
        assert_eq!(unescape(r"\377é\é12"), r"\377é\é12");
        for text in ["x", "1 2 3 - a", " - ", "1 2 3:4 / relative rw - a b c"] {
            assert_eq!(parse(text), Err(text));
        }
        let tree = Tree::with(&[("/proc/self/mountinfo", b"\xff\x00 - \xff")]);
        let mounts = Mounts::probe(&tree.root(), &table(&tree.root()));
        assert!(matches!(mounts.tracefs, Fact::Failed(_)));
        assert!(matches!(mounts.hidepid, Fact::Failed(_)));
    }
}
