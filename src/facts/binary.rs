//! The file this process runs from, and the privileges it carries.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::Fact;
use super::privileges::CapSet;
use crate::sys::xattr;

/// Capabilities that a file gives to whoever executes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCapabilities {
    /// Given to the permitted set.
    pub permitted: CapSet,
    /// Raised in the effective set at once (`=ep` rather than `=p`).
    pub effective: bool,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Where it is.
    pub path: Fact<PathBuf>,
    /// `security.capability`; `Absent` if the file has none.
    pub capabilities: Fact<FileCapabilities>,
    /// Its file system is mounted nosuid: the capabilities have no effect.
    pub nosuid: Fact<bool>,
}

impl Binary {
    /// The one that runs.
    pub fn probe() -> Self {
        let path = Fact::from(std::env::current_exe());
        let Some(file) = path.known().map(PathBuf::as_path) else {
            let why = "the file of this process is not known".to_owned();
            return Self {
                path,
                capabilities: Fact::Failed(why.clone()),
                nosuid: Fact::Failed(why),
            };
        };
        let (capabilities, nosuid) = (capabilities_of(file), is_nosuid(file));
        Self {
            path,
            capabilities,
            nosuid,
        }
    }
}

fn is_nosuid(file: &Path) -> Fact<bool> {
    let flags = statvfs(file).map(|stat| stat.flags().contains(FsFlags::ST_NOSUID));
    flags.map_err(std::io::Error::from).into()
}

fn capabilities_of(file: &Path) -> Fact<FileCapabilities> {
    match xattr::get(file, c"security.capability") {
        Ok(None) => Fact::Absent,
        Ok(Some(value)) => parse(&value).map_or_else(
            || {
                Fact::Failed(format!(
                    "security.capability has {} bytes of an unknown format",
                    value.len()
                ))
            },
            Fact::Known,
        ),
        Err(error) => Fact::from(Err(error)),
    }
}

/// `struct vfs_cap_data` (include/uapi/linux/capability.h), revision 2 or 3, little-endian.
fn parse(value: &[u8]) -> Option<FileCapabilities> {
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    const EFFECTIVE: u32 = 1;
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    let magic = word(0)?;
    match (magic & 0xff00_0000, value.len()) {
        (REVISION_2, 20) | (REVISION_3, 24) => {}
        _ => return None,
    }
    Some(FileCapabilities {
        permitted: CapSet(u64::from(word(4)?) | u64::from(word(12)?) << 32),
        effective: magic & EFFECTIVE != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::privileges::Cap;

    #[test]
    fn reads_both_revisions() {
        // setcap cap_bpf,cap_perfmon=ep, as the kernel stores it.
        let mut value = vec![
            1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let read = parse(&value);
        assert!(read.is_some_and(|caps| caps.effective && caps.permitted.has(Cap::Bpf)));
        value[3] = 3;
        assert_eq!(parse(&value), None, "revision 3 is four bytes longer");
        value.extend([0; 4]);
        assert_eq!(parse(&value), read);
        assert_eq!(parse(&[]), None);
    }
}
