//! The files of one process in `/proc`, kept open where that pays: reading `stat` again takes half of
//! what opening it anew does, and a kept file is never that of a later process with the same id.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use procfs_core::FromBufRead as _;
use procfs_core::process::Status;

use super::ledger::Used;
use super::stat::{self, Io, Stat};

/// Larger than any of them.
const BUFFER: usize = 4096;

/// What was read of a process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    /// Of `stat`.
    pub(crate) stat: Stat,
    /// Of `io`, where that may be read: of the process and the children that it waited for, or of the threads that
    /// run ([`IoOf`]).
    pub(crate) io: Option<Io>,
}

/// Whose bytes are read. The kernel adds those of a child to its parent's when the parent waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IoOf {
    /// The process, with its ended threads and the children that it waited for.
    Family,
    /// Its threads that run.
    Threads,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Source {
    pid: u32,
    io_of: IoOf,
    start_ticks: i64,
    stat: Option<File>,
    statm: Option<File>,
    io: Option<File>,
    /// Why `io` cannot be read.
    pub(crate) io_refused: Option<io::ErrorKind>,
}

/// How many descriptors a kept source takes.
pub(crate) const DESCRIPTORS: u64 = 3;

impl Source {
    /// Opens and reads a process for the first time.
    ///
    /// # Errors
    /// There is no such process, or its `stat` may not be read.
    pub(crate) fn open(pid: u32, io_of: IoOf) -> io::Result<(Self, Raw)> {
        let stat = File::open(path(pid, "stat"))?;
        let first = read_stat(&stat)?;
        let mut source = Self {
            pid,
            io_of,
            start_ticks: first.start_ticks,
            stat: Some(stat),
            statm: File::open(path(pid, "statm")).ok(),
            io: None,
            io_refused: None,
        };
        let raw = source.beside(first);
        Ok((source, raw))
    }

    /// Closes its files: every reading opens them anew.
    pub(crate) fn unkept(mut self) -> Self {
        self.stat = None;
        self.statm = None;
        self.io = None;
        self
    }

    /// Its files are open.
    pub(crate) fn is_kept(&self) -> bool {
        self.stat.is_some()
    }

