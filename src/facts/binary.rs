//! The file that the judged process runs from, and the privileges it carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::access::{Access, Trail, Want};
use super::fact::Fact;
use super::privileges::Privileges;
use crate::sys::capabilities::CapSet;
use crate::sys::mountinfo::{self, Mount};
use crate::sys::root::{FileKind, Root, Stat};

/// Capabilities that a file gives to whoever executes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCapabilities {
    /// Given to the permitted set.
    pub permitted: CapSet,
    /// Given to the permitted set of who has them inheritable.
    pub inheritable: CapSet,
    /// Raised in the effective set at once (`=ep` rather than `=p`).
    pub effective: bool,
    /// Revision 3: they hold in user namespaces whose root is this user, outside of them.
    pub root_id: Option<u32>,
}

/// What an executable file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// A program of this machine, or of another.
    Elf {
        /// 32 or 64; 0 for what is neither.
        bits: u8,
        /// `e_machine`: 62 x86-64, 183 arm64, 247 eBPF.
        machine: u16,
    },
    /// Run by another program, whose privileges count instead.
    Script {
        /// The first line without `#!`.
        interpreter: String,
    },
    /// No file.
    Directory,
    /// A device, a socket or a FIFO.
    Special,
    /// Something else.
    Other,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binary {
    /// Where it is, without symbolic links.
    pub(crate) path: Fact<PathBuf>,
    /// It was removed or replaced since this process was started from it.
    pub(crate) replaced: Fact<bool>,
    pub(crate) format: Fact<Format>,
    /// Owner, group and mode of it and of each directory above.
    pub(crate) trail: Fact<Trail>,
    /// `security.capability`; `Absent` if the file or its file system has none.
    pub(crate) capabilities: Fact<FileCapabilities>,
    /// The mount it lies in.
    pub(crate) mount: Fact<Mount>,
    /// Its file system is mounted nosuid: the capabilities have no effect.
    pub(crate) nosuid: Fact<bool>,
    /// Its file system is mounted noexec: nobody executes it.
    pub(crate) noexec: Fact<bool>,
    /// denet's other programs in the same directory, where this one is the one that runs.
    pub(crate) beside: Vec<PathBuf>,
    /// What those give to whoever executes them; without those that give nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) beside_give: BTreeMap<PathBuf, FileCapabilities>,
}

/// denet's programs.
const PROGRAMS: [&str; 3] = ["denet", "ebpf_diag", "ebpf_test"];

impl Binary {
    /// This one or, without a name, the one that runs or ran in the tree.
    pub(crate) fn probe(root: &Root, asked: Option<&Path>, table: &Fact<Vec<Mount>>) -> Self {
        let (path, replaced) = match asked {
            Some(path) => (Fact::of(path, absolute(root, path)), Fact::Known(false)),
            None => running(root),
        };
        // Text can be saved in JSON; the odd name that is none is shown as well as it goes.
        let shown = path
            .as_ref()
            .map(|path| PathBuf::from(path.to_string_lossy().into_owned()));
        let file = || path.as_ref();
        let mount = file().and_then(|path| {
            table.as_ref().and_then(|table| {
                mountinfo::holding(table, path)
                    .map_or(Fact::Absent, |mount| Fact::Known(mount.clone()))
            })
        });
        let flag = |option: &str, asked: fn(&crate::sys::root::MountFlags) -> bool| {
            file().and_then(|path| match root.statvfs(path) {
                Ok(flags) => Fact::Known(asked(&flags)),
                Err(_) => mount.as_ref().map(|mount| mount.has(option)),
            })
        };
        let beside = match (asked, &shown) {
            (None, Fact::Known(path)) => beside(root, path),
            _ => Vec::new(),
        };
        let gives = |path: &PathBuf| match capabilities_of(root, path) {
            Fact::Known(caps) => Some((path.clone(), caps)),
            Fact::Absent | Fact::Denied(_) | Fact::Failed(_) => None,
        };
        Self {
            replaced,
            format: file().and_then(|path| format_of(root, path)),
            trail: file().map(|path| Trail::probe(root, path)),
            capabilities: file().and_then(|path| capabilities_of(root, path)),
            nosuid: flag("nosuid", |flags| flags.nosuid),
            noexec: flag("noexec", |flags| flags.noexec),
            mount: mount.clone(),
            beside_give: beside.iter().filter_map(gives).collect(),
            beside,
            path: shown,
        }
    }

