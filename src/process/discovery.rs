//! Who descends from the command? From `/proc`, where nobody tells of each birth.
//!
//! A process that was no descendant once never becomes one: orphans are adopted by an ancestor. So only
//! ids that are new have to be looked at. `/proc` gives a new inode number to a process that has an id
//! again, and the kernel counts the ids that it gave out: where none was, nobody is new.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, FileExt as _};

use super::source;

/// Every process that was ever looked at and lives.
#[derive(Debug)]
pub(crate) struct Discovery {
    // Inode number of its folder, and whether it descends.
    known: HashMap<u32, (u64, bool)>,
    /// Adopts orphans (denet itself, as a subreaper); its other children descend as well.
    adopter: Option<u32>,
    births: Option<File>,
    last_birth: Vec<u8>,
    // Somebody's parent was gone before it could be looked at: it has another one by now.
    undecided: bool,
}

impl Discovery {
    /// `adopter` is this process where it adopts the orphans among them.
    pub(crate) fn new(adopter: Option<u32>) -> Self {
        Self {
            known: HashMap::new(),
            adopter,
            births: File::open("/proc/loadavg").ok(),
            last_birth: Vec::new(),
            undecided: true,
        }
    }

    /// Descendants of `roots` that were not known before, parents before children.
    ///
    /// # Errors
    /// `/proc` cannot be listed.
    pub(crate) fn newcomers(&mut self, roots: &[u32]) -> io::Result<Vec<u32>> {
        if !self.somebody_was_born() && !self.undecided {
            return Ok(Vec::new());
        }
        self.undecided = false;
        let mut listed = HashMap::with_capacity(self.known.len() + 16);
        let mut unknown = HashMap::new();
        for (pid, inode) in all_processes()? {
            match self.known.get(&pid) {
                Some((known, descends)) if *known == inode => {
                    listed.insert(pid, (inode, *descends));
                }
                Some(_) | None => {
                    if let Ok(stat) = source::stat_of(pid) {
                        unknown.insert(pid, (inode, stat.parent));
                    }
                }
            }
        }
        let mut found = Vec::new();
        for (pid, (inode, parent)) in &unknown {
            let descends = match roots.contains(pid) {
                true => Some(true),
                false => self.leads_to_the_root(*parent, &listed, &unknown, roots),
            };
            let Some(descends) = descends else {
                self.undecided = true;
                continue;
            };
            listed.insert(*pid, (*inode, descends));
            if descends && !roots.contains(pid) {
                found.push(*pid);
            }
        }
        self.known = listed;
        found.sort_unstable();
        Ok(found)
    }

    /// `None` if an ancestor is gone.
    fn leads_to_the_root(
        &self,
        parent: u32,
        listed: &HashMap<u32, (u64, bool)>,
        unknown: &HashMap<u32, (u64, u32)>,
        roots: &[u32],
    ) -> Option<bool> {
        let mut at = parent;
        // Nobody has more ancestors than there are processes; ids that were given out again while we
        // read could make a circle.
        for _ in 0..=unknown.len() {
            if roots.contains(&at) || Some(at) == self.adopter {
                return Some(true);
            }
            match (unknown.get(&at), listed.get(&at)) {
                (Some((_, parent)), _) => at = *parent,
                (None, Some((_, descends))) => return Some(*descends),
                // The parent of process 1, and of what another pid namespace put here.
                (None, None) if at == 0 => return Some(false),
                (None, None) => return None,
            }
        }
        None
    }

    /// `/proc/loadavg` ends with the number of tasks and the id given out last.
    fn somebody_was_born(&mut self) -> bool {
        let mut buffer = [0; 128];
        let read = self
            .births
            .as_ref()
            .and_then(|file| file.read_at(&mut buffer, 0).ok());
        let Some(length) = read else { return true };
        let last = buffer[..length]
            .rsplit(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        let same = self.last_birth == last;
        self.last_birth = last.to_vec();
        !same
    }
}

/// How many processes and threads the machine has started since it booted. The id that was assigned last, in
/// `/proc/loadavg`, does not show those that were started with a given id (`clone3(2)`, `set_tid`).
pub(crate) fn started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("processes "))?;
    line.trim().parse().ok()
}

/// Id and inode number of every process that may be seen.
///
/// # Errors
/// `/proc` cannot be listed.
pub(crate) fn all_processes() -> io::Result<Vec<(u32, u64)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            all.push((pid, entry.ino()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_and_grandchildren_are_found_once() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 >/dev/null & echo $!; wait"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        let mut discovery = Discovery::new(None);
        assert_eq!(discovery.newcomers(&[child.id()]).unwrap(), [grandchild]);
        assert!(discovery.newcomers(&[child.id()]).unwrap().is_empty());
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(grandchild as i32),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        child.wait().unwrap();
    }
}
