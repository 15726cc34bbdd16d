//! The locks under which shadow-utils change `/etc/group` and `/etc/gshadow`, taken as `groupadd(8)` takes
//! them: `/etc/.pwd.lock` as `lckpwdf(3)` does, then for each file a `.lock` file that contains the process id.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use super::system::System;
use crate::sys::place::{Attributes, Entry, Place, Wanted};

/// groupadd takes milliseconds, and itself gives up after 15 s.
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

const ALL: &str = "/etc/.pwd.lock";
const EACH: [&str; 2] = ["/etc/group.lock", "/etc/gshadow.lock"];

/// What [`ALL`] contains if denet made it, by which denet recognises it after a kill. lckpwdf leaves the file
/// empty, and no program reads it.
const MARK: &[u8] = b"denet setup\n";

/// Held until it is dropped.
pub(super) struct GroupLock {
    all: File,
    each: Vec<Place>,
    /// [`ALL`], if denet made it and no other process can be waiting for it.
    made: Option<Place>,
}

impl GroupLock {
    /// Waits until other processes have released the locks.
    ///
    /// # Errors
    /// `ResourceBusy` with the name of a lock that is not released in time, and what the system answers.
    pub(super) fn take(system: &System) -> io::Result<Self> {
        let end = Instant::now() + TIMEOUT;
        let (all, made) = open_all(system).map_err(named(ALL))?;
        let mut lock = Self {
            all,
            each: Vec::new(),
            made: None,
        };
        until(end, || {
            lock_whole(&lock.all).map(|locked| (!locked).then(|| busy(system, ALL, None)))
        })?;
        lock.made = made;
        for path in EACH {
            let place = system.trusted(Path::new(path))?;
            until(end, || {
                lock_beside(system, path, &place).map_err(named(path))
            })?;
            lock.each.push(place);
        }
        Ok(lock)
    }
}

impl Drop for GroupLock {
    fn drop(&mut self) {
        for place in self.each.iter().rev().chain(&self.made) {
            // If it stays there, it names a process that has ended, and so locks nothing.
            let _ = place.remove();
        }
    }
}

/// The file that is locked as a whole, and its place if it is to be removed at the end. A running system
/// keeps it, as after groupadd: another process may be waiting for it. An image is left as it was.
fn open_all(system: &System) -> io::Result<(File, Option<Place>)> {
    let place = system.trusted(Path::new(ALL))?;
    if system.is_live() {
        return Ok((place.open_private()?, None));
    }
    place.clear()?;
    place.put_new(private(MARK))?;
    let file = place.open_private()?;
    let made = matches!(place.look()?, Some(Entry::File { bytes, .. }) if bytes == MARK);
    Ok((file, made.then_some(place)))
}

/// A file that only root can read.
fn private(bytes: &[u8]) -> Wanted<'_> {
    static NONE: Attributes = Attributes::new();
    Wanted {
        bytes,
        mode: 0o600,
        uid: 0,
        gid: 0,
        attributes: &NONE,
    }
}

/// Adds the path to errors that do not come from a system call; callers explain those that do.
fn named(path: &str) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::new(error.kind(), format!("{path}: {error}")),
    }
}

fn busy(system: &System, path: &str, holder: Option<i32>) -> io::Error {
    let who = holder.map_or("another process".to_owned(), |pid| format!("process {pid}"));
    let mut what = format!("{who} has locked {path}: run this again after it has ended");
    if let (Some(image), Some(_)) = (system.image(), holder) {
        let file = image.join(path.trim_start_matches('/'));
        what += &format!(
            ", or remove {} if that process is not changing the image",
            file.display()
        );
    }
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// Retries while `attempt` returns that a lock is busy; from `end` on, fails with that error.
fn until(
    end: Instant,
    mut attempt: impl FnMut() -> io::Result<Option<io::Error>>,
) -> io::Result<()> {
    while let Some(busy) = attempt()? {
        if Instant::now() > end {
            return Err(busy);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Locks the open file description: closing another descriptor of ours does not release it, and it conflicts
/// with locks of processes (`F_SETLK`).
fn lock_whole(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a `.lock` file; returns an error if another process holds it. The lock of a process that has ended is
/// removed, as shadow-utils do.
///
/// In an image, too, the process id is one of this machine: a groupadd that was started with chroot(1) has such
/// an id. Another denet setup of the image cannot be running, because it would hold the journal's lock. So a
/// lock that came from another machine is removed, unless a process here happens to have its id.
fn lock_beside(system: &System, path: &str, place: &Place) -> io::Result<Option<io::Error>> {
    let own = std::process::id();
    place.clear()?;
    if place.put_new(private(own.to_string().as_bytes()))? {
        return Ok(None);
    }
    let holder = match place.look()? {
        // It has just been released.
        None => return Ok(Some(busy(system, path, None))),
        Some(Entry::File { bytes, .. }) => holder(&bytes),
        Some(_) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a regular file",
            ));
        }
    };
    // A lock with our id that we do not hold was left by an earlier process.
    let is_stale = |pid: &i32| has_ended(*pid) || u32::try_from(*pid) == Ok(own);
    if let Some(pid) = holder.filter(is_stale) {
        tracing::debug!(pid, path, "removing the lock of a process that has ended");
        place.remove()?;
    }
    Ok(Some(busy(system, path, holder)))
}

/// The process id, as shadow-utils write it: a decimal number, and perhaps a NUL.
fn holder(bytes: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_end_matches(['\0', '\n'])
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
}

fn has_ended(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_read_as_shadow_utils_write_them() {
        assert_eq!(holder(b"1234"), Some(1234));
        assert_eq!(holder(b"1234\0"), Some(1234));
        assert_eq!(holder(b"1234\n"), Some(1234));
        for odd in [
            &b""[..],
            b"0",
            b"-1",
            b"x",
            b"12 34",
            b"99999999999",
            b"\xff",
        ] {
            assert_eq!(holder(odd), None, "{odd:?}");
        }
    }
}
