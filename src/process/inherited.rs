//! What the kernel handed on to denet of the children that it waited for: the command and orphans.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::ledger::Used;
use super::stat::Io;
use crate::sys::{account, environment};

/// This process as the heir of its children.
#[derive(Debug)]
pub(crate) struct Inherited {
    // Of the whole process, children included, and of this thread alone.
    whole: Option<(File, File)>,
}

impl Inherited {
    /// Opens this process's own account. To be used by this thread alone, while it is the only one, and
    /// before capabilities are given up.
    pub(crate) fn open() -> Self {
        let files = environment::with_own_proc_files(|| -> io::Result<(File, File)> {
            let thread = nix::unistd::gettid();
            Ok((
                File::open("/proc/self/io")?,
                File::open(format!("/proc/self/task/{thread}/io"))?,
            ))
        });
        Self { whole: files.ok() }
    }

    /// What children used that ended and were waited for, theirs included. Without I/O where that may
    /// not be read.
    pub(crate) fn read(&self) -> (Used, bool) {
        let usage = account::usage_of_children();
        let io = self.io();
        let used = Used {
            cpu_ns: usage.cpu().as_nanos() as u64,
            user_ns: usage.user.as_nanos() as u64,
            system_ns: usage.system.as_nanos() as u64,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            io: io.unwrap_or_default(),
        };
        (used, io.is_some())
    }

    fn io(&self) -> Option<Io> {
        let (whole, own) = self.whole.as_ref()?;
        let mut buffer = [0; 512];
        let length = whole.read_at(&mut buffer, 0).ok()?;
        let all = Io::parse(&buffer[..length])?;
        let own_length = own.read_at(&mut buffer, 0).ok()?;
        let mut own = Io::parse(&buffer[..own_length])?;
        // The reading of the first file is a reading call of our own.
        own.read_by_calls = own.read_by_calls.saturating_sub(length as u64);
        Some(
            Used {
                io: all,
                ..Used::default()
            }
            .beyond(Used {
                io: own,
                ..Used::default()
            })
            .io,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_was_waited_for_is_inherited() {
        // Other tests of this process read and start children meanwhile: no less than this one's.
        let heir = Inherited::open();
        let before = heir.read().0;
        let mut child = std::process::Command::new("sh")
            .args(["-c", "head -c 123456 /dev/zero >/dev/null"])
            .spawn()
            .unwrap();
        child.wait().unwrap();
        let (after, with_io) = heir.read();
        assert!(with_io);
        assert!(after.beyond(before).io.written_by_calls >= 123_456);
        assert!(after.beyond(before).minor_faults > 0);
    }
}