    /// Its owner, mode, size and time of change.
    pub(crate) fn stat(&self) -> Fact<Stat> {
        self.trail.as_ref().and_then(Trail::last)
    }

    /// Whether this process may execute it.
    pub(crate) fn executable_by(&self, who: &Privileges) -> Fact<Access> {
        self.trail
            .as_ref()
            .map(|trail| trail.access(who, Want::Execute))
    }
}

fn beside(root: &Root, own: &Path) -> Vec<PathBuf> {
    let others = PROGRAMS.iter().map(|name| own.with_file_name(name));
    others
        .filter(|path| path != own && root.stat(path).is_ok())
        .collect()
}

fn absolute(root: &Root, path: &Path) -> std::io::Result<PathBuf> {
    if root.is_live() {
        root.canonical(std::path::absolute(path)?)
    } else {
        root.canonical(path)
    }
}

/// `/proc/self/exe`; the kernel adds ` (deleted)` to the name of a file that is gone.
fn running(root: &Root) -> (Fact<PathBuf>, Fact<bool>) {
    const GONE: &str = " (deleted)";
    let link = "/proc/self/exe";
    let path = Fact::of(link, root.read_link(link));
    let replaced = path
        .as_ref()
        .map(|path| path.to_string_lossy().ends_with(GONE));
    let path = path.map(
        |path| match path.to_str().and_then(|path| path.strip_suffix(GONE)) {
            Some(before) => before.into(),
            None => path,
        },
    );
    (path, replaced)
}

fn format_of(root: &Root, path: &Path) -> Fact<Format> {
    Fact::of(path, root.stat(path)).and_then(|stat| match stat.kind {
        FileKind::Directory => Fact::Known(Format::Directory),
        FileKind::Regular => Fact::of(path, root.head(path, 256)).map(|head| format(&head)),
        _ => Fact::Known(Format::Special),
    })
}

/// By its first bytes: `e_ident` and `e_machine`, or `#!`.
fn format(head: &[u8]) -> Format {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Format::Script {
            interpreter: String::from_utf8_lossy(line).trim().to_owned(),
        };
    }
    let &[0x7f, b'E', b'L', b'F', class, order, ..] = head else {
        return Format::Other;
    };
    let machine = match (head.get(18), head.get(19)) {
        (Some(first), Some(second)) if order == 2 => u16::from_be_bytes([*first, *second]),
        (Some(first), Some(second)) => u16::from_le_bytes([*first, *second]),
        _ => return Format::Other,
    };
    let bits = match class {
        1 => 32,
        2 => 64,
        _ => 0,
    };
    Format::Elf { bits, machine }
}

fn capabilities_of(root: &Root, file: &Path) -> Fact<FileCapabilities> {
    match root.attribute(file, "security.capability") {
        Ok(None) => Fact::Absent,
        // A file system without attributes: for the kernel there are none (get_vfs_caps_from_disk).
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Fact::Absent,
        Ok(Some(value)) => parse(&value).map_or_else(
            || {
                Fact::Failed(format!(
                    "security.capability has {} bytes of an unknown format",
                    value.len()
                ))
            },
            Fact::Known,
        ),
        Err(error) => Fact::of(file, Err(error)),
    }
}

