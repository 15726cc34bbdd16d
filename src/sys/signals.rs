//! Signals as events: blocked in denet, read from a descriptor; the command gets the mask that
//! denet was started with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::inherited;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What denet takes notice of, unless it was started with it ignored.
const WATCHED: [Signal; 8] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
    Signal::SIGCONT,
];

/// The watched signals, from now until dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    queue: SignalFd,
    /// The mask from before, which is the command's.
    pub(crate) inherited_mask: SigSet,
}

/// One signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) signal: Signal,
    /// Sent by the kernel to the whole process group (the terminal's Ctrl-C): the command has it
    /// too. Whether a process sent it to denet alone or to its group cannot be told.
    pub(crate) by_kernel: bool,
}

impl Arrived {
    /// Asks whoever gets it to stop.
    pub(crate) fn asks_to_stop(&self) -> bool {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        matches!(self.signal, SIGINT | SIGTERM | SIGHUP | SIGQUIT)
    }
}

impl Signals {
    /// Blocks the watched signals and opens their queue.
    ///
    /// # Errors
    /// What `sigprocmask(2)` or `signalfd(2)` answers.
    pub(crate) fn watch() -> io::Result<Self> {
        inherited::accept_children();
        let heard = |signal: &Signal| !inherited::is_ignored(*signal as i32);
        let watched = WATCHED.into_iter().filter(heard).collect::<SigSet>();
        let mut inherited_mask = SigSet::empty();
        sigprocmask(
            SigmaskHow::SIG_BLOCK,
            Some(&watched),
            Some(&mut inherited_mask),
        )?;
        let queue = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            queue,
            inherited_mask,
        })
    }

    /// The next signal that waits, if any.
    ///
    /// # Errors
    /// What `read(2)` answers.
    pub(crate) fn next(&self) -> io::Result<Option<Arrived>> {
        while let Some(info) = self.queue.read_signal()? {
            if let Ok(signal) = Signal::try_from(info.ssi_signo as i32) {
                return Ok(Some(Arrived {
                    signal,
                    by_kernel: info.ssi_code == libc::SI_KERNEL,
                }));
            }
        }
        Ok(None)
    }
}

impl Drop for Signals {
    /// What comes from now on ends denet, as it would any other program; what came before was heard.
    fn drop(&mut self) {
        while let Ok(Some(_)) = self.next() {}
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.inherited_mask), None);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
