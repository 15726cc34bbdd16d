//! Writing to what a command shares with denet, and may have made non-blocking (`O_NONBLOCK` belongs to the
//! open file, not to the descriptor).

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until there is room, as if the descriptor were blocking.
pub(crate) struct BlockingWriter<W>(pub(crate) W);

impl<W: Write + AsFd> BlockingWriter<W> {
    fn until_room<T>(&mut self, mut write: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match write(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            let mut wanted = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
            match poll(&mut wanted, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl<W: Write + AsFd> Write for BlockingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_room(|to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.until_room(Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Reports on a channel when a write would block.
    struct Reporting<W>(W, std::sync::mpsc::Sender<()>);

    impl<W: Write> Write for Reporting<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = self.0.write(bytes);
            if written.is_err() {
                let _ = self.1.send(());
            }
            written
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl<W: AsFd> AsFd for Reporting<W> {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    #[test]
    fn a_pipe_without_room_is_waited_for() {
        let (mut from, to) = io::pipe().unwrap();
        nix::fcntl::fcntl(
            &to,
            nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
        )
        .unwrap();
        let (full, is_full) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            is_full.recv().unwrap();
            from.read_to_end(&mut all).map(|_| all.len())
        });
        let much = vec![b'x'; 1 << 20];
        let mut to = BlockingWriter(Reporting(to, full));
        to.write_all(&much).unwrap();
        drop(to);
        assert_eq!(reading.join().unwrap().unwrap(), much.len());
    }
}