/// `struct vfs_cap_data` (include/uapi/linux/capability.h), revision 2 or 3, little-endian.
fn parse(value: &[u8]) -> Option<FileCapabilities> {
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    const EFFECTIVE: u32 = 1;
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    let set = |low, high| Some(CapSet(u64::from(word(low)?) | u64::from(word(high)?) << 32));
    let magic = word(0)?;
    let root_id = match (magic & 0xff00_0000, value.len()) {
        (REVISION_2, 20) => None,
        (REVISION_3, 24) => Some(word(20)?),
        _ => return None,
    };
    Some(FileCapabilities {
        permitted: set(4, 12)?,
        inheritable: set(8, 16)?,
        effective: magic & EFFECTIVE != 0,
        root_id,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::access::Component;
    use super::super::access::tests::stat;
    use super::super::mounts;
    use super::*;
    use crate::sys::capabilities::Cap;
    use crate::sys::root::tests::Tree;

    /// `/opt/denet`, root's, mode 755, without capabilities, on an ordinary mount.
    pub(crate) fn plain() -> Binary {
        let component = |path: &str, kind| Component {
            path: path.into(),
            stat: Fact::Known(stat(kind, 0o755, 0, 0)),
        };
        Binary {
            path: Fact::Known("/opt/denet".into()),
            replaced: Fact::Known(false),
            format: Fact::Known(Format::Elf {
                bits: 64,
                machine: 62,
            }),
            trail: Fact::Known(Trail(vec![
                component("/", FileKind::Directory),
                component("/opt", FileKind::Directory),
                component("/opt/denet", FileKind::Regular),
            ])),
            capabilities: Fact::Absent,
            mount: Fact::Absent,
            nosuid: Fact::Known(false),
            beside: Vec::new(),
            beside_give: BTreeMap::new(),
            noexec: Fact::Known(false),
        }
    }

    #[test]
    fn reads_both_revisions() {
        // setcap cap_bpf,cap_perfmon=ep, as the kernel stores it.
        let mut value = vec![
            1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let read = parse(&value).unwrap();
        assert!(read.effective && read.permitted.has(Cap::Bpf) && read.inheritable.is_empty());
        assert_eq!(read.root_id, None);
        value[3] = 3;
        assert_eq!(parse(&value), None, "revision 3 is four bytes longer");
        value.extend(1000_u32.to_le_bytes());
        let of_a_namespace = FileCapabilities {
            root_id: Some(1000),
            ..read
        };
        assert_eq!(parse(&value), Some(of_a_namespace));
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0xff; 20]), None);
    }

    #[test]
    fn tells_programs_from_scripts() {
        let script = Format::Script {
            interpreter: "/bin/sh -e".into(),
        };
        assert_eq!(format(b"#! /bin/sh -e\necho"), script);
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0".to_vec();
        let of = |bits, machine| Format::Elf { bits, machine };
        assert_eq!(format(&elf), of(64, 183));
        (elf[4], elf[5]) = (9, 2);
        assert_eq!(format(&elf), of(0, 0xb700));
        for head in [&b""[..], b"\x7fELF", b"\x7fELF\x02\x01\x01", b"MZ"] {
            assert_eq!(format(head), Format::Other);
        }
    }

    #[test]
    fn a_binary_of_a_recorded_tree_is_looked_at_there() {
        let mountinfo = "1 0 8:1 / / rw,nosuid - ext4 /dev/sda rw\n";
        let tree = Tree::with(&[
            ("/proc/self/mountinfo", mountinfo),
            ("/opt/tool", "#!/bin/sh\n"),
        ]);
        let root = tree.root();
        std::os::unix::fs::symlink("/opt/tool (deleted)", tree.at.join("proc/self/exe")).unwrap();
        let table = mounts::table(&root);
        let ran = Binary::probe(&root, None, &table);
        assert_eq!(ran.path, Fact::Known("/opt/tool".into()));
        assert_eq!(ran.replaced, Fact::Known(true));
        assert_eq!(
            (ran.nosuid, ran.noexec),
            (Fact::Known(true), Fact::Known(false))
        );
        assert!(matches!(ran.format, Fact::Known(Format::Script { .. })));
        let folder = Binary::probe(&root, Some(Path::new("/opt")), &table);
        assert_eq!(folder.format, Fact::Known(Format::Directory));
        let missing = Binary::probe(&root, Some(Path::new("/opt/x")), &table);
        assert_eq!((missing.path, missing.format), (Fact::Absent, Fact::Absent));
    }
}