    /// Reads again.
    ///
    /// # Errors
    /// ESRCH once the process is gone, whoever has its id now.
    pub(crate) fn read(&mut self) -> io::Result<Raw> {
        let stat = match &self.stat {
            Some(file) => read_stat(file)?,
            None => read_stat(&File::open(path(self.pid, "stat"))?)?,
        };
        if stat.start_ticks != self.start_ticks {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(self.beside(stat))
    }

    /// What other files say beside `stat`. Its resident memory is off by what each CPU has not yet
    /// added up; that of `statm` is exact (Linux 6.17; before, both are the same).
    fn beside(&mut self, mut stat: Stat) -> Raw {
        let mut buffer = [0; 128];
        let read = match &self.statm {
            Some(file) => file.read_at(&mut buffer, 0),
            None => {
                File::open(path(self.pid, "statm")).and_then(|file| file.read_at(&mut buffer, 0))
            }
        };
        let pages = read
            .ok()
            .and_then(|length| stat::resident_pages(&buffer[..length]));
        stat.resident_pages = pages.unwrap_or(stat.resident_pages);
        if let Some(other) = self.another_thread(&stat) {
            stat.resident_pages = other.resident_pages;
            stat.virtual_bytes = other.virtual_bytes;
        }
        let io = match self.io_of {
            IoOf::Threads if stat.threads > 1 => self.read_io_of_each_thread(),
            IoOf::Family | IoOf::Threads => self.read_io(),
        };
        Raw { stat, io }
    }

    /// Once the main thread has ended, only other threads show the memory of the process.
    fn another_thread(&self, stat: &Stat) -> Option<Stat> {
        if !stat.thread_has_ended() {
            return None;
        }
        living_threads(self.pid).next().map(|(_, stat)| stat)
    }

    fn read_io(&mut self) -> Option<Io> {
        let mut buffer = [0; BUFFER];
        let opened = || match self.io_of {
            IoOf::Family => File::open(path(self.pid, "io")),
            IoOf::Threads => File::open(thread_io(self.pid, self.pid)),
        };
        let read = match &self.io {
            Some(file) => file.read_at(&mut buffer, 0),
            None => opened().and_then(|file| {
                let read = file.read_at(&mut buffer, 0);
                if self.stat.is_some() {
                    self.io = Some(file);
                }
                read
            }),
        };
        match read {
            Ok(length) => Io::parse(&buffer[..length]),
            Err(error) => {
                self.note_refusal(&error);
                None
            }
        }
    }

    fn read_io_of_each_thread(&mut self) -> Option<Io> {
        let mut sum = Used::default();
        for tid in threads(self.pid) {
            match std::fs::read(thread_io(self.pid, tid)) {
                Ok(bytes) => sum = sum.plus(Used::of_io(Io::parse(&bytes)?)),
                Err(error) => {
                    if self.note_refusal(&error) {
                        return None;
                    }
                }
            }
        }
        Some(sum.io)
    }

    /// Whether the file may not be read; it may also be gone.
    fn note_refusal(&mut self, error: &io::Error) -> bool {
        let gone = [libc::ESRCH, libc::ENOENT].map(Some);
        let is_refused = !gone.contains(&error.raw_os_error());
        if is_refused {
            self.io_refused = Some(error.kind());
        }
        is_refused
    }
}

/// Every thread of a process.
pub(crate) fn threads(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let tid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    tasks.flatten().filter_map(tid).collect()
}

/// The threads of a process that have not ended.
fn living_threads(pid: u32) -> impl Iterator<Item = (u32, Stat)> {
    let stat = move |tid| {
        let file = File::open(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
        Some((tid, read_stat(&file).ok()?))
    };
    let threads = threads(pid).into_iter().filter_map(stat);
    threads.filter(|(_, stat)| !stat.thread_has_ended())
}

/// What a process read and wrote, with the children that it waited for.
pub(crate) fn family_io(pid: u32) -> Option<Io> {
    Io::parse(&std::fs::read(path(pid, "io")).ok()?)
}

fn thread_io(pid: u32, tid: u32) -> String {
    format!("/proc/{pid}/task/{tid}/io")
}

fn path(pid: u32, name: &str) -> String {
    format!("/proc/{pid}/{name}")
}

fn read_stat(file: &File) -> io::Result<Stat> {
    let mut buffer = [0; BUFFER];
    let length = file.read_at(&mut buffer, 0)?;
    Stat::parse(&buffer[..length])
        .ok_or_else(|| io::Error::other("/proc/PID/stat is not understood"))
}

/// Reads `stat` of a process once.
///
/// # Errors
/// There is no such process, or it may not be seen.
pub(crate) fn stat_of(pid: u32) -> io::Result<Stat> {
    read_stat(&File::open(path(pid, "stat"))?)
}

/// Proportional set size of a process in KiB: each page counts by the share that it has in it. `None` of one that has
/// ended.
///
/// # Errors
/// It may not be read, or this kernel has none (Linux 4.14).
pub(crate) fn proportional_kb(pid: u32) -> io::Result<Option<u64>> {
    match proportional_kb_of(pid)? {
        Some(kb) => Ok(Some(kb)),
        // Perhaps only its main thread has ended.
        None => match living_threads(pid).next() {
            // /proc/TID is not listed, but there; /proc/PID/task/TID has no such file.
            Some((tid, _)) => proportional_kb_of(tid),
            None => Ok(None),
        },
    }
}

fn proportional_kb_of(pid: u32) -> io::Result<Option<u64>> {
    match std::fs::read(path(pid, "smaps_rollup")) {
        Ok(bytes) => match stat::proportional_kb(&bytes) {
            Some(kb) => Ok(Some(kb)),
            None => Err(io::ErrorKind::InvalidData.into()),
        },
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        // Either file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match stat_of(pid) {
            Ok(stat) if !stat.has_ended() => Err(error),
            Ok(_) | Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// Most resident memory that a living process (its id, or "self") ever had, in KiB.
pub(crate) fn peak_resident_kb(process: impl Display) -> Option<u64> {
    let status = std::fs::read(format!("/proc/{process}/status")).ok()?;
    // procfs-core reads no file with a byte that is not UTF-8, and any may be in the name.
    let status = String::from_utf8_lossy(&status);
    Status::from_buf_read(status.as_bytes()).ok()?.vmhwm
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn the_proportional_size_is_that_of_a_living_process() {
        let own = proportional_kb(std::process::id()).unwrap();
        assert!(own.is_some_and(|kb| kb > 0), "{own:?}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let (id, flags) = (Id::Pid(Pid::from_raw(pid as i32)), WaitPidFlag::WEXITED);
        waitid(id, flags | WaitPidFlag::WNOWAIT).unwrap();
        assert_eq!(proportional_kb(pid).unwrap(), None);
        child.wait().unwrap();
        assert_eq!(proportional_kb(pid).unwrap(), None);
    }

    #[test]
    fn a_name_of_any_bytes_hides_no_peak() {
        let named = || {
            std::fs::write("/proc/thread-self/comm", b"a:\xff\n)(").unwrap();
            peak_resident_kb("thread-self")
        };
        let peak = std::thread::spawn(named).join().unwrap();
        assert!(peak.is_some_and(|peak| peak > 0), "{peak:?}");
    }
}
