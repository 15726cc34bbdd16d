//! The paths of cgroups, by inode number.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::output::exact::Text;
use crate::sys::root::Root;

/// For an unknown number, the file system is searched at most this often.
const PATIENCE: Duration = Duration::from_secs(1);

/// Cgroups of version 2 by their inode number, as of the last search.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    known: HashMap<u64, Text>,
    looked: Option<Instant>,
}

impl Cgroups {
    /// The path below the mount point, from `/` on; `None` if there is no such cgroup any more.
    pub(crate) fn path(&mut self, number: u64) -> Option<&Text> {
        if number == 0 {
            return None;
        }
        let lately = self.looked.is_some_and(|at| at.elapsed() < PATIENCE);
        if !self.known.contains_key(&number) && !lately {
            self.looked = Some(Instant::now());
            if let Some(root) = mounted() {
                self.look(&root, &root);
            }
        }
        self.known.get(&number)
    }

    fn look(&mut self, root: &Path, folder: &Path) {
        let Ok(metadata) = fs::metadata(folder) else {
            return;
        };
        let below = folder.strip_prefix(root).unwrap_or(folder);
        self.known.insert(
            metadata.ino(),
            Path::new("/").join(below).as_os_str().into(),
        );
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.look(root, &entry.path());
            }
        }
    }
}

fn mounted() -> Option<PathBuf> {
    let mounts = crate::facts::mounts::table(&Root::default());
    let all = mounts.known()?;
    let mount = all.iter().find(|mount| mount.kind == "cgroup2")?;
    Some(PathBuf::from(&mount.point))
}
