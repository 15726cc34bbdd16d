//! Can this process be watched? And if not, why not.

use std::fs;
use std::io;

use super::source;
use crate::output::exact::Text;
use crate::sys::processes;

/// Who is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// In words.
    pub(crate) title: Text,
    /// Process id, where it is one process.
    pub(crate) pid: Option<u32>,
    /// Its command line.
    pub(crate) command: Vec<std::ffi::OsString>,
    /// The file it executes, where that may be read.
    pub(crate) executable: Option<std::path::PathBuf>,
}

impl Subject {
    /// Something that is not one process.
    pub(crate) fn of(title: Text) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }
}

/// Looks at a process that is to be watched.
///
/// # Errors
/// Why that cannot be, and what to do instead.
pub(crate) fn process(pid: u32) -> Result<Subject, String> {
    use std::os::unix::ffi::OsStringExt as _;
    if pid == std::process::id() {
        return Err(format!("process {pid} is denet itself"));
    }
    let stat = source::stat_of(pid).map_err(|error| unseen(pid, &error))?;
    if stat.is_kernel_thread() {
        return Err(format!(
            "process {pid} ({}) is a thread of the kernel's own: it runs no program",
            stat.command
        ));
    }
    if stat.has_ended() {
        return Err(format!(
            "process {pid} ({}) has ended already; its parent, process {}, has not asked for its exit status",
            stat.command, stat.parent
        ));
    }
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let leader = status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:"))
        .and_then(|tgid| tgid.trim().parse().ok());
    if let Some(leader) = leader.filter(|leader: &u32| *leader != pid) {
        return Err(format!(
            "{pid} is a thread of process {leader}: give that id instead"
        ));
    }
    // The crate procfs drops empty arguments, and replaces bytes that are not UTF-8.
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = words.strip_suffix(b"\0").unwrap_or(&words);
    let command: Vec<_> = words
        .split(|byte| *byte == 0)
        .filter(|_| !words.is_empty())
        .map(|word| std::ffi::OsString::from_vec(word.to_vec()))
        .collect();
    Ok(Subject {
        title: stat.command,
        pid: Some(pid),
        command,
        executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
    })
}

fn unseen(pid: u32, error: &io::Error) -> String {
    let exists = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), None);
    let gone = matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH));
    match exists {
        Ok(()) | Err(nix::errno::Errno::EPERM) if gone && processes::cpu_ns(pid).is_ok() => {
            format!(
                "process {pid} exists, but /proc does not show it: it is mounted with hidepid, and this user \
             is not exempt (mount option gid=)"
            )
        }
        Ok(()) | Err(_) if gone => format!("there is no process {pid}"),
        Ok(()) | Err(_) => format!("/proc/{pid}/stat: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn who_cannot_be_watched_is_told_apart() {
        let why = |pid| process(pid).unwrap_err();
        assert!(why(std::process::id()).contains("denet itself"));
        assert!(why(4_194_304).contains("no process 4194304"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        // Ended, and not waited for: that it may still be seen.
        let (id, flags) = (Id::Pid(Pid::from_raw(pid as i32)), WaitPidFlag::WEXITED);
        waitid(id, flags | WaitPidFlag::WNOWAIT).unwrap();
        let ended = why(pid);
        child.wait().unwrap();
        assert!(ended.contains("has ended already"), "{ended}");
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw() as u32).unwrap();
            let _ = stopped.recv();
        });
        let of_a_thread = why(told.recv().unwrap());
        drop(stop);
        thread.join().unwrap();
        let leader = format!("of process {}: give that id instead", std::process::id());
        assert!(of_a_thread.ends_with(&leader), "{of_a_thread}");
    }
}
