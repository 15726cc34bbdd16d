//! The files of one process in `/proc`, kept open where that pays: reading `stat` again takes half of
//! what opening it anew does, and a kept file is never that of a later process with the same id.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use procfs_core::FromBufRead as _;
use procfs_core::process::Status;

use super::stat::{self, Io, Stat};

/// Larger than any of them.
const BUFFER: usize = 4096;

/// What was read of a process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    /// Of `stat`.
    pub(crate) stat: Stat,
    /// Of `io`, where that may be read.
    pub(crate) io: Option<Io>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Source {
    pid: u32,
    start_ticks: u64,
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
    pub(crate) fn open(pid: u32) -> io::Result<(Self, Raw)> {
        let stat = File::open(path(pid, "stat"))?;
        let first = read_stat(&stat)?;
        let mut source = Self {
            pid,
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
        let io = self.read_io();
        Raw { stat, io }
    }

    fn read_io(&mut self) -> Option<Io> {
        let mut buffer = [0; BUFFER];
        let read = match &self.io {
            Some(file) => file.read_at(&mut buffer, 0),
            None => File::open(path(self.pid, "io")).and_then(|file| {
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
                let gone = [libc::ESRCH, libc::ENOENT]
                    .map(Some)
                    .contains(&error.raw_os_error());
                if !gone {
                    self.io_refused = Some(error.kind());
                }
                None
            }
        }
    }
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

/// Most resident memory that a living process (its id, or "self") ever had, in KiB.
pub(crate) fn peak_resident_kb(process: impl Display) -> Option<u64> {
    let status = std::fs::read(format!("/proc/{process}/status")).ok()?;
    // procfs-core reads no file with a byte that is not UTF-8, and any may be in the name.
    let status = String::from_utf8_lossy(&status);
    Status::from_buf_read(status.as_bytes()).ok()?.vmhwm
}

#[cfg(test)]
mod tests {
    use super::*;

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
