//! `/proc/PID/mountinfo`: what is mounted where, and how.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: String,
    /// Which directory of the file system is mounted.
    pub(crate) root: String,
    /// Type of the file system.
    pub(crate) kind: String,
    /// Options of the mount (`nosuid`, `ro`).
    pub(crate) options: Vec<String>,
    /// Options of the file system itself (`gid=990`, `mode=750`, `memory`, `hidepid=2`).
    pub(crate) super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has this option.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }

    /// The value of `name=value` among the options of the file system.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut options = self.super_options.iter();
        options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The mount that contains a file (a path without symbolic links): the one with the longest mount point, and of
/// those the one mounted last.
pub(crate) fn holding<'a>(table: &'a [Mount], file: &Path) -> Option<&'a Mount> {
    let leading = table.iter().filter(|mount| file.starts_with(&mount.point));
    leading.max_by_key(|mount| Path::new(&mount.point).components().count())
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS`; an error is the
/// first line of another form.
pub(crate) fn parse(text: &str) -> Result<Vec<Mount>, &str> {
    let placed = parse_placed(text)?;
    Ok(placed.into_iter().map(|placed| placed.mount).collect())
}

/// A mount, with the numbers that differ between boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The number of the mount.
    pub(crate) id: u64,
    /// The device of the file system, `major:minor`.
    pub(crate) device: String,
    pub(crate) mount: Mount,
}

/// Every mount of `/proc/PID/mountinfo`.
///
/// # Errors
/// The line that is not understood.
pub(crate) fn parse_placed(text: &str) -> Result<Vec<Placed>, &str> {
    text.lines()
        .map(|line| parse_line(line).ok_or(line))
        .collect()
}

/// procfs-core is not used: it leaves `\040` in paths, and rejects a file with a byte that is not UTF-8.
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
        // A source may be empty or contain spaces; the options are the last word.
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
    fn why_mounts_are_not_read_by_procfs_core() {
        use procfs_core::FromRead as _;
        use procfs_core::process::{MountInfo, MountInfos};
        let line = MOUNTINFO.lines().nth(5).unwrap();
        let theirs = MountInfo::from_line(line).unwrap();
        assert_eq!(theirs.mount_point, Path::new("/home/my\\040files"));
        assert!(MountInfos::from_read(&b"1 0 8:1 / /\xff rw - ext4 x rw\n"[..]).is_err());
    }

    #[test]
    fn reads_mounts() {
        let mounts = parse(MOUNTINFO).unwrap();
        let tracefs = &mounts[3];
        assert_eq!(tracefs.kind, "tracefs");
        assert_eq!(
            (tracefs.value("gid"), tracefs.value("mode")),
            (Some("990"), Some("750"))
        );
        assert!(tracefs.has("nosuid") && !tracefs.has("ro"));
        assert!(mounts[4].has("ro"));
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
    fn garbage_is_refused() {
        assert_eq!(unescape(r"a\040b\134\9\0400\"), "a b\\\\9 0\\");
        assert_eq!(unescape(r"\377é\é12"), r"\377é\é12");
        for text in ["x", "1 2 3 - a", " - ", "1 2 3:4 / relative rw - a b c"] {
            assert_eq!(parse(text), Err(text));
        }
    }
}
